"""``spyderresp certify``: proves that the compiled index decides the given policies as the specification does."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import Any, Final

from spyderresp.authoring.certify import Statement, certify
from spyderresp.cli.options import add_deciding_options, read_policies
from spyderresp.cli.terminal import Streams, safe
from spyderresp.decision import reference
from spyderresp.decision.compiler import Options, compile_policies

_EPILOG: Final = """\
examples:
  spyderresp certify policies/
  spyderresp certify --format json policies/ > certificate.json

exit codes: 0 no statement is refuted; 1 a statement is refuted; 2 a policy cannot be read; 3 wrong usage"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "certify",
        help="prove that the compiled index decides these policies as the specification does",
        description="prove that the index compiled from these policies decides every event as the specification does",
        epilog=_EPILOG,
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a policy file or directory")
    add_deciding_options(parser, ("strict", "defaults", "not-in"))
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    policies = read_policies(args, streams)
    if policies is None:
        return 2
    compiled = compile_policies(policies, Options(args.defaults, args.not_in))
    statements = list(certify(compiled, reference.Options(args.defaults, args.not_in)))
    if args.format == "json":
        data = {
            "version": 1,
            "digest": policies.digest,
            "defaults": args.defaults,
            "not_in": args.not_in,
            "statements": [statement.to_dict() for statement in statements],
        }
        streams.write(json.dumps(data, indent=2))
    else:
        _text(statements, policies.digest, streams)
    return 1 if any(statement.verdict == "refuted" for statement in statements) else 0


_COLOURS: Final = {"proven": "green", "refuted": "red", "not-decided": "yellow"}


def _text(statements: list[Statement], digest: str, streams: Streams) -> None:
    paint = streams.paint()
    for statement in statements:
        verdict = paint(_COLOURS[statement.verdict], statement.verdict)
        count = f"; {statement.checked:,} compared" if statement.checked else ""
        streams.write(f"{verdict}: {safe(statement.about)}: {safe(statement.how)}{count}")
        if statement.event is not None:
            streams.write(f"  decided differently: {json.dumps(statement.event)}")
    counts: Counter[str] = Counter(statement.verdict for statement in statements)
    totals = ", ".join(f"{counts[verdict]:,} {verdict}" for verdict in _COLOURS if counts[verdict])
    compared = sum(statement.checked for statement in statements)
    worst = next(verdict for verdict in ("refuted", "not-decided", "proven") if counts[verdict])
    streams.write(
        paint(_COLOURS[worst], f"certified {digest[:19]}: {totals}; {compared:,} verdicts and events compared")
    )
