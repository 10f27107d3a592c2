"""The command line. One module a verb; this one puts them together and turns outcomes into exit codes.

Exit codes: 0 fine; 1 findings; 2 a policy cannot be read; 3 wrong usage, or input or output that fails.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from spyderresp.cli import check, explain, plan, schema
from spyderresp.cli.output import CannotGoOnError, Streams
from spyderresp.findings import suggestion
from spyderresp.version import VERSION

_VERBS = {"check": check, "plan": plan, "explain": explain, "schema": schema}
_INTERRUPTED = 130
# What a shell reports of a program that a closed pipe ended; nothing is printed.
_BROKEN_PIPE = 141


class _Parser(argparse.ArgumentParser):
    """A parser whose own errors exit with 3, and name the nearest verb."""

    def error(self, message: str) -> NoReturn:
        raise CannotGoOnError(f"{self.prog}: {message}\n{self.format_usage().rstrip()}")


def _parser() -> _Parser:
    parser = _Parser(
        prog="spyderresp",
        description="decide which response actions Spyderbat policies demand for deviation events",
        epilog="exit codes: 0 fine; 1 findings; 2 a policy cannot be read; 3 wrong usage, or input or output fails",
    )
    parser.add_argument("--version", action="version", version=f"spyderresp {VERSION}")
    verbs = parser.add_subparsers(title="verbs", dest="verb", metavar="VERB", parser_class=_Parser)
    for module in _VERBS.values():
        module.add_parser(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. ``arguments`` are those after the program's name."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    streams = Streams()
    try:
        if given and not given[0].startswith("-") and given[0] not in _VERBS:
            hint = suggestion(given[0], _VERBS)
            raise CannotGoOnError(f"spyderresp: unknown verb `{given[0]}`; {hint}")
        parsed = _parser().parse_args(given)
        if parsed.verb is None:
            _parser().print_help(sys.stderr)
            return 3
        code = _VERBS[parsed.verb].run(parsed, streams)
        streams.flush()
    except CannotGoOnError as error:
        streams.complain(str(error))
        return 3
    except BrokenPipeError:
        streams.abandon()
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        streams.abandon()
        return _INTERRUPTED
    else:
        return code
