"""Puts a service together from its settings, for ``spyderresp run``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from spyderresp.decision.engine import Engine
from spyderresp.errors import needs_extra
from spyderresp.execution.interfaces import Executor
from spyderresp.execution.reconciliation import reconcile
from spyderresp.policies.policy_set import PolicySet
from spyderresp.service.config.build import SourceFactory, guard_of, has_real_agent_actions, is_finite, reported
from spyderresp.service.config.settings import Settings
from spyderresp.service.intake import Intake
from spyderresp.service.loop import ServiceContext
from spyderresp.service.metrics import Counts, ServiceObserver, StateReader
from spyderresp.service.reload import OutcomePoller, Reload
from spyderresp.service.service import PeriodicTask, Service
from spyderresp.service.sources.base import SourceError
from spyderresp.service.sources.file import Positions
from spyderresp.service.trusted_files import untrusted_policies

if TYPE_CHECKING:
    from spyderresp.journal import Journal
    from spyderresp.service.tracing import Spans

# Seconds at the end for polling outcomes and for delivering queued flags.
_LAST: float = 5.0


@contextlib.contextmanager
def assemble(
    settings: Settings,
    policies: PolicySet,
    executors: tuple[Executor, ...],
    observer: ServiceObserver,
    journal: Journal | None = None,
) -> Iterator[tuple[Service, Counts]]:
    """Put a service together; close all its parts at the end, the journal last.

    With a journal, steps that an earlier process left open are checked and ended first.

    Args:
        settings: of the service; ``settings.executors`` is not used.
        policies: those in force at first.
        executors: carry out the steps.
        observer: receives everything that the service reports.
        journal: records the steps.

    Raises:
        ConfigurationError: a source cannot be made with its settings.
        SourceError: positions cannot be read.
        JournalError: the journal cannot be read or written.
    """
    counts = Counts()
    engine = Engine(policies, defaults=settings.defaults, not_in=settings.not_in, mode=settings.mode)
    guard = guard_of(settings)
    spans = _spans() if settings.spans else None
    context = ServiceContext(engine, executors, guard, journal, observer, settings.form, counts, spans)
    intake = Intake(settings.limits.events, settings.limits.bytes)
    watch = StateReader(engine, guard, intake, None if journal is None else journal.owed)
    factory = SourceFactory(settings, _positions(settings), observer, counts, watch)
    sources = factory.sources()
    live = not all(map(is_finite, settings.events))
    monitor = None if settings.monitor is None else factory.monitor(settings.monitor)
    tasks: list[PeriodicTask] = [_reload(settings, engine, executors, observer, counts, journal, live=live)]
    poller = None if journal is None else OutcomePoller(context, journal)
    if journal is not None and poller is not None:
        tasks.append(poller)
        _open_journal(context, journal, policies, settings)
    service = Service(sources, intake, context, tasks=tasks, drain=settings.drain, monitor=monitor, log_sources=live)
    watch.ready = lambda: service.ready
    try:
        yield service, counts
    finally:
        if poller is not None:
            poller.end(_LAST)
        if journal is not None:
            journal.close(_LAST)
        if spans is not None:
            spans.close()


def _spans() -> Spans:
    with reported("spans"), needs_extra("otel", "`spans`"):
        from spyderresp.service.tracing import Spans
    return Spans()


def _positions(settings: Settings) -> Positions:
    positions = Positions(settings.positions_path)
    try:
        positions.load()
    except (OSError, ValueError) as error:
        raise SourceError(f"{settings.positions_path}: {getattr(error, 'strerror', None) or error}") from None
    return positions


def _reload(
    settings: Settings,
    engine: Engine,
    executors: tuple[Executor, ...],
    observer: ServiceObserver,
    counts: Counts,
    journal: Journal | None,
    *,
    live: bool,
) -> Reload:
    def record(policies: PolicySet | None, reason: str) -> None:
        if journal is not None:
            digest, count = ("", 0) if policies is None else (policies.digest, len(policies))
            journal.record_policies(digest, settings.policies, policies=count, reason=reason)

    return Reload(
        settings.policies,
        engine,
        observer,
        counts,
        strict=settings.strict,
        watch=settings.watch and live,
        record=record,
        untrusted=(lambda: tuple(untrusted_policies(settings))) if has_real_agent_actions(executors) else tuple,
    )


def _open_journal(context: ServiceContext, journal: Journal, policies: PolicySet, settings: Settings) -> None:
    """Record the policies in force, and end the steps that an earlier process left open."""
    journal.record_policies(policies.digest, settings.policies, policies=len(policies))
    ended = reconcile(context.executors, journal, context.guard)
    if ended:
        context.observer.say("warning", f"{len(ended):,} steps were left open by an earlier process; each is ended now")
    for outcome in ended:
        context.observer.outcome("", 0, outcome)
    context.counts.count_steps((outcome.action, outcome.status) for outcome in ended)
