"""The guard: everything that can refuse a step for another reason than its target."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from spyderresp.execution.clock import Clock
from spyderresp.execution.guards.circuit_breakers import KILLS, Breakers, Limits
from spyderresp.execution.guards.silences import Cooldown, Silence
from spyderresp.execution.interfaces import Alarm, Held, KeptState
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result, refused
from spyderresp.execution.steps import Step

#: Where the kill switch is looked for unless told otherwise. Anybody who can make this file can stop every action.
DEFAULT_KILL_SWITCH: Final = "/run/spyderresp/halt"
#: The vendor's own cooldown of flags, in seconds.
VENDOR_COOLDOWN: Final = 3600.0
#: Seconds that an event's time may lie ahead of the clock.
_AHEAD: Final = 60.0


class Guard:
    """Refuses steps; on by default; where it cannot tell, it refuses. Safe to share between threads.

    Args:
        protection: what no action may touch.
        limits: how many distinct targets may be killed in a window.
        expiry: seconds after an event's ``time`` (or arrival) in which agent actions may be taken. Flags do not expire.
        kill_switch: while this file exists no agent action is taken; None: there is no such file.
        mode: ``audit`` takes nothing at all, flags included, at once.
        cooldown: seconds in which one policy's flag about one target is raised once; 0: off.
        silences: what keeps flags quiet until a time.
        clock: where the time comes from.

    Raises:
        ValueError: a setting makes no sense.
    """

    def __init__(
        self,
        *,
        protection: Protection | None = None,
        limits: Limits | None = None,
        expiry: float = 60.0,
        kill_switch: str | os.PathLike[str] | None = DEFAULT_KILL_SWITCH,
        mode: Literal["audit"] | None = None,
        cooldown: float = 0.0,
        silences: Iterable[Silence] = (),
        clock: Clock | None = None,
    ) -> None:
        for name, seconds in (("expiry", expiry), ("cooldown", cooldown)):
            if not 0 <= seconds < float("inf"):
                raise ValueError(f"`{name}` must be seconds, not {seconds!r}")
        if mode not in (None, "audit"):
            raise ValueError(f"mode must be 'audit' or None, not {mode!r}")
        if limits is not None and not isinstance(limits, Limits):
            raise TypeError(f"limits are `Limits(...)`, not {limits!r}")
        self._protection = protection or Protection()
        self._expiry = expiry
        self._kill_switch = None if kill_switch is None else os.fspath(kill_switch)
        self._audit = mode == "audit"
        self._cooldown = Cooldown(cooldown)
        self._silences = tuple(silences)
        self._clock = clock or Clock()
        self._breakers = Breakers(limits or Limits(), self._clock)
        self._lock = threading.Lock()
        self._remembered: weakref.WeakSet[KeptState] = weakref.WeakSet()

    @property
    def protection(self) -> Protection:
        """What no action may touch."""
        return self._protection

    @property
    def mode(self) -> Literal["audit"] | None:
        """``audit``, or None. May be set at any time: it works at once."""
        return "audit" if self._audit else None

    @mode.setter
    def mode(self, mode: Literal["audit"] | None) -> None:
        if mode not in (None, "audit"):
            raise ValueError(f"mode must be 'audit' or None, not {mode!r}")
        self._audit = mode == "audit"

    def silence(self, silences: Iterable[Silence]) -> None:
        """Replace the silences."""
        self._silences = tuple(silences)

    def now(self) -> float:
        """Return the time in epoch seconds."""
        return self._clock.wall()

    def before(self, step: Step) -> Result | None:
        """Return why a step must not be tried, or None: mode, kill switch, expiry, silences."""
        if self._audit:
            return Result("audit", "the guard is in audit mode")
        now = self._clock.wall()
        if not step.is_flag and (stopped := self._halted() or self._expired(step, now)) is not None:
            return stopped
        for silence in self._silences:
            if silence.covers(step, now):
                return refused("silence", f"silenced: {silence.reason or dict(silence.match)}")
        return None

    def _halted(self) -> Result | None:
        if self._kill_switch is None:
            return None
        try:
            os.stat(self._kill_switch)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return refused("kill-switch", f"whether {self._kill_switch} exists cannot be told: {error.strerror}")
        return refused("kill-switch", f"the kill switch is on: {self._kill_switch} exists")

    def _expired(self, step: Step, now: float) -> Result | None:
        if step.time_unreadable:
            return Result("expired", "the event's time cannot be read, so that its age is not known")
        base = step.arrived if step.event_time is None else step.event_time
        if base - max(now, step.arrived) > _AHEAD:
            return Result("expired", f"the event's time lies {base - now:.0f} s in the future: clocks disagree")
        age = now - min(base, step.arrived)
        if age > self._expiry:
            what = "arrived" if step.event_time is None else "happened"
            return Result(
                "expired", f"the event {what} {age:.0f} s ago; agent actions are taken within {self._expiry:.0f} s"
            )
        return None

    def admit(self, step: Step, held: Held | None) -> tuple[Result | None, tuple[Alarm, ...]]:
        """Return why a step must not be taken now, or None, and what there is to tell: breakers and cooldown."""
        with self._lock:
            if step.is_flag:
                left = self._cooldown.left(step, self._clock.steady())
                said = f"raised for this target a moment ago; quiet for {left:.0f} s more"
                return (refused("cooldown", said) if left else None), ()
            if step.action not in KILLS or held is None:
                return None, ()
            shut = self._breakers.admit(step, held.identity, held.namespace)
        if not shut:
            return None, ()
        now = self._clock.wall()
        alarms = tuple(
            Alarm(
                f"breaker:{item.name}",
                f"the breaker `{item.name}` is open: more than {item.limit} targets; kills that meet it are refused",
                {"breaker": item.name, "limit": item.limit, "action": step.action, "policies": list(step.policies)},
                now,
            )
            for item in shut
            if item.alarm
        )
        first = shut[0]
        return refused(
            f"breaker:{first.name}", f"the breaker `{first.name}` is open: more than {first.limit} targets"
        ), alarms

    def open_breakers(self) -> dict[str, float]:
        """Return the names of the open breakers, and for how many seconds each has been open."""
        with self._lock:
            return self._breakers.open()

    def rearm(self, name: str | None = None) -> None:
        """Close one breaker by hand, or all."""
        with self._lock:
            self._breakers.rearm(name)

    def state(self) -> Mapping[str, Any]:
        """Return what must survive a restart, as JSON data."""
        with self._lock:
            return self._breakers.state()

    def remember(self, journal: KeptState) -> None:
        """Take over what an earlier process kept in a journal, once for each journal.

        What cannot be understood shuts the breaker that every kill meets.

        Raises:
            JournalError: the journal cannot be read.
        """
        with self._lock:
            if journal in self._remembered:
                return
            state = journal.guard_state()
            self._remembered.add(journal)
            if state is None:
                return
            try:
                self._breakers.restore(state)
            except (KeyError, TypeError, ValueError, AttributeError):
                self._breakers.open_overall()
