"""``spyderresp journal``: shows what was done and refused, and verifies that nobody changed it."""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Final

from spyderresp.cli.terminal import CommandError, Paint, Streams, plural, safe
from spyderresp.execution.interfaces import JournalError
from spyderresp.execution.steps import Step, epoch_seconds
from spyderresp.execution.undo import UNDO
from spyderresp.executors.dry_run import said_of
from spyderresp.journal.hash_chain import Entry
from spyderresp.journal.queries import JournalReader
from spyderresp.journal.verification import verify
from spyderresp.policies.vocabulary import FLAGS

# A journal as text, for the person who was woken by it.

_COLOURS: Final = {
    "done": "green",
    "refused": "yellow",
    "expired": "yellow",
    "mismatch": "yellow",
    "incomplete": "red",
    "failed": "red",
    "unsupported": "red",
    "open": "red",
}
_INDENT: Final = " " * 22
_LABEL: Final = 14
_FACTS: Final = 6
#: How many digits of a step's key are shown: enough to tell it from others.
SHOWN: Final = 12
# Texts about a process are made for the actions on one.
_OF_A_PROCESS: Final = "agentKillProcess"


def moment(seconds: float) -> str:
    """Return a time as people read it."""
    try:
        return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def step_text(time: float, step: Step, told: Mapping[str, Any], paint: Paint) -> str:
    """Return what became of a step.

    Args:
        time: when, in epoch seconds.
        step: the step.
        told: the body of its outcome's entry; for an open one ``{"outcome": "open"}``.
        paint: the colours.
    """
    status = str(told["outcome"])
    label = paint(_COLOURS.get(status, "dim"), f"{safe(status):<{_LABEL}}")
    return "\n".join([f"{moment(time)}  {label}{safe(_what(step))}", *_more(step, told, paint)])


def bare_text(entry: Entry, paint: Paint) -> str:
    """Return an outcome whose beginning is in a segment that is not here, on one line."""
    told = entry.body
    label = paint(_COLOURS.get(told["outcome"], "dim"), f"{safe(told['outcome']):<{_LABEL}}")
    said = f"{told['action']} for event {told['event']}, by {', '.join(told['policies'])}: {told.get('reason', '')}"
    return f"{moment(entry.time)}  {label}{safe(said)}\n{_INDENT}{paint('dim', f'step {safe(str(entry.key)[:SHOWN])}')}"


def _what(step: Step) -> str:
    if step.action in FLAGS:
        said = step.parameters
        about = "" if step.value("process.pid") is None else f" about {said_of(replace(step, action=_OF_A_PROCESS))}"
        return f"{step.action} {said.get('severity', '')}{about}"
    if step.action == UNDO:
        return f"{UNDO} of step {step.parameters.get('of')!s:.{SHOWN}}: {said_of(replace(step, action=_OF_A_PROCESS))}"
    more = "".join(f" {name}={value}" for name, value in step.items)
    return f"{step.action}{more} {said_of(step)}"


def _more(step: Step, told: Mapping[str, Any], paint: Paint) -> Iterator[str]:
    reason = ": ".join(str(told[key]) for key in ("rule", "reason") if told.get(key))
    if reason:
        yield f"{_INDENT}{safe(reason)}"
    for source in step.sources:
        where = f"{source.policy}, {source.section}[{source.index}], {source.location}"
        yield f"{_INDENT}{paint('dim', 'by')} {safe(where)}"
    said = [f"event {step.event}" if step.event is not None else "event without an id"]
    host = step.value("machine.hostname") or step.value("machine.uid")
    said += [f"on {host}"] if host else []
    said += [f"by way of {told['executor']}"] if told.get("executor") else []
    yield f"{_INDENT}{paint('dim', safe(', '.join(said)))}"
    details = told.get("details")
    if isinstance(details, Mapping):
        for name, value in list(details.items())[:_FACTS]:
            text = ", ".join(f"{key} {held}" for key, held in value.items()) if isinstance(value, Mapping) else value
            yield f"{_INDENT}{paint('dim', safe(f'{name}: {text}'))}"
    yield f"{_INDENT}{paint('dim', f'step {safe(step.key[:SHOWN])}')}"


