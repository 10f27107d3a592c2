"""``spyderresp explain``: reports why each policy and action did or did not fire for one event."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any, Final

from spyderresp.cli.event_input import input_name, open_input
from spyderresp.cli.options import add_options, make_engine
from spyderresp.cli.plan import plan_text
from spyderresp.cli.terminal import CommandError, Paint, Streams, safe
from spyderresp.decision.explain import (
    ClauseReason,
    EntryReason,
    Explanation,
    PolicyReason,
    SelectorReason,
    clause_text,
)
from spyderresp.errors import EventError
from spyderresp.events.records import MAX_LINE, to_event
from spyderresp.policies.diagnostics import quoted, suggestion

# An explanation as text: every policy and entry, and the clause that decided.


def explanation_text(explanation: Explanation, paint: Paint) -> Iterator[str]:
    """Yield the lines: those of policies in scope in full, one line for each of the others."""
    for policy in explanation.policies:
        yield from _policy(policy, paint)


def _policy(policy: PolicyReason, paint: Paint) -> Iterator[str]:
    name = f"{paint('bold', safe(policy.policy))} ({policy.mode})"
    if not policy.in_scope:
        where = policy.deciding.location if policy.deciding is not None else policy.location
        yield f"{paint('dim', '-')} {name}: {safe(f'{policy.reason} ({where})')}"
        return
    yield f"{paint('green', '+')} {name}: {safe(f'{policy.reason} ({policy.location})')}"
    for selector in policy.selectors:
        yield from _selector(selector, None, "    ", paint)
    for entry in policy.entries:
        yield from _entry(entry, paint)


def _entry(entry: EntryReason, paint: Paint) -> Iterator[str]:
    mark = paint("green", "+") if entry.fired else paint("dim", "-")
    # If there are clauses to show, they give the reason.
    reason = entry.reason if not entry.selectors else "fired" if entry.fired else "did not fire"
    yield f"  {mark} {entry.section}[{entry.index}] {entry.action}: {safe(f'{reason} ({entry.location})')}"
    for selector in entry.selectors:
        yield from _selector(selector, entry.deciding, "      ", paint)


def _selector(selector: SelectorReason, deciding: ClauseReason | None, indent: str, paint: Paint) -> Iterator[str]:
    if selector.status == "absent":
        message = f"the event has no such object ({selector.location})"
        yield f"{indent}{_verdict(False, paint)} {selector.selector}: {safe(message)}"
    elif selector.status == "excused":
        message = "the event has none, and by its attribution the detector has checked it"
        yield f"{indent}{_verdict(True, paint)} {selector.selector}: {message}"
    for clause in selector.clauses:
        where = "" if clause.holds else f" ({'decides: ' if clause is deciding else ''}{clause.location})"
        yield f"{indent}{_verdict(clause.holds, paint)} {safe(f'{selector.selector}: {clause_text(clause)}{where}')}"


def _verdict(holds: bool, paint: Paint) -> str:
    return paint("green", "yes") if holds else paint("yellow", "NO ")


_EPILOG: Final = """\
examples:
  spyderresp explain --policies policies/ event.json
  sed -n 12p events.jsonl | spyderresp explain --policies policies/ --policy production-cluster

exit codes: 0 fine; 1 the event is bad; 2 a policy cannot be read; 3 wrong usage, or input or output fails"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "explain",
        help="report why each policy and action did or did not fire",
        description="read one event and report for every policy and action why it fired or not, clause by clause",
        epilog=_EPILOG,
    )
    add_options(parser)
    parser.add_argument("--policy", metavar="NAME", help="explain this policy only")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.add_argument(
        "event", nargs="?", default="-", metavar="EVENT.json", help="a file, or - for standard input (default)"
    )


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    name = input_name(args.event)
    engine = make_engine(args, streams)
    if engine is None:
        return 2
    names = [policy.name for policy in engine.policies]
    if args.policy is not None and args.policy not in names:
        hint = suggestion(args.policy, names) if names else "there is none"
        raise CommandError(f"spyderresp explain: error: no policy is named {safe(quoted(args.policy))}; {safe(hint)}")
    if args.event == "-" and sys.stdin.isatty():
        streams.complain("reading one event from the terminal, as JSON; Ctrl-D ends")
    with open_input(args.event) as file:
        data = file.read(MAX_LINE + 1)
    try:
        event = _one_event(data, args.form)
        explanation = engine.explain(event)
        if args.policy is not None:
            chosen = tuple(policy for policy in explanation.policies if policy.policy == args.policy)
            explanation = Explanation(explanation.plan, chosen)
        if args.format == "json":
            streams.write(_json(explanation))
            return 0
    except EventError as error:
        streams.complain(f"{name}: error: {safe(str(error))}")
        return 1
    paint = streams.paint()
    streams.write(plan_text(explanation.plan, event, paint))
    for line in explanation_text(explanation, paint):
        streams.write(line)
    return 0


def _one_event(data: bytes, form: str | None) -> Any:
    if len(data) > MAX_LINE:
        raise EventError("", f"the event is longer than {MAX_LINE:,} bytes")
    if not data.strip():
        raise EventError("", "there is no event: the input is empty")
    try:
        return to_event(data, form)
    except EventError as error:
        if not error.path and "extra data" in error.reason:
            raise EventError("", "more than one JSON value; `explain` takes one event, `plan` takes many") from None
        raise


def _json(explanation: Explanation) -> str:
    try:
        return json.dumps(explanation.to_dict(), indent=2)
    except RecursionError:
        raise EventError("id", "nested too deeply") from None
