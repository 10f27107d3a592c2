"""Ends the steps that an earlier process left open, and follows up the steps that executors accepted.

The target of an open step is looked up first: the step may have been carried out before the crash, without its outcome
in the journal. docs/decisions/0034-reconciliation.md says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

from spyderresp.execution.execute import checked_executors, default_guard
from spyderresp.execution.interfaces import (
    AcceptedStep,
    Alarm,
    Executor,
    Held,
    Intent,
    JournalError,
    OpenJournal,
    OpenStep,
    Sink,
    StepGuard,
    SupportsFollow,
)
from spyderresp.execution.pipeline import (
    Pipeline,
    combine_results,
    dead_letter_result,
    guard_admission,
    guard_refusal,
    hold,
    queued_result,
    release,
    run_action,
)
from spyderresp.execution.report import Result, StepOutcome, not_recorded, refused

_AFTER: Final = "when checked after a restart"


@dataclass
class _State:
    """The state of one open step.

    Attributes:
        open: the step as the journal has it.
        held: the target of an agent action.
        result: the result; None: the step is not ended.
        claimed: whether this process claimed the step in the journal.
        claimed_elsewhere: whether another process claimed it, and so records its outcome.
    """

    open: OpenStep
    held: Held | None = None
    result: Result | None = None
    claimed: bool = False
    claimed_elsewhere: bool = False

    def outcome(self) -> StepOutcome:
        result = self.result or Result("failed", "it was not carried out")
        return StepOutcome(self.open.step, result, self.open.executor)


def reconcile(
    executors: Iterable[Executor] | Executor, journal: OpenJournal, guard: StepGuard | None = None
) -> tuple[StepOutcome, ...]:
    """End the steps that an earlier process began and did not end. Call it once, after the start.

    A target that is gone makes the step ``already``. A target that is there is compared with the event again; if the
    guard allows it (the step must not be expired), it is acted on once. Any other step ends without an action, with the
    reason. Flags are delivered to the sinks that did not accept them yet.

    ::

        with spyderresp.journal.Journal("journal.sqlite") as journal:
            for outcome in spyderresp.reconcile(executors, journal):
                print(outcome.action, outcome.status, outcome.reason)

    Args:
        executors: the executors of the service. An open step is given to the executor of the same name as before.
        journal: the journal with the open steps.
        guard: refuses steps; None: the default guard, one for the whole process.

    Returns:
        The outcomes, oldest step first, then the outcomes of the ops flags that the guard raised.

    Raises:
        JournalError: the journal cannot be read. If it cannot be written, nothing is acted on and the steps stay open.
        TypeError, ValueError: as ``execute`` raises for its executors.
    """
    guard = guard if guard is not None else default_guard()
    listed = checked_executors(executors)
    by_name = {executor.name: executor for executor in listed}
    guard.remember(journal)
    states = [_State(step) for step in journal.open_steps()]
    sinks = {executor.name: cast("Sink", executor) for executor in listed if hasattr(executor, "deliver")}
    journal.attach(sinks.values())
    alarms: list[Alarm] = []
    try:
        for state in states:
            if not state.open.step.is_flag:
                _check(state, by_name, guard, alarms)
        _claim(states, guard, journal)
        for state in states:
            if state.held is not None and state.claimed:
                _act(state, state.held, guard)
    finally:
        release(state.held for state in states)
    _deliver_flags([state for state in states if state.open.step.is_flag], by_name, sinks, guard, journal)
    ended = [state for state in states if not state.claimed_elsewhere]
    _record(ended, journal)
    _, raised = Pipeline(listed, guard, journal).carry_out([], alarms)
    return (*(state.outcome() for state in ended), *raised)


def _check(state: _State, by_name: Mapping[str, Executor], guard: StepGuard, alarms: list[Alarm]) -> None:
    """Hold the target if it may be acted on; else set the result."""
    step = state.open.step
    executor = by_name.get(state.open.executor)
    if executor is None or step.action not in executor.actions:
        why = f"no executor `{state.open.executor}` takes `{step.action}` here"
        state.result = Result("failed", f"a crash cut it off, and it is not known whether it was carried out: {why}")
        return
    found = hold(executor, step, guard)
    if isinstance(found, Result):
        reason = f"gone {_AFTER}" if found.status == "already" else _after(found.reason)
        state.result = replace(found, reason=reason)
        return
    state.held = found
    state.result = guard_refusal(guard, step)
    if state.result is None:
        state.result, more = guard_admission(guard, step, found)
        alarms += more


def _after(reason: str) -> str:
    """Return a reason with the note that the step was checked after a restart."""
    return f"{reason}, {_AFTER}" if reason else _AFTER


def _claim(states: Sequence[_State], guard: StepGuard, journal: OpenJournal) -> None:
    """Claim the steps that can be acted on, in one commit."""
    held = [(state, state.held) for state in states if state.held is not None and state.result is None]
    if not held:
        return
    intents = [Intent(state.open.step, state.open.executor, item.identity, dict(item.facts)) for state, item in held]
    keys = frozenset(intent.step.key for intent in intents)
    try:
        claimed_before = journal.begin(intents, guard=guard.state, take_over=keys)
    except JournalError as error:
        for state, _ in held:
            state.result = refused("journal", f"the journal cannot be written: {error}")
        return
    for state, _ in held:
        state.claimed_elsewhere = state.open.step.key in claimed_before
        state.claimed = not state.claimed_elsewhere


def _act(state: _State, held: Held, guard: StepGuard) -> None:
    state.result = guard_refusal(guard, state.open.step)
    if state.result is None:
        result = run_action(held)
        state.result = replace(result, reason=_after(result.reason) if result.reason else f"finished {_AFTER}")


def _deliver_flags(
    states: Sequence[_State],
    by_name: Mapping[str, Executor],
    sinks: Mapping[str, Sink],
    guard: StepGuard,
    journal: OpenJournal,
) -> None:
    """Deliver flags to local sinks; raise flags again with executors that are not sinks. A flag may be repeated."""
    if not states:
        return
    failures = journal.deliver_now({name: sink for name, sink in sinks.items() if sink.local})
    for state in states:
        step = state.open.step
        results: dict[str, Result] = {}
        for name in state.open.sinks:
            failure = failures.get(name)
            delivered_now = name in sinks and sinks[name].local and not (failure and failure.reason)
            if failure is not None and step.key in failure.dead_letters:
                results[name] = dead_letter_result(name)
            elif delivered_now or name not in state.open.undelivered:
                results[name] = Result("done", f"delivered {_AFTER}")
            else:
                results[name] = queued_result(name)
        for name in state.open.executor.split(", "):
            executor = by_name.get(name)
            if executor is not None and name not in state.open.sinks and step.action in executor.actions:
                found = hold(executor, step, guard)
                if not isinstance(found, Result):
                    held, found = found, run_action(found)
                    release([held])
                results[name] = found
        lost = Result("failed", f"a crash cut it off, and no executor `{state.open.executor}` is here")
        state.result = combine_results(results) if results else lost


def _record(states: Sequence[_State], journal: OpenJournal) -> None:
    try:
        # If `finish` fails, the journal keeps the outcomes of claimed steps in memory and writes them later.
        journal.finish([state.outcome() for state in states if state.claimed])
        journal.settle([state.outcome() for state in states if not state.claimed])
    except JournalError as error:
        for state in states:
            if state.result is not None:
                state.result = not_recorded(state.result, error)


def follow_up(executors: Iterable[Executor] | Executor, journal: OpenJournal) -> tuple[StepOutcome, ...]:
    """Ask executors for the final outcomes of the steps that they accepted. Call it every few seconds.

    ::

        for outcome in spyderresp.follow_up(executors, journal):
            print(outcome.action, outcome.status, outcome.reason)

    Args:
        executors: the executors of the service. A step of an executor that is not here stays under way.
        journal: the journal with the accepted steps.

    Returns:
        The final outcomes that are known by now.

    Raises:
        JournalError: the journal cannot be read or written; the steps stay under way.
        TypeError, ValueError: as ``execute`` raises for its executors.
    """
    by_name = {executor.name: executor for executor in checked_executors(executors)}
    ended: list[StepOutcome] = []
    for step in journal.under_way():
        executor = by_name.get(step.executor)
        result = None if executor is None else _final_result(executor, step)
        if result is not None:
            ended.append(StepOutcome(step.step, result, step.executor))
    if ended:
        journal.settle(ended)
    return tuple(ended)


def _final_result(executor: Executor, accepted: AcceptedStep) -> Result | None:
    """Return the final result of an accepted step; None: it is still under way, or the executor failed."""
    if not hasattr(executor, "follow"):
        return Result("failed", f"`{accepted.executor}` accepted it and cannot report the final outcome")
    try:
        result = cast("SupportsFollow", executor).follow(accepted.step, accepted.details)
    except Exception:  # noqa: BLE001 - the next call of `follow_up` asks again
        return None
    return None if result.status == "accepted" else result
