"""What a restart does about steps that were begun and never ended, and what becomes of those that are under way.

An open step is checked against reality before anything: the process or pod may be gone, because the step happened and
its outcome was not written any more. docs/decisions/0034-reconciliation.md.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

from spyderresp.execution.execute import default_guard, named
from spyderresp.execution.interfaces import (
    Alarm,
    Executor,
    Following,
    Held,
    Intent,
    JournalError,
    OpenedBreaker,
    OpenJournal,
    OpenStep,
    Sink,
    StepGuard,
)
from spyderresp.execution.pipeline import Pipeline, combine_results, error_text, queued_result, run_action
from spyderresp.execution.report import Result, StepOutcome, refused

_AFTER: Final = "when checked after a restart"


@dataclass
class _Open:
    """An open step on its way to an outcome."""

    opened: OpenedBreaker
    held: Held | None = None
    result: Result | None = None
    # Somebody else took it meanwhile, and will say what became of it.
    elsewhere: bool = False
    begun: bool = False

    def outcome(self) -> StepOutcome:
        return StepOutcome(
            self.opened.step, self.result or Result("failed", "nothing became of it"), self.opened.executor
        )


def reconcile(
    executors: Iterable[Executor] | Executor, journal: OpenJournal, guard: StepGuard | None = None
) -> tuple[StepOutcome, ...]:
    """End the steps that an earlier process began and never ended, each with an outcome. Call it once, after a start.

    A target that is gone is ``already``; one that is still there, verified, not expired and allowed is acted on, once;
    everything else is not, and says why. Flags go to the sinks that they are still owed to.

    Args:
        executors: those of the service. An open step is asked of the one that was to take it, by its name.
        journal: where the steps are.
        guard: what refuses steps; None is the default guard of this process.

    Returns:
        What became of each, oldest first, and of the ops flags that the guard raised meanwhile.

    Raises:
        JournalError: the journal cannot be read. Where it cannot be written nothing is acted on, and steps stay open.
    """
    chosen = guard if guard is not None else default_guard()
    listed = named(executors)
    by_name = {executor.name: executor for executor in listed}
    chosen.remember(journal)
    works = [_Open(opened) for opened in journal.open_steps()]
    sinks = {executor.name: cast("Sink", executor) for executor in listed if hasattr(executor, "deliver")}
    journal.attach(sinks.values())
    alarms: list[Alarm] = []
    try:
        for work in works:
            if not work.opened.step.is_flag:
                _check(work, by_name, chosen, alarms)
        _claim(works, chosen, journal)
        for work in works:
            if work.held is not None and work.result is None and not work.elsewhere:
                _act(work, chosen)
    finally:
        for work in works:
            if work.held is not None:
                # What became of the step is known; the others must still be let go.
                with contextlib.suppress(Exception):
                    work.held.release()
    _flags([work for work in works if work.opened.step.is_flag], by_name, sinks, chosen, journal)
    ended = [work for work in works if not work.elsewhere]
    _write(ended, journal)
    _, raised = Pipeline(listed, chosen, journal).carry_out([], alarms)
    return (*(work.outcome() for work in ended), *raised)


def _check(work: _Open, by_name: Mapping[str, Executor], guard: StepGuard, alarms: list[Alarm]) -> None:
    """Look for the target; leave it held where it may be acted on."""
    step = work.opened.step
    executor = by_name.get(work.opened.executor)
    if executor is None or step.action not in executor.actions:
        why = f"no executor `{work.opened.executor}` takes `{step.action}` here"
        work.result = Result("failed", f"a crash cut it off, and whether it happened cannot be told: {why}")
        return
    try:
        found = executor.resolve(step, guard.protection)
    except Exception as error:  # noqa: BLE001 - an executor's fault must not keep the others from being checked
        found = Result("failed", error_text(error))
    if isinstance(found, Result):
        gone = found.status == "already"
        reason = f"gone {_AFTER}" if gone else f"{found.reason}, {_AFTER}" if found.reason else _AFTER
        work.result = replace(found, reason=reason)
        return
    work.held = found
    work.result = _refusal(work, guard)
    if work.result is None:
        try:
            work.result, more = guard.admit(step, found)
            alarms += more
        except Exception as error:  # noqa: BLE001 - a guard that fails, fails closed
            work.result = refused("guard", f"the guard failed: {error_text(error)}")


def _refusal(work: _Open, guard: StepGuard) -> Result | None:
    try:
        return guard.before(work.opened.step)
    except Exception as error:  # noqa: BLE001 - a guard that fails, fails closed
        return refused("guard", f"the guard failed: {error_text(error)}")


def _claim(works: Sequence[_Open], guard: StepGuard, journal: OpenJournal) -> None:
    """Make the steps that will be acted on ours: should we crash too, the next start checks them again."""
    waiting = [work for work in works if work.held is not None and work.result is None]
    if not waiting:
        return
    intents = [
        Intent(work.opened.step, work.opened.executor, held.identity, dict(held.facts))
        for work in waiting
        if (held := work.held) is not None
    ]
    keys = frozenset(intent.step.key for intent in intents)
    try:
        lost = journal.begin(intents, guard=guard.state, take_over=keys)
    except JournalError as error:
        for work in waiting:
            work.result = refused("journal", f"the journal cannot be written: {error}")
        return
    for work in waiting:
        work.elsewhere = work.opened.step.key in lost
        work.begun = not work.elsewhere


def _act(work: _Open, guard: StepGuard) -> None:
    result = _refusal(work, guard)
    if result is None and work.held is not None:
        said = run_action(work.held)
        result = replace(said, reason=f"{said.reason}, {_AFTER}" if said.reason else f"finished {_AFTER}")
    work.result = result


def _flags(
    works: Sequence[_Open],
    by_name: Mapping[str, Executor],
    sinks: Mapping[str, Sink],
    guard: StepGuard,
    journal: OpenJournal,
) -> None:
    """Deliver what sinks are owed; what is no sink is asked again, because a flag comes at least once."""
    if not works:
        return
    missed = journal.deliver_now({name: sink for name, sink in sinks.items() if sink.local})
    for work in works:
        opened = work.opened
        answers: dict[str, Result] = {}
        for name in opened.sinks:
            here = name in sinks and sinks[name].local and not (name in missed and missed[name].reason)
            delivered = name not in opened.owed or here
            answers[name] = Result("done", f"delivered {_AFTER}") if delivered else queued_result(name)
            if name in missed and opened.step.key in missed[name].buried:
                answers[name] = Result("failed", f"`{name}` will never take it: it is a dead letter in the journal")
        for name in opened.executor.split(", "):
            executor = by_name.get(name)
            if executor is not None and name not in opened.sinks and opened.step.action in executor.actions:
                answers[name] = _raised_again(executor, work, guard)
        why = f"a crash cut it off, and no executor `{opened.executor}` is here"
        work.result = combine_results(answers) if answers else Result("failed", why)


def _raised_again(executor: Executor, work: _Open, guard: StepGuard) -> Result:
    try:
        found = executor.resolve(work.opened.step, guard.protection)
        if isinstance(found, Result):
            return found
        try:
            return run_action(found)
        finally:
            found.release()
    except Exception as error:  # noqa: BLE001 - an executor's fault must not keep the others from being checked
        return Result("failed", error_text(error))


def _write(works: Sequence[_Open], journal: OpenJournal) -> None:
    try:
        # Outcomes of steps that were acted on are kept by the journal until they can be written.
        journal.finish([work.outcome() for work in works if work.begun])
        journal.settle([work.outcome() for work in works if not work.begun])
    except JournalError as error:
        for work in works:
            if work.result is not None:
                work.result = replace(work.result, details={**work.result.details, "journal": f"not recorded: {error}"})


def follow_up(executors: Iterable[Executor] | Executor, journal: OpenJournal) -> tuple[StepOutcome, ...]:
    """Ask what became of steps that were accepted; return those that are over. Call it now and then.

    Raises:
        JournalError: the journal cannot be read or written; they stay under way.
    """
    by_name = {executor.name: executor for executor in named(executors)}
    ended: list[StepOutcome] = []
    for item in journal.under_way():
        executor = by_name.get(item.executor)
        # Another process may have it.
        result = None if executor is None else _followed(executor, item)
        if result is not None:
            ended.append(StepOutcome(item.step, result, item.executor))
    if ended:
        journal.settle(ended)
    return tuple(ended)


def _followed(executor: Executor, item: OpenStep) -> Result | None:
    """Return what became of a step; None while it is under way, or where that cannot be told now."""
    if not hasattr(executor, "follow"):
        return Result("failed", f"`{item.executor}` accepted it and cannot say what became of it")
    try:
        result = cast("Following", executor).follow(item.step, item.details)
    except Exception:  # noqa: BLE001 - asked again next time
        return None
    return None if result.status == "accepted" else result
