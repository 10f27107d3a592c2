"""All breakers of a guard: per action and policy, per namespace, and overall.

Each kill must pass every one that it meets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol

from spyderresp.execution.clock import Clock

# A breaker: a small state machine, as one pure function. tests/unit/test_breaker.py walks all of its states.
#
#     closed --a new target beyond the limit--> open --a window without any attempt, or by hand--> closed
#
# While it is open every attempt is refused and starts the quiet window anew, so that a flood cannot wait it out.

Verdict = Literal["allowed", "opened", "refused"]


@dataclass(frozen=True, slots=True)
class Breaker:
    """The state of one breaker.

    Attributes:
        targets: the distinct targets of the window and when each was last allowed, in seconds of a steady clock, oldest
            first.
        opened: when it opened, or None while it is closed.
        last: the latest attempt.
    """

    targets: tuple[tuple[str, float], ...] = ()
    opened: float | None = None
    last: float = 0.0

    def idle(self, now: float, window: float) -> bool:
        """Whether it says no more than a new one would."""
        return now - self.last >= window


def attempt(state: Breaker, target: str, now: float, *, limit: int, window: float) -> tuple[Breaker, Verdict]:
    """Return the state after an attempt on a target, and the verdict.

    Args:
        state: the state before.
        target: what tells this target from others; an empty text is a new target each time.
        now: seconds of the clock that ``state`` speaks of.
        limit: how many distinct targets a window may have.
        window: its length in seconds.
    """
    if state.opened is not None:
        if not state.idle(now, window):
            return replace(state, last=max(now, state.last)), "refused"
        state = Breaker()
    recent = tuple(item for item in state.targets if now - item[1] < window)
    # A target met again counts from now on: else two could be touched within a window that allows one.
    others = tuple(item for item in recent if not target or item[0] != target)
    if len(others) >= limit:
        return Breaker(recent, now, now), "opened"
    return Breaker((*others, (target, now)), None, now), "allowed"


#: What a breaker counts: renicing can be taken back, and is not among it.
KILLS: Final = frozenset({"agentKillProcess", "agentKillProcessGroup", "agentKillProcessTree", "agentKillPod"})
OVERALL: Final = "overall"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """How many distinct targets may be killed in a window.

    Attributes:
        policy: for each action and policy.
        namespace: in each namespace; targets without one share one limit.
        overall: by this guard altogether.
        window: seconds.
        warm_up: in the first ``warm_up_seconds`` after start no limit is higher than this.
        warm_up_seconds: seconds.
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
    """What breakers look at in a kill: a step has it."""

    @property
    def action(self) -> str: ...
    @property
    def policies(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class TrippedBreaker:
    """A breaker that stands in the way.

    Attributes:
        name: such as ``overall``, ``namespace shop`` or ``agentKillPod of web-containers``.
        limit: what it allows now.
        new: whether it opened by this very attempt.
    """

    name: str
    limit: int
    new: bool


class Breakers:
    """The breakers and their state. Not locked: the guard is."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._started = clock.steady()
        self._states: dict[str, Breaker] = {}

    def admit(self, step: KillRequest, identity: str, namespace: str | None) -> Sequence[TrippedBreaker]:
        """Return the breakers that stand in the way of a kill; where there is none, it is counted by all it meets."""
        now = self._clock.steady()
        warm = now - self._started < self._limits.warm_up_seconds
        met = _met(step, namespace, self._limits)
        after: dict[str, Breaker] = {}
        shut: list[TrippedBreaker] = []
        for name, limit in met.items():
            allowed = min(limit, self._limits.warm_up) if warm else limit
            before = self._states.get(name, Breaker())
            state, verdict = attempt(before, identity, now, limit=allowed, window=self._limits.window)
            after[name] = state
            if verdict != "allowed":
                shut.append(TrippedBreaker(name, allowed, verdict == "opened"))
        blocked = {item.name for item in shut}
        # One that refuses keeps the others from counting a target that nobody touches.
        self._states.update({name: state for name, state in after.items() if not shut or name in blocked})
        return shut

    def open(self) -> dict[str, float]:
        """Return the names of the open breakers, and for how many seconds each has been open."""
        now = self._clock.steady()
        return {
            name: now - state.opened
            for name, state in self._states.items()
            if state.opened is not None and not state.idle(now, self._limits.window)
        }

    def rearm(self, name: str | None = None) -> None:
        """Close one breaker by hand, or all; what they counted is forgotten."""
        for known in [name] if name is not None else list(self._states):
            self._states.pop(known, None)

    def state(self) -> dict[str, Any]:
        """Return what must survive a restart, as JSON data; breakers that say nothing are dropped here."""
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
        """Take over what ``state`` returned in an earlier process.

        Raises:
            KeyError, TypeError, ValueError: it is not that.
        """
        if state["version"] != _VERSION:
            raise ValueError(f"version {state['version']!r} is unknown")
        now = self._clock.steady()
        kept = float(state["steady"])
        # Of another boot only the wall clock tells the time that has passed; where that went back, none has.
        same = bool(state["boot"]) and state["boot"] == self._clock.boot() and kept <= now
        shift = 0.0 if same else now - max(0.0, self._clock.wall() - float(state["wall"])) - kept

        def moved(moment: Any) -> float:
            return min(now, float(moment) + shift)

        for name, held in state["breakers"].items():
            opened = held["opened"]
            kept_targets = tuple((str(target), moved(moment)) for target, moment in held["targets"])
            ours = self._states.get(str(name), Breaker())
            self._states[str(name)] = Breaker(
                tuple(sorted({*ours.targets, *kept_targets}, key=lambda item: item[1])),
                ours.opened if opened is None else moved(opened),
                max(ours.last, moved(held["last"])),
            )

    def shut_all(self) -> None:
        """Open the breaker that every kill meets: what was kept cannot be understood, and counts against it."""
        now = self._clock.steady()
        self._states[OVERALL] = Breaker((), now, now)


def _met(step: KillRequest, namespace: str | None, limits: Limits) -> dict[str, int]:
    """Return the breakers that a kill meets, with their limits."""
    met = {f"{step.action} of {policy}": limits.policy for policy in step.policies or ("",)}
    met[f"namespace {namespace}" if namespace else "no namespace"] = limits.namespace
    met[OVERALL] = limits.overall
    return met
