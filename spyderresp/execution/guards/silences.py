"""Silences and cooldown: flags that nobody needs to hear again for a while."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from spyderresp.execution.steps import Step, target_from_dict
from spyderresp.policies.vocabulary import ACTIONS, FLAGS

_REMEMBERED: Final = 100_000
_OWN_KEYS: Final = ("action", "policy")


@dataclass(frozen=True, slots=True)
class Silence:
    """Keeps matching flags quiet until a time.

    Attributes:
        match: what must hold, all of it: ``policy``, ``action``, or a path of the target such as ``namespace.name``,
            each with a glob or several of which one must match. At least one.
        until: epoch seconds; it ends by itself.
        reason: for people; reports say it.
        actions: what it keeps quiet; kills only where that is said.
    """

    match: Mapping[str, str | tuple[str, ...]]
    until: float
    reason: str = ""
    actions: frozenset[str] = field(default_factory=lambda: FLAGS)

    def __post_init__(self) -> None:
        if not self.match:
            raise ValueError("a silence must match something in particular: an empty one would silence everything")
        for path in self.match:
            if path not in _OWN_KEYS:
                try:
                    target_from_dict({})[path]
                except KeyError:
                    raise ValueError(f"a silence cannot match `{path}`: no target has it") from None
        if unknown := self.actions - set(ACTIONS):
            raise ValueError(f"unknown actions: {', '.join(sorted(unknown))}")

    def covers(self, step: Step, now: float) -> bool:
        """Tell whether it keeps a step quiet."""
        if now >= self.until or step.action not in self.actions:
            return False
        return all(self._holds(step, path, globs) for path, globs in self.match.items())

    @staticmethod
    def _holds(step: Step, path: str, globs: str | tuple[str, ...]) -> bool:
        if path == "policy":
            values: tuple[object, ...] = step.policies
        else:
            values = (step.action if path == "action" else step.value(path),)
        wanted = (globs,) if isinstance(globs, str) else globs
        return any(isinstance(value, str) and fnmatchcase(value, glob) for value in values for glob in wanted)


class Cooldown:
    """Tells which flags were raised a moment ago, by policy and target. Bounded; not locked: the guard is."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._raised: OrderedDict[bytes, float] = OrderedDict()

    def left(self, step: Step, now: float) -> float:
        """Return for how many seconds more this flag stays quiet; where 0, it counts as raised now.

        Args:
            step: a flag.
            now: seconds of a steady clock.
        """
        if not self._seconds:
            return 0.0
        about = None if step.target is None else step.target.to_dict()
        said = json.dumps([step.action, step.policies, about], sort_keys=True, default=repr)
        key = hashlib.sha256(said.encode()).digest()
        since = self._raised.get(key)
        if since is not None and now - since < self._seconds:
            return self._seconds - (now - since)
        self._raised[key] = now
        self._raised.move_to_end(key)
        # Beyond the bound the oldest is forgotten: its flag may come again, and none is lost.
        while len(self._raised) > _REMEMBERED:
            self._raised.popitem(last=False)
        return 0.0