def entry_text(entry: Entry, paint: Paint) -> str:
    """Return an entry that is of no step, on one line."""
    told = entry.body
    colour, said = _said(entry.kind, told)
    return f"{moment(entry.time)}  {paint(colour, f'{safe(entry.kind):<{_LABEL}}')}{safe(said)}"


def _said(kind: str, told: Mapping[str, Any]) -> tuple[str, str]:
    if kind == "start":
        beside = " beside the one that holds it" if told.get("guest") else ""
        return "dim", f"process {told['process']} opened the journal{beside}, release {told['version']}"
    if kind == "stop":
        return "dim", "it was closed"
    if kind == "clock":
        return "yellow", f"the wall clock jumped by {told['seconds']:+} s"
    if kind == "policies":
        where = ", ".join(told["paths"])
        if told["reason"]:
            return "red", f"{where}: turned down: {told['reason']}"
        return "dim", f"{told['policies']} of {where}, digest {told['digest']}"
    if kind == "delivery":
        return "dim", f"`{told['sink']}` took {plural(len(told['flags']), 'flag')}"
    if kind == "dead_letter":
        return "red", f"`{told['sink']}` will never take flag {told['record'].get('id')}: {told['reason']}"
    lost = sum(told["outcomes"].values())
    return "red", f"{plural(lost, 'outcome')} of steps that were never begun could not be kept: {told['outcomes']}"


