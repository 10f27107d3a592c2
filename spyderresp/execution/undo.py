"""Takes a renice back: each once, and written down like any other step."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from spyderresp.execution.interfaces import Intent, JournalError, StepJournal
from spyderresp.execution.report import Result, Status, StepOutcome
from spyderresp.execution.steps import Step

#: The action of a step that takes another back. No executor takes it from a plan.
UNDO: Final = "undo"
#: The actions that can be taken back.
UNDOABLE: Final = frozenset({"agentReniceProcess"})
#: A renice that ended so has changed something.
CHANGED: Final[frozenset[Status]] = frozenset({"done", "incomplete"})
# One that was begun and ended so may have changed something, before a crash.
_UNSURE: Final[frozenset[Status]] = frozenset({"failed", "expired"})
# An undo that ended so has changed nothing, and may be tried again.
_AGAIN: Final[frozenset[Status]] = frozenset({"failed", "refused", "mismatch"})
# One that was begun and has no outcome for so many seconds was cut off. Putting old values back twice changes nothing.
_CUT_OFF: Final = 60.0


class Undoing(Protocol):
    """What an executor is too that can take its steps back."""

    @property
    def name(self) -> str:
        """As in reports."""

    def undo(self, step: Step, details: Mapping[str, Any]) -> Result:
        """Put back what a step changed; ``details`` are those of its result."""


@dataclass(frozen=True, slots=True)
class Undoable:
    """A step that can be taken back.

    Attributes:
        step: the step.
        details: what its executor said of it: the old values.
        time: when it happened, in epoch seconds.
        undone: when it was taken back, or None.
    """

    step: Step
    details: Mapping[str, Any]
    time: float
    undone: float | None = None


class Bodied(Protocol):
    """An entry of a journal."""

    @property
    def kind(self) -> str: ...

    @property
    def time(self) -> float: ...

    @property
    def key(self) -> str | None: ...

    @property
    def body(self) -> Mapping[str, Any]: ...


def undoable(entries: Iterable[Bodied]) -> dict[str, Undoable]:
    """Return the steps that can be taken back, or were, by key, in the order in which they happened.

    What undoes a step stands under ``undo`` in the facts of its intent and in the details of its outcome. Where a
    restart took a step again, what was found before it was first begun counts: later it may have been its own work.

    Args:
        entries: of a journal, from its first.

    Raises:
        KeyError, TypeError, ValueError: one of them is not what its kind says.
    """
    steps: dict[str, Step] = {}
    facts: dict[str, Mapping[str, Any]] = {}
    found: dict[str, Undoable] = {}
    for entry in entries:
        if entry.key is None or entry.kind not in ("intent", "outcome"):
            continue
        told = entry.body
        if entry.kind == "intent":
            if told["step"]["action"] in UNDOABLE or told["step"]["action"] == UNDO:
                steps[entry.key] = Step.from_dict(told["step"])
                facts.setdefault(entry.key, told.get("facts", {}))
        elif entry.key in steps:
            step = steps[entry.key]
            before, details = facts[entry.key].get("undo"), told.get("details", {})
            if step.action == UNDO:
                of = str(step.parameters["of"])
                if of in found and told["outcome"] in CHANGED:
                    found[of] = replace(found[of], undone=entry.time)
            elif told["outcome"] in CHANGED or "undo" in details or (before and told["outcome"] in _UNSURE):
                if before:
                    details = {**details, "undo": _merged(details.get("undo", {}), before)}
                found[entry.key] = Undoable(step, details, entry.time)
    return found


def _merged(later: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, level by level; where both say something else, what was said first."""
    both = {**later, **first}
    for name, value in first.items():
        if isinstance(value, Mapping) and isinstance(later.get(name), Mapping):
            both[name] = _merged(later[name], value)
    return both


def undo(item: Undoable, executor: Undoing, journal: StepJournal, now: float) -> StepOutcome:
    """Take a step back, and return what became of it. The second time it is a ``duplicate``.

    Args:
        item: the step.
        executor: what took it.
        journal: where it is written before it is tried, and after.
        now: epoch seconds.

    Raises:
        JournalError: it cannot be read, or not be written: then nothing was done.
    """
    number = 0
    while True:
        number += 1
        step = _step(item.step, number)
        earlier = journal.earlier([step.key]).get(step.key)
        if earlier is None or earlier.status not in _AGAIN:
            break
    outcome = StepOutcome(step, Result("duplicate", "it was taken back before"), executor.name)
    over = frozenset({step.key}) if earlier is not None and abs(now - earlier.began) > _CUT_OFF else frozenset()
    lost = journal.begin([Intent(step, executor.name)], take_over=over)
    if lost:
        if lost[step.key].status is None:
            outcome = replace(outcome, result=Result("duplicate", "it is being taken back"))
        return outcome
    try:
        result = executor.undo(item.step, item.details)
    except Exception as error:  # noqa: BLE001 - what an executor does wrong is an outcome
        result = Result("failed", f"{type(error).__name__}: {error}")
    outcome = replace(outcome, result=result)
    try:
        journal.finish([outcome])
    except JournalError as error:
        details = {**result.details, "journal": f"not recorded: {error}"}
        outcome = replace(outcome, result=replace(result, details=details))
    return outcome


def _step(step: Step, number: int) -> Step:
    """Return the step that takes another back, at the so-manieth attempt."""
    key = hashlib.sha256(f"undo\n{step.key}\n{number}".encode()).hexdigest()
    return replace(step, key=key, action=UNDO, items=(("of", step.key),), because=f"undo of {step.key}")
