"""Results, outcomes and reports: what happened to each step of a plan."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, get_args, overload

from spyderresp.execution.steps import Step

#: The outcome of a step.
#:
#: ``done``: carried out, and seen to have worked. ``accepted``: under way; the journal follows it up. ``already``: the
#: target was gone before. ``duplicate``: the same step was taken before. ``dry_run``, ``audit``, ``not_applicable``,
#: ``superseded``: there was nothing to do. ``refused``: by a guard or an executor, with the rule. ``mismatch``: the
#: process or pod found is not the one of the event. ``incomplete``: some members of a tree or group were spared or
#: escaped; the details name them. ``expired``: the event is too old. ``failed``: with the cause. ``unsupported``: no
#: executor takes the action.
Status = Literal[
    "done", "accepted", "already", "duplicate", "dry_run", "audit", "not_applicable", "superseded", "refused",
    "mismatch", "incomplete", "expired", "failed", "unsupported",
]  # fmt: skip
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
#: The outcomes that need no attention.
FINE: Final = frozenset(
    {"done", "accepted", "already", "duplicate", "dry_run", "audit", "not_applicable", "superseded"}
)
_encode: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=repr).encode


@dataclass(frozen=True, slots=True)
class Result:
    """The answer of an executor or a guard about one step.

    ::

        Result("already", "process 4242 has ended")

    Attributes:
        status: one of ``STATUSES``.
        reason: for people: lower case, no full stop.
        rule: the rule that refused the step, such as ``host``, ``protected:executable`` or ``breaker:overall``; else
            empty.
        details: JSON data: the processes that were killed, spared or escaped; the values that undo it.
    """

    status: Status
    reason: str = ""
    rule: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def refused(rule: str, reason: str, **details: Any) -> Result:
    """Return a refusal, with ``details`` as JSON data."""
    return Result("refused", reason, rule, details)


def not_recorded(result: Result, error: object) -> Result:
    """Return a result with the journal error in its details, because the journal could not record it."""
    return replace(result, details={**result.details, "journal": f"not recorded: {error}"})


def error_text(error: Exception) -> str:
    """Return the type and the message of an exception, for the reason of a result."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """The outcome of one step.

    Attributes:
        step: the step.
        result: its result.
        executor: the name of the executor that gave the result; empty if no executor was asked.
    """

    step: Step
    result: Result
    executor: str = ""

    @property
    def action(self) -> str:
        """The action, such as ``agentKillProcess``."""
        return self.step.action

    @property
    def status(self) -> Status:
        """The outcome, one of ``STATUSES``."""
        return self.result.status

    @property
    def reason(self) -> str:
        """The reason, for people; may be empty."""
        return self.result.reason

    @property
    def rule(self) -> str:
        """The rule that refused the step, or empty."""
        return self.result.rule

    @property
    def details(self) -> Mapping[str, Any]:
        """JSON data about what happened."""
        return self.result.details

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as JSON data."""
        step = self.step
        data: dict[str, Any] = {
            "action": step.action,
            "parameters": step.parameters,
            "outcome": self.status,
            "key": step.key,
            "sources": [
                {
                    "policy": source.policy,
                    "section": source.section,
                    "index": source.index,
                    "location": str(source.location),
                    **({} if source.uid is None else {"uid": source.uid}),
                }
                for source in step.sources
            ],
        }
        if step.target is not None and not step.is_flag:
            data["target"] = step.target.to_dict()
        if step.superseded_by is not None:
            data["superseded_by"] = step.superseded_by
        texts = {"reason": self.reason, "rule": self.rule, "executor": self.executor}
        data.update({name: text for name, text in texts.items() if text})
        if self.details:
            data["details"] = dict(self.details)
        return data


@dataclass(frozen=True)
class ExecutionReport(Sequence[StepOutcome]):
    """The outcomes of a plan's steps, in the plan's order. A sequence of ``StepOutcome``.

    ::

        report = spyderresp.execute(plan, executors)
        if not report.ok:
            print([outcome.reason for outcome in report if outcome.status == "failed"])

    Attributes:
        event: the event's ``id``, or None.
        policy_set: the digest of the policies that decided.
        outcomes: one outcome for each planned action, in order.
        alarms: the outcomes of the ops flags that the guard raised meanwhile, for example because a breaker opened.
    """

    event: Any
    policy_set: str
    outcomes: tuple[StepOutcome, ...]
    alarms: tuple[StepOutcome, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no step and no alarm needs attention: all outcomes are in ``FINE``."""
        return all(outcome.status in FINE for outcome in (*self.outcomes, *self.alarms))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON data, version 1."""
        data: dict[str, Any] = {
            "version": 1,
            "event": self.event,
            "policy_set": self.policy_set,
            "outcomes": [outcome.to_dict() for outcome in self.outcomes],
        }
        if self.alarms:
            data["alarms"] = [outcome.to_dict() for outcome in self.alarms]
        return data

    def to_json(self) -> str:
        """Return the JSON form: ASCII, on one line."""
        return _encode(self.to_dict())

    def __len__(self) -> int:
        return len(self.outcomes)

    @overload
    def __getitem__(self, index: int, /) -> StepOutcome: ...
    @overload
    def __getitem__(self, index: slice, /) -> tuple[StepOutcome, ...]: ...
    def __getitem__(self, index: int | slice, /) -> StepOutcome | tuple[StepOutcome, ...]:
        return self.outcomes[index]

    def __iter__(self) -> Iterator[StepOutcome]:
        return iter(self.outcomes)
