"""``spyderresp diff``: compares two policy sets by the actions that they plan."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby
from typing import Any, Final

from spyderresp.authoring.diff import Comparison, Difference, Finding, Shown
from spyderresp.authoring.diff.causes import Cause
from spyderresp.authoring.diff.changes import Change
from spyderresp.authoring.diff.semantic import ChangedEntry, EntryDifference, Options, SemanticDiff, compare_meanings
from spyderresp.cli.event_input import KINDS, EventReader, selected_files
from spyderresp.cli.options import add_deciding_options, engine_of, read_paths
from spyderresp.cli.terminal import Paint, Streams, plural, safe
from spyderresp.decision.engine import Engine
from spyderresp.errors import EventError
from spyderresp.events.records import is_surely_normal, to_event
from spyderresp.policies.policy_set import PolicySet

# The differences over given events, as text, Markdown and JSON data.

_SIGN: Final = {"gained": "+", "lost": "-", "changed": "~"}
_COLOUR: Final = {"gained": "green", "lost": "blue", "changed": "yellow"}
# Characters with a meaning in Markdown or HTML, or from which GitHub makes links: to users, issues and addresses.
_MARKUP: Final = re.compile(r"[\\`*_{}\[\]()#!|~<>&@:\"']|(?<=www)\.", re.IGNORECASE)
_LONGEST: Final = 60


def difference_dict(difference: Difference, *, bad: int, old: PolicySet, new: PolicySet) -> dict[str, Any]:
    """Return a difference over events as JSON data."""
    return {
        "version": 1,
        "old": old.digest,
        "new": new.digest,
        "events": difference.events,
        "bad": bad,
        "different": difference.different,
        "gained": difference.gained,
        "lost": difference.lost,
        "changed": difference.changed,
        "destructive": difference.destructive,
        "asked_by_others": difference.asked_by_others,
        "changes": [_finding_dict(finding) for finding in difference.findings],
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


def text(difference: Difference, bad: int, paint: Paint) -> str:
    """Return a difference over events as text."""
    lines: list[str] = []
    for cause, findings in _by_policy(difference.findings):
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
    lines.append(paint("yellow" if difference.different else "green", "; ".join(_totals(difference, bad))))
    return "\n".join(lines)


def _by_policy(findings: Iterable[Finding]) -> Iterator[tuple[Cause, Iterable[Finding]]]:
    for _, group in groupby(findings, key=lambda finding: finding.cause.policy.name):
        members = list(group)
        yield members[0].cause, members


def _totals(difference: Difference, bad: int) -> Iterator[str]:
    verb = "differs" if difference.different == 1 else "differ"
    yield f"{plural(difference.different, 'event')} of {difference.events:,} {verb}"
    if difference.different:
        counts = difference.gained, difference.lost, difference.changed, difference.destructive
        yield "{:,} gained, {:,} lost, {:,} changed, {:,} destructive".format(*counts)
    if difference.asked_by_others:
        yield f"{plural(difference.asked_by_others, 'event')} with the same actions, by other entries"
    if bad:
        yield f"{plural(bad, 'bad event')} not compared"


def action_text(change: Change) -> str:
    """Return an action with its parameters on one line."""
    words = [change.action]
    for name, value in change.items:
        word = str(value)
        words.append(f"{name}={word if len(word) <= _LONGEST else word[:_LONGEST] + '...'}")
    return " ".join(words)


def dispositions_text(change: Change) -> str:
    if change.old is None:
        return f"now {change.new}"
    return f"was {change.old}" if change.new is None else f"was {change.old}, now {change.new}"


def _entry(cause: Cause) -> str:
    return f"{cause.entry.section}[{cause.entry.index}], {cause.entry.location} ({cause.side})"


def _where(shown: Shown) -> str:
    # The file name is escaped already.
    sample = shown.sample
    return f"{sample.source}:{sample.place}" + ("" if sample.id is None else f" event {safe(_id(sample.id))}")


def _id(value: Any) -> str:
    word = value if isinstance(value, str) else json.dumps(value)
    return word if len(word) <= _LONGEST else word[:_LONGEST] + "..."


def _reason(shown: Shown) -> str:
    reason = shown.reason
    if reason is None:
        return ""
    location = f" ({reason.location})" if reason.location is not None else ""
    when = {"old": "old: ", "new": "new: "}[reason.side]
    return f"{when}{reason.text}{location}"


def markdown(difference: Difference, bad: int) -> str:
    """Return a difference over events in Markdown, for a pull request."""
    lines = ["### What these policies would do differently", "", f"{'; '.join(_totals(difference, bad))}.", ""]
    if not difference.findings:
        return "\n".join(lines).rstrip("\n")
    lines += ["| | action | before | now | times | policy | entry |", "|---|---|---|---|--:|---|---|"]
    for finding in sorted(difference.findings, key=lambda item: not item.change.destructive):
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
    if any(finding.shown for finding in difference.findings):
        lines += ["", "<details><summary>Sample events</summary>", ""]
        for finding in difference.findings:
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
    """Return text as code in Markdown: on one line, escaped so that it makes no markup, mention or link."""
    return f"<code>{_MARKUP.sub(lambda match: f'&#{ord(match[0])};', safe(words))}</code>"


# The differences for any possible event, as text, Markdown and JSON data.

_SIDE: Final = {"new": "+ does more", "old": "- does less"}
_SIDE_COLOUR: Final = {"new": "yellow", "old": "blue"}


def meaning_dict(difference: SemanticDiff, *, old: PolicySet, new: PolicySet) -> dict[str, Any]:
    """Return the semantic differences as JSON data."""
    return {
        "version": 1,
        "old": old.digest,
        "new": new.digest,
        "different": len(difference.changed),
        "destructive": sum(changed.destructive for changed in difference.changed),
        "rewritten": difference.rewritten,
        "unchanged": difference.unchanged,
        "entries": [
            {
                "kind": changed.kind,
                "destructive": changed.destructive,
                "policy": changed.policy.name,
                "uid": changed.policy.uid,
                "action": changed.entry.action,
                "section": changed.entry.section,
                "index": changed.entry.index,
                "old_location": None if changed.old is None else str(changed.old),
                "new_location": None if changed.new is None else str(changed.new),
                "ways": [_part(part) for part in changed.differences],
            }
            for changed in difference.changed
        ],
    }


def _part(part: EntryDifference) -> dict[str, Any]:
    return {
        "does": "more" if part.side == "new" else "less",
        "event": part.event,
        "not_decided": part.note,
        "changes": [
            {
                "kind": change.kind,
                "action": change.action,
                "parameters": dict(change.items),
                "old": change.old,
                "new": change.new,
                "destructive": change.destructive,
            }
            for change in part.changes
        ],
    }


def meaning_text(difference: SemanticDiff, paint: Paint) -> str:
    """Return the semantic differences as text."""
    lines: list[str] = []
    for changed in difference.changed:
        head = paint("bold", safe(f"{changed.policy.name}: {_changed_entry(changed)}"))
        mark = paint("red", "  destructive") if changed.destructive else ""
        lines.append(f"{head}: {changed.kind}{mark}")
        lines.append(f"    {safe(_places(changed))}")
        for part in changed.differences:
            shown = "" if part.event is None else f", such as {json.dumps(part.event)}"
            lines.append(f"  {paint(_SIDE_COLOUR[part.side], _SIDE[part.side])}{shown}")
            lines += [
                f"      {change.kind} {safe(action_text(change))}: {dispositions_text(change)}"
                for change in part.changes
            ]
            if part.note is not None:
                lines.append(f"      {safe(part.note)}")
        lines.append("")
    lines.append(paint("yellow" if difference.changed else "green", _total(difference)))
    return "\n".join(lines)


def _changed_entry(changed: ChangedEntry) -> str:
    return f"{changed.entry.section}[{changed.entry.index}] {changed.entry.action}"


def _places(changed: ChangedEntry) -> str:
    return " -> ".join("nowhere" if location is None else str(location) for location in (changed.old, changed.new))


def _total(difference: SemanticDiff) -> str:
    if not difference.changed:
        return "no event is decided differently"
    count = sum(changed.destructive for changed in difference.changed)
    total = f"{plural(len(difference.changed), 'difference')}, {count:,} destructive"
    return total + (f"; {plural(difference.rewritten, 'other change')} without effect" if difference.rewritten else "")


def meaning_markdown(difference: SemanticDiff) -> str:
    """Return the semantic differences in Markdown, for a pull request."""
    lines = ["### What these policies would do differently", "", f"{_total(difference)}.", ""]
    if not difference.changed:
        return "\n".join(lines).rstrip("\n")
    lines += ["| | policy | entry | action | before | now | such as |", "|---|---|---|---|---|---|---|"]
    for changed in sorted(difference.changed, key=lambda item: not item.destructive):
        kind = f"**destructive**, {changed.kind}" if changed.destructive else changed.kind
        own = [kind, code(changed.policy.name), code(f"{_changed_entry(changed)}, {_places(changed)}")]
        for part in changed.differences:
            shown = "" if part.event is None else code(json.dumps(part.event))
            if part.note is not None:
                lines.append(f"| {' | '.join([*own, code(part.note), '', '', shown])} |")
            for change in part.changes:
                cells = [*own, code(action_text(change)), word(change.old), word(change.new), shown]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


_EPILOG: Final = f"""\
examples:
  spyderresp diff main/policies/ policies/
  spyderresp diff main/policies/ policies/ --events week.jsonl --events 'month/*.parquet'
  spyderresp diff main/policies/ policies/ --events week.jsonl --fail-on destructive --format markdown

