"""One round of steps on their way: what ``execute`` does, in order. Made for one call, and not shared."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from spyderresp.execution.flags import flag_record
from spyderresp.execution.interfaces import (
    HOST_RULE,
    Alarm,
    DeliveryError,
    DeliveryFailure,
    Executor,
    Held,
    Intent,
    JournalError,
    RemoteSink,
    Sink,
    StepGuard,
    StepJournal,
)
from spyderresp.execution.report import Result, Status, StepOutcome, refused
from spyderresp.execution.steps import Step

# Of several answers about one flag the first of these is the flag's.
_WORST: Final[tuple[Status, ...]] = ("failed", "refused", "unsupported", "accepted", "dry_run", "done")
_OPS_FLAG: Final = "makeOpsFlag"


@dataclass
class StepState:
    """One step on its way; settled as soon as it has a result."""

    step: Step
    takers: list[Executor] = field(default_factory=list)
    result: Result | None = None
    executor: str = ""
    held: Held | None = None
    # A flag goes to all that take it: to sinks, to others, and what each said.
    sinks: dict[str, Sink] = field(default_factory=dict)
    others: dict[str, Held] = field(default_factory=dict)
    answers: dict[str, Result] = field(default_factory=dict)
    record: Mapping[str, Any] | None = None
    taken_over: bool = False

    @property
    def dry(self) -> bool:
        return all(getattr(taker, "dry", False) for taker in self.takers)

    @property
    def waits(self) -> bool:
        """Whether something is held for it that was not acted on yet."""
        return self.result is None and (self.held is not None or bool(self.sinks) or bool(self.others))

    def settle(self, result: Result, executor: str = "") -> None:
        self.result = result
        self.executor = executor

    def outcome(self) -> StepOutcome:
        return StepOutcome(self.step, self.result or Result("failed", "nothing became of it"), self.executor)


class Pipeline:
    """Takes steps from their plans to their outcomes."""

    def __init__(self, executors: Sequence[Executor], guard: StepGuard, journal: StepJournal | None) -> None:
        self._executors = executors
        self._guard = guard
        self._journal = journal
        self._alarms: list[Alarm] = []
        # Why the journal cannot be used, once it could not.
        self._broken = ""

    def carry_out(
        self, groups: Sequence[Sequence[Step]], alarms: Sequence[Alarm] = ()
    ) -> tuple[list[list[StepOutcome]], list[StepOutcome]]:
        """Return the outcomes of each group's steps, and those of the flags that the guard raised.

        Args:
            groups: steps of a plan each.
            alarms: what the guard had to tell before.
        """
        self._alarms += alarms
        grouped = [[StepState(step) for step in steps] for steps in groups]
        works = [work for group in grouped for work in group]
        raised: list[StepState] = []
        try:
            self._restore_breakers()
            self._settle_by_plan(works)
            self._skip_recorded_steps(works)
            self._ask_guard(works)
            self._resolve(works)
            self._admit(works)
            raised = [self._raised(alarm) for alarm in self._alarms]
            works += raised
            self._record_intents(works)
            self._deliver_flags(works)
            self._act(works)
        finally:
            _release(works)
        self._finish(works)
        return [[work.outcome() for work in group] for group in grouped], [work.outcome() for work in raised]

    def _restore_breakers(self) -> None:
        """Give the guard what an earlier process kept of the breakers, before it admits anything."""
        if self._journal is not None:
            try:
                self._guard.remember(self._journal)
            except JournalError as error:
                self._broken = str(error)

    def _settle_by_plan(self, works: list[StepState]) -> None:
        for work in works:
            step = work.step
            if step.disposition != "execute":
                work.settle(Result(step.disposition, step.because or _BY_PLAN[step.disposition]))
                continue
            work.takers = [executor for executor in self._executors if step.action in executor.actions]
            if not work.takers:
                work.settle(Result("unsupported", f"no executor takes `{step.action}`"))

    def _skip_recorded_steps(self, works: list[StepState]) -> None:
        if self._journal is None:
            return
        open_works = [work for work in works if work.result is None and not work.dry]
        if not open_works:
            return
        try:
            known = self._journal.earlier([work.step.key for work in open_works])
        except JournalError as error:
            self._broken = str(error)
            return
        seen: set[str] = set()
        for work in open_works:
            key = work.step.key
            earlier = known.get(key)
            if key in seen:
                work.settle(Result("duplicate", "this very step comes twice in one round"))
            elif earlier is not None and (earlier.status is not None or earlier.ours or work.step.is_flag):
                # A flag that an earlier process began is owed to its sinks since.
                work.settle(_duplicate_result(earlier.began, earlier.status))
            else:
                work.taken_over = earlier is not None
            seen.add(key)

    def _ask_guard(self, works: list[StepState]) -> None:
        for work in works:
            if work.result is None and not work.dry and (refusal := self._refusal(work.step)) is not None:
                work.settle(refusal)

    def _refusal(self, step: Step) -> Result | None:
        try:
            return self._guard.before(step)
        except Exception as error:  # noqa: BLE001 - a guard that fails, fails closed
            return refused("guard", f"the guard failed: {error_text(error)}")

    def _resolve(self, works: list[StepState]) -> None:
        for work in works:
            if work.result is None:
                self._resolve_flag(work) if work.step.is_flag else self._resolve_target(work)

    def _resolve_target(self, work: StepState) -> None:
        elsewhere: tuple[Result, str] | None = None
        for taker in work.takers:
            found = self._hold_target(taker, work.step)
            if not isinstance(found, Result):
                work.held, work.executor = found, taker.name
                return
            if found.rule != HOST_RULE:
                work.settle(found, taker.name)
                return
            elsewhere = elsewhere or (found, taker.name)
        if elsewhere is not None:
            work.settle(*elsewhere)

    def _resolve_flag(self, work: StepState) -> None:
        work.executor = ", ".join(taker.name for taker in work.takers)
        for taker in work.takers:
            if hasattr(taker, "deliver"):
                work.sinks[taker.name] = cast("Sink", taker)
                continue
            found = self._hold_target(taker, work.step)
            if isinstance(found, Result):
                work.answers[taker.name] = found
            else:
                work.others[taker.name] = found
        if work.sinks:
            work.record = flag_record(work.step)
        elif not work.others:
            work.result = combine_results(work.answers)

    def _hold_target(self, taker: Executor, step: Step) -> Held | Result:
        try:
            found = taker.resolve(step, self._guard.protection)
        except Exception as error:  # noqa: BLE001 - an executor never raises out of `execute`
            return Result("failed", error_text(error))
        if getattr(taker, "dry", False) and isinstance(found, Result) and (refusal := self._refusal(step)) is not None:
            found = replace(
                found, reason=f"{found.reason}; for real, the answer now is {refusal.status}: {refusal.reason}"
            )
        return found

    def _admit(self, works: list[StepState]) -> None:
        for work in works:
            if not work.waits or work.dry:
                continue
            try:
                refusal, alarms = self._guard.admit(work.step, work.held)
            except Exception as error:  # noqa: BLE001 - a guard that fails, fails closed
                refusal, alarms = refused("guard", f"the guard failed: {error_text(error)}"), ()
            self._alarms += alarms
            if refusal is not None:
                work.settle(refusal, work.executor)

    def _raised(self, alarm: Alarm) -> StepState:
        """Return the ops flag of an alarm, on its way to every sink that takes one."""
        said = {"severity": "high", "content": alarm.message, "description": f"spyderresp guard: {alarm.rule}"}
        key = hashlib.sha256(f"alarm\n{alarm.rule}\n{alarm.time!r}\n{alarm.message}".encode()).hexdigest()
        step = Step(
            key=key,
            place=0,
            action=_OPS_FLAG,
            items=tuple(said.items()),
            disposition="execute",
            sources=(),
            target=None,
            event=None,
            event_time=alarm.time,
            arrived=alarm.time,
            policy_set="",
            plan="",
            because=alarm.rule,
            record=alarm.details,
        )
        work = StepState(step, [executor for executor in self._executors if _OPS_FLAG in executor.actions])
        if work.takers:
            self._resolve_flag(work)
        else:
            work.settle(Result("unsupported", f"no executor takes `{_OPS_FLAG}`"))
        return work

    def _record_intents(self, works: list[StepState]) -> None:
        """Write what is about to be tried. Where that fails agent actions are refused; flags go out all the same."""
        waiting = [work for work in works if work.waits and not work.dry]
        if self._journal is None or not waiting:
            return
        lost: Mapping[str, Any] = {}
        if not self._broken:
            try:
                lost = self._journal.begin(
                    [_intent(work) for work in waiting],
                    guard=self._guard.state if any(work.held for work in waiting) or self._alarms else None,
                    take_over=frozenset(work.step.key for work in waiting if work.taken_over),
                )
            except JournalError as error:
                self._broken = str(error)
        for work in waiting:
            if work.step.key in lost:
                earlier = lost[work.step.key]
                work.settle(_duplicate_result(earlier.began, earlier.status), work.executor)
            elif self._broken and not work.step.is_flag:
                work.settle(refused("journal", f"the journal cannot be written: {self._broken}"), work.executor)

    def _deliver_flags(self, works: list[StepState]) -> None:
        flags = [work for work in works if work.waits and work.step.is_flag]
        sinks = {name: sink for work in flags for name, sink in work.sinks.items()}
        missed: Mapping[str, DeliveryFailure] = {}
        if self._journal is not None and not self._broken:
            missed = self._journal.deliver_now(sinks) if sinks else {}
            told = {name: _journaled(name, sink, missed.get(name)) for name, sink in sinks.items()}
        else:
            told = self._direct(flags, sinks)
        for work in flags:
            for name in work.sinks:
                buried = name in missed and work.step.key in missed[name].buried
                work.answers[name] = _dead(name) if buried else told[name]
            for name, held in work.others.items():
                work.answers[name] = run_action(held)
            work.result = combine_results(work.answers)

    def _direct(self, flags: list[StepState], sinks: Mapping[str, Sink]) -> dict[str, Result]:
        told: dict[str, Result] = {}
        for name, sink in sinks.items():
            records = [work.record for work in flags if name in work.sinks and work.record is not None]
            try:
                if sink.local:
                    sink.deliver(records)
                    told[name] = Result("done")
                else:
                    cast("RemoteSink", sink).offer(records)
                    told[name] = Result("accepted", f"`{name}` has it in its queue; no journal keeps it")
            except DeliveryError as error:
                told[name] = Result("failed", f"`{name}` did not take it: {error}")
            except Exception as error:  # noqa: BLE001 - an executor never raises out of `execute`
                told[name] = Result("failed", f"`{name}` failed: {error_text(error)}")
        return told

    def _act(self, works: list[StepState]) -> None:
        for work in works:
            if work.result is not None or work.held is None:
                continue
            # The kill switch works at once, and a round may have waited: asked again, right before.
            result = None if work.dry else self._refusal(work.step)
            work.settle(result or run_action(work.held), work.executor)

    def _finish(self, works: list[StepState]) -> None:
        if self._journal is None:
            return
        # A step that was taken before has its outcome, or will have it from whoever is at it.
        ended = [work for work in works if work.result is not None and work.result.status != "duplicate"]
        if not self._broken and ended:
            try:
                # A refusal keeps an open breaker open, after a restart too.
                met = any(work.result.rule.startswith("breaker:") for work in ended if work.result is not None)
                self._journal.finish([work.outcome() for work in ended], guard=self._guard.state if met else None)
            except JournalError as error:
                self._broken = str(error)
        if self._broken:
            for work in ended:
                if work.result is not None:
                    details = {**work.result.details, "journal": f"not recorded: {self._broken}"}
                    work.result = replace(work.result, details=details)


_BY_PLAN: Final = {
    "audit": "every policy that asked for it is in audit mode",
    "superseded": "another action of the plan makes it pointless",
    "not_applicable": "the event has nothing that it could act on",
}


def _intent(work: StepState) -> Intent:
    held = work.held
    if held is None:
        return Intent(work.step, work.executor, sinks=tuple(work.sinks), record=work.record)
    return Intent(work.step, work.executor, held.identity, dict(held.facts))


def _journaled(name: str, sink: Sink, missed: DeliveryFailure | None) -> Result:
    """Return what became of the flags that the journal holds for a sink."""
    if missed is not None and missed.reason:
        return Result("accepted", f"`{name}` is owed it: {missed.reason}")
    return Result("done") if sink.local else queued_result(name)


def queued_result(name: str) -> Result:
    """Return what is said of a flag that a sink has yet to take."""
    return Result("accepted", f"`{name}` is owed it; the journal keeps it until it is delivered")


def _dead(name: str) -> Result:
    return Result("failed", f"`{name}` will never take it: it is a dead letter in the journal")


def run_action(held: Held) -> Result:
    """Let a step happen; whatever goes wrong is a result."""
    try:
        return held.act()
    except Exception as error:  # noqa: BLE001 - an executor never raises out of `execute`
        return Result("failed", error_text(error))


def _release(works: list[StepState]) -> None:
    for work in works:
        for held in (work.held, *work.others.values()):
            if held is not None:
                # What became of the step is known; the others must still be let go.
                with contextlib.suppress(Exception):
                    held.release()


def combine_results(answers: Mapping[str, Result]) -> Result:
    """Return one answer of several about one flag: the worst, with what each said."""
    ranked = sorted(answers.values(), key=lambda said: _WORST.index(said.status) if said.status in _WORST else 0)
    reasons = [said.reason for said in ranked if said.reason]
    details = {name: dict(said.details) for name, said in answers.items() if said.details}
    if len(answers) > 1:
        details["sinks"] = {name: said.status for name, said in answers.items()}
    return Result(ranked[0].status, "; ".join(reasons), ranked[0].rule, details)


def _duplicate_result(began: float, status: Status | None) -> Result:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began))
    return Result("duplicate", f"this step was taken before, at {moment}: {status or 'still at it'}")


def error_text(error: Exception) -> str:
    """Return an exception as a reason for people."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
