"""What is different between two policy sets, as text, as Markdown, and as JSON data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final

from spyderresp.cli.output import Paint, safe
from spyderresp.cli.render import plural
from spyderresp.comparison.causes import Cause
from spyderresp.comparison.changes import Change
from spyderresp.comparison.over_events import Difference, Finding, Shown
from spyderresp.policy import PolicySet

_SIGN: Final = {"gained": "+", "lost": "-", "changed": "~"}
_COLOUR: Final = {"gained": "green", "lost": "blue", "changed": "yellow"}
# What Markdown or HTML could take for markup, and what GitHub makes links of: mentions, issues, addresses.
_MARKUP: Final = re.compile(r"[\\`*_{}\[\]()#!|~<>&@:\"']|(?<=www)\.", re.IGNORECASE)
_LONGEST: Final = 60


def difference_dict(found: Difference, *, bad: int, old: PolicySet, new: PolicySet) -> dict[str, Any]:
    """Return a difference over events as JSON data."""
    return {
        "version": 1,
        "old": old.digest,
        "new": new.digest,
        "events": found.events,
        "bad": bad,
        "different": found.different,
        "gained": found.gained,
        "lost": found.lost,
        "changed": found.changed,
        "destructive": found.destructive,
        "asked_by_others": found.asked_by_others,
        "changes": [_finding_dict(finding) for finding in found.findings],
    }


def _finding_dict(finding: Finding) -> dict[str, Any]:
    change, cause = finding.change, finding.cause
    return {
        "kind": change.kind,
        "action": change.action,
        "parameters": dict(change.items),
        "old": change.old,
        "new": change.new,
        "destructive": change.destructive,
        "count": finding.count,
        "flip": cause.flip,
        "set": cause.side,
        "policy": cause.policy.name,
        "uid": cause.policy.uid,
        "section": cause.entry.section,
        "index": cause.entry.index,
        "location": str(cause.entry.location),
        "samples": [
            {
                "id": shown.sample.id,
                "source": shown.sample.source,
                "line": shown.sample.place,
                "reason": None if shown.reason is None else shown.reason.to_dict(),
            }
            for shown in finding.shown
        ],
    }


def text(found: Difference, bad: int, paint: Paint) -> str:
    """Return a difference over events for people."""
    lines: list[str] = []
    for cause, findings in _by_policy(found.findings):
        lines.append(paint("bold", safe(cause.policy.name)))
        for finding in findings:
            change = finding.change
            sign = paint(_COLOUR[change.kind], f"{_SIGN[change.kind]} {change.kind}")
            mark = paint("red", "  destructive") if change.destructive else ""
            times = plural(finding.count, "time")
            lines.append(f"  {sign} {safe(action_text(change))}: {dispositions_text(change)}, {times}{mark}")
            lines.append(f"      by {safe(_entry(finding.cause))}")
            for shown in finding.shown:
                lines.append(f"      {_where(shown)}")
                if shown.reason is not None:
                    lines.append(f"        {safe(_reason(shown))}")
        lines.append("")
    lines.append(paint("yellow" if found.different else "green", "; ".join(_totals(found, bad))))
    return "\n".join(lines)


def _by_policy(findings: Iterable[Finding]) -> Iterator[tuple[Cause, Iterable[Finding]]]:
    for _, group in groupby(findings, key=lambda finding: finding.cause.policy.name):
        held = list(group)
        yield held[0].cause, held


def _totals(found: Difference, bad: int) -> Iterator[str]:
    yield f"{plural(found.different, 'event')} of {found.events:,} differ{'s' if found.different == 1 else ''}"
    if found.different:
        counts = found.gained, found.lost, found.changed, found.destructive
        yield "{:,} gained, {:,} lost, {:,} changed, {:,} destructive".format(*counts)
    if found.asked_by_others:
        yield f"{plural(found.asked_by_others, 'event')} the same, by other entries"
    if bad:
        yield f"{plural(bad, 'bad event')} not compared"


def action_text(change: Change) -> str:
    """Return an action with its parameters on one line."""
    said = [change.action]
    for name, value in change.items:
        word = str(value)
        said.append(f"{name}={word if len(word) <= _LONGEST else word[:_LONGEST] + '...'}")
    return " ".join(said)


def dispositions_text(change: Change) -> str:
    if change.old is None:
        return f"now {change.new}"
    return f"was {change.old}" if change.new is None else f"was {change.old}, now {change.new}"


def _entry(cause: Cause) -> str:
    return f"{cause.entry.section}[{cause.entry.index}], {cause.entry.location} ({cause.side})"


def _where(shown: Shown) -> str:
    # The file's name is safe already.
    sample = shown.sample
    return f"{sample.source}:{sample.place}" + ("" if sample.id is None else f" event {safe(_id(sample.id))}")


def _id(value: Any) -> str:
    word = value if isinstance(value, str) else json.dumps(value)
    return word if len(word) <= _LONGEST else word[:_LONGEST] + "..."


def _reason(shown: Shown) -> str:
    reason = shown.reason
    if reason is None:
        return ""
    place = f" ({reason.location})" if reason.location is not None else ""
    when = {"old": "old: ", "new": "new: "}[reason.side]
    return f"{when}{reason.text}{place}"


def markdown(found: Difference, bad: int) -> str:
    """Return a difference over events in Markdown, fit for a pull request."""
    lines = ["### What these policies would do differently", "", f"{'; '.join(_totals(found, bad))}.", ""]
    if not found.findings:
        return "\n".join(lines).rstrip("\n")
    lines += ["| | action | before | now | times | policy | entry |", "|---|---|---|---|--:|---|---|"]
    for finding in sorted(found.findings, key=lambda item: not item.change.destructive):
        change, cause = finding.change, finding.cause
        cells = [
            f"**destructive**, {change.kind}" if change.destructive else change.kind,
            code(action_text(change)),
            word(change.old),
            word(change.new),
            f"{finding.count:,}",
            code(cause.policy.name),
            code(_entry(cause)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    if any(finding.shown for finding in found.findings):
        lines += ["", "<details><summary>Sample events</summary>", ""]
        for finding in found.findings:
            if finding.shown:
                lines.append(
                    f"- {finding.change.kind} {code(action_text(finding.change))} of {code(finding.cause.policy.name)}"
                )
            for shown in finding.shown:
                why = f": {code(_reason(shown))}" if shown.reason is not None else ""
                lines.append(f"  - {code(_where(shown))}{why}")
        lines += ["", "</details>"]
    return "\n".join(lines)


def word(disposition: str | None) -> str:
    return "\u2013" if disposition is None else disposition.replace("_", " ")


def code(words: str) -> str:
    """Return text as code in Markdown: on one line, nothing in it markup, mentioning and linking nobody."""
    return f"<code>{_MARKUP.sub(lambda found: f'&#{ord(found[0])};', safe(words))}</code>"
