"""Verified processes, held, and what can be done to them: kill, kill the group, kill the tree, renice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from spyderresp.executors.local.cgroup import Cgroup, owned_by
from spyderresp.executors.local.killing import Pack, urgent
from spyderresp.executors.local.pidfd import Pidfd
from spyderresp.executors.local.proc import Proc, Stat
from spyderresp.executors.local.shield import Shield, ancestors
from spyderresp.report import Result, Status, refused

_PASSES: Final = 100
_LOOKS: Final = 20
NICE_MIN: Final = -20
NICE_MAX: Final = 19


@dataclass(frozen=True, slots=True)
class Bounds:
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
        found: Stat,
        proc: Proc,
        shield: Shield,
        *,
        namespace: str | None,
        facts: Mapping[str, Any],
        parents: tuple[int, ...],
        bounds: Bounds,
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
        return f"process {self._found.pid} `{self._found.name}`"

    def _gone(self) -> Result:
        return Result("already", f"{self._who()} has ended by itself", details=dict(self._facts))


class HeldForKill(HeldProcess):
    """Kills the process and nothing else."""

    def act(self) -> Result:
        """Kill it, and see it dead."""
        if self._pidfd.ended:
            return self._gone()
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


class HeldForGroup(HeldProcess):
    """Kills the process's own group, member by member."""

    def act(self) -> Result:
        """Stop the group until no more of it is found, kill it, and see it dead."""
        now = self._proc.stat(self._found.pid)
        if now is None or self._pidfd.ended:
            return self._gone()
        if (refusal := group_refusal(now, self._proc)) is not None:
            return refusal
        with urgent():
            return self._kill(now)

    def _kill(self, now: Stat) -> Result:
        pack = Pack(self._proc, self._shield)
        until = time.monotonic() + self._bounds.settle
        with pack:
            settled = self._stop(pack, now, until)
            pack.kill()
        survivors = pack.living(time.monotonic() + self._bounds.wait)
        # What a member forked right before it stopped; the number of a group is not reused while one of it lives.
        late = [look for look in self._proc.everyone().values() if look.pgid == now.pgid and not look.dead]
        late = [look for look in late if not pack.holds(look)] if pack.members else []
        return _told(pack, survivors, late, settled=settled, what=f"group {now.pgid} of {self._who()}")

    def _stop(self, pack: Pack, target: Stat, until: float) -> bool:
        """Stop members until a look at everyone finds no new one; tell whether it came to that."""
        while True:
            new = False
            for look in self._proc.everyone().values():
                if look.pgid == target.pgid and not look.dead and not pack.holds(look):
                    # The target, held and not yet killed, keeps the group's number from being another's.
                    if self._pidfd.ended and not pack.members:
                        return False
                    new = pack.stop(look) or new
            still = pack.standing_still(until)
            if not new and still:
                return True
            if time.monotonic() >= until:
                return False


def group_refusal(target: Stat, proc: Proc) -> Result | None:
    """Return why a target's group must not be killed, or None: those of the kernel, of PID 1 and ours."""
    if target.pgid in (0, 1):
        return refused("never:group", f"group {target.pgid} is never killed")
    theirs = {look.pgid for pid in ancestors(proc) if (look := proc.stat(pid)) is not None and pid == os.getpid()}
    if target.pgid == os.getpgrp() or target.pgid in theirs:
        return refused("never:group", f"group {target.pgid} is ours")
    return None


