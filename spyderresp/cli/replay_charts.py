"""The charts of a replay's page, as SVG to stand in it. Needs the extra ``report`` (matplotlib)."""

from __future__ import annotations

import io
import re
from datetime import datetime, timezone
from typing import Any, Final

import matplotlib as mpl
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from spyderresp.cli.output import safe
from spyderresp.replaying.report import Line, Report

COLOURS: Final = {
    "execute": "#b3261e",
    "audit": "#3b6ea5",
    "superseded": "#8d8d8d",
    "not_applicable": "#cfcfcf",
}
_DAY: Final = 86_400
_MOST_BARS: Final = 12
# The same report gives the same page: ids do not come by chance, and no date is written. Texts stay texts.
_SETTINGS: Final = {"svg.hashsalt": "spyderresp", "svg.fonttype": "none", "font.size": 9, "text.parse_math": False}
_PROLOGUE: Final = re.compile(r"^.*?(?=<svg)", re.DOTALL)


def timeline_chart(report: Report) -> str:
    """Return events, and kills by disposition, over time."""
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        events, kills = figure.subplots(2, 1, sharex=True)
        days = [bucket.start / _DAY for bucket in report.buckets]
        width = report.width / _DAY
        events.bar(days, [bucket.events for bucket in report.buckets], width, align="edge", color="#5f6f65")
        events.set_ylabel("events")
        bottom = [0.0] * len(days)
        for disposition in ("execute", "audit"):
            counts = [
                sum(n for (name, said), n in bucket.actions.items() if "Kill" in name and said == disposition)
                for bucket in report.buckets
            ]
            kills.bar(days, counts, width, bottom, align="edge", color=COLOURS[disposition], label=disposition)
            bottom = [below + count for below, count in zip(bottom, counts, strict=True)]
        kills.set_ylabel("kills")
        _legend(kills)
        for one in report.broken.openings:
            events.axvline(one.time / _DAY, color=COLOURS["execute"], linewidth=1, linestyle=":")
        locator = AutoDateLocator(tz=timezone.utc)
        kills.xaxis.set_major_locator(locator)
        kills.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=timezone.utc))
        first = datetime.fromtimestamp(report.buckets[0].start, timezone.utc)
        last = datetime.fromtimestamp(report.buckets[-1].start, timezone.utc)
        return _svg(figure, f"events and kills from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC")


def bars_chart(lines: tuple[Line, ...], key: str, title: str) -> str:
    """Return a bar for each of the most frequent lines, by disposition."""
    with mpl.rc_context(_SETTINGS):
        shown = lines[:_MOST_BARS][::-1]
        figure = Figure(figsize=(9, 1 + 0.3 * len(shown)), layout="constrained")
        axes = figure.subplots()
        # Two long names may be cut to the same; each keeps its own place.
        places = range(len(shown))
        left = [0.0] * len(shown)
        for disposition, colour in COLOURS.items():
            counts = [line.dispositions.get(disposition, 0) for line in shown]
            label = disposition.replace("_", " ")
            axes.barh(places, counts, left=left, color=colour, label=label)
            left = [before + count for before, count in zip(left, counts, strict=True)]
        axes.set_yticks(places, [_short(str(line.what[key])) for line in shown])
        _legend(axes)
        axes.set_xlabel("planned actions")
        return _svg(figure, title)


def _legend(axes: Any) -> None:
    """Put the legend above, where no bar reaches."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(COLOURS), frameon=False, borderaxespad=0.2)


def _short(text: str) -> str:
    shown = safe(text)
    return shown if len(shown) <= 40 else shown[:37] + "..."


def _svg(figure: Any, title: str) -> str:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Title": title})
    # Inside a page it needs no prologue, and none of its links.
    return _PROLOGUE.sub("", file.getvalue()).replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
