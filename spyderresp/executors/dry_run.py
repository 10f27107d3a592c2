"""``DryRun`` reports what would be done; ``Recording`` records steps for tests of programs that embed this package."""

from __future__ import annotations

import threading
from typing import Final

from spyderresp.execution.interfaces import Executor
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result, Status
from spyderresp.execution.steps import Step
from spyderresp.executors.held_target import HeldTarget
from spyderresp.policies.vocabulary import ACTIONS, TARGET_SCOPE

_VERBS: Final = {
    "agentReniceProcess": "renice",
    "agentKillProcess": "kill",
    "agentKillProcessGroup": "kill the group of",
    "agentKillProcessTree": "kill the tree of",
    "agentKillPod": "kill",
}


def target_text(step: Step) -> str:
    """Return the target of a step for people, such as ``process 4242 `bash` (/bin/bash)``."""
    scope = TARGET_SCOPE.get(step.action)
    target = {} if step.target is None or scope is None else step.target.to_dict().get(scope, {})
    if scope == "pod":
        namespace = step.value("namespace.name")
        name = target.get("name") or target.get("kuid") or target.get("uid") or "without a name"
        return f"pod `{f'{namespace}/' if namespace else ''}{name}`"
    parts = [f"process {target.get('pid', 'without a pid')}"]
    if "name" in target:
        parts.append(f"`{target['name']}`")
    if "exe" in target:
        parts.append(f"({target['exe']})")
    return " ".join(parts)


class DryRun(Executor):
    """Reports what would be done, and does nothing. It does not look for the target, which may not exist.

    Args:
        name: the name in reports.
        actions: the actions that it takes; default: all.
    """

    name: str = "dry-run"
    actions: frozenset[str] = frozenset(ACTIONS)
    dry: Final = True

    def __init__(self, name: str = "dry-run", actions: frozenset[str] = frozenset(ACTIONS)) -> None:
        self.name = name
        self.actions = actions

    def resolve(self, step: Step, protection: Protection) -> Result:  # noqa: ARG002 - the protocol's signature
        """Return a ``dry_run`` result that names what would be done."""
        if step.is_flag:
            return Result("dry_run", f"would raise a {step.parameters['severity']} {step.action[4:-4].lower()} flag")
        more = f" to {step.parameters['priority']}" if step.action == "agentReniceProcess" else ""
        return Result("dry_run", f"would {_VERBS[step.action]} {target_text(step)}{more}")

    def close(self) -> None:
        """Do nothing: it holds nothing."""


class Recording(Executor):
    """Replaces real executors in tests: guard, breakers and journal work as usual, and the action is only recorded.

    ::

        recording = Recording()
        spyderresp.execute(plan, recording, guard=Guard(kill_switch=None))
        assert [step.action for step in recording.acted] == ["agentKillProcess"]

    Args:
        answer: the outcome of each step that is carried out.
        name: the name in reports.
        actions: the actions that it takes; default: all.

    Attributes:
        resolved: the steps that were resolved, in order.
        acted: the steps that were carried out, in order.
    """

    name: str = "recording"
    actions: frozenset[str] = frozenset(ACTIONS)

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

    def resolve(self, step: Step, protection: Protection) -> HeldTarget:  # noqa: ARG002 - the protocol's signature
        """Record the step as resolved. The target of the event counts as verified."""
        with self._lock:
            self.resolved.append(step)
        scope, namespace = TARGET_SCOPE.get(step.action, ""), step.value("namespace.name")
        target = {} if step.target is None else step.target.to_dict().get(scope, {})
        identity = f"{scope}:{sorted(target.items(), key=repr)!r}"
        return HeldTarget(identity, namespace if isinstance(namespace, str) else None, {}, lambda: self.note(step))

    def note(self, step: Step) -> Result:
        """Record the step as carried out."""
        with self._lock:
            self.acted.append(step)
        return Result(self._answer, "recorded")

    def close(self) -> None:
        """Do nothing: it holds nothing."""
