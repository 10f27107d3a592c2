"""What became of a plan: an outcome for every step, and what an executor or a guard says of one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args, overload

from spyderresp.execution.steps import Step

#: ``done``; ``accepted``: under way, and followed up in the journal; ``already``: gone before; ``duplicate``: this
#: step was taken before; ``dry_run``, ``audit``, ``not_applicable``, ``superseded``: nothing was to be done;
#: ``refused``: by a guard, with the rule; ``mismatch``: not the process or pod that the event meant; ``incomplete``:
#: some of a tree or group was spared or got away, named; ``expired``; ``failed``: with the cause; ``unsupported``: no
#: executor took it.
Status = Literal[
    "done",
    "accepted",
    "already",
    "duplicate",
    "dry_run",
    "audit",
    "not_applicable",
    "superseded",
    "refused",
    "mismatch",
    "incomplete",
    "expired",
    "failed",
    "unsupported",
]
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
#: Nothing is owed and nobody need look.
FINE: Final = frozenset(
    {"done", "accepted", "already", "duplicate", "dry_run", "audit", "not_applicable", "superseded"}
)
_encode: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=repr).encode


@dataclass(frozen=True, slots=True)
class Result:
    """What an executor or a guard says of one step.

    Attributes:
        status: what became of it.
        reason: why, for people: lower case, no full stop.
        rule: which guard's rule refused it, such as ``host``, ``protected:executable`` or ``breaker:overall``; else
            empty.
        details: JSON data: who was killed, spared or got away; what undoes it.
    """

    status: Status
    reason: str = ""
    rule: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def refused(rule: str, reason: str, **details: Any) -> Result:
    """Return a guard's refusal."""
    return Result("refused", reason, rule, details)


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What became of one step.

    Attributes:
        step: the step.
        result: what became of it, and why.
        executor: the name of the executor that answered, or empty where none was asked.
    """

    step: Step
    result: Result
    executor: str = ""

    @property
    def action(self) -> str:
        """Such as ``agentKillProcess``."""
        return self.step.action

    @property
    def status(self) -> Status:
        """One of ``STATUSES``."""
        return self.result.status

    @property
    def reason(self) -> str:
        """Why, for people."""
        return self.result.reason

    @property
    def rule(self) -> str:
        """Which rule of a guard refused it, or empty."""
        return self.result.rule

    @property
    def details(self) -> Mapping[str, Any]:
        """JSON data about what happened."""
        return self.result.details

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        step = self.step
        said: dict[str, Any] = {
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
            said["target"] = step.target.to_dict()
        if step.superseded_by is not None:
            said["superseded_by"] = step.superseded_by
        words = {"reason": self.reason, "rule": self.rule, "executor": self.executor}
        said.update({name: word for name, word in words.items() if word})
        if self.details:
            said["details"] = dict(self.details)
        return said


@dataclass(frozen=True)
class ExecutionReport(Sequence[StepOutcome]):
    """What became of a plan: one outcome for every step, in the plan's order. A sequence of them.

    Attributes:
        event: the event's ``id``, or None.
        policy_set: the digest of the policies that decided.
        outcomes: one for every planned action, in order.
        alarms: what became of the ops flags that the guards raised meanwhile, a breaker that opened say.
    """

    event: Any
    policy_set: str
    outcomes: tuple[StepOutcome, ...]
    alarms: tuple[StepOutcome, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every step ended in a way that nobody need look at: see ``FINE``."""
        return all(outcome.status in FINE for outcome in (*self.outcomes, *self.alarms))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data, version 1."""
        said: dict[str, Any] = {
            "version": 1,
            "event": self.event,
            "policy_set": self.policy_set,
            "outcomes": [outcome.to_dict() for outcome in self.outcomes],
        }
        if self.alarms:
            said["alarms"] = [outcome.to_dict() for outcome in self.alarms]
        return said

    def to_json(self) -> str:
        """Return the JSON form as ASCII-safe JSON on one line."""
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
