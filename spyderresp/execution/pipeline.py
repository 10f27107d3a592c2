"""Carries steps out, in phases: each phase handles all steps before the next one starts.

So all targets are held before the first action, and one commit of the journal serves all steps.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
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
    RecordedStep,
    RemoteSink,
    Sink,
    StepGuard,
    StepJournal,
)
from spyderresp.execution.report import Result, Status, StepOutcome, error_text, not_recorded, refused
from spyderresp.execution.steps import Step

# If the executors of a flag give different results, the flag gets the first of these. Other statuses rank as `failed`.
_WORST: Final[tuple[Status, ...]] = ("failed", "refused", "unsupported", "accepted", "dry_run", "done")
_OPS_FLAG: Final = "makeOpsFlag"
_REASONS: Final = {
    "audit": "every policy that asked for it is in audit mode",
    "superseded": "another action of the plan makes it pointless",
    "not_applicable": "the event has no target for it",
}


@dataclass
class StepState:
    """The state of one step in the pipeline. A step with a result is ended: later phases skip it.

    Attributes:
        step: the step.
        takers: the executors that take the action of the step.
        result: the result; None: the step is not ended.
        executor: the name of the executor of the step; for a flag the names of all, joined by a comma.
        held: the target of an agent action.
        sinks: for a flag, its sinks by name.
        others: for a flag, what its executors that are not sinks hold, by name.
        results: for a flag, the results by name of the executor.
        record: for a flag with sinks, the record to deliver.
        taken_over: whether an earlier process began the step and did not end it.
    """

    step: Step
    takers: list[Executor] = field(default_factory=list)
    result: Result | None = None
    executor: str = ""
    held: Held | None = None
    sinks: dict[str, Sink] = field(default_factory=dict)
    others: dict[str, Held] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)
    record: Mapping[str, Any] | None = None
    taken_over: bool = False

    @property
    def dry(self) -> bool:
        """Whether no executor of the step has effects."""
        return all(getattr(taker, "dry", False) for taker in self.takers)

    @property
    def ready(self) -> bool:
        """Whether the step has a target or a sink and is not ended."""
        return self.result is None and (self.held is not None or bool(self.sinks) or bool(self.others))

    def end(self, result: Result, executor: str = "") -> None:
        """Set the result, and the executor that gave it."""
        self.result = result
        self.executor = executor

    def outcome(self) -> StepOutcome:
        """Return the outcome of the step."""
        return StepOutcome(self.step, self.result or Result("failed", "it was not carried out"), self.executor)


class Pipeline:
    """Carries out the steps of one call. Make a new one for each call. Executors are asked in their order."""

    def __init__(self, executors: Sequence[Executor], guard: StepGuard, journal: StepJournal | None) -> None:
        self._executors = executors
        self._guard = guard
        self._journal = journal
        self._alarms: list[Alarm] = []
        # Message of the first journal error in this call; empty while the journal works.
        self._journal_error = ""

    def carry_out(
        self, groups: Sequence[Sequence[Step]], alarms: Sequence[Alarm] = ()
    ) -> tuple[list[list[StepOutcome]], list[StepOutcome]]:
        """Carry steps out. Return the outcomes of the steps by group, and the outcomes of the guard's ops flags.

        Args:
            groups: the steps, one group for each plan.
            alarms: alarms that the guard raised before this call.
        """
        self._alarms += alarms
        grouped = [[StepState(step) for step in steps] for steps in groups]
        states = [state for group in grouped for state in group]
        flags: list[StepState] = []
        try:
            self._restore_breakers()
            self._end_by_disposition(states)
            self._skip_recorded_steps(states)
            self._refuse(states)
            self._resolve(states)
            self._admit(states)
            flags = [self._alarm_flag(alarm) for alarm in self._alarms]
            states += flags
            self._record_intents(states)
            self._deliver_flags(states)
            self._act(states)
        finally:
            release([held for state in states for held in (state.held, *state.others.values())])
        self._record_outcomes(states)
        return [[state.outcome() for state in group] for group in grouped], [state.outcome() for state in flags]

    def _restore_breakers(self) -> None:
        if self._journal is not None:
            try:
                self._guard.remember(self._journal)
            except JournalError as error:
                self._journal_error = str(error)

    def _end_by_disposition(self, states: list[StepState]) -> None:
        """End the steps that the plan does not execute, and those that no executor takes."""
        for state in states:
            step = state.step
            if step.disposition != "execute":
                state.end(Result(step.disposition, step.because or _REASONS[step.disposition]))
                continue
            state.takers = [executor for executor in self._executors if step.action in executor.actions]
            if not state.takers:
                state.end(_unsupported(step))

    def _skip_recorded_steps(self, states: list[StepState]) -> None:
        """End the steps that the journal has already, as duplicates."""
        states = [state for state in states if state.result is None and not state.dry]
        if self._journal is None or not states:
            return
        try:
            records = self._journal.earlier([state.step.key for state in states])
        except JournalError as error:
            self._journal_error = str(error)
            return
        seen: set[str] = set()
        for state in states:
            key = state.step.key
            record = records.get(key)
            if key in seen:
                state.end(Result("duplicate", "the same step is in this call twice"))
            elif record is not None and (record.status is not None or record.ours or state.step.is_flag):
                # A flag that an earlier process began is in the outbox since, so that it is delivered.
                state.end(_duplicate_result(record))
            else:
                state.taken_over = record is not None
            seen.add(key)

    def _refuse(self, states: list[StepState]) -> None:
        for state in states:
            if state.result is None and not state.dry and (refusal := guard_refusal(self._guard, state.step)):
                state.end(refusal)

    def _resolve(self, states: list[StepState]) -> None:
        for state in states:
            if state.result is None:
                self._resolve_flag(state) if state.step.is_flag else self._resolve_target(state)

    def _resolve_target(self, state: StepState) -> None:
        """Hold the target by the first executor whose host it is on."""
        on_other_host: tuple[Result, str] | None = None
        for taker in state.takers:
            found = self._hold(taker, state.step)
            if not isinstance(found, Result):
                state.held, state.executor = found, taker.name
                return
            if found.rule != HOST_RULE:
                state.end(found, taker.name)
                return
            on_other_host = on_other_host or (found, taker.name)
        if on_other_host is not None:
            state.end(*on_other_host)

    def _resolve_flag(self, state: StepState) -> None:
        """Prepare a flag for all of its executors."""
        state.executor = ", ".join(taker.name for taker in state.takers)
        for taker in state.takers:
            if hasattr(taker, "deliver"):
                state.sinks[taker.name] = cast("Sink", taker)
                continue
            found = self._hold(taker, state.step)
            if isinstance(found, Result):
                state.results[taker.name] = found
            else:
                state.others[taker.name] = found
        if state.sinks:
            state.record = flag_record(state.step)
        elif not state.others:
            state.result = combine_results(state.results)

    def _hold(self, taker: Executor, step: Step) -> Held | Result:
        found = hold(taker, step, self._guard)
        # The guard does not refuse a dry run; it is asked here only to report its answer.
        if getattr(taker, "dry", False) and isinstance(found, Result) and (refusal := guard_refusal(self._guard, step)):
            found = replace(found, reason=f"{found.reason}; the guard would answer {refusal.status}: {refusal.reason}")
        return found

    def _admit(self, states: list[StepState]) -> None:
        for state in states:
            if state.ready and not state.dry:
                refusal, alarms = guard_admission(self._guard, state.step, state.held)
                self._alarms += alarms
                if refusal is not None:
                    state.end(refusal, state.executor)

    def _alarm_flag(self, alarm: Alarm) -> StepState:
        """Return the ops flag of an alarm, ready for all executors of ops flags."""
        parameters = {"severity": "high", "content": alarm.message, "description": f"spyderresp guard: {alarm.rule}"}
        step = Step(
            key=hashlib.sha256(f"alarm\n{alarm.rule}\n{alarm.time!r}\n{alarm.message}".encode()).hexdigest(),
            place=0,
            action=_OPS_FLAG,
            items=tuple(parameters.items()),
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
        state = StepState(step, [executor for executor in self._executors if _OPS_FLAG in executor.actions])
        if state.takers:
            self._resolve_flag(state)
        else:
            state.end(_unsupported(step))
        return state

    def _record_intents(self, states: list[StepState]) -> None:
        """Claim steps in the journal. If it cannot be written, agent actions are refused and flags are still raised."""
        states = [state for state in states if state.ready and not state.dry]
        if self._journal is None or not states:
            return
        claimed: Mapping[str, RecordedStep] = {}
        if not self._journal_error:
            try:
                claimed = self._journal.begin(
                    [_intent(state) for state in states],
                    guard=self._guard.state if self._alarms or any(state.held for state in states) else None,
                    take_over=frozenset(state.step.key for state in states if state.taken_over),
                )
            except JournalError as error:
                self._journal_error = str(error)
        for state in states:
            if (record := claimed.get(state.step.key)) is not None:
                state.end(_duplicate_result(record), state.executor)
            elif self._journal_error and not state.step.is_flag:
                state.end(refused("journal", f"the journal cannot be written: {self._journal_error}"), state.executor)

    def _deliver_flags(self, states: list[StepState]) -> None:
        flags = [state for state in states if state.ready and state.step.is_flag]
        sinks = {name: sink for state in flags for name, sink in state.sinks.items()}
        failures: Mapping[str, DeliveryFailure] = {}
        if self._journal is not None and not self._journal_error:
            failures = self._journal.deliver_now(sinks) if sinks else {}
            results = {name: _outbox_result(name, sink, failures.get(name)) for name, sink in sinks.items()}
        else:
            results = _deliver_directly(flags, sinks)
        for state in flags:
            for name in state.sinks:
                dead = name in failures and state.step.key in failures[name].dead_letters
                state.results[name] = dead_letter_result(name) if dead else results[name]
            for name, held in state.others.items():
                state.results[name] = run_action(held)
            state.result = combine_results(state.results)

    def _act(self, states: list[StepState]) -> None:
        for state in states:
            if state.result is None and state.held is not None:
                # Ask the guard again: the kill switch works at once, and this step may have waited for others.
                refusal = None if state.dry else guard_refusal(self._guard, state.step)
                state.end(refusal or run_action(state.held), state.executor)

    def _record_outcomes(self, states: list[StepState]) -> None:
        if self._journal is None:
            return
        # The first process that carries a step out records its outcome, so a duplicate is not recorded.
        ended = [state for state in states if state.result is not None and state.result.status != "duplicate"]
        if not self._journal_error and ended:
            try:
                # Save the breakers after a refusal too: it keeps a breaker open, also after a restart.
                by_breaker = any(state.result.rule.startswith("breaker:") for state in ended if state.result)
                guard = self._guard.state if by_breaker else None
                self._journal.finish([state.outcome() for state in ended], guard=guard)
            except JournalError as error:
                self._journal_error = str(error)
        if self._journal_error:
            for state in ended:
                if state.result is not None:
                    state.result = not_recorded(state.result, self._journal_error)


def _unsupported(step: Step) -> Result:
    return Result("unsupported", f"no executor takes `{step.action}`")


def guard_refusal(guard: StepGuard, step: Step) -> Result | None:
    """Return the guard's refusal of a step, or None. A guard that raises refuses."""
    try:
        return guard.before(step)
    except Exception as error:  # noqa: BLE001 - a guard that fails must refuse
        return refused("guard", f"the guard failed: {error_text(error)}")


