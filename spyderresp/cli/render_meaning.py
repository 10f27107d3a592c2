"""What two policy sets decide differently for any event, as text, as Markdown, and as JSON data."""

from __future__ import annotations

import json
from typing import Any, Final

from spyderresp.cli.output import Paint, safe
from spyderresp.cli.render import plural
from spyderresp.cli.render_diff import action_text, code, dispositions_text, word
from spyderresp.comparison.for_any_event import Flipped, Meaning, Way
from spyderresp.policy import PolicySet

_SIDE: Final = {"new": "+ does more", "old": "- does less"}
_SIDE_COLOUR: Final = {"new": "yellow", "old": "blue"}


def meaning_dict(found: Meaning, *, old: PolicySet, new: PolicySet) -> dict[str, Any]:
    """Return it as JSON data."""
    return {
        "version": 1,
        "old": old.digest,
        "new": new.digest,
        "different": len(found.flipped),
        "destructive": sum(flipped.destructive for flipped in found.flipped),
        "rewritten": found.rewritten,
        "unchanged": found.unchanged,
        "entries": [
            {
                "kind": flipped.kind,
                "destructive": flipped.destructive,
                "policy": flipped.policy.name,
                "uid": flipped.policy.uid,
                "action": flipped.entry.action,
                "section": flipped.entry.section,
                "index": flipped.entry.index,
                "old_location": None if flipped.old is None else str(flipped.old),
                "new_location": None if flipped.new is None else str(flipped.new),
                "ways": [_way(way) for way in flipped.ways],
            }
            for flipped in found.flipped
        ],
    }


def _way(way: Way) -> dict[str, Any]:
    return {
        "does": "more" if way.side == "new" else "less",
        "event": way.event,
        "not_decided": way.note,
        "changes": [
            {
                "kind": change.kind,
                "action": change.action,
                "parameters": dict(change.items),
                "old": change.old,
                "new": change.new,
                "destructive": change.destructive,
            }
            for change in way.changes
        ],
    }


def meaning_text(found: Meaning, paint: Paint) -> str:
    """Return it for people."""
    lines: list[str] = []
    for flipped in found.flipped:
        head = paint("bold", safe(f"{flipped.policy.name}: {_entry(flipped)}"))
        mark = paint("red", "  destructive") if flipped.destructive else ""
        lines.append(f"{head}: {flipped.kind}{mark}")
        lines.append(f"    {safe(_places(flipped))}")
        for way in flipped.ways:
            shown = "" if way.event is None else f", such as {json.dumps(way.event)}"
            lines.append(f"  {paint(_SIDE_COLOUR[way.side], _SIDE[way.side])}{shown}")
            lines += [
                f"      {change.kind} {safe(action_text(change))}: {dispositions_text(change)}"
                for change in way.changes
            ]
            if way.note is not None:
                lines.append(f"      {safe(way.note)}")
        lines.append("")
    lines.append(paint("yellow" if found.flipped else "green", _total(found)))
    return "\n".join(lines)


def _entry(flipped: Flipped) -> str:
    return f"{flipped.entry.section}[{flipped.entry.index}] {flipped.entry.action}"


def _places(flipped: Flipped) -> str:
    return " -> ".join("nowhere" if place is None else str(place) for place in (flipped.old, flipped.new))


def _total(found: Meaning) -> str:
    if not found.flipped:
        return "no event is decided differently"
    count = sum(flipped.destructive for flipped in found.flipped)
    said = f"{plural(len(found.flipped), 'difference')}, {count:,} destructive"
    return said + (f"; {plural(found.rewritten, 'other change')} without effect" if found.rewritten else "")


def meaning_markdown(found: Meaning) -> str:
    """Return it in Markdown, fit for a pull request."""
    lines = ["### What these policies would do differently", "", f"{_total(found)}.", ""]
    if not found.flipped:
        return "\n".join(lines).rstrip("\n")
    lines += ["| | policy | entry | action | before | now | such as |", "|---|---|---|---|---|---|---|"]
    for flipped in sorted(found.flipped, key=lambda item: not item.destructive):
        kind = f"**destructive**, {flipped.kind}" if flipped.destructive else flipped.kind
        own = [kind, code(flipped.policy.name), code(f"{_entry(flipped)}, {_places(flipped)}")]
        for way in flipped.ways:
            shown = "" if way.event is None else code(json.dumps(way.event))
            if way.note is not None:
                lines.append(f"| {' | '.join([*own, code(way.note), '', '', shown])} |")
            for change in way.changes:
                cells = [*own, code(action_text(change)), word(change.old), word(change.new), shown]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
