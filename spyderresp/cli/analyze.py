"""``spyderresp analyze``: exact answers about a policy set, each with an example event."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from typing import Any, Final

from spyderresp.authoring.analysis import Analysis, Answer, relation
from spyderresp.authoring.analysis.regions import EventRegion, of_text
from spyderresp.cli.options import add_deciding_options, read_policies
from spyderresp.cli.terminal import CommandError, Streams, plural, safe
from spyderresp.policies.policy_set import PolicySet
from spyderresp.policies.vocabulary import ACTIONS, STAGES

_EPILOG: Final = """\
examples:
  spyderresp analyze policies/
  spyderresp analyze policies/ --reach namespace.name=kube-system
  spyderresp analyze policies/ --reach pod.labels.app=db --reach namespace.name=prod --action agentKillPod
  spyderresp analyze policies/ --compare web-containers 'production-cluster: actions[0]'

without --reach, it reports entries that can never fire, that another entry covers, that are always superseded, that
contradict each other, or that are duplicates; with --reach, it reports which actions can fire for an event that matches
all the given globs

exit codes: 0 no answer, or only that two are disjoint; 1 answers; 2 a policy cannot be read; 3 wrong usage"""
#: The default of `--action`: all actions on a process or a pod.
_AGENT_ACTIONS: Final = tuple(action for action, stage in STAGES.items() if stage)


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "analyze",
        help="report what policies can never do, always do, and can reach",
        description="report exactly what a policy set can and cannot do, with an example event for each answer",
        epilog=_EPILOG,
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a policy file or directory")
    add_deciding_options(parser, ("strict", "not-in"))
    parser.add_argument(
        "--reach",
        action="append",
        metavar="FIELD=GLOB",
        help="report the actions that can fire for such an event; FIELD is SCOPE.FIELD, namespace.name or "
        "pod.labels.KEY; may be repeated",
    )
    parser.add_argument(
        "--action",
        action="append",
        choices=ACTIONS,
        help="with --reach: only this action; may be repeated (default: all actions on a process or a pod)",
    )
    parser.add_argument(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="report whether two policies, or two entries (`NAME: actions[0]`), are equivalent or disjoint, or whether "
        "one implies the other",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    question = _question(args)
    policies = read_policies(args, streams)
    if policies is None:
        return 2
    analysis = Analysis(policies, not_in=args.not_in)
    if args.compare is not None:
        answers = [_compared(args, policies)]
    else:
        answers = list(
            analysis.answers() if question is None else analysis.reaching(question, args.action or _AGENT_ACTIONS)
        )
    if args.format == "json":
        data = {"version": 1, "digest": policies.digest, "answers": [answer.to_dict() for answer in answers]}
        streams.write(json.dumps(data, indent=2))
    else:
        _text(answers, len(policies), streams, asked=question is not None)
    return 1 if any(answer.kind != "disjoint" for answer in answers) else 0


def _compared(args: argparse.Namespace, policies: PolicySet) -> Answer:
    try:
        return relation(policies, *args.compare, not_in_takes_absent=args.not_in == "kubernetes")
    except ValueError as error:
        raise CommandError(f"spyderresp analyze: error: --compare: {safe(str(error))}") from None


def _question(args: argparse.Namespace) -> EventRegion | None:
    if args.compare is not None and (args.reach or args.action):
        raise CommandError("spyderresp analyze: error: `--compare` cannot be combined with `--reach` or `--action`")
    if args.reach is None:
        if args.action:
            raise CommandError("spyderresp analyze: error: `--action` needs `--reach`")
        return None
    question = EventRegion()
    for text in args.reach:
        question &= _asked(text)
    return question


def _asked(text: str) -> EventRegion:
    try:
        return of_text(text)
    except ValueError as error:
        raise CommandError(f"spyderresp analyze: error: --reach {safe(text)}: {safe(str(error))}") from None


def _text(answers: Iterable[Answer], count: int, streams: Streams, *, asked: bool) -> None:
    paint = streams.paint()
    shown = 0
    for answer in answers:
        shown += 1
        where = paint("bold", safe(str(answer.location)))
        about = f"{answer.policy}: {answer.subject}" if answer.subject else answer.policy
        kind = paint("blue" if answer.kind == "not-decided" else "yellow", answer.kind)
        streams.write(f"{where}: {kind}: {safe(about)}\n  {safe(answer.message)}")
        if answer.event is not None:
            streams.write(f"  shown by {json.dumps(answer.event)}")
        streams.write("")
    what = plural(shown, "answer")
    if not shown:
        what = "no action can fire for such an event" if asked else "nothing to report"
    streams.write(paint("green" if not shown else "yellow", f"analyzed {plural(count, 'policy')}: {what}"))
