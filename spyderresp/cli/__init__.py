"""The command line. Each verb has a module; this one combines them and returns the exit codes.

Exit codes: 0 fine; 1 findings; 2 a policy cannot be read; 3 wrong usage, or input or output that fails.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NoReturn

from spyderresp.cli.terminal import CommandError, Streams, safe
from spyderresp.errors import SpyderrespError, __version__
from spyderresp.policies.diagnostics import quoted, suggestion

# Each verb is a module of this package. Only the module of the given verb is imported.
_VERBS: Final = (
    "check",
    "plan",
    "explain",
    "explain-code",
    "test",
    "diff",
    "replay",
    "analyze",
    "certify",
    "run",
    "journal",
    "undo",
    "bench",
    "schema",
)
_USAGE: Final = 3
_INTERRUPTED: Final = 130
# The exit code that a shell reports for a program that SIGPIPE ended; nothing is printed.
_BROKEN_PIPE: Final = 141
_LONGEST_METAVAR: Final = 40


class _HelpRequested(SpyderrespError):  # noqa: N818 - carries the help text and is not an error
    """Raised by the parser for ``--help``; its message is the help text."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors exit with 3 and suggest the nearest word, and whose help goes through ``Streams``.

    Attributes:
        options: every option of the parser, such as ``--format``.
    """

    def __init__(self, **settings: Any) -> None:
        self.options: list[str] = []
        # No abbreviations: one in a script would break when a new option begins with the same letters.
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        """Add an argument. With choices, errors suggest the nearest one, and the help lists them if they are many."""
        choices = settings.pop("choices", None)
        if choices is not None:
            settings["type"] = _one_of(tuple(choices))
            metavar = f"{{{','.join(choices)}}}"
            if len(metavar) > _LONGEST_METAVAR:
                metavar = names[0].lstrip("-").upper()
                settings["help"] = f"{settings.get('help', '')}; one of {', '.join(choices)}"
            settings["metavar"] = metavar
        action = super().add_argument(*names, **settings)
        self.options.extend(action.option_strings)
        return action

    def print_help(self, file: object = None) -> NoReturn:  # noqa: ARG002 - the base class's signature
        raise _HelpRequested(self.format_help().rstrip("\n"))

    def error(self, message: str) -> NoReturn:
        raise CommandError(f"{self.prog}: error: {safe(message)}\n`{self.prog} --help` shows how it is used")

    def refuse_unknown(self, given: Iterable[str]) -> None:
        """Report an unknown option with the nearest one, before argparse reports a missing argument instead."""
        for word in given:
            if word == "--":
                return
            option = word.partition("=")[0]
            if option.startswith("--") and option not in self.options:
                hint = suggestion(option, [name for name in self.options if name.startswith("--")])
                self.error(f"unknown option {quoted(option)}; {hint}")


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def chosen(word: str) -> str:
        if word not in choices:
            raise argparse.ArgumentTypeError(f"unknown value {quoted(word)}; {suggestion(word, choices)}")
        return word

    return chosen


def _module(verb: str) -> Any:
    return importlib.import_module(f"spyderresp.cli.{verb.replace('-', '_')}")


def _parsers(names: Iterable[str] = _VERBS) -> tuple[_Parser, dict[str, _Parser]]:
    """Return the parser of the whole command line and the parser of each of these verbs."""
    parser = _Parser(
        prog="spyderresp",
        description="decide which response actions Spyderbat policies demand for deviation events",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    verbs = parser.add_subparsers(title="verbs", dest="verb", metavar="VERB", parser_class=_Parser)
    for name in names:
        _module(name).add_parser(verbs)
    return parser, dict(verbs.choices)


_EPILOG: Final = """\
examples:
  spyderresp check policies/
  spyderresp plan --policies policies/ events.jsonl
  spyderresp plan --policies policies/ --format text < events.jsonl
  spyderresp explain --policies policies/ event.json

exit codes: 0 fine; 1 findings; 2 a policy cannot be read; 3 wrong usage, or input or output fails"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. ``arguments`` exclude the name of the program."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    streams = Streams()
    try:
        code = _answer(given, streams)
        streams.flush()
    except BrokenPipeError:
        streams.abandon()
        return _BROKEN_PIPE
    except CommandError as error:
        streams.complain(str(error))
        return _USAGE
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code


def _answer(given: list[str], streams: Streams) -> int:
    """Run one command; if it ends early, flush what it has written so far."""
    try:
        return _dispatch(given, streams)
    except (CommandError, KeyboardInterrupt):
        streams.flush()
        raise


def _dispatch(given: list[str], streams: Streams) -> int:
    parser, verbs = _parsers(given[:1] if given and given[0] in _VERBS else _VERBS)
    try:
        if given and not given[0].startswith("-"):
            if given[0] not in verbs:
                parser.error(f"unknown verb {quoted(given[0])}; {suggestion(given[0], verbs)}")
            verbs[given[0]].refuse_unknown(given[1:])
        else:
            parser.refuse_unknown(given[:1])
        parsed, left = parser.parse_known_args(given)
        if left and hasattr(parsed, "paths") and not any(word.startswith("-") for word in left):
            # argparse does not accept an option between the paths of a list.
            parsed.paths += left
        elif left:
            verbs.get(parsed.verb, parser).error(f"unexpected argument {quoted(left[0])}")
    except _HelpRequested as answer:
        streams.write(str(answer))
        return 0
    if parsed.version:
        streams.write(f"spyderresp {__version__}")
        return 0
    if parsed.verb is None:
        streams.complain(parser.format_help().rstrip("\n"))
        return _USAGE
    carry_out: Callable[[argparse.Namespace, Streams], int] = _module(parsed.verb).run
    return carry_out(parsed, streams)
