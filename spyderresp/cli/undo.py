"""``spyderresp undo``: restores the priorities that renices changed."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from spyderresp import executors
from spyderresp.cli.journal import SHOWN, moment, step_text
from spyderresp.cli.terminal import CommandError, Streams, safe
from spyderresp.execution.interfaces import JournalError
from spyderresp.execution.report import FINE
from spyderresp.execution.undo import SupportsUndo, Undoable, undo, undoable
from spyderresp.executors.dry_run import target_text
from spyderresp.journal.journal import Journal
from spyderresp.journal.queries import JournalReader
from spyderresp.policies.diagnostics import quoted

# The fewest digits of a key that are accepted.
_LEAST_DIGITS: Final = 6
_EPILOG: Final = """\
examples:
  spyderresp undo journal.sqlite
  spyderresp undo journal.sqlite 3f86a2c41b07 --machine node-7

without a KEY, it lists the renices that can be undone; `journal show` shows them too; the first digits of a KEY are
enough; a service may use the journal at the same time

exit codes: 0 fine; 1 a renice could not be undone; 3 wrong usage, or the journal cannot be used"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "undo",
        help="undo renices",
        description="restore the priorities that renices changed, each once, and record it in the journal",
        epilog=_EPILOG,
    )
    parser.add_argument("journal", metavar="JOURNAL", help="the journal's file")
    parser.add_argument("keys", nargs="*", metavar="KEY", help="the key of a step; its first digits are enough")
    parser.add_argument("--machine", metavar="NAME", help="this machine's uid or hostname, as events give it")


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    try:
        with JournalReader(args.journal) as reader:
            undoables = undoable(reader.entries(missing=True))
    except (KeyError, TypeError, ValueError):
        raise CommandError(
            f"spyderresp undo: error: {safe(args.journal)}: an entry cannot be read; `journal verify` gives details"
        ) from None
    except JournalError as error:
        raise CommandError(f"spyderresp undo: error: {safe(str(error))}") from None
    if not args.keys:
        _list(undoables, streams)
        return 0
    chosen = [_named(key, undoables) for key in args.keys]
    if not args.machine:
        raise CommandError("spyderresp undo: error: the name of this machine is needed: give it by `--machine NAME`")
    return _undo(chosen, _executor(args.machine), args.journal, streams)


def _executor(machine: str) -> SupportsUndo:
    try:
        return cast("SupportsUndo", executors.LocalHost(machine=machine))
    except (OSError, ValueError) as error:
        raise CommandError(f"spyderresp undo: error: {safe(str(error))}") from None


def _list(undoables: Mapping[str, Undoable], streams: Streams) -> None:
    for key, item in undoables.items():
        value = item.step.parameters.get("priority")
        ending = "" if item.undone is None else f", undone {moment(item.undone)}"
        renice = f"renice to {value} of {target_text(item.step)}{ending}"
        streams.write(f"{safe(key[:SHOWN])}  {moment(item.time)}  {safe(renice)}")
    if not undoables:
        streams.complain("there is no renice in this journal")


def _named(key: str, undoables: Mapping[str, Undoable]) -> Undoable:
    matches = [item for whole, item in undoables.items() if whole.startswith(key.lower())]
    if len(key) < _LEAST_DIGITS or len(matches) > 1:
        raise CommandError(f"spyderresp undo: error: {quoted(key)} is too short to name one step")
    if not matches:
        raise CommandError(
            f"spyderresp undo: error: no renice in this journal has a key that begins with {quoted(key)}"
        )
    return matches[0]


def _undo(chosen: Sequence[Undoable], executor: SupportsUndo, path: str, streams: Streams) -> int:
    paint = streams.paint()
    fine = True
    try:
        with Journal(path, guest=True) as journal:
            for item in chosen:
                outcome = undo(item, executor, journal, time.time())
                fine = fine and outcome.status in FINE
                streams.write(step_text(time.time(), outcome.step, outcome.to_dict(), paint))
    except JournalError as error:
        raise CommandError(f"spyderresp undo: error: {safe(str(error))}") from None
    return 0 if fine else 1
