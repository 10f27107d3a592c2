"""Circuit breakers: how many distinct targets may be killed in a window, per policy, per namespace and overall.

``_breaker`` holds the rule; this module holds the limits, the clock, and the state that survives a restart. Limits are
per guard, and so per process.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from spyderresp.execution.clock import Clock
from spyderresp.execution.guards._breaker import Breaker, admit, replay

#: The actions that breakers count. A renice can be undone, so it is not among them.
KILLS: Final = frozenset({"agentKillProcess", "agentKillProcessGroup", "agentKillProcessTree", "agentKillPod"})
OVERALL: Final = "overall"
_NAMESPACE: Final = "namespace "
_VERSION: Final = 2
_HIGHEST: Final = 1_000_000_000
#: A start within so many seconds after the saved state is a restart, without a warm-up.
_RESTART_SECONDS: Final = 600.0
#: How many targets are assumed if the saved state cannot be read. A limit above it stays as it is.
_ASSUMED_TARGETS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How many distinct targets may be killed in a window.

    Attributes:
        policy: for each action and policy.
        namespace: in each namespace; targets without one do not count.
        overall: by this guard.
        window: seconds.
        warm_up: in the first ``warm_up_seconds`` after start no limit of a policy or namespace is higher than this.
            A restart whose journal holds a state of the last 10 minutes does not warm up.
        warm_up_seconds: seconds.

    Raises:
        ValueError: a number is negative, or a limit is above 1,000,000,000.
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
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _HIGHEST:
                raise ValueError(f"the limit `{name}` must be an integer from 0 to {_HIGHEST:,}, not {value!r}")
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
    """A breaker that refuses a kill.

    Attributes:
        name: such as ``overall``, ``namespace shop`` or ``agentKillPod of web-containers``.
        limit: its limit now.
        alarm: whether an ops flag is due: at the first refusal, and again every window while it refuses.
    """

    name: str
    limit: int
    alarm: bool


class _Known:
    """Breakers by name, made when they are first met."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.breakers: dict[str, Breaker] = {}

    def named(self, name: str, limit: int) -> Breaker:
        breaker = self.breakers.get(name)
        if breaker is None:
            breaker = self.breakers[name] = Breaker(name, limit, name != OVERALL)
        return breaker

    def of_policies(self, action: str, policies: Sequence[str]) -> tuple[Breaker, ...]:
        names = dict.fromkeys(policies or ("",))
        return tuple(self.named(f"{action} of {policy}", self.limits.policy) for policy in names)

    def of_namespace(self, namespace: str | None) -> tuple[Breaker, ...]:
        return (self.named(f"{_NAMESPACE}{namespace}", self.limits.namespace),) if namespace else ()

    def overall(self) -> tuple[Breaker, ...]:
        return (self.named(OVERALL, self.limits.overall),)


def attempt_all(
    limits: Limits,
    asked: Sequence[tuple[str, tuple[str, ...]]],
    namespaces: Sequence[str | None],
    times: Any,
    asked_by: Any,
    targets: Any,
    namespaces_of: Any,
) -> tuple[list[list[Any]], int]:
    """Attempt recorded kills, as ``Breakers.admit`` would at their times; the warm-up begins with the first.

    Args:
        limits: those of the guard.
        asked: action and policies, of which each kill has one.
        namespaces: namespaces, of which each kill may have one.
        times: seconds of each kill, ascending: a buffer of doubles.
        asked_by: place in ``asked`` of each: a buffer of int32.
        targets: number of the target of each, from 1; 0 is a new target each time: a buffer of int32.
        namespaces_of: place in ``namespaces`` of each, -1 for none: a buffer of int32.

    Returns:
        Time, breaker, limit of each ops flag that would be raised, and the kills which that breaker refuses until its
        next flag; and how many kills are refused.
    """
    known = _Known(limits)
    return replay(
        times,
        asked_by,
        targets,
        namespaces_of,
        [known.of_policies(*one) for one in asked],
        [known.of_namespace(name) for name in namespaces],
        known.overall(),
        limits.window,
        limits.warm_up,
        limits.warm_up_seconds,
    )


