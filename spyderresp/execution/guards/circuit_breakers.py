"""Circuit breakers: a limit for each action and policy, for each namespace, and for all kills together.

Every kill must pass each breaker that applies to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol

from spyderresp.execution.clock import Clock

# One breaker is a state machine in one pure function; tests/unit/test_breaker.py visits all of its states.
#
#     closed --a new target beyond the limit--> open --no attempt for a whole window, or by hand--> closed
#
# An open breaker refuses every attempt, and each attempt keeps it open for another window.

Verdict = Literal["allowed", "opened", "refused"]


@dataclass(frozen=True, slots=True)
class Breaker:
    """The state of one breaker. All times are seconds of a clock that never goes back.

    Attributes:
        targets: the distinct targets of the window, each with the time of its last admitted kill, oldest first.
        opened: when the breaker opened; None: it is closed.
        last: when the latest attempt was made.
    """

    targets: tuple[tuple[str, float], ...] = ()
    opened: float | None = None
    last: float = 0.0

    def idle(self, now: float, window: float) -> bool:
        """Return whether the window passed without an attempt, so that this state equals a new one."""
        return now - self.last >= window


def attempt(state: Breaker, target: str, now: float, *, limit: int, window: float) -> tuple[Breaker, Verdict]:
    """Return the state after one attempt on a target, and the verdict.

    An empty target counts as a new one each time. ``limit`` is the most distinct targets in ``window`` seconds.
    """
    if state.opened is not None:
        if not state.idle(now, window):
            return replace(state, last=max(now, state.last)), "refused"
        state = Breaker()
    recent = tuple(item for item in state.targets if now - item[1] < window)
    # A repeated target counts from its latest kill, so that no window has more targets than the limit.
    others = tuple(item for item in recent if not target or item[0] != target)
    if len(others) >= limit:
        return Breaker(recent, now, now), "opened"
    return Breaker((*others, (target, now)), None, now), "allowed"


#: The actions that breakers count. A renice can be taken back and is not counted.
KILLS: Final = frozenset({"agentKillProcess", "agentKillProcessGroup", "agentKillProcessTree", "agentKillPod"})
#: The name of the breaker that applies to every kill.
OVERALL: Final = "overall"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """How many distinct targets may be killed in a window.

    ::

        Guard(limits=Limits(policy=5, overall=20))

    Attributes:
        policy: the most targets for each action of each policy.
        namespace: the most targets in each namespace, and the most outside of namespaces.
        overall: the most targets of all kills together.
        window: seconds.
        warm_up: in the first ``warm_up_seconds`` after the start no limit is higher than this.
        warm_up_seconds: seconds.

    Raises:
        ValueError: a number of targets is not an integer from 0, or a number of seconds is negative or infinite.
    """

    policy: int = 10
    namespace: int = 10
    overall: int = 30
    window: float = 60.0
    warm_up: int = 3
    warm_up_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in ("policy", "namespace", "overall", "warm_up"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"the limit `{name}` must be an integer from 0, not {value!r}")
        for name in ("window", "warm_up_seconds"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < float("inf"):
                raise ValueError(f"`{name}` must be seconds, not {value!r}")


class KillRequest(Protocol):
    """The parts of a step that breakers need."""

    @property
    def action(self) -> str:
        """One of ``KILLS``, such as ``agentKillPod``."""

    @property
    def policies(self) -> tuple[str, ...]:
        """The names of the policies that asked for the kill; may be empty."""


@dataclass(frozen=True, slots=True)
class TrippedBreaker:
    """A breaker that refused a kill.

    Attributes:
        name: such as ``overall``, ``namespace shop`` or ``agentKillPod of web-containers``.
        limit: the most targets that it admits in a window now.
        new: whether this kill opened it; if not, it was open before.
    """

    name: str
    limit: int
    new: bool


class Breakers:
    """All breakers of a guard. Not thread-safe: the guard holds a lock."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._started = clock.steady()
        self._states: dict[str, Breaker] = {}

    def admit(self, kill: KillRequest, identity: str, namespace: str | None) -> Sequence[TrippedBreaker]:
        """Count a kill with all of its breakers, and return none; or return the breakers that refuse it.

        ``identity`` and ``namespace`` are those of the target.
        """
        now = self._clock.steady()
        warm = now - self._started < self._limits.warm_up_seconds
        after: dict[str, Breaker] = {}
        tripped: list[TrippedBreaker] = []
        for name, usual in _breakers_of(kill, namespace, self._limits).items():
            limit = min(usual, self._limits.warm_up) if warm else usual
            before = self._states.get(name, Breaker())
            after[name], verdict = attempt(before, identity, now, limit=limit, window=self._limits.window)
            if verdict != "allowed":
                tripped.append(TrippedBreaker(name, limit, verdict == "opened"))
        # If one breaker refuses, nothing is killed: the others must not count the target.
        changed = [item.name for item in tripped] or list(after)
        self._states.update({name: after[name] for name in changed})
        return tripped

    def open(self) -> dict[str, float]:
        """Return the open breakers by name, each with the seconds since it opened."""
        now = self._clock.steady()
        return {
            name: now - state.opened
            for name, state in self._states.items()
            if state.opened is not None and not state.idle(now, self._limits.window)
        }

    def rearm(self, name: str | None = None) -> None:
        """Close one breaker, or all of them if ``name`` is None, and forget the targets that it counted."""
        for known in [name] if name is not None else list(self._states):
            self._states.pop(known, None)

    def state(self) -> dict[str, Any]:
        """Return the state of all breakers as JSON data, for ``restore``. Idle breakers are deleted first."""
        now = self._clock.steady()
        for name in [name for name, state in self._states.items() if state.idle(now, self._limits.window)]:
            del self._states[name]
        return {
            "version": _VERSION,
            "boot": self._clock.boot(),
            "steady": now,
            "wall": self._clock.wall(),
            "breakers": {
                name: {"targets": [list(item) for item in state.targets], "opened": state.opened, "last": state.last}
                for name, state in self._states.items()
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Add the state that ``state`` returned in an earlier process.

        Raises:
            KeyError, TypeError, ValueError: it is not such a state.
        """
        if state["version"] != _VERSION:
            raise ValueError(f"version {state['version']!r} is unknown")
        now = self._clock.steady()
        saved = float(state["steady"])
        # After a reboot only the wall clock shows how much time passed; if it went back, assume that none passed.
        same_boot = bool(state["boot"]) and state["boot"] == self._clock.boot() and saved <= now
        shift = 0.0 if same_boot else now - max(0.0, self._clock.wall() - float(state["wall"])) - saved

        def moved(moment: Any) -> float:
            return min(now, float(moment) + shift)

        for name, data in state["breakers"].items():
            opened = data["opened"]
            targets = {(str(target), moved(moment)) for target, moment in data["targets"]}
            ours = self._states.get(str(name), Breaker())
            self._states[str(name)] = Breaker(
                tuple(sorted({*ours.targets, *targets}, key=lambda item: item[1])),
                ours.opened if opened is None else moved(opened),
                max(ours.last, moved(data["last"])),
            )

    def open_overall(self) -> None:
        """Open the breaker that applies to every kill, because the saved state cannot be read."""
        now = self._clock.steady()
        self._states[OVERALL] = Breaker((), now, now)


def _breakers_of(kill: KillRequest, namespace: str | None, limits: Limits) -> dict[str, int]:
    """Return the breakers that apply to a kill: name and limit."""
    breakers = {f"{kill.action} of {policy}": limits.policy for policy in kill.policies or ("",)}
    breakers[f"namespace {namespace}" if namespace else "no namespace"] = limits.namespace
    breakers[OVERALL] = limits.overall
    return breakers
