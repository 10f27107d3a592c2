"""Silences and cooldown: they keep repeated flags quiet for a while."""

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

_MAX_REMEMBERED: Final = 100_000
_OWN_KEYS: Final = ("action", "policy")


@dataclass(frozen=True, slots=True)
class Silence:
    """Keeps matching flags quiet until a time.

    ::

        Silence({"namespace.name": ("dev-*", "test"), "policy": "p*"}, until=time.time() + 3600, reason="deploying")

    Attributes:
        match: at least one key, each with a glob or several globs. A key is ``policy``, ``action`` or a path of the
            target, such as ``namespace.name``. Each key must match, by any of its globs. ``policy`` matches if one of
            the policies of the step does.
        until: the end, in epoch seconds.
        reason: for people; reports contain it.
        actions: the actions that it keeps quiet. By default all flags; name kills to refuse them too.

    Raises:
        ValueError: ``match`` is empty, no target has one of its paths, or an action is unknown.
    """

    match: Mapping[str, str | tuple[str, ...]]
    until: float
    reason: str = ""
    actions: frozenset[str] = field(default_factory=lambda: FLAGS)

    def __post_init__(self) -> None:
        if not self.match:
            raise ValueError("a silence must match something: an empty one would silence everything")
        for path in self.match:
            if path not in _OWN_KEYS:
                try:
                    target_from_dict({})[path]
                except KeyError:
                    raise ValueError(f"a silence cannot match `{path}`: no target has this path") from None
        if unknown := self.actions - set(ACTIONS):
            raise ValueError(f"unknown actions: {', '.join(sorted(unknown))}")

    def covers(self, step: Step, now: float) -> bool:
        """Return whether it keeps a step quiet at the epoch seconds ``now``."""
        if now >= self.until or step.action not in self.actions:
            return False
        return all(self._matches(step, path, globs) for path, globs in self.match.items())

    @staticmethod
    def _matches(step: Step, path: str, globs: str | tuple[str, ...]) -> bool:
        if path == "policy":
            values: tuple[object, ...] = step.policies
        else:
            values = (step.action if path == "action" else step.value(path),)
        globs = (globs,) if isinstance(globs, str) else globs
        return any(isinstance(value, str) and fnmatchcase(value, glob) for value in values for glob in globs)


class Cooldown:
    """Keeps a flag quiet for some seconds after it was raised. Not thread-safe: the guard holds a lock."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._raised: OrderedDict[bytes, float] = OrderedDict()

    def left(self, step: Step, now: float) -> float:
        """Return for how many seconds more a flag is kept quiet. If 0, note that it is raised now."""
        if not self._seconds:
            return 0.0
        target = None if step.target is None else step.target.to_dict()
        text = json.dumps([step.action, step.policies, target], sort_keys=True, default=repr)
        key = hashlib.sha256(text.encode()).digest()
        since = self._raised.get(key)
        if since is not None and now - since < self._seconds:
            return self._seconds - (now - since)
        self._raised[key] = now
        self._raised.move_to_end(key)
        # A flag that is forgotten here may be raised again early; none is lost.
        while len(self._raised) > _MAX_REMEMBERED:
            self._raised.popitem(last=False)
        return 0.0
