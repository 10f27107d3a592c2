"""Stops and kills sets of processes: each by a pidfd that was taken before it was looked at, never by its number.

Between two touches a process is known by pid and start tick. A stopped process does not go away by itself, so
descriptors need not be kept open for thousands.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from spyderresp.execution.report import Result, Status
from spyderresp.executors.local.pidfd import Pidfd
from spyderresp.executors.local.procfs import Proc, ProcessStat
from spyderresp.executors.local.protected_processes import ProtectedProcesses

if TYPE_CHECKING:
    from typing_extensions import Self


_STOPPED: Final = "TtZXx"
_PAUSE: Final = 0.002
# Who sleeps uninterruptibly takes a signal when it wakes; it may wait for one that is stopped, and then it never does.
_CALM: Final = 0.1


@contextlib.contextmanager
def realtime_priority() -> Iterator[None]:
    """Run before all others for a moment, where that is allowed: a fork bomb leaves others no time."""
    try:
        before, setting = os.sched_getscheduler(0), os.sched_getparam(0)
        first = os.sched_param(os.sched_get_priority_min(os.SCHED_RR))
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, first)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, before, setting)


class ProcessSet:
    """The members of a group or tree, as they are found, stopped and killed.

    Args:
        proc: where they are read.
        shield: who is spared.
    """

    def __init__(self, proc: Proc, shield: ProtectedProcesses) -> None:
        self._proc = proc
        self._shield = shield
        self.members: dict[int, ProcessStat] = {}
        self.spared: dict[int, tuple[ProcessStat, str]] = {}
        self.failed: dict[int, str] = {}
        self.left: dict[int, ProcessStat] = {}
        self._inodes: dict[tuple[int, int], int] = {}

    def holds(self, found: ProcessStat) -> bool:
        """Tell whether a process is known already, as a member or as one that is spared."""
        known = self.members.get(found.pid) or self.spared.get(found.pid, (None, ""))[0]
        return known is not None and known.start_ticks == found.start_ticks

    def is_child_of_member(self, look: ProcessStat) -> bool:
        """Tell whether a held process is a child of one that is known, which lives still: its number is its own."""
        known = self.members.get(look.ppid) or self.spared.get(look.ppid, (None, ""))[0]
        if known is None or known.start_ticks > look.start_ticks or (held := self._held(known)) is None:
            return False
        held.close()
        return True

    def stop(self, found: ProcessStat, belongs: Callable[[ProcessStat], bool] | None = None) -> bool:
        """Make a process a member and stop it; tell whether it is new. One that must not be touched is spared.

        Args:
            found: a look at it; whether it is still that process is seen once it is held.
            belongs: asked, with a new look, once it is held.
        """
        if self.holds(found) or found.pid in self.left:
            return False
        held = self._held(found)
        if held is None:
            return False
        with held:
            now = self._now(found)
            if now is None or (belongs is not None and not belongs(now)) or not held.numbered(self._proc):
                return False
            self._inodes[found.pid, found.start_ticks] = held.inode
            refusal = self._shield.refusal(now)
            if refusal is not None:
                self.spared[found.pid] = (now, refusal.reason)
                return True
            self.members[found.pid] = now
            try:
                held.send(signal.SIGSTOP)
            except ProcessLookupError:
                pass
            except OSError as error:
                self.failed[found.pid] = (error.strerror or "it failed").lower()
        return True

    def _held(self, found: ProcessStat) -> Pidfd | None:
        """Return the very process of a look, held; None where it has ended or another has its number."""
        try:
            held = Pidfd(found.pid)
        except ProcessLookupError:
            return None
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return None
            raise
        inode = self._inodes.get((found.pid, found.start_ticks), held.inode)
        if self._now(found) is None or held.inode != inode or held.ended:
            held.close()
            return None
        return held

    def release(self, gone: Callable[[ProcessStat], bool]) -> None:
        """Let members run again that left before they stopped; they are named, and not killed."""
        for member in list(self.members.values()):
            look = self._now(member)
            if look is not None and not look.dead and gone(look):
                del self.members[member.pid]
                self.left[member.pid] = look
                if member.state not in "Tt":
                    self._resume(member)

    def _resume(self, member: ProcessStat) -> None:
        with contextlib.suppress(OSError):
            held = self._held(member)
            if held is not None:
                with held:
                    held.send(signal.SIGCONT)

    def wait_until_stopped(self, until: float) -> bool:
        """Wait until every thread of every member has stopped or ended, so long at the most; it takes a moment."""
        calm_since: float | None = None
        while True:
            states = set().union(*(self._states(member) for member in self.members.values()))
            now = time.monotonic()
            if states <= set(_STOPPED):
                return True
            calm_since = (calm_since or now) if states <= {*_STOPPED, "D"} else None
            if calm_since is not None and now - calm_since >= _CALM:
                return True
            if now >= until:
                return False
            time.sleep(_PAUSE)

    def _states(self, member: ProcessStat) -> set[str]:
        look = None if member.pid in self.failed else self._now(member)
        if look is None:
            return set()
        # A main thread that has ended says nothing of the others.
        return {look.state} if look.threads <= 1 else set(self._proc.states(member.pid))

    def _now(self, member: ProcessStat) -> ProcessStat | None:
        """Return a look at a member as it is now; None where it is gone."""
        look = self._proc.stat(member.pid)
        return look if look is not None and look.start_ticks == member.start_ticks else None

    def kill(self) -> None:
        """Send each member the signal that cannot be refused."""
        for member in list(self.members.values()):
            held = self._held(member)
            if held is None:
                continue
            with held:
                try:
                    held.send(signal.SIGKILL)
                    self.failed.pop(member.pid, None)
                except ProcessLookupError:
                    pass
                except OSError as error:
                    self.failed[member.pid] = (error.strerror or "it failed").lower()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let members run again where something went wrong before they were killed: nobody else would."""
        if error is None:
            return
        for member in self.members.values():
            if member.state not in "Tt":
                self._resume(member)

    def survivors(self, until: float) -> list[ProcessStat]:
        """Return the members that are still alive, when all are dead or the time is up."""
        while True:
            alive = [look for member in self.members.values() if (look := self._alive(member)) is not None]
            if not alive or time.monotonic() >= until:
                return alive
            time.sleep(_PAUSE)

    def _alive(self, member: ProcessStat) -> ProcessStat | None:
        look = self._now(member)
        if look is None or look.dead:
            return None
        held = self._held(member)
        if held is None:
            return None
        held.close()
        return look

    def details(self, survivors: Iterable[ProcessStat]) -> dict[str, Any]:
        """Return what happened to whom, as JSON data."""
        left = {look.pid for look in survivors}
        said: dict[str, Any] = {"killed": [look.to_dict() for pid, look in self.members.items() if pid not in left]}
        if self.spared:
            said["spared"] = [{**look.to_dict(), "reason": why} for look, why in self.spared.values()]
        if left:
            said["survivors"] = [
                {**look.to_dict(), "reason": self.failed.get(look.pid, "still alive")}
                for look in self.members.values()
                if look.pid in left
            ]
        return said


