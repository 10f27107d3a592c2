"""Writes the report of a replay as one HTML file: no scripts, no external content, every text escaped."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timezone
from html import escape
from typing import Any, Final

import matplotlib as mpl
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from spyderresp.authoring.replay.report import Line, Report, moment, width_text
from spyderresp.cli.terminal import safe

# The charts of the page, as inline SVG. They need the extra ``report`` (matplotlib).

COLOURS: Final = {
    "execute": "#b3261e",
    "audit": "#3b6ea5",
    "superseded": "#8d8d8d",
    "not_applicable": "#cfcfcf",
}
_DAY: Final = 86_400
_MOST_BARS: Final = 12
# With fixed ids and no date, the same report gives the same page. Text stays text instead of outlines.
_SETTINGS: Final = {"svg.hashsalt": "spyderresp", "svg.fonttype": "none", "font.size": 9, "text.parse_math": False}
_PROLOGUE: Final = re.compile(r"^.*?(?=<svg)", re.DOTALL)


def timeline_chart(report: Report) -> str:
    """Return a chart of events over time, and of kills by disposition over time."""
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
                sum(n for (name, what), n in bucket.actions.items() if "Kill" in name and what == disposition)
                for bucket in report.buckets
            ]
            kills.bar(days, counts, width, bottom, align="edge", color=COLOURS[disposition], label=disposition)
            bottom = [below + count for below, count in zip(bottom, counts, strict=True)]
        kills.set_ylabel("kills")
        _legend(kills)
        for trip in report.broken.openings:
            events.axvline(trip.time / _DAY, color=COLOURS["execute"], linewidth=1, linestyle=":")
        locator = AutoDateLocator(tz=timezone.utc)
        kills.xaxis.set_major_locator(locator)
        kills.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=timezone.utc))
        first = datetime.fromtimestamp(report.buckets[0].start, timezone.utc)
        last = datetime.fromtimestamp(report.buckets[-1].start, timezone.utc)
        return _svg(figure, f"events and kills from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC")


def bars_chart(lines: tuple[Line, ...], key: str, title: str) -> str:
    """Return a bar chart of the most frequent lines, by disposition."""
    with mpl.rc_context(_SETTINGS):
        shown = lines[:_MOST_BARS][::-1]
        figure = Figure(figsize=(9, 1 + 0.3 * len(shown)), layout="constrained")
        axes = figure.subplots()
        # Bars are placed by number: two long names may be shortened to the same text.
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
    """Put the legend above the chart, where no bar is."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(COLOURS), frameon=False, borderaxespad=0.2)


def _short(text: str) -> str:
    shown = safe(text)
    return shown if len(shown) <= 40 else shown[:37] + "..."


def _svg(figure: Any, title: str) -> str:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Title": title})
    # Inline SVG needs no XML prologue.
    return _PROLOGUE.sub("", file.getvalue()).replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)


_SHOWN: Final = 200
_STYLE: Final = """\
:root{color-scheme:light}
body{font:15px/1.5 system-ui,sans-serif;color:#1d1d1d;background:#fff;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin-top:2.2rem}
code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}
.figures{display:flex;flex-wrap:wrap;gap:1rem;margin:1.2rem 0;padding:0}
.figures div{border:1px solid #ddd;border-radius:6px;padding:.6rem 1rem;min-width:8rem}
.figures dt{font-size:.8rem;color:#555}.figures dd{margin:0;font-size:1.5rem;font-variant-numeric:tabular-nums}
.figures .kill dd{color:#b3261e}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;border-bottom:1px solid #e5e5e5;text-align:right;vertical-align:top}
th:first-child,td:first-child{text-align:left;overflow-wrap:anywhere}
svg{max-width:100%;height:auto}.quiet{color:#666}
"""