def guard_admission(guard: StepGuard, step: Step, held: Held | None) -> tuple[Result | None, tuple[Alarm, ...]]:
    """Return what ``guard.admit`` returns. A guard that raises refuses."""
    try:
        return guard.admit(step, held)
    except Exception as error:  # noqa: BLE001 - a guard that fails must refuse
        return refused("guard", f"the guard failed: {error_text(error)}"), ()


def hold(executor: Executor, step: Step, guard: StepGuard) -> Held | Result:
    """Return what ``executor.resolve`` returns. An exception is a ``failed`` result."""
    try:
        return executor.resolve(step, guard.protection)
    except Exception as error:  # noqa: BLE001 - the error of one executor must not stop other steps
        return Result("failed", error_text(error))


def run_action(held: Held) -> Result:
    """Return what ``held.act`` returns. An exception is a ``failed`` result."""
    try:
        return held.act()
    except Exception as error:  # noqa: BLE001 - the error of one executor must not stop other steps
        return Result("failed", error_text(error))


def release(targets: Iterable[Held | None]) -> None:
    """Release held targets. Errors are ignored: the results are known, and all targets must be released."""
    for held in targets:
        if held is not None:
            with contextlib.suppress(Exception):
                held.release()


def _intent(state: StepState) -> Intent:
    held = state.held
    if held is None:
        return Intent(state.step, state.executor, sinks=tuple(state.sinks), record=state.record)
    return Intent(state.step, state.executor, held.identity, dict(held.facts))