class HeldForTree(HeldProcess):
    """Kills the process and all that came of it."""

    def act(self) -> Result:
        """Stop the tree until no more of it is found, kill it, and see it dead; by its cgroup where it owns one."""
        if self._pidfd.ended:
            return self._gone()
        with urgent():
            return self._kill()

    def _kill(self) -> Result:
        pack = Pack(self._proc, self._shield)
        until = time.monotonic() + self._bounds.settle
        # Frozen first: then nothing forks while it is looked at.
        cgroup = owned_by(self._found, self._proc, self._shield, until)
        cgroups = self._proc.cgroups(self._found.pid)
        try:
            with pack:
                settled = self._stop(pack, until, frozen=cgroup is not None)
                if cgroup is not None:
                    return self._kill_cgroup(pack, cgroup)
                pack.kill()
        finally:
            if cgroup is not None:
                cgroup.thaw()
        survivors = pack.living(time.monotonic() + self._bounds.wait)
        late = self._descendants(pack) if pack.members else []
        return _told(
            pack, survivors, [*late, *self._orphans(pack, cgroups)], settled=settled, what=f"tree of {self._who()}"
        )

    def _kill_cgroup(self, pack: Pack, cgroup: Cgroup) -> Result:
        for pid in cgroup.pids():
            look = self._proc.stat(pid)
            if look is not None and not pack.holds(look):
                pack.members[pid] = look
        cgroup.kill()
        # Of the tree, what lives in other cgroups.
        pack.kill()
        until = time.monotonic() + self._bounds.wait
        emptied = cgroup.emptied(until)
        survivors = pack.living(until)
        return _told(pack, survivors, [], settled=emptied, what=f"tree of {self._who()}, by its cgroup")

    def _stop(self, pack: Pack, until: float, *, frozen: bool) -> bool:
        """Stop the target and its descendants until no new one is found; tell whether it came to that."""
        target = self._proc.stat(self._found.pid)
        if target is not None and target.start_ticks == self._found.start_ticks:
            pack.stop(target)
        while True:
            new = False
            for look in self._descendants(pack):
                new = pack.stop(look) or new
            still = frozen or pack.standing_still(until)
            if not new and still:
                return True
            if time.monotonic() >= until:
                return False

    def _descendants(self, pack: Pack) -> list[Stat]:
        """Return the living processes below the members that are none yet, parents before children."""
        everyone = self._proc.everyone()
        children: dict[int, list[Stat]] = {}
        for look in everyone.values():
            children.setdefault(look.ppid, []).append(look)
        found: list[Stat] = []
        # A spared one's children are not spared with it.
        ahead = [*pack.members, *pack.spared]
        seen = set(ahead)
        while ahead:
            for look in children.get(ahead.pop(), ()):
                # What we have started ourselves is ours, wherever we stand.
                if look.pid not in seen and look.ppid != os.getpid():
                    seen.add(look.pid)
                    ahead.append(look.pid)
                    if not look.dead:
                        found.append(look)
        return found

    def _orphans(self, pack: Pack, cgroups: list[tuple[str, str]]) -> list[Stat]:
        """Return who may have come of the tree and got away: its parent a reaper, its cgroup the target's, younger.

        What re-parents leaves no trace that proves it: to name one too many is better than `done` over a survivor. One
        that forks and ends all the time can slip through a look, so while anybody forks there is another.
        """
        ours = frozenset(ancestors(self._proc))
        found: dict[int, Stat] = {}
        for _ in range(_LOOKS):
            forks = self._proc.forks()
            everyone = self._proc.everyone()
            for look in everyone.values():
                if (
                    look.start_ticks >= self._found.start_ticks
                    and not (look.dead or look.kernel or look.pid in ours or pack.holds(look))
                    and self._may_be_reaped(look, pack, everyone)
                    and self._was_in(cgroups, look)
                ):
                    found[look.pid] = look
            if found or (forks is not None and forks == self._proc.forks()):
                break
        return list(found.values())

    def _was_in(self, cgroups: list[tuple[str, str]], look: Stat) -> bool:
        """Tell whether a process was in these cgroups; of one that has ended since, nobody can say that it was not."""
        if self._proc.cgroups(look.pid) == cgroups:
            return True
        now = self._proc.stat(look.pid)
        return now is None or now.dead or now.start_ticks != look.start_ticks

    def _may_be_reaped(self, look: Stat, pack: Pack, everyone: Mapping[int, Stat]) -> bool:
        """Tell whether a process may have been given to its parent as an orphan of the tree.

        PID 1 takes orphans, and any ancestor may: of an ancestor's children only those count that are not plainly its
        own.
        """
        if look.ppid == 1:
            return True
        if look.ppid not in self._parents or (parent := everyone.get(look.ppid)) is None:
            return False
        return look.session != parent.session or look.pgid in {member.pgid for member in pack.members.values()}


def _told(pack: Pack, survivors: list[Stat], escaped: list[Stat], *, settled: bool, what: str) -> Result:
    """Return what became of a group or tree: `done` only where nothing was spared, survived or may have got away."""
    details = pack.told(survivors)
    if escaped:
        details["escaped"] = [{**look.to_dict(), "ppid": look.ppid} for look in escaped]
    killed = len(details["killed"])
    said = f"killed {killed} of the {what}"
    if not (pack.spared or survivors or escaped) and settled:
        return Result("done", f"killed the {what}: {_people(killed)}", details=details)
    missing = []
    if pack.spared:
        missing.append("spared " + "; ".join(reason for _, reason in pack.spared.values()))
    if survivors:
        missing.append("alive still: " + ", ".join(f"{look.pid} `{look.name}`" for look in survivors[:10]))
    if escaped:
        names = ", ".join(f"{look.pid} `{look.name}`" for look in escaped[:10])
        missing.append(f"may have got away: {names}")
    if not settled:
        missing.append("it kept forking until the time was up")
    status: Status = "incomplete" if killed or pack.spared else "failed"
    return Result(status, f"{said}; {'; '.join(missing)}", details=details)


def _people(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"