def report_page(report: Report) -> str:
    """Return a report as an HTML document."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8"><title>What policies would have done</title>'
    yield (
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
    )
    yield f"<style>{_STYLE}</style></head><body>"
    yield "<h1>What policies would have done</h1>"
    yield f'<p class="quiet">Policy set <code>{_text(report.policy_set)}</code>. Nothing was carried out.</p>'
    yield from _figures(report)
    if report.buckets:
        yield f"<h2>Over time, by {_text(width_text(report.width))}</h2>"
        yield timeline_chart(report)
        if report.broken.openings:
            yield '<p class="quiet">Dotted: a breaker opens.</p>'
    if report.actions:
        yield "<h2>Actions</h2>"
        yield bars_chart(report.actions, "action", "planned actions by disposition")
        yield from _counts("action", report.actions, lambda line: _text(line.what["action"]))
    if report.policies:
        yield "<h2>Policies</h2>"
        if any(line.total for line in report.policies):
            yield bars_chart(report.policies, "policy", "planned actions by policy and disposition")
        yield from _counts("policy", report.policies, lambda line: _text(line.what["policy"]))
    if report.entries:
        yield "<h2>Entries</h2>"
        yield from _counts("entry", report.entries, _entry)
    yield from _dead(report)
    yield from _breakers(report)
    yield "</body></html>"


def _text(value: object) -> str:
    return escape(safe(str(value)))


def _figures(report: Report) -> Iterator[str]:
    figures = [
        ("events decided", report.events, ""),
        ("with an action", report.acted, ""),
        ("pods would have died", report.pods.executed, "kill"),
        ("processes would have died", report.processes.executed, "kill"),
        ("kills refused by breakers", report.broken.refused, ""),
        ("bad events", report.bad, ""),
        ("events without a time", report.timeless, ""),
    ]
    yield '<dl class="figures">'
    for name, count, kind in figures:
        yield f'<div class="{kind}"><dt>{name}</dt><dd>{count:,}</dd></div>'
    yield "</dl>"


def _counts(title: str, lines: Sequence[Line], named: Callable[[Line], str]) -> Iterator[str]:
    heads = [title, *(word.replace("_", " ") for word in COLOURS)]
    rows = [[named(line), *(f"{line.dispositions.get(word, 0):,}" for word in COLOURS)] for line in lines[:_SHOWN]]
    yield from _table(heads, rows)
    if len(lines) > _SHOWN:
        yield f'<p class="quiet">and {len(lines) - _SHOWN:,} more; <code>--format json</code> has them all</p>'


def _entry(line: Line) -> str:
    what = line.what
    name = f"{what['policy']}, {what['section']}[{what['index']}] {what['action']}"
    return f"{_text(name)}<br><code>{_text(what.get('location', ''))}</code>"


def _table(heads: Iterable[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a table; the cells must be HTML."""
    yield "<table><thead><tr>" + "".join(f"<th>{head}</th>" for head in heads) + "</tr></thead><tbody>"
    for row in rows:
        yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>"
    yield "</tbody></table>"


def _dead(report: Report) -> Iterator[str]:
    yield "<h2>What would have died</h2>"
    deaths = (("pods", report.pods), ("processes", report.processes))
    rows = [[name, f"{count.executed:,}", f"{count.audited:,}"] for name, count in deaths]
    yield from _table(("distinct", "killed", "more if no policy were in audit mode"), rows)
    if report.unknown:
        yield f"<p>Kills of targets that cannot be identified: {report.unknown:,}.</p>"
    if report.targets:
        yield "<h2>Targets killed most often</h2>"
        rows = [
            [
                f"{'pod' if target.pod else 'process'} <code>{_text(target.name)}</code>"
                + ("" if target.namespace is None else f" in <code>{_text(target.namespace)}</code>"),
                f"{target.executed:,}",
                f"{target.audited:,}",
            ]
            for target in report.targets
        ]
        yield from _table(("target", "executed", "audited"), rows)


def _breakers(report: Report) -> Iterator[str]:
    broken = report.broken
    yield "<h2>Breakers</h2>"
    yield f"<p>{broken.refused:,} kills refused, {broken.allowed:,} allowed, by the default guard.</p>"
    if broken.openings:
        rows = [
            [f"{_text(moment(trip.time))}", f"<code>{_text(trip.name)}</code>", f"{trip.limit:,}", f"{trip.refused:,}"]
            for trip in broken.openings[:_SHOWN]
        ]
        yield from _table(("opens", "breaker", "limit", "refused"), rows)
