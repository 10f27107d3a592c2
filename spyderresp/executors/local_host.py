"""``LocalHost``: kills and renices processes of this machine.

docs/decisions/0032-identity.md says how a process is identified.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from spyderresp.execution.interfaces import HOST_RULE, Executor
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result, refused
from spyderresp.execution.steps import Step
from spyderresp.executors.local.group import HeldForGroup, group_refusal, members_of, unverified_group
from spyderresp.executors.local.identity_check import ExpectedIdentity, Identity, valid_pid
from spyderresp.executors.local.pidfd import Pidfd
from spyderresp.executors.local.process_handle import HeldForKill, HeldProcess
from spyderresp.executors.local.procfs import Proc, ProcessStat, os_reason, same_path
from spyderresp.executors.local.protected_processes import Programs, ProtectedProcesses
from spyderresp.executors.local.renice import HeldForRenice, undo
from spyderresp.executors.local.tree import HeldForTree

_KINDS: Final[dict[str, type[HeldProcess]]] = {
    "agentKillProcess": HeldForKill,
    "agentKillProcessGroup": HeldForGroup,
    "agentKillProcessTree": HeldForTree,
    "agentReniceProcess": HeldForRenice,
}
_MAX_ANCESTORS: Final = 64
_MAX_SECONDS: Final = 3600.0


class LocalHost(Executor):
    """Kills and renices processes of this machine only. Needs Linux 5.3 or newer. Safe to share between threads.

    ::

        host = LocalHost("web-1")
        report = spyderresp.execute(plan, host)

    Args:
        machine: the name of this machine in events: its hostname or its uid, or several of these. Events that name
            another machine, or none, are refused.
        proc: where the host's ``/proc`` is mounted. In a container with the host's PID namespace this may be
            ``/host/proc``.
        name: the name in reports.
        actions: the actions that it takes; default: the four actions on processes.
        tolerance: the most seconds between the event's ``start_time`` and the start of the process. ``start_time``
            identifies a process only together with ``exe``.
        pids: the PID namespace of the pids in events. ``host``: that of the host. Then, in a container with its own PID
            namespace, only ``start_ticks`` with ``boot_id`` identify a process, and a pid without a process is
            ``refused`` and not ``already``. ``own``: the PID namespace of this process.
        exe_is_enough: whether an equal ``exe`` alone identifies a process. Another process with the same program may
            have the pid by now.
        settle: seconds to find and stop all members of a group or tree.
        wait: seconds to wait for the death of a killed process.

    Raises:
        ValueError: no machine is named, an action is unknown, or a setting is out of range.
        OSError: this system has no pidfds.
    """

    name: str = "local-host"
    actions: frozenset[str] = frozenset(_KINDS)

    def __init__(
        self,
        machine: str | Iterable[str],
        *,
        proc: str = "/proc",
        name: str = "local-host",
        actions: frozenset[str] = frozenset(_KINDS),
        tolerance: float = 2.0,
        pids: Literal["host", "own"] = "host",
        exe_is_enough: bool = False,
        settle: float = 5.0,
        wait: float = 5.0,
    ) -> None:
        self._machines = frozenset({machine} if isinstance(machine, str) else machine)
        if not self._machines or not all(isinstance(item, str) and item for item in self._machines):
            raise ValueError("LocalHost needs the name of this machine: machine=HOSTNAME or UID")
        if unknown := actions - set(_KINDS):
            raise ValueError(f"LocalHost does not take {', '.join(sorted(unknown))}")
        if pids not in ("host", "own"):
            raise ValueError(f"pids must be 'host' or 'own', not {pids!r}")
        for label, seconds in (("tolerance", tolerance), ("settle", settle), ("wait", wait)):
            if not 0 <= seconds < _MAX_SECONDS:
                raise ValueError(f"`{label}` must be seconds below an hour, not {seconds!r}")
        _require_pidfds()
        self.name = name
        self.actions = actions
        self._proc = Proc(proc)
        self._programs = Programs(self._proc)
        self._identity = Identity(self._proc, tolerance=tolerance, exe_is_enough=exe_is_enough, own_pids=pids == "own")
        self._settle, self._wait = settle, wait

    @classmethod
    def here(cls, **settings: Any) -> LocalHost:
        """Return an executor for events with the hostname of this machine.

        Args:
            settings: arguments of the class.

        Raises:
            ValueError, OSError: as the class raises.
        """
        return cls(socket.gethostname(), **settings)

    def resolve(self, step: Step, protection: Protection) -> HeldProcess | Result:
        """Hold the process of a step, then compare it with the event."""
        if (refusal := self._other_host(step)) is not None:
            return refusal
        expected = ExpectedIdentity.of(step)
        if expected.pid is None or not valid_pid(expected.pid):
            return Result("mismatch", "the event has no valid `process.pid`")
        try:
            pidfd = Pidfd(expected.pid)
        except OSError as error:
            return self._not_held(step, expected.pid, error)
        held: HeldProcess | Result | None = None
        try:
            held = self._verified(step, expected, pidfd, ProtectedProcesses(self._proc, protection, self._programs))
        finally:
            if not isinstance(held, HeldProcess):
                pidfd.close()
        return held

    def _other_host(self, step: Step) -> Result | None:
        """Return the refusal if the event is from another machine, or if this ``/proc`` shows another PID namespace."""
        named = {
            key: value
            for key in ("uid", "hostname")
            if isinstance(value := step.value(f"machine.{key}"), str) and value
        }
        if not named:
            return refused(HOST_RULE, "the event does not name its machine")
        others = {key: value for key, value in named.items() if value not in self._machines}
        # If both hostname and uid of this machine are configured, both must agree with the event.
        if others and (len(others) == len(named) or len(self._machines) > 1):
            shown = ", ".join(f"{key} `{value}`" for key, value in others.items())
            return refused(HOST_RULE, f"the event is from another machine: {shown}")
        why = self._identity.namespace()
        return None if why is None else refused("pid-namespace", why)

    def _not_held(self, step: Step, pid: int, error: OSError) -> Result:
        """Return the result if the kernel gave no pidfd."""
        # EINVAL or ENOENT: the number is a thread id, or the id of a group whose leader has ended.
        if error.errno not in (errno.ESRCH, errno.EINVAL, errno.ENOENT):
            return Result("failed", f"process {pid} cannot be held: {os_reason(error)}")
        if error.errno != errno.ESRCH and self._proc.stat(pid) is not None:
            return Result("mismatch", f"{pid} is a thread of another process, not a process")
        if doubt := self._identity.doubt():
            return refused("pid-namespace", f"there is no process {pid} here, but that proves nothing: {doubt}")
        if step.action == "agentKillProcessGroup" and (members := members_of(pid, self._proc)):
            return unverified_group(f"process {pid}", pid, members, {})
        return Result("already", f"there is no process {pid} any more")

    def _verified(
        self, step: Step, expected: ExpectedIdentity, pidfd: Pidfd, protected: ProtectedProcesses
    ) -> HeldProcess | Result:
        """Return the held process if it is the expected one and may be touched."""
        target = self._proc.stat(pidfd.pid)
        if target is None:
            return Result("already", f"process {pidfd.pid} has ended")
        if self._proc.status(pidfd.pid).get("Tgid", str(pidfd.pid)) != str(pidfd.pid):
            return Result("mismatch", f"{pidfd.pid} is a thread of another process, not a process")
        if (refusal := self._identity.compare(expected, target)) is not None:
            return refusal
        # Check only now that the held process lives: if it ended earlier, `target` may be another process. An unreaped
        # process keeps its pid, so the rest of its group is still its group.
        of_group = step.action == "agentKillProcessGroup"
        leads = of_group and expected.exact
        if pidfd.ended and not (leads and pidfd.has_pid(self._proc) and members_of(target.pgid, self._proc)):
            return Result("already", f"process {target.pid} `{target.shown}` has ended")
        if (refusal := protected.refusal(target)) is not None:
            return refusal
        if of_group and (refusal := group_refusal(target, self._proc)) is not None:
            return refusal
        namespace = step.value("namespace.name")
        namespace = namespace if isinstance(namespace, str) and namespace else None
        if (refusal := protected.namespace_refusal(target, namespace)) is not None:
            return refusal
        held = _KINDS[step.action](
            pidfd,
            target,
            self._proc,
            protected,
            namespace=namespace,
            found=self._facts(target, expected),
            ancestors=tuple(
                process.pid for process in itertools.islice(self._proc.lineage(target.ppid), _MAX_ANCESTORS)
            ),
            settle=self._settle,
            wait=self._wait,
        )
        if isinstance(held, HeldForRenice):
            held.priority = int(step.parameters["priority"])
        return held

    def _facts(self, target: ProcessStat, expected: ExpectedIdentity) -> dict[str, Any]:
        exe = self._proc.exe(target.pid)
        facts: dict[str, Any] = {
            **target.to_dict(),
            "exe": exe,
            "ppid": target.ppid,
            "pgid": target.pgid,
            "boot_id": self._proc.boot_id(),
        }
        # A process can change its own name and exe path. Report a difference in the facts; do not use it as evidence.
        if expected.name is not None and expected.name != target.name:
            facts["event_name"] = expected.name
        if expected.exe is not None and not same_path(expected.exe, exe):
            facts["event_exe"] = expected.exe
        return facts

    def undo(self, step: Step, details: Mapping[str, Any]) -> Result:
        """Take a renice back: put the old nice value of every thread back, unless it was reniced again since.

        Args:
            step: the renice.
            details: the ``details`` of its result.
        """
        return self._other_host(step) or undo(self._proc, details)

    def close(self) -> None:
        """Do nothing: it holds nothing."""


def _require_pidfds() -> None:
    """Try pidfds on this process.

    Raises:
        OSError: this system has no pidfds.
    """
    if not sys.platform.startswith("linux"):
        raise OSError(errno.ENOSYS, f"LocalHost needs Linux; this is {sys.platform}")
    try:
        with Pidfd(os.getpid()) as pidfd:
            pidfd.send(0)
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            reason = f"this system has no pidfds, which Linux 5.3 or newer provides: {error.strerror}"
            raise OSError(error.errno, reason) from error
