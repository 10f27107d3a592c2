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


@dataclass(eq=False)
class HeldProcess:
    """A verified process, held by a pidfd. A subclass carries one action out.

    Attributes:
        pidfd: the pidfd.
        target: the process when it was verified.
        proc: reads processes.
        protected: the processes that must not be touched.
        namespace: the event's Kubernetes namespace, or None.
        found: what was found about the process, as JSON data.
        ancestors: the pids of its parent, the parent's parent and so on.
        settle: seconds to find and stop all members of a group or tree.
        wait: seconds to wait for the death of a killed process.
    """

    pidfd: Pidfd
    target: ProcessStat
    proc: Proc
    protected: ProtectedProcesses
    namespace: str | None
    found: Mapping[str, Any]
    ancestors: tuple[int, ...]
    settle: float
    wait: float

    def __post_init__(self) -> None:
        """Read facts that a subclass needs. Called while the process has its pid."""

    @property
    def identity(self) -> str:
        """Boot, pid and start ticks of the process."""
        return f"process:{self.found['boot_id']}:{self.target.pid}:{self.target.start_ticks}"

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was found about the process, as JSON data."""
        return self.found

    def act(self) -> Result:
        """Carry the action out."""
        raise NotImplementedError

    def release(self) -> None:
        """Close the pidfd."""
        self.pidfd.close()

    @property
    def shown(self) -> str:
        """The process, for messages."""
        exe = self.found.get("exe")
        return f"process {self.target.pid} `{self.target.shown}`{f' ({shown(exe)})' if exe else ''}"

    def refusal(self) -> Result | None:
        """Return why the process must not be touched now, or None. It may have executed a protected program."""
        process = self.proc.stat(self.target.pid)
        return None if process is None or self.pidfd.ended else self.protected.refusal(process)

    def gone(self) -> Result:
        """Return the result for a process that has ended."""
        return Result("already", f"{self.shown} has ended by itself", details=dict(self.found))


class HeldForKill(HeldProcess):
    """Kills the process, and no other."""

    def act(self) -> Result:
        """Kill the process and wait for its death."""
        if self.pidfd.ended:
            return self.gone()
        if (refusal := self.refusal()) is not None:
            return refusal
        facts = dict(self.found)
        try:
            self.pidfd.send(signal.SIGKILL)
        except ProcessLookupError:
            return self.gone()
        except OSError as error:
            return Result("failed", f"{self.shown} cannot be signalled: {os_reason(error)}", details=facts)
        if not self.pidfd.wait(self.wait):
            process = self.proc.stat(self.target.pid)
            state = f", in state {process.state}" if process is not None else ""
            reason = f"{self.shown} is still alive after {self.wait:g} s{state}"
            return Result("failed", reason, details=facts)
        return Result("done", f"killed {self.shown}", details=facts)
