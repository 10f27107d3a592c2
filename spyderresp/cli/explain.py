"""``spyderresp explain``: why each policy and action did or did not fire for one event."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from spyderresp.cli.output import CannotGoOnError, Paint, Streams, safe
from spyderresp.cli.plan import plan_text
from spyderresp.cli.policies import add_options, make_engine
from spyderresp.cli.records import MAX_LINE, opened, to_event
from spyderresp.errors import EventError
from spyderresp.explain import EntryReason, Explanation, PolicyReason, SelectorReason, clause_text
from spyderresp.findings import suggestion


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "explain",
        help="say why each policy and action did or did not fire",
        description="read one event and say of every policy and action why it fired or not, clause by clause",
        epilog="exit codes: 0 fine; 1 the event is bad; 2 a policy cannot be read; 3 wrong usage",
    )
    add_options(parser)
    parser.add_argument("--policy", metavar="NAME", help="explain this policy only")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="for people or for machines")
    parser.add_argument("event", nargs="?", default="-", metavar="EVENT.json", help="a file, or - for standard input")


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    engine = make_engine(args, streams)
    if engine is None:
        return 2
    names = [policy.name for policy in engine.policies]
    if args.policy is not None and args.policy not in names:
        raise CannotGoOnError(
            f"spyderresp explain: no policy `{safe(args.policy)}`; {safe(suggestion(args.policy, names))}"
        )
    name = "<stdin>" if args.event == "-" else args.event
    with opened(args.event) as file:
        data = file.read(MAX_LINE + 1)
    try:
        if len(data) > MAX_LINE:
            raise EventError("", f"the event is longer than {MAX_LINE:,} bytes")
        explanation = engine.explain(to_event(data, args.form))
    except EventError as error:
        streams.complain(f"{safe(name)}: error: {safe(str(error))}")
        return 1
    if args.policy is not None:
        chosen = tuple(policy for policy in explanation.policies if policy.policy == args.policy)
        explanation = Explanation(explanation.plan, chosen)
    if args.format == "json":
        streams.write(json.dumps(explanation.to_dict()))
        return 0
    paint = streams.paint()
    streams.write(plan_text(explanation.plan, 1, paint))
    for policy in explanation.policies:
        for line in _policy(policy, paint):
            streams.write(line)
    return 0


def _policy(policy: PolicyReason, paint: Paint) -> Iterator[str]:
    mark = paint("green", "+") if policy.in_scope else paint("dim", "-")
    yield f"{mark} {paint('bold', safe(policy.policy))} ({policy.mode}): {safe(policy.reason)}"
    where = policy.deciding.location if policy.deciding is not None else policy.location
    yield safe(f"    at {where}")
    if policy.in_scope:
        for selector in policy.selectors:
            yield from _selector(selector, "    ", paint)
        for entry in policy.entries:
            yield from _entry(entry, paint)


def _entry(entry: EntryReason, paint: Paint) -> Iterator[str]:
    mark = paint("green", "+") if entry.fired else paint("dim", "-")
    yield f"  {mark} {entry.section}[{entry.index}] {entry.action}: {safe(entry.reason)}"
    where = entry.deciding.location if entry.deciding is not None else entry.location
    yield safe(f"      at {where}")
    for selector in entry.selectors:
        yield from _selector(selector, "      ", paint)


def _selector(selector: SelectorReason, indent: str, paint: Paint) -> Iterator[str]:
    colour = "green" if selector.holds else "yellow"
    yield f"{indent}{selector.selector}: {paint(colour, selector.status)}"
    for clause in selector.clauses:
        verdict = "holds" if clause.holds else "fails"
        yield f"{indent}  {paint('green' if clause.holds else 'yellow', verdict)}: {safe(clause_text(clause))}"