# What became of a group or tree, for people and as data.

_NAMED: Final = 10


def kill_result(
    processes: ProcessSet, survivors: Sequence[ProcessStat], escaped: Sequence[ProcessStat], *, settled: bool, what: str
) -> Result:
    """Return `done` only where nothing was spared, survived or may have got away.

    Args:
        processes: what was caught.
        survivors: those of it that are alive still.
        escaped: who may have got away.
        settled: whether all of it was stopped before it was killed.
        what: such as ``tree of process 7``.
    """
    details = processes.details(survivors)
    away = [*processes.left.values(), *(look for look in escaped if look.pid not in processes.left)]
    if away:
        details["escaped"] = [{**look.to_dict(), "ppid": look.ppid} for look in away]
    killed = len(details["killed"])
    if not (processes.spared or survivors or away) and settled:
        return Result(
            "done", f"killed the {what}: {'1 process' if killed == 1 else f'{killed} processes'}", "", details
        )
    missing = []
    if processes.spared:
        missing.append("spared " + "; ".join(reason for _, reason in processes.spared.values()))
    if survivors:
        missing.append(f"alive still: {_names(survivors)}")
    if away:
        missing.append(f"may have got away: {_names(away)}")
    if not settled:
        missing.append("it could not all be stopped before the time was up, so some may have got away unseen")
    status: Status = "incomplete" if killed or processes.spared or processes.left else "failed"
    return Result(status, f"killed {killed} of the {what}; {'; '.join(missing)}", "", details)


def _names(looks: Sequence[ProcessStat]) -> str:
    more = f" and {len(looks) - _NAMED} more" if len(looks) > _NAMED else ""
    return ", ".join(f"{look.pid} `{look.shown}`" for look in looks[:_NAMED]) + more