def _deliver_directly(flags: list[StepState], sinks: Mapping[str, Sink]) -> dict[str, Result]:
    """Deliver flags without a journal; return the results by sink."""
    results: dict[str, Result] = {}
    for name, sink in sinks.items():
        records = [state.record for state in flags if name in state.sinks and state.record is not None]
        try:
            if sink.local:
                sink.deliver(records)
                results[name] = Result("done")
            else:
                cast("RemoteSink", sink).offer(records)
                results[name] = Result("accepted", f"queued for `{name}` in memory; no journal keeps it")
        except DeliveryError as error:
            results[name] = Result("failed", f"not delivered to `{name}`: {error}")
        except Exception as error:  # noqa: BLE001 - the error of one sink must not stop other steps
            results[name] = Result("failed", f"`{name}` failed: {error_text(error)}")
    return results


def _outbox_result(name: str, sink: Sink, failure: DeliveryFailure | None) -> Result:
    """Return the result of a flag that is in the journal, after one attempt of a local sink."""
    if failure is not None and failure.reason:
        return Result("accepted", f"not delivered to `{name}` yet: {failure.reason}")
    return Result("done") if sink.local else queued_result(name)


def queued_result(name: str) -> Result:
    """Return the result of a flag that the journal keeps for a sink."""
    return Result("accepted", f"not delivered to `{name}` yet; the journal keeps it until `{name}` accepts it")


def dead_letter_result(name: str) -> Result:
    """Return the result of a flag that a sink refused for good."""
    return Result("failed", f"`{name}` refused it for good; the journal keeps it as a dead letter")


def combine_results(results: Mapping[str, Result]) -> Result:
    """Return one result for a flag: the worst of several, with all reasons and, by executor, all details."""
    ranked = sorted(results.values(), key=lambda item: _WORST.index(item.status) if item.status in _WORST else 0)
    reasons = [item.reason for item in ranked if item.reason]
    details = {name: dict(item.details) for name, item in results.items() if item.details}
    if len(results) > 1:
        details["sinks"] = {name: item.status for name, item in results.items()}
    return Result(ranked[0].status, "; ".join(reasons), ranked[0].rule, details)


def _duplicate_result(record: RecordedStep) -> Result:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.began))
    return Result("duplicate", f"this step was taken before, at {moment}: {record.status or 'it is not ended yet'}")
