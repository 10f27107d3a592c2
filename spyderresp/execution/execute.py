"""ActionPlan x executors -> ExecutionReport. Why a step goes this way: docs/decisions/0031-the-way-of-a-step.md.

::

    settled by the plan? -> taken before? -> a guard's refusal? -> resolve (hold, then compare) -> admitted by the
    breakers? -> intent in the journal -> asked again of the guard -> act -> outcome in the journal

All targets of a plan are resolved before anything is signalled, and a failure stops no later step.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spyderresp.decision import ActionPlan
from spyderresp.execution.flags import Disclosure, allowed
from spyderresp.execution.guards import Guard
from spyderresp.execution.interfaces import Executor, StepGuard, StepJournal
from spyderresp.execution.pipeline import Pipeline
from spyderresp.execution.report import ExecutionReport
from spyderresp.execution.steps import steps_of

if TYPE_CHECKING:
    pass


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
    """Carry a plan out, in its order, and say what became of every step.

    Args:
        plan: what ``Engine.evaluate`` returned.
        executors: what carries steps out. An agent action goes to the first that takes it, and on to the next only
            where that one refuses because the event is another host's. A flag goes to all that take it.
        guard: what refuses steps; None is the default guard of this process, not no guard.
        journal: where steps are written before they are tried and after; makes each happen once. None: nothing is
            remembered.
        event: the event itself: what may leave of it goes with flags, and one without ``id`` is known again by its
            content.
        arrived: when the event came, in epoch seconds, for one without ``time``; None means now.
        disclosure: what of the event may leave beside the allow-list: arguments and environment, say, redacted.

    Returns:
        One outcome for every planned action. Nothing that an executor, a guard or the journal does wrong is raised: it
        becomes a ``failed`` or ``refused`` outcome.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: two executors share a name.
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
    """Carry plans out in their order, with one commit of the journal before and one after them all.

    The targets of all plans are held before the first is acted on, so hand in hundreds at a time, not thousands. See
    ``execute``.
    """
    for plan in plans:
        if not isinstance(plan, ActionPlan):
            raise TypeError(f"a plan is what `Engine.evaluate` returns, not {type(plan).__name__}")
    if events is not None and len(events) != len(plans):
        raise ValueError(f"{len(plans)} plans and {len(events)} events: one for each is needed")
    chosen = guard if guard is not None else default_guard()
    moment = chosen.now() if arrived is None else arrived
    told = events if events is not None else [None] * len(plans)
    groups = [
        steps_of(plan, arrived=moment, event=event, record=allowed(event, disclosure) if len(plan) else None)
        for plan, event in zip(plans, told, strict=True)
    ]
    round_ = Pipeline(named(executors), chosen, journal)
    outcomes, alarms = round_.carry_out(groups)
    reports = [
        ExecutionReport(plan.event, plan.policy_set, tuple(said)) for plan, said in zip(plans, outcomes, strict=True)
    ]
    if alarms:
        # Raised once, whichever plan it was that opened the breaker: said with the last.
        last = reports[-1]
        reports[-1] = ExecutionReport(last.event, last.policy_set, last.outcomes, tuple(alarms))
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
    """Carry a plan out in a thread, for asyncio hosts; as ``execute``.

    Cancelling the wait does not stop half-way what has begun: the steps are carried out, and the journal has their
    outcomes.
    """
    work = functools.partial(
        execute, plan, executors, guard, journal, event=event, arrived=arrived, disclosure=disclosure
    )
    # A caller that awaits has loaded asyncio; no other caller should wait for it to load.
    import asyncio

    return await asyncio.get_running_loop().run_in_executor(None, work)


@functools.lru_cache(maxsize=1)
def default_guard() -> Guard:
    """Return the guard of calls that name none: one for the process, or its breakers would forget between calls."""
    return Guard()


def named(executors: Iterable[Executor] | Executor) -> tuple[Executor, ...]:
    """Return executors as a tuple.

    Raises:
        TypeError: one of them is none.
        ValueError: two share a name: the journal could not tell whose a step is.
    """
    listed = tuple(executors) if isinstance(executors, Iterable) else (executors,)
    names: set[str] = set()
    for executor in listed:
        if not (hasattr(executor, "resolve") and hasattr(executor, "actions") and hasattr(executor, "name")):
            raise TypeError(f"an executor has a name, actions and resolve; {executor!r} does not")
        if executor.name in names:
            raise ValueError(f"two executors are called `{executor.name}`: name one of them otherwise")
        names.add(executor.name)
    return listed
