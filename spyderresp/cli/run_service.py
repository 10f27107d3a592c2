"""``spyderresp run``, once it is known that it is wanted: a service and its terminal."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType
from typing import Any, Final

from spyderresp.cli.options import read_policies
from spyderresp.cli.run_log import Form, LogHandler, RunLog, StdoutFlags
from spyderresp.cli.terminal import CommandError, Streams, counted, diagnostic_text, pages, plural, reason_of, safe
from spyderresp.execution.interfaces import Executor
from spyderresp.executors.dry_run import DryRun
from spyderresp.journal import Journal, JournalError
from spyderresp.policies.diagnostics import Source
from spyderresp.policies.policy_set import PolicySet
from spyderresp.policies.vocabulary import ACTIONS, FLAGS
from spyderresp.service.config.build import (
    executors_of,
    has_real_agent_actions,
    is_finite,
    require_journal,
    require_trusted_files,
)
from spyderresp.service.config.executor_settings import Installed
from spyderresp.service.config.load import Catalogue, ConfigurationError, read_configuration, settings_of
from spyderresp.service.config.settings import Settings, StdinSource
from spyderresp.service.config.source_settings import BROKERS
from spyderresp.service.metrics import Counts
from spyderresp.service.service import Ending, Service
from spyderresp.service.sources.base import SourceError
from spyderresp.service.wiring import assemble

# The options of ``spyderresp run``: turned into the text of a configuration, so that both are checked alike.

_NETWORK: Final = ("http", "tcp")
_quoted: Final = json.JSONEncoder(ensure_ascii=False).encode


def settings_from(args: argparse.Namespace, catalogue: Catalogue) -> Settings:
    """Return the settings: those of the configuration, with those of the command line over them.

    Raises:
        ConfigurationError: anything is wrong with them.
    """
    settings = read_configuration(args.config, catalogue) if args.config is not None else Settings()
    given = list(_given(args))
    if given:
        told = settings_of(Source("<command line>", "\n".join(given) + "\n"), catalogue)
        settings = _over(settings, told, args)
    return settings


def _given(args: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of a configuration that says what the command line says."""
    if args.policies:
        yield f"policies: {_quoted(args.policies)}"
    for key in ("journal", "positions", "monitor", "form", "mode", "defaults", "not_in"):
        if (value := getattr(args, key)) is not None:
            yield f"{key}: {_quoted(value)}"
    if args.strict:
        yield "strict: true"
    if args.kill_switch is not None:
        yield f"guard: {{kill_switch: {_quoted(args.kill_switch)}}}"
    if args.events:
        yield "events:"
        for word in args.events:
            yield from _source(word, args)
    if args.executor or args.set:
        yield "executors:"
        yield from _executors(args)


def _source(word: str, args: argparse.Namespace) -> Iterator[str]:
    kind, found, rest = word.partition(":")
    if word == "-":
        yield "- stdin:"
    elif found and kind in _NETWORK:
        yield f"- {kind}: {_quoted(rest.removeprefix('//').rstrip('/'))}"
        if args.token_file is not None or args.token_env is not None:
            named = {"file": args.token_file, "env": args.token_env}
            yield f"  token: {_quoted({key: value for key, value in named.items() if value is not None})}"
        tls = {"certificate": args.tls_certificate, "key": args.tls_key, "clients": args.tls_clients}
        if any(value is not None for value in tls.values()):
            yield f"  tls: {_quoted({key: value for key, value in tls.items() if value is not None})}"
        if args.plain:
            yield "  plain: true"
    elif found and kind in BROKERS and "/" in rest:
        servers, _, names = rest.removeprefix("//").partition("/")
        yield f"- {kind}: {_quoted(servers)}"
        yield f"  topics: {_quoted(names.split(','))}" if kind == "kafka" else f"  stream: {_quoted(names)}"
        if args.group is not None:
            yield f"  {'group' if kind == 'kafka' else 'consumer'}: {_quoted(args.group)}"
        if args.dead_letters is not None:
            yield f"  dead_letters: {_quoted(args.dead_letters)}"
        if args.plain:
            yield "  plain: true"
    elif found and kind == "unix":
        yield f"- unix: {_quoted(rest.removeprefix('//'))}"
        if args.uid:
            yield f"  uids: {_quoted(args.uid)}"
    else:
        yield f"- file: {_quoted(rest if found and kind == 'file' else word)}"
        if args.follow:
            yield "  follow: true"


def _executors(args: argparse.Namespace) -> Iterator[str]:
    """Yield each executor with its settings; one that only `--set` names is meant too."""
    settings: dict[str, list[str]] = {name: [] for name in args.executor or ()}
    for word in args.set or ():
        where, _, value = word.partition("=")
        name, _, key = where.partition(".")
        # Not quoted: it may be a number, a boolean, a list or a mapping.
        settings.setdefault(name, []).append(f"    {_quoted(key)}: {value}")
    for name, lines in settings.items():
        yield f"- {_quoted(name)}:"
        yield from lines


def _over(settings: Settings, told: Settings, args: argparse.Namespace) -> Settings:
    given: dict[str, Any] = {
        "policies": args.policies,
        "sources": args.events,
        "executors": args.executor or args.set,
        "journal": args.journal,
        "positions": args.positions,
        "monitor": args.monitor,
        "form": args.form,
        "mode": args.mode,
        "defaults": args.defaults,
        "not_in": args.not_in,
        "strict": args.strict,
    }
    settings = replace(settings, **{name: getattr(told, name) for name, value in given.items() if value})
    if args.kill_switch is not None:
        settings = replace(settings, guard=replace(settings.guard, kill_switch=told.guard.kill_switch))
    return settings


