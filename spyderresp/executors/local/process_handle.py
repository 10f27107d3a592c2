"""``HeldProcess``: a verified process, held by a pidfd. ``HeldForKill`` kills only this process."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spyderresp.execution.report import Result
from spyderresp.executors.local.pidfd import Pidfd
from spyderresp.executors.local.procfs import Proc, ProcessStat, os_reason, shown
from spyderresp.executors.local.protected_processes import ProtectedProcesses


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The time limits of an action.

    Attributes:
        settle: seconds to find and stop all members of a group or tree.
        wait: seconds to wait for the death of a killed process.
    """

    settle: float = 5.0
    wait: float = 5.0


class HeldProcess:
    """A verified process, held by a pidfd. Subclasses carry one action out.

    Args:
        pidfd: the pidfd.
        target: the process when it was verified.
        proc: reads processes.
        protected: the processes that must not be touched.
        namespace: the event's Kubernetes namespace, or None.
        facts: what was found about the process, for the journal.
        ancestors: the pids of its parent, the parent's parent and so on.
        timeouts: the time limits.
    """

    def __init__(
        self,
        pidfd: Pidfd,
        target: ProcessStat,
        proc: Proc,
        protected: ProtectedProcesses,
        *,
        namespace: str | None,
        facts: Mapping[str, Any],
        ancestors: tuple[int, ...],
        timeouts: Timeouts,
    ) -> None:
        self._pidfd = pidfd
        self._target = target
        self._proc = proc
        self._protected = protected
        self._namespace = namespace
        self._facts = facts
        self._ancestors = ancestors
        self._timeouts = timeouts

    @property
    def identity(self) -> str:
        """Boot, pid and start ticks of the process."""
        return f"process:{self._facts['boot_id']}:{self._target.pid}:{self._target.start_ticks}"

    @property
    def namespace(self) -> str | None:
        """The event's Kubernetes namespace."""
        return self._namespace

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was found about the process, as JSON data."""
        return self._facts

    def act(self) -> Result:
        """Carry the action out."""
        raise NotImplementedError

    def release(self) -> None:
        """Close the pidfd."""
        self._pidfd.close()

    @property
    def _shown(self) -> str:
        """The process, for messages."""
        exe = self._facts.get("exe")
        return f"process {self._target.pid} `{self._target.shown}`{f' ({shown(exe)})' if exe else ''}"

    def _refusal(self) -> Result | None:
        """Return why the process must not be touched now, or None. It may have executed a protected program."""
        process = self._proc.stat(self._target.pid)
        return None if process is None or self._pidfd.ended else self._protected.refusal(process)

    def _gone(self) -> Result:
        return Result("already", f"{self._shown} has ended by itself", details=dict(self._facts))


class HeldForKill(HeldProcess):
    """Kills the process, and no other."""

    def act(self) -> Result:
        """Kill the process and wait for its death."""
        if self._pidfd.ended:
            return self._gone()
        if (refusal := self._refusal()) is not None:
            return refusal
        facts = dict(self._facts)
        try:
            self._pidfd.send(signal.SIGKILL)
        except ProcessLookupError:
            return self._gone()
        except OSError as error:
            return Result("failed", f"{self._shown} cannot be signalled: {os_reason(error)}", details=facts)
        if not self._pidfd.wait(self._timeouts.wait):
            process = self._proc.stat(self._target.pid)
            state = f", in state {process.state}" if process is not None else ""
            reason = f"{self._shown} is still alive after {self._timeouts.wait:g} s{state}"
            return Result("failed", reason, details=facts)
        return Result("done", f"killed {self._shown}", details=facts)