_ENDINGS: Final = ("outcome", "settled")
_AGO: Final = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
# What each command alone takes: option, attribute, what it is where it is not given.
_OWN: Final = {
    "show": (("--event", "event"), ("--policy", "policy"), ("--since", "since")),
    "verify": (("--expect", "expect"), ("--archived", "archived")),
}
_EPILOG: Final = """\
examples:
  spyderresp journal show journal.sqlite --since 1h
  spyderresp journal show journal.sqlite --policy web-containers --format json
  spyderresp journal verify journal.sqlite

both read along while a service writes, and go through all older segments

exit codes: 0 fine; 1 `verify` found something altered, missing or moved; 3 wrong usage, or it cannot be read"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "journal",
        help="show a journal, or verify that nobody changed it",
        description="show what was done and what was refused, and why; or verify that nobody changed the journal",
        epilog=_EPILOG,
    )
    parser.add_argument("what", choices=tuple(_OWN), help="what to do")
    parser.add_argument("path", metavar="PATH", help="the journal's file")
    parser.add_argument("--event", metavar="ID", help="show: steps of this event only")
    parser.add_argument("--policy", metavar="NAME", help="show: steps that this policy asked for only")
    parser.add_argument("--since", metavar="TIME", help="show: from this time on: RFC 3339, or 30m, 12h, 7d ago")
    parser.add_argument("--expect", metavar="DIGEST", help="verify: this digest, noted earlier, must be in the chain")
    parser.add_argument(
        "--archived", action="store_true", help="verify: older segments that are gone were moved away on purpose"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    for what, options in _OWN.items():
        for option, name in options:
            if what != args.what and getattr(args, name):
                raise CommandError(f"spyderresp journal: error: {option} belongs to `journal {what}`")
    try:
        return _show(args, streams) if args.what == "show" else _verify(args, streams)
    except JournalError as error:
        raise CommandError(f"spyderresp journal: error: {safe(str(error))}") from None


def _show(args: argparse.Namespace, streams: Streams) -> int:
    since = _since(args.since)
    paint = streams.paint()
    with JournalReader(args.path) as reader:
        chosen = _Chosen(args.event, args.policy)
        for entry in reader.entries(missing=True):
            text = _shown(entry, chosen, since, None if args.format == "json" else paint)
            if text is not None:
                streams.write(text)
        if args.format == "text":
            for moment, step in chosen.open():
                if moment >= since:
                    streams.write(step_text(moment, step, {"outcome": "open", "reason": _OPEN}, paint))
    return 0


def _shown(entry: Entry, chosen: _Chosen, since: float, paint: Paint | None) -> str | None:
    """Return an entry as it is shown, as JSON where there is no paint; None where it is not."""
    try:
        wanted = chosen(entry) and entry.time >= since
        text = None if not wanted else _json(entry) if paint is None else _text(entry, chosen, paint)
        chosen.forget(entry)
    except (KeyError, TypeError, ValueError):
        if paint is None:
            return _json(entry, readable=False)
        return f"entry {entry.seq} cannot be read; `spyderresp journal verify` says more"
    return text


_OPEN: Final = "begun, and what became of it is not known: under way, or checked when the service starts"


@dataclass
class _Chosen:
    """Follows steps through the entries, and tells which were asked for."""

    event: str | None
    policy: str | None
    steps: dict[str, Step] = field(default_factory=dict)
    begun: dict[str, float] = field(default_factory=dict)

    def __call__(self, entry: Entry) -> bool:
        if entry.key is None:
            return self.event is None and self.policy is None
        told = entry.body
        if "step" in told:
            self.steps[entry.key] = Step.from_dict(told["step"])
        if entry.kind == "intent":
            self.begun[entry.key] = entry.time
        elif entry.kind == "outcome":
            self.begun.pop(entry.key, None)
        return self._wants(entry.key, told)

    def _wants(self, key: str, told: dict[str, Any]) -> bool:
        step = self.steps.get(key)
        event, policies = (step.event, step.policies) if step else (told.get("event"), told.get("policies", ()))
        return (self.event is None or str(event) == self.event) and (self.policy is None or self.policy in policies)

    def forget(self, entry: Entry) -> None:
        """Let go of a step that has ended; an action that was accepted has another outcome to come."""
        if entry.key is not None and entry.kind in _ENDINGS and entry.key not in self.begun:
            told = entry.body
            if told["outcome"] != "accepted" or told["action"] in FLAGS:
                self.steps.pop(entry.key, None)

    def open(self) -> Iterator[tuple[float, Step]]:
        """Yield the steps that were begun and have no outcome, and when they were."""
        for key, moment in self.begun.items():
            if self._wants(key, {}):
                yield moment, self.steps[key]


def _text(entry: Entry, chosen: _Chosen, paint: Paint) -> str | None:
    if entry.kind in ("intent", "delivery"):
        return None
    if entry.kind not in _ENDINGS:
        return entry_text(entry, paint)
    step = chosen.steps.get(str(entry.key))
    return bare_text(entry, paint) if step is None else step_text(entry.time, step, entry.body, paint)


def _json(entry: Entry, *, readable: bool = True) -> str:
    """Return an entry as a line of JSON; the body of one that cannot be read is its text."""
    said = {"seq": entry.seq, "time": entry.time, "kind": entry.kind, "key": entry.key, "hash": entry.hash}
    return json.dumps({**said, "body": entry.body if readable else str(entry.text)}, separators=(",", ":"))


def _since(text: str | None) -> float:
    if text is None:
        return float("-inf")
    ago = _AGO.fullmatch(text)
    seconds = time.time() - int(ago[1]) * _SECONDS[ago[2]] if ago else epoch_seconds(text)
    if seconds is None:
        raise CommandError(
            f"spyderresp journal: error: `{safe(text)}` is no time; write 2026-11-24T01:02:03Z, or 30m, 12h, 7d"
        )
    return seconds


def _verify(args: argparse.Namespace, streams: Streams) -> int:
    found = verify(args.path, expect=args.expect, archived=args.archived)
    if args.format == "json":
        said = {
            "version": 1,
            "ok": found.ok,
            "entries": found.entries,
            "segments": found.segments,
            "head": {"seq": found.head[0], "digest": found.head[1]},
            "problems": found.problems,
            "notes": found.notes,
        }
        streams.write(json.dumps(said, indent=2))
        return 0 if found.ok else 1
    paint = streams.paint()
    for problem in found.problems:
        streams.write(f"{safe(args.path)}: {paint('red', 'error')}: {safe(problem)}")
    for note in found.notes:
        streams.write(f"{safe(args.path)}: {paint('blue', 'note')}: {safe(note)}")
    if found.ok:
        older = f", in {plural(found.segments, 'older segment')} too" if found.segments else ""
        streams.write(f"{safe(args.path)}: all as it was written, {found.entries:,} in number{older}")
        streams.write(f"digest of entry {found.head[0]}, to be noted elsewhere: {found.head[1]}")
    return 0 if found.ok else 1
