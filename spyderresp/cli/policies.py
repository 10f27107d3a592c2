"""What the verbs that decide events share: the options, reading policies, making an engine."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import get_args

from spyderresp.adapters import BUILT_IN
from spyderresp.cli.output import Streams
from spyderresp.cli.render import counted, diagnostic_text, pages
from spyderresp.compiler import Defaults, NotIn
from spyderresp.engine import Engine
from spyderresp.errors import PolicyError
from spyderresp.loading import load
from spyderresp.policy import PolicySet


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the policies, and the options of an engine and of its input."""
    parser.add_argument(
        "--policies", action="append", required=True, metavar="PATH", help="a policy file or directory; may be repeated"
    )
    add_deciding_options(parser)


def add_deciding_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of an engine and of its input."""
    parser.add_argument("--strict", action="store_true", help="make each lenient repair an error")
    parser.add_argument(
        "--defaults", choices=get_args(Defaults), default="always", help="when default actions are taken"
    )
    parser.add_argument(
        "--not-in", choices=get_args(NotIn), default="kubernetes", help="whether NotIn holds where the key is absent"
    )
    parser.add_argument("--mode", choices=("audit",), help="treat every policy as one in audit mode")
    parser.add_argument(
        "--form", choices=BUILT_IN.names, help="the shape of the records; recognised one by one where not given"
    )


def make_engine(args: argparse.Namespace, streams: Streams) -> Engine | None:
    """Return the engine, or None after saying why the policies cannot be read."""
    policies = read_policies(args, streams)
    return None if policies is None else engine_of(policies, args)


def engine_of(policies: PolicySet, args: argparse.Namespace) -> Engine:
    """Return the engine that the options ask for."""
    return Engine(policies, defaults=args.defaults, not_in=args.not_in, mode=args.mode)


def read_policies(args: argparse.Namespace, streams: Streams) -> PolicySet | None:
    """Return the policies, or None after saying why they cannot be read."""
    return read_paths(getattr(args, "policies", None) or args.paths, streams, strict=args.strict)


def read_paths(paths: Sequence[str], streams: Streams, *, strict: bool) -> PolicySet | None:
    """Return the policies of files and directories, or None after saying why they cannot be read."""
    paint = streams.paint(errors=True)
    try:
        policies = load(*paths, strict=strict)
    except PolicyError as error:
        for diagnostic in error.diagnostics:
            if diagnostic.level == "error":
                streams.complain(diagnostic_text(diagnostic, paint))
        streams.complain(f"policies cannot be read: {counted(error.diagnostics)}; see {pages(error.errors)}")
        return None
    warnings = [item for item in policies.diagnostics if item.level == "warning"]
    if warnings:
        streams.complain(f"policies read with {counted(warnings)}; `spyderresp check` shows them")
    return policies