a change is destructive if a kill is newly planned or newly executed, or if it is audited and was superseded or not
applicable before

{KINDS}

without --events, it reports the entries that now fire for different events, with an example event for each

exit codes: 0 no difference that --fail-on names; 1 such differences, or bad events; 2 a policy cannot be read;
3 wrong usage, or input or output fails"""
_MOST_SAMPLES: Final = 1_000


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "diff",
        help="report what another policy set would do differently",
        description="compare the actions that two policy sets plan: gained, lost, or with another disposition",
        epilog=_EPILOG,
    )
    parser.add_argument("old", metavar="OLD", help="a policy file or directory")
    parser.add_argument("new", metavar="NEW", help="the policy file or directory to compare with it")
    parser.add_argument(
        "--events",
        action="append",
        metavar="EVENTS",
        help="a file of events, a directory, a glob, or - for standard input; may be repeated (default: compare all "
        "possible events)",
    )
    add_deciding_options(parser)
    parser.add_argument(
        "--fail-on",
        choices=("any", "destructive"),
        default="any",
        help="the differences for which the exit code is 1 (default: any)",
    )
    parser.add_argument(
        "--samples",
        type=_samples,
        default=3,
        metavar="N",
        help="the number of example events for each change (default: 3)",
    )
    parser.add_argument("--format", choices=("text", "json", "markdown"), default="text", help="default: text")


def _samples(word: str) -> int:
    if not word.isascii() or not word.isdigit() or len(word) > 9 or int(word) > _MOST_SAMPLES:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to {_MOST_SAMPLES:,}, not `{safe(word)}`")
    return int(word)


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    paths = selected_files(args.events or [], "spyderresp diff: error")
    sets = [read_paths([path], streams, strict=args.strict) for path in (args.old, args.new)]
    old, new = sets
    if old is None or new is None:
        return 2
    engines = engine_of(old, args), engine_of(new, args)
    if args.events is None:
        return _any_event(args, *engines, streams)
    comparison = Comparison(*engines, samples=args.samples)
    reader = EventReader(_Comparing(comparison, (old, new), args.form), args.form, streams)
    for path in paths:
        reader.read(path)
    difference, bad = comparison.result(), reader.bad
    if args.format == "json":
        streams.write(json.dumps(difference_dict(difference, bad=bad, old=old, new=new), indent=2))
    elif args.format == "markdown":
        streams.write(markdown(difference, bad))
    else:
        streams.write(text(difference, bad, streams.paint()))
    return 1 if bad or (difference.destructive if args.fail_on == "destructive" else difference.different) else 0


def _any_event(args: argparse.Namespace, old: Engine, new: Engine, streams: Streams) -> int:
    difference = compare_meanings(old, new, Options(args.defaults, args.not_in, args.mode))
    if args.format == "json":
        streams.write(json.dumps(meaning_dict(difference, old=old.policies, new=new.policies), indent=2))
    elif args.format == "markdown":
        streams.write(meaning_markdown(difference))
    else:
        streams.write(meaning_text(difference, streams.paint()))
    if args.fail_on == "destructive":
        return 1 if any(entry.destructive for entry in difference.changed) else 0
    return 1 if difference.changed else 0


class _Comparing:
    """Compares the two policy sets on each event that is read."""

    def __init__(self, comparison: Comparison, policies: tuple[PolicySet, PolicySet], form: str | None) -> None:
        self.events = 0
        self._comparison = comparison
        self._policies = policies
        self._form = form

    def required_columns(self, tables: Any) -> Any:
        return tables.required_columns(self._policies, ("id",), ())

    def line(self, data: bytes, name: str, location: int) -> None:
        reread = partial(to_event, data, self._form)
        self._comparison.add_line(data if is_surely_normal(data, self._form) else None, name, location, reread)
        self.events += 1

    def record(self, event: Any, name: str, location: int) -> None:
        self._comparison.add(event, name, location, lambda: event)
        self.events += 1

    def batch(self, batch: Any, name: str, first: int, tables: Any) -> None:
        def event(row: int) -> Any:
            record = next(tables.rows(batch.slice(row, 1)))
            if isinstance(record, EventError):
                raise record
            return record

        self._comparison.add_batch(batch, name, first, event)
        self.events += batch.num_rows