class Breakers:
    """The breakers of a guard and their state. Not locked: the guard is."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._started = clock.steady()
        self._known = _Known(limits)

    def admit(self, step: KillRequest, identity: str, namespace: str | None) -> Sequence[TrippedBreaker]:
        """Count an attempted kill and return the breakers that refuse it; none: it may be carried out."""
        now = self._clock.steady()
        limits = self._limits
        levels = (
            self._known.of_policies(step.action, step.policies),
            self._known.of_namespace(namespace),
            self._known.overall(),
        )
        refusing = admit(levels, identity, now, limits.window, self._warm_up(now)) or ()
        return [TrippedBreaker(breaker.name, limit, alarm) for breaker, limit, alarm in refusing]

    def _warm_up(self, now: float) -> int:
        return self._limits.warm_up if now - self._started < self._limits.warm_up_seconds else -1

    def open(self) -> dict[str, float]:
        """Return the names of the open breakers, and for how many seconds each has been open."""
        now = self._clock.steady()
        warm_up, window = self._warm_up(now), self._limits.window
        return {
            name: now - breaker.opened
            for name, breaker in self._known.breakers.items()
            if breaker.opened is not None and breaker.attempted(now, window) > breaker.limit_now(warm_up)
        }

    def rearm(self, name: str | None = None) -> None:
        """Close one breaker, or all of them (None). What they counted is forgotten."""
        for known in [name] if name is not None else list(self._known.breakers):
            self._known.breakers.pop(known, None)

    def state(self) -> dict[str, Any]:
        """Return what must survive a restart, as JSON data. Breakers without an attempt in the window are dropped."""
        now = self._clock.steady()
        self._known.breakers = {
            name: breaker
            for name, breaker in self._known.breakers.items()
            if breaker.attempted(now, self._limits.window)
        }
        held = {name: breaker.state() for name, breaker in self._known.breakers.items()}
        return {
            "version": _VERSION,
            "boot": self._clock.boot(),
            "steady": now,
            "wall": self._clock.wall(),
            "breakers": {
                name: {"targets": targets, "opened": opened, "alarmed": alarmed}
                for name, (targets, opened, alarmed) in held.items()
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Add the state that ``state`` returned in an earlier process. After a restart there is no warm-up.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: it is something else.
        """
        if state["version"] != _VERSION:
            raise ValueError(f"version {state['version']!r} is unknown")
        now = self._clock.steady()
        kept = float(state["steady"])
        # After a reboot only the wall clock says how much time has passed. Where it went back, no time has passed.
        same_boot = bool(state["boot"]) and state["boot"] == self._clock.boot() and kept <= now
        shift = 0.0 if same_boot else now - max(0.0, self._clock.wall() - float(state["wall"])) - kept

        def moved(moment: Any) -> float:
            if not math.isfinite(moment):
                raise ValueError(f"{moment!r} is no time")
            return min(now, float(moment) + shift)

        if 0 <= (now - kept if same_boot else self._clock.wall() - float(state["wall"])) <= _RESTART_SECONDS:
            self._started = -math.inf
        for name, held in state["breakers"].items():
            targets = [(str(target), moved(moment)) for target, moment in held["targets"]]
            opened, alarmed = (None if held[key] is None else moved(held[key]) for key in ("opened", "alarmed"))
            self._known.named(name, self._limit(name)).restore(targets, opened, alarmed)

    def _limit(self, name: str) -> int:
        if name == OVERALL:
            return self._limits.overall
        return self._limits.namespace if name.startswith(_NAMESPACE) else self._limits.policy

    def open_overall(self) -> None:
        """Refuse every kill for a window: the state of an earlier process cannot be read, so it counts as a flood."""
        now = self._clock.steady()
        (breaker,) = self._known.overall()
        breaker.restore([("", now)] * (min(self._limits.overall, _ASSUMED_TARGETS) + 1), now, None)
