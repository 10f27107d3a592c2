"""What plans share, counted: each distinct outcome once, with what a report needs to know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from spyderresp.decision._plan import ActionShape, PlanShape
from spyderresp.guards.breakers import KILLS
from spyderresp.vocabulary import TARGET_SCOPE

#: Outcomes that are known again as the same object; beyond it all are forgotten, and known by what they say.
_KNOWN: Final = 100_000
_LIVE: Final = ("execute", "audit")
#: A kill in force: its action, the policies that asked for it, whether it kills a pod, whether it is carried out.
Kill = tuple[str, tuple[str, ...], bool, bool]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What all events of one outcome share.

    Attributes:
        policies: those in scope.
        actions: those of their plans.
    """

    policies: tuple[str, ...]
    actions: tuple[ActionShape, ...]

    @property
    def kills(self) -> tuple[Kill, ...]:
        """Those of its actions that kill, executed or audited."""
        return tuple(_kill(action) for action in self.actions if action.name in KILLS and action.disposition in _LIVE)


class Outcomes:
    """The distinct outcomes that were met.

    Args:
        added: is told the kills of each outcome that is new, in order of their numbers.
    """

    def __init__(self, added: Callable[[tuple[Kill, ...]], None]) -> None:
        self.all: list[Outcome] = []
        self._added = added
        self._same: dict[Any, int] = {}
        self._known: dict[PlanShape, int] = {}

    def number(self, shape: PlanShape) -> int:
        """Return the number of an outcome, its place in ``all``."""
        number = self._known.get(shape)
        if number is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            number = self._known[shape] = self.number_of(shape.policies, shape.actions)
        return number

    def number_of(self, policies: tuple[str, ...], actions: tuple[ActionShape, ...]) -> int:
        """Return the number of the outcome that says so."""
        key = policies, actions
        number = self._same.get(key)
        if number is None:
            number = self._same[key] = len(self.all)
            self.all.append(Outcome(policies, actions))
            self._added(self.all[-1].kills)
        return number


def _kill(action: ActionShape) -> Kill:
    policies = tuple(dict.fromkeys(source.policy for source in action.sources))
    return action.name, policies, TARGET_SCOPE[action.name] == "pod", action.disposition == "execute"
