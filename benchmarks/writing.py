"""Writes a report as a page of Markdown with charts."""

from __future__ import annotations

import importlib
import statistics
from pathlib import Path
from typing import Any

_MARKS = {"aim": "aim", "must": "must", "missed": "**missed**", "stated": "", "not run": "not run"}
_TITLES = {
    "repeating": "A stream that repeats",
    "never-seen": "Every value new",
}
_FLOOR = "floor"
_ABOUT = """\
# Performance

What `python -m benchmarks.report` measured: {date}, on {machine}. {thoroughness}

Ratios are medians over rounds in which both sides took turns on the same freshly decoded events, in CPU time; the range
beside one is the middle half of its rounds. *must* and *aim* are the bounds that the project has set itself; a figure
without bounds is only stated. Every contestant's plans were first held against the oracle, or against plans that were.
[results.json](results.json) has all of it.
"""
_NOT_SHOWN = """\
## What the numbers do not show

- One machine, shared with other work. Ratios carry over to other machines within limits; times do not.
- The floor reads the same values out of the same dict and looks each up once. It checks no type, copies no target and
  decides nothing, so nothing correct can reach it.
- Workloads are synthetic, if shaped like real policies and records. `spyderresp bench` measures your own.
- Events are decoded 2,000 at a time and then decided, so that most of what is read has left the processor's first
  caches. A host that decides each event right after decoding it pays less, and so does the floor.
- Other engines were set up as their documentation shows, zen-engine as well as it could be; none was made for this.
  Some give more than is asked of them here, and all were given events already cut down to what policies name.
- Nothing here is a latency under load: queues, collectors and neighbours add their own.
- musllinux and aarch64 wheels, free-threaded interpreters and other systems were not measured.
"""


def write_markdown(report: dict[str, Any], charts: list[tuple[str, str]], path: Path) -> None:
    """Write the page.

    Args:
        report: what was measured.
        charts: titles and file names.
        path: of the page.
    """
    thoroughness = "A quick run: few rounds, few events, small sets only." if report["quick"] else ""
    lines = [_ABOUT.format(date=report["date"], machine=report["machine"], thoroughness=thoroughness)]
    lines += [f"![{title}]({name})\n" for title, name in charts]
    for row in report["rows"]:
        lines += [f"## {row['title']}\n", "| figure | measured | must | aim | | |", "|---|--:|--:|--:|---|---|"]
        lines += [_line(figure) for figure in row["figures"]]
        lines.append("")
    lines.append("## Versions\n")
    lines += [f"- {name} {version}" for name, version in report["versions"].items()]
    lines += ["", _NOT_SHOWN.rstrip()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _line(figure: dict[str, Any]) -> str:
    sign = "≤" if figure["sense"] == "at most" else "≥"
    limits = [f"{sign} {_number(figure[key])}" if figure[key] is not None else "" for key in ("must", "aim")]
    value = "" if figure["value"] is None else f"{_number(figure['value'])} {_unit(figure['unit'])}".strip()
    detail = ", ".join(f"{name} {_number(number)}" for name, number in figure["detail"].items())
    said = "; ".join(filter(None, (figure["note"], detail))).replace("|", "\\|").replace("\n", " ")
    return f"| {figure['label']} | {value} | {limits[0]} | {limits[1]} | {_MARKS[figure['verdict']]} | {said} |"


def _unit(unit: str) -> str:
    return {"instructions": ""}.get(unit, unit)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write_charts(report: dict[str, Any], out: Path) -> list[tuple[str, str]]:
    """Write one chart a stream, cost over policies, both logarithmic; return titles and file names.

    Without matplotlib there are none.
    """
    try:
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ImportError:
        return []
    made = []
    for stream, title in _TITLES.items():
        curves = _curves(report, stream)
        if not curves:
            continue
        figure, axes = pyplot.subplots(figsize=(9, 5.5))
        for name, curve in sorted(curves.items(), key=lambda item: -max(item[1].values())):
            sizes = sorted(curve)
            style = {"linestyle": "--", "color": "black"} if name == _FLOOR else {"marker": "o"}
            axes.plot(sizes, [curve[size] / 1_000 for size in sizes], label=name, **style)
        axes.set(xscale="log", yscale="log", xlabel="policies", ylabel="microseconds an event, CPU", title=title)
        axes.grid(visible=True, which="both", linewidth=0.3)
        axes.legend(fontsize="small")
        name = f"{stream}.svg"
        # Without a date in it, the same numbers make the same file.
        figure.savefig(out / name, metadata={"Date": None}, bbox_inches="tight")
        pyplot.close(figure)
        made.append((title, name))
    return made


def _curves(report: dict[str, Any], stream: str) -> dict[str, dict[int, float]]:
    """Return the cost by contestant and size; one measured in many rows is the median of them."""
    found: dict[str, dict[int, list[float]]] = {}
    for row in report["rows"]:
        for figure in row["figures"]:
            for kind, name, size, cost in figure["points"]:
                if kind == stream:
                    found.setdefault(name, {}).setdefault(size, []).append(cost)
    return {name: {size: statistics.median(costs) for size, costs in curve.items()} for name, curve in found.items()}
