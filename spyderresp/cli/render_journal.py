"""A journal as text, for the person who was woken by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Final

from spyderresp.cli.output import Paint, safe
from spyderresp.cli.render import plural
from spyderresp.executors.dry_run import said_of
from spyderresp.journal.chain import Entry
from spyderresp.steps import Step
from spyderresp.undo import UNDO
from spyderresp.vocabulary import FLAGS

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
