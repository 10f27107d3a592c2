"""A verified process, held, and what is done to one alone. Groups, trees and threads have modules of their own."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spyderresp.execution.report import Result
from spyderresp.executors.local.pidfd import Pidfd
from spyderresp.executors.local.procfs import Proc, ProcessStat, shown
from spyderresp.executors.local.protected_processes import ProtectedProcesses


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long what may take.

    Attributes:
        settle: seconds to find and stop all of a group or tree.
        wait: seconds to see a killed process dead.
    """

    settle: float = 5.0
    wait: float = 5.0


class HeldProcess:
    """A process that was verified while held, and is held still.

    Args:
        pidfd: holds it.
        found: the look that verified it.
        proc: where it was read.
        shield: who must be spared.
        namespace: the event's Kubernetes namespace.
        facts: what was found, for the journal.
        parents: its parent, that one's parent and so on.
        bounds: how long what may take.
    """

    def __init__(
        self,
        pidfd: Pidfd,
        found: ProcessStat,
        proc: Proc,
        shield: ProtectedProcesses,
        *,
        namespace: str | None,
        facts: Mapping[str, Any],
        parents: tuple[int, ...],
        bounds: Timeouts,
    ) -> None:
        self._pidfd = pidfd
        self._found = found
        self._proc = proc
        self._shield = shield
        self._namespace = namespace
        self._facts = facts
        self._parents = parents
        self._bounds = bounds

    @property
    def identity(self) -> str:
        """The process, exactly: boot, pid and start tick."""
        return f"process:{self._facts['boot_id']}:{self._found.pid}:{self._found.start_ticks}"

    @property
    def namespace(self) -> str | None:
        """The event's Kubernetes namespace."""
        return self._namespace

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was found."""
        return self._facts

    def act(self) -> Result:
        """Do what this kind does."""
        raise NotImplementedError

    def release(self) -> None:
        """Let go."""
        self._pidfd.close()

    def _who(self) -> str:
        exe = self._facts.get("exe")
        return f"process {self._found.pid} `{self._found.shown}`{f' ({shown(exe)})' if exe else ''}"

    def _refused_now(self) -> Result | None:
        """Return why it must not be touched any more, or None: it may run another program since it was resolved."""
        look = self._proc.stat(self._found.pid)
        return None if look is None or self._pidfd.ended else self._shield.refusal(look)

    def _gone(self) -> Result:
        return Result("already", f"{self._who()} has ended by itself", details=dict(self._facts))


class HeldForKill(HeldProcess):
    """Kills the process and nothing else."""

    def act(self) -> Result:
        """Kill it, and see it dead."""
        if self._pidfd.ended:
            return self._gone()
        if (refusal := self._refused_now()) is not None:
            return refusal
        try:
            self._pidfd.send(signal.SIGKILL)
        except ProcessLookupError:
            return self._gone()
        except OSError as error:
            reason = f"{self._who()} cannot be signalled: {(error.strerror or '').lower()}"
            return Result("failed", reason, details=dict(self._facts))
        if not self._pidfd.wait(self._bounds.wait):
            look = self._proc.stat(self._found.pid)
            state = f", in state {look.state}" if look is not None else ""
            reason = f"{self._who()} is still alive after {self._bounds.wait:g} s{state}"
            return Result("failed", reason, details=dict(self._facts))
        return Result("done", f"killed {self._who()}", details=dict(self._facts))
