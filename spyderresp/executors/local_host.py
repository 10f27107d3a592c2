"""``LocalHost``: carries agent actions out on this machine.

Never by a number alone: docs/decisions/0032-identity.md.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Iterable, Mapping
from typing import Any, Final

from spyderresp.executors.base import HOST_RULE
from spyderresp.executors.local.held import Bounds, HeldForGroup, HeldForKill, HeldForTree, HeldProcess, group_refusal
from spyderresp.executors.local.identity import Identity, Meant, valid_pid
from spyderresp.executors.local.pidfd import Pidfd
from spyderresp.executors.local.proc import Proc, Stat, same_path
from spyderresp.executors.local.renice import HeldForRenice, undo
from spyderresp.executors.local.shield import Programs, Shield
from spyderresp.protection import Protection
from spyderresp.report import Result, refused
from spyderresp.steps import Step

_KINDS: Final[dict[str, type[HeldProcess]]] = {
    "agentKillProcess": HeldForKill,
    "agentKillProcessGroup": HeldForGroup,
    "agentKillProcessTree": HeldForTree,
    "agentReniceProcess": HeldForRenice,
}
_MOST_ANCESTORS: Final = 64


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
        exe_is_enough: take an equal ``exe`` as proof of identity. Off: whoever has the pid now may run the same
            program.
        settle: seconds to find and stop all of a group or tree.
        wait: seconds to see a killed process dead.

    Raises:
        ValueError: no machine is named.
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
        exe_is_enough: bool = False,
        settle: float = 5.0,
        wait: float = 5.0,
    ) -> None:
        self._machines = frozenset({machine} if isinstance(machine, str) else machine)
        if not self._machines or not all(isinstance(item, str) and item for item in self._machines):
            raise ValueError("LocalHost needs to know which machine it is on: machine=HOSTNAME or UID")
        if unknown := actions - set(_KINDS):
            raise ValueError(f"LocalHost does not do {', '.join(sorted(unknown))}")
        if not hasattr(os, "pidfd_open") or not hasattr(signal, "pidfd_send_signal"):
            raise OSError(errno.ENOSYS, "this Python or system has no pidfds (Linux 5.3 or newer is needed)")
        self.name = name
        self.actions = actions
        self._proc = Proc(proc)
        self._programs = Programs(self._proc)
        self._identity = Identity(self._proc, tolerance=tolerance, exe_is_enough=exe_is_enough)
        self._bounds = Bounds(settle, wait)

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
        meant = Meant.of(step)
        if meant.pid is None or not valid_pid(meant.pid):
            return Result("mismatch", "the event gives no `process.pid` that could be one")
        try:
            pidfd = Pidfd(meant.pid)
        except ProcessLookupError:
            return Result("already", f"there is no process {meant.pid} any more")
        except OSError as error:
            return self._no_process(meant.pid, error)
        held: HeldProcess | Result | None = None
        try:
            held = self._verified(step, meant, pidfd, Shield(self._proc, protection, self._programs))
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

    def _no_process(self, pid: int, error: OSError) -> Result:
        # Only a whole process can be held; the kernel says so of a thread's number.
        if error.errno in (errno.EINVAL, errno.ENOENT) and self._proc.stat(pid) is not None:
            return Result("mismatch", f"{pid} is a thread of another process, not a process")
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return Result("already", f"there is no process {pid} any more")
        return Result("failed", f"process {pid} cannot be held: {(error.strerror or '').lower()}")

    def _verified(self, step: Step, meant: Meant, pidfd: Pidfd, shield: Shield) -> HeldProcess | Result:
        found = self._proc.stat(pidfd.pid)
        if found is None:
            return Result("already", f"process {pidfd.pid} has ended")
        if self._proc.status(pidfd.pid).get("Tgid", str(pidfd.pid)) != str(pidfd.pid):
            return Result("mismatch", f"{pidfd.pid} is a thread of another process, not a process")
        if (refusal := self._identity.compare(meant, found)) is not None:
            return refusal
        # Looked at after it was held: had it ended in between, what was read could be another's.
        if pidfd.ended:
            return Result("already", f"process {found.pid} `{found.name}` has ended")
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

    def _facts(self, found: Stat, meant: Meant) -> dict[str, Any]:
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

    def _ancestors(self, found: Stat) -> tuple[int, ...]:
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
