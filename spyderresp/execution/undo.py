"""Takes renices back. An undo is a step of its own: the journal records it, and it is carried out once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from spyderresp.execution.interfaces import Intent, JournalError, StepJournal
from spyderresp.execution.report import Result, Status, StepOutcome, error_text, not_recorded
from spyderresp.execution.steps import Step

#: The action of a step that takes another step back. It is in no plan.
UNDO: Final = "undo"
#: The actions that can be taken back.
UNDOABLE: Final = frozenset({"agentReniceProcess"})
#: The outcomes of a renice, or of its undo, that changed something.
CHANGED: Final[frozenset[Status]] = frozenset({"done", "incomplete"})
# The outcomes of a renice that may have changed something before a crash.
_UNSURE: Final[frozenset[Status]] = frozenset({"failed", "expired"})
# The outcomes of an undo that changed nothing, so that it can be repeated.
_REPEATABLE: Final[frozenset[Status]] = frozenset({"failed", "refused", "mismatch"})
# Seconds after which an undo without an outcome counts as cut off and is repeated, which changes nothing more.
_CUT_OFF: Final = 60.0


class SupportsUndo(Protocol):
    """An executor that can take its steps back."""

    @property
    def name(self) -> str:
        """The name in reports and in the journal."""

    def undo(self, step: Step, details: Mapping[str, Any]) -> Result:
        """Put back what a step changed.

        Args:
            step: the step.
            details: the ``details`` of its result.
        """


@dataclass(frozen=True, slots=True)
class Undoable:
    """A step that can be taken back, or was.

    Attributes:
        step: the step.
        details: the ``details`` of its result, with the old values under ``undo``.
        time: when it was carried out, in epoch seconds.
        undone: when it was taken back, in epoch seconds, or None.
    """

    step: Step
    details: Mapping[str, Any]
    time: float
    undone: float | None = None


class JournalEntry(Protocol):
    """An entry of a journal, as ``spyderresp.journal`` reads it."""

    @property
    def kind(self) -> str: ...

    @property
    def time(self) -> float: ...

    @property
    def key(self) -> str | None: ...

    @property
    def body(self) -> Mapping[str, Any]: ...


def undoable(entries: Iterable[JournalEntry]) -> dict[str, Undoable]:
    """Return the steps that can be taken back or were, by key, in the order in which they were carried out.

    The old values are under ``undo``, in the facts of the intent and in the details of the outcome. If a restart
    carried a step out again, the facts of the first intent are used: later facts may hold values that the step set.

    Args:
        entries: the entries of a journal, from the first.

    Raises:
        KeyError, TypeError, ValueError: an entry is corrupt.
    """
    steps: dict[str, Step] = {}
    facts: dict[str, Mapping[str, Any]] = {}
    items: dict[str, Undoable] = {}
    for entry in entries:
        if entry.key is None or entry.kind not in ("intent", "outcome"):
            continue
        body = entry.body
        if entry.kind == "intent":
            if body["step"]["action"] in UNDOABLE or body["step"]["action"] == UNDO:
                steps[entry.key] = Step.from_dict(body["step"])
                facts.setdefault(entry.key, body.get("facts", {}))
        elif entry.key in steps:
            step = steps[entry.key]
            before, details = facts[entry.key].get("undo"), body.get("details", {})
            if step.action == UNDO:
                key = str(step.parameters["of"])
                if key in items and body["outcome"] in CHANGED:
                    items[key] = replace(items[key], undone=entry.time)
            elif body["outcome"] in CHANGED or "undo" in details or (before and body["outcome"] in _UNSURE):
                if before:
                    details = {**details, "undo": _merge(details.get("undo", {}), before)}
                items[entry.key] = Undoable(step, details, entry.time)
    return items


def _merge(later: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two nested mappings. Values of ``first`` win."""
    merged = {**later, **first}
    for name, value in first.items():
        if isinstance(value, Mapping) and isinstance(later.get(name), Mapping):
            merged[name] = _merge(later[name], value)
    return merged


def undo(item: Undoable, executor: SupportsUndo, journal: StepJournal, now: float) -> StepOutcome:
    """Take a step back. The outcome is ``duplicate`` if the step was taken back before.

    Args:
        item: the step.
        executor: the executor that carried it out.
        journal: records the undo before and after it is carried out.
        now: epoch seconds.

    Raises:
        JournalError: the journal cannot be read or written; nothing was changed.
    """
    attempt = 0
    while True:
        attempt += 1
        step = _undo_step(item.step, attempt)
        earlier = journal.earlier([step.key]).get(step.key)
        if earlier is None or earlier.status not in _REPEATABLE:
            break
    cut_off = earlier is not None and abs(now - earlier.began) > _CUT_OFF
    claimed = journal.begin([Intent(step, executor.name)], take_over=frozenset({step.key} if cut_off else ()))
    if claimed:
        ended = claimed[step.key].status is not None
        result = Result("duplicate", "it was taken back before" if ended else "it is being taken back")
        return StepOutcome(step, result, executor.name)
    try:
        result = executor.undo(item.step, item.details)
    except Exception as error:  # noqa: BLE001 - an error of the executor is an outcome
        result = Result("failed", error_text(error))
    outcome = StepOutcome(step, result, executor.name)
    try:
        journal.finish([outcome])
    except JournalError as error:
        outcome = replace(outcome, result=not_recorded(result, error))
    return outcome


def _undo_step(step: Step, attempt: int) -> Step:
    """Return the step of an undo. Each attempt has a key of its own."""
    key = hashlib.sha256(f"undo\n{step.key}\n{attempt}".encode()).hexdigest()
    return replace(step, key=key, action=UNDO, items=(("of", step.key),), because=f"undo of {step.key}")
