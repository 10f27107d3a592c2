"""``Guard``: refuses steps by audit mode, kill switch, expiry, silences, cooldown and breakers."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from spyderresp.execution.clock import Clock
from spyderresp.execution.guards.circuit_breakers import KILLS, Breakers, Limits
from spyderresp.execution.guards.silences import Cooldown, Silence
from spyderresp.execution.interfaces import Alarm, GuardStateStore, Held
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result, refused
from spyderresp.execution.steps import Step

#: The default path of the kill switch. Any user who can create this file can stop all agent actions.
DEFAULT_KILL_SWITCH: Final = "/run/spyderresp/halt"
#: The cooldown that the vendor uses for flags, in seconds.
VENDOR_COOLDOWN: Final = 3600.0
#: Seconds that an event's time may lie ahead of the clock.
_AHEAD: Final = 60.0


class Guard:
    """Refuses steps. If it cannot decide, it refuses. Safe to share between threads.

    ::

        guard = Guard(limits=Limits(overall=20), expiry=30.0)
        report = spyderresp.execute(plan, executors, guard)

    Args:
        protection: the processes and pods that no action may touch; None: the default ``Protection``.
        limits: how many distinct targets may be killed in a window; None: the default ``Limits``.
        expiry: agent actions expire so many seconds after the event's ``time``, or after the arrival of an event
            without ``time``. Flags do not expire.
        kill_switch: while this file exists, all agent actions are refused; None: no kill switch.
        mode: ``audit`` carries out nothing, flags included; None: the guard decides step by step.
        cooldown: seconds in which a flag of the same policies about the same target is raised only once; 0: off.
        silences: keep flags quiet until a time.
        clock: the clocks; None: those of the system.

    Raises:
        TypeError: ``limits`` is not a ``Limits``.
        ValueError: ``expiry`` or ``cooldown`` is negative or infinite, or ``mode`` is unknown.
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
        if limits is not None and not isinstance(limits, Limits):
            raise TypeError(f"`limits` must be a `Limits`, not {limits!r}")
        self._protection = protection or Protection()
        self._expiry = expiry
        self._kill_switch = None if kill_switch is None else os.fspath(kill_switch)
        self.mode = mode
        self._cooldown = Cooldown(cooldown)
        self._silences = tuple(silences)
        self._clock = clock or Clock()
        self._breakers = Breakers(limits or Limits(), self._clock)
        self._lock = threading.Lock()
        self._restored: weakref.WeakSet[GuardStateStore] = weakref.WeakSet()

    @property
    def protection(self) -> Protection:
        """The processes and pods that no action may touch."""
        return self._protection

    @property
    def mode(self) -> Literal["audit"] | None:
        """``audit``: nothing is carried out; None: the guard decides step by step. Setting it has effect at once.

        Raises:
            ValueError: the value is neither ``"audit"`` nor None.
        """
        return self._mode

    @mode.setter
    def mode(self, mode: Literal["audit"] | None) -> None:
        if mode not in (None, "audit"):
            raise ValueError(f"`mode` must be 'audit' or None, not {mode!r}")
        self._mode: Literal["audit"] | None = mode

    def silence(self, silences: Iterable[Silence]) -> None:
        """Replace all silences."""
        self._silences = tuple(silences)

    def now(self) -> float:
        """Return the epoch seconds of the guard's wall clock."""
        return self._clock.wall()

    def halted(self) -> str | None:
        """Return why no agent action is taken now: audit mode or the kill switch. None: actions are taken."""
        if self._mode == "audit":
            return "the guard is in audit mode"
        refusal = self._switched_off()
        return None if refusal is None else refusal.reason

    def before(self, step: Step) -> Result | None:
        """Return the refusal of a step by audit mode, kill switch, expiry or silence; None: it is not refused."""
        if self._mode == "audit":
            return Result("audit", "the guard is in audit mode")
        now = self._clock.wall()
        if not step.is_flag and (refusal := self._switched_off() or self._expired(step, now)) is not None:
            return refusal
        for silence in self._silences:
            if silence.covers(step, now):
                return refused("silence", f"silenced: {silence.reason or dict(silence.match)}")
        return None

    def _switched_off(self) -> Result | None:
        if self._kill_switch is None:
            return None
        try:
            os.stat(self._kill_switch)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return refused("kill-switch", f"the kill switch {self._kill_switch} cannot be read: {error.strerror}")
        return refused("kill-switch", f"the kill switch is on: {self._kill_switch} exists")

    def _expired(self, step: Step, now: float) -> Result | None:
        if step.time_unreadable:
            return Result("expired", "the event's `time` cannot be read, so its age is not known")
        happened = step.arrived if step.event_time is None else step.event_time
        if happened - max(now, step.arrived) > _AHEAD:
            return Result("expired", f"the event's `time` is {happened - now:.0f} s in the future: clocks disagree")
        age = now - min(happened, step.arrived)
        if age > self._expiry:
            verb = "arrived" if step.event_time is None else "happened"
            reason = f"the event {verb} {age:.0f} s ago; agent actions are taken within {self._expiry:.0f} s"
            return Result("expired", reason)
        return None

    def admit(self, step: Step, held: Held | None) -> tuple[Result | None, tuple[Alarm, ...]]:
        """Return the refusal of a step by a breaker or the cooldown, or None; and alarms of breakers that opened.

        A step that is not refused is counted.

        Args:
            step: a step; pass each at most once.
            held: its verified target; None for a flag.
        """
        with self._lock:
            if step.is_flag:
                left = self._cooldown.left(step, self._clock.steady())
                reason = f"raised for this target a moment ago; quiet for {left:.0f} s more"
                return (refused("cooldown", reason) if left else None), ()
            if step.action not in KILLS or held is None:
                return None, ()
            tripped = self._breakers.admit(step, held.identity, held.namespace)
        if not tripped:
            return None, ()
        now = self._clock.wall()
        alarms = tuple(
            Alarm(
                f"breaker:{item.name}",
                f"the breaker `{item.name}` is open: more than {item.limit} targets; its kills are refused",
                {"breaker": item.name, "limit": item.limit, "action": step.action, "policies": list(step.policies)},
                now,
            )
            for item in tripped
            if item.alarm
        )
        first = tripped[0]
        reason = f"the breaker `{first.name}` is open: more than {first.limit} targets"
        return refused(f"breaker:{first.name}", reason), alarms

    def open_breakers(self) -> dict[str, float]:
        """Return the open breakers by name, each with the seconds since it opened."""
        with self._lock:
            return self._breakers.open()

    def rearm(self, name: str | None = None) -> None:
        """Close one breaker, or all of them if ``name`` is None."""
        with self._lock:
            self._breakers.rearm(name)

    def state(self) -> Mapping[str, Any]:
        """Return the state that must survive a restart, as JSON data."""
        with self._lock:
            return self._breakers.state()

    def remember(self, journal: GuardStateStore) -> None:
        """Restore the breakers that an earlier process saved. Only the first call for each journal has an effect.

        If the saved state cannot be read, the breaker that applies to every kill opens.

        Raises:
            JournalError: the journal cannot be read.
        """
        with self._lock:
            if journal in self._restored:
                return
            state = journal.guard_state()
            self._restored.add(journal)
            if state is None:
                return
            try:
                self._breakers.restore(state)
            except (KeyError, TypeError, ValueError, AttributeError):
                self._breakers.open_overall()