_INTERRUPTED: Final = 130


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    flags = StdoutFlags(streams)
    installed = Installed()
    executors: tuple[Executor, ...] = ()
    try:
        settings = settings_from(args, installed)
        if not settings.policies:
            raise CommandError("spyderresp run: error: no policies; name them by `--policies PATH`")
        if not settings.sources:
            settings = replace(settings, sources=(StdinSource(),))
        if StdinSource() in settings.sources:
            _look_at_stdin(streams)
        executors = _completed(executors_of(settings, installed), flags)
        if has_real_agent_actions(executors):
            require_trusted_files(settings)
            require_journal(settings)
        args.policies, args.strict = list(settings.policies), settings.strict
        policies = read_policies(args, streams)
        if policies is None:
            return 2
        if args.check:
            # Made and never started: tokens are read, and extras looked for.
            with assemble(settings, policies, executors, RunLog(streams, "quiet")):
                pass
            streams.complain(f"spyderresp: fine: {_count(policies)}, {policies.digest}")
            return 0
        return _serve(settings, policies, executors, flags, args.log, streams)
    except ConfigurationError as error:
        paint = streams.paint(errors=True)
        said = "\n".join(diagnostic_text(item, paint) for item in error.diagnostics)
        found = f"configuration cannot be used: {counted(error.diagnostics)}; see {pages(error.diagnostics)}"
        raise CommandError(f"{said}\n{found}") from None
    finally:
        for executor in executors:
            executor.close()


def _look_at_stdin(streams: Streams) -> None:
    if sys.stdin is None:
        # Its number may belong to any file by now.
        raise CommandError("spyderresp: standard input is closed; name a file")
    if sys.stdin.isatty():
        streams.complain("reading events from the terminal, one JSON object a line; Ctrl-D ends")


def _serve(
    settings: Settings,
    policies: PolicySet,
    executors: tuple[Executor, ...],
    flags: StdoutFlags,
    form: Form,
    streams: Streams,
) -> int:
    live = not all(map(is_finite, settings.sources))
    log = RunLog(streams, form, flags if flags in executors else None, bounded=live)
    with _heard(log):
        try:
            journal = None if settings.journal is None else Journal(settings.journal)
            if journal is None and has_real_agent_actions(executors):
                log.say("warning", "there is no journal: what was done is not remembered, and may be done twice")
            with assemble(settings, policies, executors, log, journal) as (service, counts):
                if live:
                    log.say("info", _beginning(settings, policies, executors))
                with _signals(service):
                    ending = service.run()
        except (SourceError, JournalError) as error:
            raise CommandError(f"spyderresp: {safe(str(error))}") from None
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CommandError(f"spyderresp: {reason_of(error)}") from None
        log.end()
        log.say("info", _summary(counts, ending))
    return _code(ending, log)


@contextlib.contextmanager
def _heard(log: RunLog) -> Iterator[None]:
    """Tell what the package and asyncio log as everything else is told."""
    handler = LogHandler(log)
    loggers = [logging.getLogger(name) for name in ("spyderresp", "asyncio")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def _count(policies: PolicySet) -> str:
    return "1 policy" if len(policies) == 1 else f"{len(policies):,} policies"


def _beginning(settings: Settings, policies: PolicySet, executors: tuple[Executor, ...]) -> str:
    names = ", ".join(executor.name for executor in executors)
    mode = " in audit mode" if settings.mode == "audit" else ""
    return f"{_count(policies)}{mode}, {policies.digest}; executors: {names}"


def _completed(executors: tuple[Executor, ...], flags: StdoutFlags) -> tuple[Executor, ...]:
    """Return the executors that were named, and what takes the rest: flags go to standard output, acts are dry."""
    if not any(executor.actions & FLAGS for executor in executors):
        executors = (*executors, flags)
    if not any(executor.actions - FLAGS for executor in executors):
        executors = (*executors, DryRun(actions=frozenset(ACTIONS) - FLAGS))
    return executors


@contextlib.contextmanager
def _signals(service: Service) -> Iterator[None]:
    """Let signals reach the service: the first that ends drains it, a second one ends it where it stands."""

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the handler's signature
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)
        service.stop(number)

    def look(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the handler's signature
        service.look()

    handlers = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGHUP: look}
    try:
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    except ValueError:
        # Not the main thread: whoever calls has the signals.
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _summary(counts: Counts, ending: Ending) -> str:
    steps: dict[str, int] = {}
    for (_, status), count in sorted(counts.steps.items()):
        steps[status] = steps.get(status, 0) + count
    said = [f"{plural(counts.decided, 'event')} decided"]
    if bad := sum(counts.bad.values()):
        said.append(f"{bad:,} bad")
    said += [f"{count:,} {status}" for status, count in sorted(steps.items())]
    if ending.undecided:
        said.append(f"about {ending.undecided:,} accepted and not decided: draining took too long")
    return ", ".join(said)


def _code(ending: Ending, log: RunLog) -> int:
    if ending.failures:
        return 3
    if ending.undecided:
        return 1
    if ending.signal:
        return _INTERRUPTED if ending.signal == signal.SIGINT else 0
    return 1 if log.bad_events else 0
