"""Executors without effects: ``DryRun`` says what would be done, ``Recording`` keeps it for a host's own tests."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final

from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result, Status
from spyderresp.execution.steps import Step
from spyderresp.policies.vocabulary import ACTIONS, TARGET_SCOPE

_DOES: Final = {
    "agentReniceProcess": "renice",
    "agentKillProcess": "kill",
    "agentKillProcessGroup": "kill the group of",
    "agentKillProcessTree": "kill the tree of",
    "agentKillPod": "kill",
}


def said_of(step: Step) -> str:
    """Return who a step is about, for people: ``process 4242 `bash` (/bin/bash)``."""
    scope = TARGET_SCOPE.get(step.action)
    target = {} if step.target is None or scope is None else step.target.to_dict().get(scope, {})
    if scope == "pod":
        where = step.value("namespace.name")
        name = target.get("name") or target.get("kuid") or target.get("uid") or "without a name"
        return f"pod `{f'{where}/' if where else ''}{name}`"
    parts = [f"process {target.get('pid', 'without a pid')}"]
    if "name" in target:
        parts.append(f"`{target['name']}`")
    if "exe" in target:
        parts.append(f"({target['exe']})")
    return " ".join(parts)


class DryRun:
    """Takes every action, does none, and says what would be done. Looks at nothing: the target may not exist.

    Args:
        name: what reports call it.
        actions: those that it takes; default: all.
    """

    dry: Final = True

    def __init__(self, name: str = "dry-run", actions: frozenset[str] = frozenset(ACTIONS)) -> None:
        self.name = name
        self.actions = actions

    def resolve(self, step: Step, protection: Protection) -> Result:  # noqa: ARG002 - the protocol's signature
        """Say what would be done."""
        if step.is_flag:
            return Result("dry_run", f"would raise a {step.parameters['severity']} {step.action[4:-4].lower()} flag")
        more = f" to {step.parameters['priority']}" if step.action == "agentReniceProcess" else ""
        return Result("dry_run", f"would {_DOES[step.action]} {said_of(step)}{more}")

    def close(self) -> None:
        """Nothing is held."""


class Recording:
    """Stands in for real executors in a host's own tests: guards, breakers and journal are real, the act is a note.

    Args:
        answer: what it says of each step that it was let act on.
        name: what reports call it.
        actions: those that it takes; default: all.

    Attributes:
        resolved: every step that was looked up, in order.
        acted: every step that would have been carried out, in order.
    """

    def __init__(
        self,
        answer: Status = "done",
        name: str = "recording",
        actions: frozenset[str] = frozenset(ACTIONS),
    ) -> None:
        self.name = name
        self.actions = actions
        self.resolved: list[Step] = []
        self.acted: list[Step] = []
        self._answer = answer
        self._lock = threading.Lock()

    def resolve(self, step: Step, protection: Protection) -> _Noted:  # noqa: ARG002 - the protocol's signature
        """Take the event's word for the target."""
        with self._lock:
            self.resolved.append(step)
        return _Noted(self, step)

    def note(self, step: Step) -> Result:
        """Keep a step as carried out."""
        with self._lock:
            self.acted.append(step)
        return Result(self._answer, "recorded")

    def close(self) -> None:
        """Nothing is held."""


class _Noted:
    def __init__(self, owner: Recording, step: Step) -> None:
        self._owner = owner
        self._step = step

    @property
    def identity(self) -> str:
        step = self._step
        scope = TARGET_SCOPE.get(step.action, "")
        said = {} if step.target is None else step.target.to_dict().get(scope, {})
        return f"{scope}:{sorted(said.items(), key=repr)!r}"

    @property
    def namespace(self) -> str | None:
        where = self._step.value("namespace.name")
        return where if isinstance(where, str) else None

    @property
    def facts(self) -> Mapping[str, Any]:
        return {}

    def act(self) -> Result:
        return self._owner.note(self._step)

    def release(self) -> None:
        pass
