"""Runs ``spyderresp run``: makes the service from the configuration and the command line, and logs to the terminal."""

from __future__ import annotations

import argparse
import contextlib
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
from spyderresp.policies.policy_set import PolicySet
from spyderresp.policies.vocabulary import ACTIONS, FLAGS
from spyderresp.service.config.build import executors_of, has_real_agent_actions, is_finite
from spyderresp.service.config.load import (
    ConfigurationError,
    diagnosed,
    read_configuration,
    settings_of_flags,
    value_of_flag,
)
from spyderresp.service.config.settings import Settings
from spyderresp.service.config.source_settings import BROKERS, StdinSource
from spyderresp.service.config.values import Location
from spyderresp.service.metrics import Counts
from spyderresp.service.service import Ending, Service
from spyderresp.service.sources.base import SourceError
from spyderresp.service.trusted_files import require_trusted_files
from spyderresp.service.wiring import assemble

# The command line gives the same settings as a configuration, and the same models check them.

_SIMPLE: Final = ("policies", "journal", "positions", "monitor", "form", "mode", "defaults", "not_in")
_NETWORK: Final = ("http", "tcp")


class _Flags:
    """The settings that a command line gives, written as in a configuration.

    Attributes:
        values: the settings.
        names: the flag that gave each value, by the place of the value in ``values``.

    Raises:
        ConfigurationError: the value of a flag cannot be read.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self.values: dict[str, Any] = {}
        self.names: dict[Location, str] = {}
        for key in _SIMPLE:
            if value := getattr(args, key):
                self._give(self.values, (key,), f"--{key.replace('_', '-')}", value)
        if args.strict:
            self._give(self.values, ("strict",), "--strict", "true")
        if args.kill_switch is not None:
            self.values["guard"] = {}
            self._give(self.values["guard"], ("guard", "kill_switch"), "--kill-switch", args.kill_switch)
        if args.events:
            self.values["events"] = [self._source(index, word) for index, word in enumerate(args.events)]
        if args.executor or args.set:
            self.values["executors"] = self._executors()

    def override(self, settings: Settings) -> Settings:
        """Return settings in which the values of the command line replace others.

        Raises:
            ConfigurationError: anything is wrong with a flag.
        """
        given = settings_of_flags(self.values, self.names)
        settings = replace(settings, **{key: getattr(given, key) for key in self.values if key != "guard"})
        if "guard" in self.values:
            settings = replace(settings, guard=replace(settings.guard, kill_switch=given.guard.kill_switch))
        return settings

    def _give(self, values: dict[str, Any], loc: Location, flag: str, value: Any) -> None:
        """Add a value from a flag to the mapping that holds the place ``loc``."""
        values[str(loc[-1])] = value
        self.names[loc] = flag

    def _source(self, index: int, word: str) -> dict[str, Any]:
        args, loc = self._args, ("events", index)
        self.names[loc] = f"--events {word}"
        kind, colon, rest = word.partition(":")
        source: dict[str, Any] = {}
        if word == "-":
            source["stdin"] = ""
        elif colon and kind in _NETWORK:
            source[kind] = rest.removeprefix("//").rstrip("/")
            secret = {"file": args.token_file, "env": args.token_env}
            tls = {"certificate": args.tls_certificate, "key": args.tls_key, "clients": args.tls_clients}
            for key, flag, parts in (("token", "--token-file, --token-env", secret), ("tls", "--tls-...", tls)):
                if chosen := {name: value for name, value in parts.items() if value is not None}:
                    self._give(source, (*loc, key), flag, chosen)
        elif colon and kind in BROKERS and "/" in rest:
            servers, _, names = rest.removeprefix("//").partition("/")
            kafka = kind == "kafka"
            source |= {kind: servers, **({"topics": names.split(",")} if kafka else {"stream": names})}
            if args.group is not None:
                self._give(source, (*loc, "group" if kafka else "consumer"), "--group", args.group)
            if args.dead_letters is not None:
                self._give(source, (*loc, "dead_letters"), "--dead-letters", args.dead_letters)
        elif colon and kind == "unix":
            source["unix"] = rest.removeprefix("//")
            if args.uid:
                self._give(source, (*loc, "uids"), "--uid", args.uid)
        else:
            source["file"] = rest if colon and kind == "file" else word
            if args.follow:
                source["follow"] = "true"
        if args.plain and kind in (*_NETWORK, *BROKERS) and kind in source:
            source["plain"] = "true"
        return source

    def _executors(self) -> list[dict[str, dict[str, Any]]]:
        """Return the executors with their settings. `--set` names an executor too."""
        executors: dict[str, dict[str, Any]] = {name: {} for name in self._args.executor or ()}
        flags: dict[str, str] = {}
        settings: dict[str, dict[str, str]] = {}
        for word in self._args.set or ():
            where, _, value = word.partition("=")
            name, _, key = where.partition(".")
            flags.setdefault(name, f"--set {where}")
            settings.setdefault(name, {})[key] = where
            executors.setdefault(name, {})[key] = value_of_flag(f"--set {where}", value)
        for index, name in enumerate(executors):
            loc = ("executors", index)
            self.names[loc] = f"--executor {name}" if name in (self._args.executor or ()) else flags[name]
            self.names |= {(*loc, name, key): f"--set {where}" for key, where in settings.get(name, {}).items()}
        return [{name: values} for name, values in executors.items()]


_INTERRUPTED: Final = 130


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    flags = StdoutFlags(streams)
    executors: tuple[Executor, ...] = ()
    try:
        settings = Settings() if args.config is None else read_configuration(args.config)
        settings = _Flags(args).override(settings)
        if not settings.policies:
            raise CommandError("spyderresp run: error: there are no policies; name them by `--policies PATH`")
        if not settings.events:
            settings = replace(settings, events=(StdinSource(),))
        if StdinSource() in settings.events:
            _check_stdin(streams)
        executors = _with_defaults(executors_of(settings), flags)
        if has_real_agent_actions(executors):
            require_trusted_files(settings, args.config)
            _require_journal(settings)
        args.policies, args.strict = list(settings.policies), settings.strict
        policies = read_policies(args, streams)
        if policies is None:
            return 2
        if args.check:
            # Make the parts without starting them. This reads tokens and finds missing extras.
            with assemble(settings, policies, executors, RunLog(streams, "quiet")):
                pass
            streams.complain(f"spyderresp: fine: {plural(len(policies), 'policy')}, {policies.digest}")
            return 0
        return _serve(settings, policies, executors, flags, args.log, streams)
    except ConfigurationError as error:
        paint = streams.paint(errors=True)
        text = "\n".join(diagnostic_text(item, paint) for item in error.diagnostics)
        summary = f"configuration cannot be used: {counted(error.diagnostics)}; see {pages(error.diagnostics)}"
        raise CommandError(f"{text}\n{summary}") from None
    finally:
        for executor in executors:
            executor.close()


def _require_journal(settings: Settings) -> None:
    """Check that a service that kills has a journal if a broker can deliver an event twice."""
    message, hint = (
        "there is no journal, and a broker delivers events again",
        "name one by `journal`, or `--journal PATH`",
    )
    kinds = [source.kind for source in settings.events if source.kind in BROKERS]
    if kinds and settings.journal is None:
        raise ConfigurationError(tuple(diagnosed("SR602", kind, message, hint) for kind in kinds))


def _check_stdin(streams: Streams) -> None:
    if sys.stdin is None:
        # Another file may have the descriptor 0.
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
    live = not all(map(is_finite, settings.events))
    log = RunLog(streams, form, flags if flags in executors else None, bounded=live)
    with _logging_to(log):
        try:
            journal = None if settings.journal is None else Journal(settings.journal)
            if journal is None and has_real_agent_actions(executors):
                log.say(
                    "warning", "there is no journal: the service does not remember what it did, and may do it twice"
                )
            with assemble(settings, policies, executors, log, journal) as (service, counts):
                if live:
                    log.say("info", _description(settings, policies, executors))
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
    return _exit_code(ending, log)


@contextlib.contextmanager
def _logging_to(log: RunLog) -> Iterator[None]:
    """Write what the package and asyncio log to the log of this run."""
    handler = LogHandler(log)
    loggers = [logging.getLogger(name) for name in ("spyderresp", "asyncio")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def _description(settings: Settings, policies: PolicySet, executors: tuple[Executor, ...]) -> str:
    names = ", ".join(executor.name for executor in executors)
    mode = " in audit mode" if settings.mode == "audit" else ""
    return f"{plural(len(policies), 'policy')}{mode}, {policies.digest}; executors: {names}"


def _with_defaults(executors: tuple[Executor, ...], flags: StdoutFlags) -> tuple[Executor, ...]:
    """Return the executors; without one for flags, these go to standard output; without one for agents, a dry run."""
    if not any(executor.actions & FLAGS for executor in executors):
        executors = (*executors, flags)
    if not any(executor.actions - FLAGS for executor in executors):
        executors = (*executors, DryRun(actions=frozenset(ACTIONS) - FLAGS))
    return executors


@contextlib.contextmanager
def _signals(service: Service) -> Iterator[None]:
    """Pass signals to the service: the first SIGTERM or SIGINT drains it, a second one ends it at once."""

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)
        service.stop(number)

    def reload(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
        service.run_tasks()

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
    try:
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    except ValueError:
        # Only the main thread can set handlers; the caller handles the signals.
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
    parts = [f"{plural(counts.decided, 'event')} decided"]
    if bad := sum(counts.bad.values()):
        parts.append(f"{bad:,} bad")
    parts += [f"{count:,} {status}" for status, count in sorted(steps.items())]
    if ending.undecided:
        parts.append(f"about {ending.undecided:,} accepted but not decided, because draining took too long")
    return ", ".join(parts)


def _exit_code(ending: Ending, log: RunLog) -> int:
    if ending.failures:
        return 3
    if ending.undecided:
        return 1
    if ending.signal:
        return _INTERRUPTED if ending.signal == signal.SIGINT else 0
    return 1 if log.bad_events else 0
