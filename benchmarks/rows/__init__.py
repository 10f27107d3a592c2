"""The rows of the report, in their order."""

from __future__ import annotations

from rows import batch, decisions, entry_points, loading, others, processes, worst_shapes
from rows.model import Figure, Row, Settings

ROWS = (
    Row("floor", "Against the floor", decisions.floor),
    Row("growth", "Over the number of policies", decisions.growth),
    Row("never-seen", "Values never seen", decisions.never_seen),
    Row("memory-growth", "Memory over a stream that never repeats", decisions.memory_growth),
    Row("python", "The best pure Python", others.best_python),
    Row("zen", "zen-engine", others.zen),
    Row("engines", "Engines that look at every policy", others.engines),
    Row("worst", "Worst shapes", worst_shapes.worst_shapes),
    Row("globs", "Pathological globs", worst_shapes.globs_on_long_texts),
    Row("many", "Many events", entry_points.many),
    Row("json", "Events as JSON", entry_points.from_json),
    Row("batch", "Arrow batches", batch.batch),
    Row("parsers", "Reading policies", loading.parsers),
    Row("largest", "The largest policy set", loading.largest),
    Row("replace", "Replacing policies", processes.replace),
    Row("instructions", "Instructions", processes.instructions),
    Row("start-up", "Starting up", processes.start_up),
)

__all__ = ["ROWS", "Figure", "Row", "Settings"]
