"""``LocalHost``: carries agent actions out on this machine.

Never by a number alone: docs/decisions/0032-identity.md.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from spyderresp.execution.interfaces import HOST_RULE
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result, refused
from spyderresp.execution.steps import Step
from spyderresp.executors.local.group import HeldForGroup, group_refusal, members_of
from spyderresp.executors.local.identity_check import ExpectedIdentity, Identity, valid_pid
from spyderresp.executors.local.pidfd import Pidfd
from spyderresp.executors.local.process_handle import HeldForKill, HeldProcess, Timeouts
from spyderresp.executors.local.procfs import Proc, ProcessStat, same_path
from spyderresp.executors.local.protected_processes import Programs, ProtectedProcesses
from spyderresp.executors.local.renice import HeldForRenice, undo
from spyderresp.executors.local.tree import HeldForTree

_KINDS: Final[dict[str, type[HeldProcess]]] = {
    "agentKillProcess": HeldForKill,
    "agentKillProcessGroup": HeldForGroup,
    "agentKillProcessTree": HeldForTree,
    "agentReniceProcess": HeldForRenice,
}
_MOST_ANCESTORS: Final = 64
_LONGEST: Final = 3600.0


class LocalHost:
    """Kills and renices processes of this machine, and of no other. Linux 5.3 or newer. Safe to share between threads.

    Args:
        machine: who this machine is in events: its hostname or its uid, or several of these. Events of any other, and
            events that do not say, are refused.
        proc: where the host's ``/proc`` is mounted. In a container that shares the host's PID namespace that may be
            ``/host/proc``.
        name: what reports call it.
        actions: those that it takes; default: the four on processes.
        tolerance: seconds by which an epoch ``start_time`` may be off; it counts together with ``exe`` only.
        pids: whose pids events give. ``host``: this machine's; in a container with a PID namespace of its own only
            exact identity counts then, and a pid that nobody has there is ``refused``, for it says nothing. ``own``:
            those of the PID namespace in which we are.
        exe_is_enough: take an equal ``exe`` as proof of identity. Off: whoever has the pid now may run the same
            program.
        settle: seconds to find and stop all of a group or tree.
        wait: seconds to see a killed process dead.

    Raises:
        ValueError: no machine is named, or a setting makes no sense.
        OSError: this system has no pidfds.
    """

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
            raise ValueError("LocalHost needs to know which machine it is on: machine=HOSTNAME or UID")
        if unknown := actions - set(_KINDS):
            raise ValueError(f"LocalHost does not do {', '.join(sorted(unknown))}")
        if pids not in ("host", "own"):
            raise ValueError(f"pids must be 'host' or 'own', not {pids!r}")
        for label, seconds in (("tolerance", tolerance), ("settle", settle), ("wait", wait)):
            if not 0 <= seconds < _LONGEST:
                raise ValueError(f"`{label}` must be seconds below an hour, not {seconds!r}")
        _try_out()
        self.name = name
        self.actions = actions
        self._proc = Proc(proc)
        self._programs = Programs(self._proc)
        self._identity = Identity(self._proc, tolerance=tolerance, exe_is_enough=exe_is_enough, own_pids=pids == "own")
        self._bounds = Timeouts(settle, wait)

    @classmethod
    def here(cls, **settings: Any) -> LocalHost:
        """Return one for the machine of this hostname."""
        return cls(socket.gethostname(), **settings)

    def resolve(self, step: Step, protection: Protection) -> HeldProcess | Result:
        """Hold the step's process, then compare it with the event."""
        if (refusal := self._elsewhere(step)) is not None:
            return refusal
        if (why := self._identity.namespace()) is not None:
            return refused("pid-namespace", why)
        meant = ExpectedIdentity.of(step)
        if meant.pid is None or not valid_pid(meant.pid):
            return Result("mismatch", "the event gives no `process.pid` that could be one")
        try:
            pidfd = Pidfd(meant.pid)
        except OSError as error:
            return self._no_process(step, meant.pid, error)
        held: HeldProcess | Result | None = None
        try:
            held = self._verified(step, meant, pidfd, ProtectedProcesses(self._proc, protection, self._programs))
        finally:
            if not isinstance(held, HeldProcess):
                pidfd.close()
        return held

    def _elsewhere(self, step: Step) -> Result | None:
        said = {
            key: value
            for key in ("uid", "hostname")
            if isinstance(value := step.value(f"machine.{key}"), str) and value
        }
        if not said:
            return refused(HOST_RULE, "the event does not say which machine it is of")
        ours = [key for key, value in said.items() if value in self._machines]
        if not ours:
            named = ", ".join(f"{key} `{value}`" for key, value in said.items())
            return refused(HOST_RULE, f"the event is of another machine: {named}")
        # Where we were told of both, both must agree: one of them could be borrowed.
        other = [key for key in said if key not in ours]
        if other and len(self._machines) > 1:
            return refused(HOST_RULE, f"the event is of another machine: {other[0]} `{said[other[0]]}`")
        return None

    def _no_process(self, step: Step, pid: int, error: OSError) -> Result:
        # Only a whole process can be held; the kernel says so of a thread's number, or a group's without a leader.
        if error.errno not in (errno.ESRCH, errno.EINVAL, errno.ENOENT):
            return Result("failed", f"process {pid} cannot be held: {(error.strerror or '').lower()}")
        if error.errno != errno.ESRCH and self._proc.stat(pid) is not None:
            return Result("mismatch", f"{pid} is a thread of another process, not a process")
        if doubt := self._identity.doubt():
            return refused("pid-namespace", f"there is no process {pid} here, which says nothing: {doubt}")
        if step.action == "agentKillProcessGroup" and (left := members_of(pid, self._proc)):
            reason = f"process {pid} is gone, and whether group {pid} was its own cannot be told any more: left alone"
            return Result("incomplete", reason, details={"survivors": [look.to_dict() for look in left]})
        return Result("already", f"there is no process {pid} any more")

    def _verified(
        self, step: Step, meant: ExpectedIdentity, pidfd: Pidfd, shield: ProtectedProcesses
    ) -> HeldProcess | Result:
        found = self._proc.stat(pidfd.pid)
        if found is None:
            return Result("already", f"process {pidfd.pid} has ended")
        if self._proc.status(pidfd.pid).get("Tgid", str(pidfd.pid)) != str(pidfd.pid):
            return Result("mismatch", f"{pidfd.pid} is a thread of another process, not a process")
        if (refusal := self._identity.compare(meant, found)) is not None:
            return refusal
        # Looked at after it was held: had it ended in between, what was read could be another's. One that has ended
        # and was not waited for has its number still, and what is left of its group is its group.
        leads = step.action == "agentKillProcessGroup" and meant.exact
        if pidfd.ended and not (leads and pidfd.numbered(self._proc) and members_of(found.pgid, self._proc)):
            return Result("already", f"process {found.pid} `{found.shown}` has ended")
        if (refusal := shield.refusal(found)) is not None:
            return refusal
        if step.action == "agentKillProcessGroup" and (refusal := group_refusal(found, self._proc)) is not None:
            return refusal
        namespace = step.value("namespace.name")
        held = _KINDS[step.action](
            pidfd,
            found,
            self._proc,
            shield,
            namespace=namespace if isinstance(namespace, str) else None,
            facts=self._facts(found, meant),
            parents=self._ancestors(found),
            bounds=self._bounds,
        )
        if isinstance(held, HeldForRenice):
            held.priority = int(step.parameters["priority"])
        return held

    def _facts(self, found: ProcessStat, meant: ExpectedIdentity) -> dict[str, Any]:
        exe = self._proc.exe(found.pid)
        facts: dict[str, Any] = {
            **found.to_dict(),
            "exe": exe,
            "ppid": found.ppid,
            "pgid": found.pgid,
            "boot_id": self._proc.boot_id(),
        }
        # A process can change these; they are told, and prove nothing.
        if meant.name is not None and meant.name != found.name:
            facts["event_name"] = meant.name
        if meant.exe is not None and not same_path(meant.exe, exe):
            facts["event_exe"] = meant.exe
        return facts

    def _ancestors(self, found: ProcessStat) -> tuple[int, ...]:
        line: list[int] = []
        pid = found.ppid
        while pid and pid not in line and len(line) < _MOST_ANCESTORS:
            line.append(pid)
            look = self._proc.stat(pid)
            pid = look.ppid if look is not None else 0
        return tuple(line)

    def undo(self, step: Step, details: Mapping[str, Any]) -> Result:
        """Take a renice back: give every thread the nice value that it had, where nobody has set another since.

        Args:
            step: the renice.
            details: those of its outcome.
        """
        if (refusal := self._elsewhere(step)) is not None:
            return refusal
        if (why := self._identity.namespace()) is not None:
            return refused("pid-namespace", why)
        return undo(self._proc, details)

    def close(self) -> None:
        """Nothing is held."""


def _try_out() -> None:
    """Take hold of ourselves: whether that can be done is asked of the kernel, not of a version.

    Raises:
        OSError: it cannot.
    """
    if not sys.platform.startswith("linux"):
        raise OSError(errno.ENOSYS, f"LocalHost needs Linux; this is {sys.platform}")
    try:
        with Pidfd(os.getpid()) as held:
            held.probe()
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            reason = f"this system gives no pidfds (Linux 5.3 or newer is needed): {error.strerror}"
            raise OSError(error.errno, reason) from error
