"""What plans share, counted: each distinct outcome once, with what a report needs to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from spyderresp._native.plan import ActionShape, PlanShape
from spyderresp.guards.breakers import KILLS
from spyderresp.vocabulary import TARGET_SCOPE

#: Outcomes that are known again as the same object; beyond it all are forgotten, and known by what they say.
_KNOWN: Final = 100_000
_LIVE: Final = ("execute", "audit")


@dataclass(frozen=True, slots=True)
class Kill:
    """A kill that an outcome has, in force: to be executed, or audited.

    Attributes:
        action: such as ``agentKillPod``.
        policies: those that asked for it, each once.
        pod: whether it kills a pod; else a process.
        executed: whether it is carried out.
    """

    action: str
    policies: tuple[str, ...]
    pod: bool
    executed: bool


@dataclass(slots=True)
class Outcome:
    """All events of one outcome.

    Attributes:
        actions: those of their plans.
        kills: those of them that kill, in force.
        policies: those in scope.
        count: how many events.
    """

    actions: tuple[ActionShape, ...]
    policies: tuple[str, ...]
    kills: tuple[Kill, ...]
    count: int = 0


class Outcomes:
    """The distinct outcomes that were met."""

    def __init__(self) -> None:
        self.all: list[Outcome] = []
        self._same: dict[Any, int] = {}
        self._known: dict[PlanShape, int] = {}

    def number(self, shape: PlanShape) -> int:
        """Return the number of an outcome, its place in ``all``."""
        number = self._known.get(shape)
        if number is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            key = shape.policies, shape.actions
            number = self._same.get(key)
            if number is None:
                number = self._same[key] = len(self.all)
                kills = tuple(_kill(action) for action in shape.actions if _kills(action))
                self.all.append(Outcome(shape.actions, shape.policies, kills))
            self._known[shape] = number
        return number


def _kills(action: ActionShape) -> bool:
    return action.name in KILLS and action.disposition in _LIVE


def _kill(action: ActionShape) -> Kill:
    policies = tuple(dict.fromkeys(source.policy for source in action.sources))
    return Kill(action.name, policies, TARGET_SCOPE[action.name] == "pod", action.disposition == "execute")
