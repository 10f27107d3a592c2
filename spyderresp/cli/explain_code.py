"""``spyderresp explain-code``: prints the page of a diagnostic code."""

from __future__ import annotations

import argparse
from typing import Any, Final

from spyderresp.cli.terminal import CommandError, Streams
from spyderresp.policies.codes import code_pages
from spyderresp.policies.diagnostics import quoted, suggestion

_EPILOG: Final = """\
examples:
  spyderresp explain-code SR133

exit codes: 0 fine; 3 there is no such code"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "explain-code",
        help="print what a code such as SR133 means, with a wrong and a right example",
        description="print the page of one or more codes, with a wrong and a right example",
        epilog=_EPILOG,
    )
    parser.add_argument("codes", nargs="+", metavar="CODE", help="such as SR133")


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    pages = code_pages()
    codes = [code.upper() for code in args.codes]
    for code in codes:
        if code not in pages:
            raise CommandError(f"spyderresp: there is no code {quoted(code)}; {suggestion(code, tuple(pages))}")
    streams.write("\n".join(pages[code].rstrip("\n") + "\n" for code in codes).rstrip("\n"))
    return 0
