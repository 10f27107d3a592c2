"""A replay's report as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from spyderresp.cli.output import Paint, safe
from spyderresp.cli.render import plural
from spyderresp.replaying.report import Line, Report, moment

_SHOWN: Final = 20
_BAR: Final = 40
_DISPOSITIONS: Final = ("execute", "audit", "superseded", "not_applicable")
_WIDTHS: Final = ((604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"))
_LONGEST: Final = 56


def report_text(report: Report, paint: Paint) -> str:
    """Return a report for people."""
    return "\n".join(_lines(report, paint))


def _lines(report: Report, paint: Paint) -> Iterator[str]:
    yield paint("bold", "; ".join(_head(report)))
    yield ""
    yield from _table(paint, "actions", ("action",), report.actions)
    yield from _table(paint, "policies", ("policy",), report.policies)
    yield from _table(paint, "entries", ("policy", "section", "index", "action"), report.entries)
    yield paint("bold", "would have died")
    for name, deaths in (("pods", report.pods), ("processes", report.processes)):
        yield f"  {name:<12}{deaths.executed:>12,}   and {deaths.audited:,} more, were no policy in audit mode"
    if report.unknown:
        yield f"  {plural(report.unknown, 'kill')} of what nothing tells from others"
    for struck in report.targets:
        where = "" if struck.namespace is None else f" in {struck.namespace}"
        kind = "pod" if struck.pod else "process"
        times = f"{struck.executed:,} executed, {struck.audited:,} audited"
        yield f"  {kind} {safe(_cut(struck.name + where))}: {times}"
    yield ""
    yield paint("bold", "breakers")
    broken = report.broken
    yield f"  {plural(broken.refused, 'kill')} refused, {broken.allowed:,} let through"
    for one in broken.openings[:_SHOWN]:
        yield f"  {moment(one.time)}  {safe(_cut(one.name))}: more than {one.limit} targets, {one.refused:,} refused"
    if len(broken.openings) > _SHOWN:
        yield f"  and {len(broken.openings) - _SHOWN:,} more"
    if report.buckets:
        yield ""
        yield paint("bold", f"events by {width_text(report.width)}")
        shown = report.buckets[-_SHOWN:]
        if len(shown) < len(report.buckets):
            yield f"  {len(report.buckets) - len(shown):,} before these"
        most = max(bucket.events for bucket in shown)
        for bucket in shown:
            kills = sum(n for (name, said), n in bucket.actions.items() if "Kill" in name and said == "execute")
            bar = "#" * max(1, round(_BAR * bucket.events / most))
            yield f"  {moment(bucket.start)}  {bucket.events:>9,}  {kills:>7,} kills  {bar}"


def _head(report: Report) -> Iterator[str]:
    yield f"{plural(report.events, 'event')} decided, {report.acted:,} with an action"
    if report.bad:
        yield f"{report.bad:,} bad"
    if report.timeless:
        yield f"{report.timeless:,} without a time"


def width_text(width: int) -> str:
    """Return the length of a bucket for people."""
    for seconds, name in _WIDTHS:
        if width % seconds == 0:
            count = width // seconds
            return name if count == 1 else f"{count} {name}s"
    return f"{width} seconds"


def _table(paint: Paint, title: str, keys: Sequence[str], lines: Sequence[Line]) -> Iterator[str]:
    head = f"{title:<{_LONGEST}}" + "".join(f"{word.replace('_', ' '):>15}" for word in _DISPOSITIONS)
    yield paint("bold", head)
    for line in lines[:_SHOWN]:
        what = safe(_cut(_named(line, keys), _LONGEST - 2))
        yield f"  {what:<{_LONGEST - 2}}" + "".join(f"{line.dispositions.get(word, 0):>15,}" for word in _DISPOSITIONS)
    if len(lines) > _SHOWN:
        yield f"  and {len(lines) - _SHOWN:,} more"
    yield ""


def _named(line: Line, keys: Sequence[str]) -> str:
    if len(keys) == 1:
        return str(line.what[keys[0]])
    what = line.what
    return f"{what['policy']}, {what['section']}[{what['index']}] {what['action']}"


def _cut(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."
