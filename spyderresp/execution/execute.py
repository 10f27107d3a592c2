"""``execute``: carries a plan out and returns an ExecutionReport. docs/decisions/0031-the-way-of-a-step.md says why.

::

    plan's disposition -> recorded before? -> guard -> resolve (hold, then compare) -> breakers
        -> intent in the journal -> guard again -> act -> outcome in the journal

All targets of a plan are resolved before the first action, and a failure stops no later step.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from spyderresp.decision import ActionPlan
from spyderresp.execution.flags import Disclosure, allowed
from spyderresp.execution.guards.guard import Guard
from spyderresp.execution.interfaces import Executor, StepGuard, StepJournal
from spyderresp.execution.pipeline import Pipeline
from spyderresp.execution.report import ExecutionReport
from spyderresp.execution.steps import steps_of


def execute(
    plan: ActionPlan,
    executors: Iterable[Executor] | Executor,
    guard: StepGuard | None = None,
    journal: StepJournal | None = None,
    *,
    event: Mapping[str, Any] | None = None,
    arrived: float | None = None,
    disclosure: Disclosure | None = None,
) -> ExecutionReport:
    """Carry a plan out, in its order, and report the outcome of every step.

    ::

        executors = [spyderresp.executors.LocalHost("web-1"), spyderresp.executors.JsonLines("flags.jsonl")]
        report = spyderresp.execute(engine.evaluate(event), executors, event=event)

    Args:
        plan: the plan, from ``Engine.evaluate``.
        executors: carry the steps out. An agent action goes to the first executor that takes it; the next one is asked
            only if that one refuses because the event is from another host. A flag goes to all executors that take it.
        guard: refuses steps; None: the default guard, one for the whole process.
        journal: records each step before and after it is carried out, so that each happens once; None: nothing is
            recorded.
        event: the event of the plan. Its allow-listed fields go with flags. If it has no ``id``, the journal recognises
            it by its content.
        arrived: when the event arrived, in epoch seconds; None: now. Steps expire by it if the event has no ``time``.
        disclosure: further fields of the event that may leave with flags, redacted; None: only the allow-list.

    Returns:
        One outcome for every planned action. Errors of executors, the guard and the journal are ``failed`` or
        ``refused`` outcomes; they are not raised.

    Raises:
        TypeError: ``plan`` is not a plan, or an executor is not an executor.
        ValueError: two executors have the same name.
    """
    events = None if event is None else [event]
    return execute_many([plan], executors, guard, journal, events=events, arrived=arrived, disclosure=disclosure)[0]


def execute_many(
    plans: Sequence[ActionPlan],
    executors: Iterable[Executor] | Executor,
    guard: StepGuard | None = None,
    journal: StepJournal | None = None,
    *,
    events: Sequence[Mapping[str, Any] | None] | None = None,
    arrived: float | None = None,
    disclosure: Disclosure | None = None,
) -> list[ExecutionReport]:
    """Carry plans out in their order, with one commit of the journal before all of them and one after.

    All targets are held before the first action, and a held process needs a file descriptor: pass hundreds of plans,
    not thousands.

    Args:
        plans: the plans.
        executors: as in ``execute``.
        guard: as in ``execute``.
        journal: as in ``execute``.
        events: the event of each plan, or None for a plan; None: no events.
        arrived: when the first of the events arrived, in epoch seconds; None: now.
        disclosure: as in ``execute``.

    Returns:
        One report for each plan. Alarms of the guard are in the last report.

    Raises:
        TypeError: one of ``plans`` is not a plan, or an executor is not an executor.
        ValueError: two executors have the same name, or the number of events is not the number of plans.
    """
    for plan in plans:
        if not isinstance(plan, ActionPlan):
            raise TypeError(f"a plan is what `Engine.evaluate` returns, not {type(plan).__name__}")
    if events is not None and len(events) != len(plans):
        raise ValueError(f"{len(plans)} plans and {len(events)} events: pass one event for each plan")
    guard = guard if guard is not None else default_guard()
    arrived = guard.now() if arrived is None else arrived
    groups = [
        steps_of(plan, arrived=arrived, event=event, record=allowed(event, disclosure) if len(plan) else None)
        for plan, event in zip(plans, events or [None] * len(plans), strict=True)
    ]
    outcomes, alarms = Pipeline(checked_executors(executors), guard, journal).carry_out(groups)
    reports = [
        ExecutionReport(plan.event, plan.policy_set, tuple(ended)) for plan, ended in zip(plans, outcomes, strict=True)
    ]
    if alarms:
        reports[-1] = replace(reports[-1], alarms=tuple(alarms))
    return reports


async def aexecute(
    plan: ActionPlan,
    executors: Iterable[Executor] | Executor,
    guard: StepGuard | None = None,
    journal: StepJournal | None = None,
    *,
    event: Mapping[str, Any] | None = None,
    arrived: float | None = None,
    disclosure: Disclosure | None = None,
) -> ExecutionReport:
    """Carry a plan out in a thread, for asyncio programs. Arguments, result and errors are those of ``execute``.

    If the caller is cancelled, the thread still carries out all steps, and the journal records their outcomes.
    """
    # Only callers that use asyncio should wait for its import.
    import asyncio

    work = functools.partial(
        execute, plan, executors, guard, journal, event=event, arrived=arrived, disclosure=disclosure
    )
    return await asyncio.get_running_loop().run_in_executor(None, work)


@functools.lru_cache(maxsize=1)
def default_guard() -> Guard:
    """Return the guard of calls without one. It is shared, so that its breakers count the kills of all calls."""
    return Guard()


def checked_executors(executors: Iterable[Executor] | Executor) -> tuple[Executor, ...]:
    """Return executors as a tuple.

    Raises:
        TypeError: one of them is not an executor.
        ValueError: two have the same name, so that the journal could not tell them apart.
    """
    listed = tuple(executors) if isinstance(executors, Iterable) else (executors,)
    names: set[str] = set()
    for executor in listed:
        if not (hasattr(executor, "resolve") and hasattr(executor, "actions") and hasattr(executor, "name")):
            raise TypeError(f"{executor!r} is not an executor: it needs `name`, `actions` and `resolve`")
        if executor.name in names:
            raise ValueError(f"two executors are called `{executor.name}`: give one of them another name")
        names.add(executor.name)
    return listed
