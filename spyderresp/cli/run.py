"""``spyderresp run``: the service loop."""

from __future__ import annotations

import argparse
import contextlib
import signal
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType
from typing import Any, Final, get_args

from spyderresp.adapters import BUILT_IN
from spyderresp.cli.output import CannotGoOnError, Streams, reason_of, safe
from spyderresp.cli.policies import engine_of, read_policies
from spyderresp.cli.render import plural
from spyderresp.cli.run_log import RunLog, StdoutFlags
from spyderresp.compiler import Defaults, NotIn
from spyderresp.executors.base import Executor
from spyderresp.executors.dry_run import DryRun
from spyderresp.service.building import distrusted_files, distrusted_policies, ends, guard_of, kills, source_of
from spyderresp.service.counts import Counts
from spyderresp.service.intake import Intake
from spyderresp.service.reload import Reload
from spyderresp.service.rounds import Hands
from spyderresp.service.service import Ending, Service
from spyderresp.service.settings import FileSource, Settings, SourceSettings, StdinSource
from spyderresp.service.sources.base import SourceError
from spyderresp.service.sources.positions import Positions
from spyderresp.vocabulary import ACTIONS, FLAGS

_INTERRUPTED: Final = 130
_EPILOG: Final = """\
examples:
  spyderresp run --policies policies/ --events events.jsonl
  spyderresp run --policies policies/ --events /var/log/falco.jsonl --follow

with no executor named, flags go to standard output and agent actions are dry-run; what became of every
step, and every bad event, is told on standard error

exit codes: 0 fine, or ended by SIGTERM; 1 some events are bad, all others are decided; 2 a policy cannot be
read; 3 wrong usage or configuration, or input or output fails"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "run",
        help="read events, decide, and carry out",
        description="read events, decide each, carry out what is to be done, and say what became of it",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "--policies", action="append", metavar="PATH", help="a policy file or directory; may be repeated"
    )
    parser.add_argument(
        "--events", action="append", metavar="SOURCE", help="a file, or - for standard input (default); may be repeated"
    )
    parser.add_argument("--follow", action="store_true", help="stay at the end of files and wait for more")
    parser.add_argument("--strict", action="store_true", help="make each lenient repair an error")
    parser.add_argument("--defaults", choices=get_args(Defaults), help="when default actions are taken")
    parser.add_argument("--not-in", choices=get_args(NotIn), help="whether NotIn holds where the key is absent")
    parser.add_argument("--mode", choices=("audit",), help="treat every policy as one in audit mode")
    parser.add_argument(
        "--form", choices=BUILT_IN.names, help="the shape of the records; recognised one by one where not given"
    )
    parser.add_argument("--kill-switch", metavar="PATH", help="while this file exists no agent action is taken")
    parser.add_argument("--log", choices=("text", "json", "quiet"), default="text", help="default: text")


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    settings = _settings(args)
    if not settings.policies:
        raise CannotGoOnError("spyderresp run: error: no policies; name them by `--policies PATH`")
    args.policies, args.strict = list(settings.policies), settings.strict
    args.defaults, args.not_in = settings.defaults, settings.not_in
    policies = read_policies(args, streams)
    if policies is None:
        return 2
    flags = StdoutFlags(streams)
    executors = _completed((), flags)
    live = not all(ends(source) for source in settings.sources)
    log = RunLog(streams, args.log, flags if flags in executors else None, bounded=live)
    _refuse_distrusted(settings, executors)
    hands = Hands(engine_of(policies, args), executors, guard_of(settings), None, log, settings.form, Counts())
    positions = Positions(settings.kept_positions)
    try:
        positions.load()
    except (OSError, ValueError) as error:
        raise CannotGoOnError(f"spyderresp: {safe(str(settings.kept_positions))}: {safe(str(error))}") from None
    reload = Reload(
        settings.policies,
        hands.engine,
        log,
        hands.counts,
        strict=settings.strict,
        watch=settings.watch and live,
        refused=(lambda: tuple(distrusted_policies(settings))) if kills(executors) else tuple,
    )
    service = Service(
        [source_of(source, positions, log) for source in settings.sources],
        Intake(settings.max_events, settings.max_bytes),
        hands,
        chores=[reload],
        drain=settings.drain,
    )
    try:
        with _signals(service):
            ending = service.run()
    except SourceError as error:
        raise CannotGoOnError(f"spyderresp: {safe(str(error))}") from None
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise CannotGoOnError(f"spyderresp: {reason_of(error)}") from None
    finally:
        for executor in executors:
            executor.close()
    log.end()
    log.say("info", _summary(hands.counts, ending))
    return _code(ending, log)


def _settings(args: argparse.Namespace) -> Settings:
    """Return the settings: of the file, and of the command line over them."""
    settings = Settings()
    sources = tuple(_source(word, follow=args.follow) for word in args.events or ["-"])
    given = {
        "policies": tuple(args.policies) if args.policies else None,
        "sources": sources,
        "defaults": args.defaults,
        "not_in": args.not_in,
        "mode": args.mode,
        "form": args.form,
        "strict": args.strict or None,
    }
    settings = replace(settings, **{name: value for name, value in given.items() if value is not None})
    if args.kill_switch is not None:
        settings = replace(settings, guard=replace(settings.guard, kill_switch=args.kill_switch))
    return settings


def _source(word: str, *, follow: bool) -> SourceSettings:
    return StdinSource() if word == "-" else FileSource(word, follow=follow)


def _completed(executors: tuple[Executor, ...], flags: StdoutFlags) -> tuple[Executor, ...]:
    """Return the executors that were named, and what takes the rest: flags go to standard output, acts are dry."""
    if not any(executor.actions & FLAGS for executor in executors):
        executors = (*executors, flags)
    if not any(executor.actions - FLAGS for executor in executors):
        executors = (*executors, DryRun(actions=frozenset(ACTIONS) - FLAGS))
    return executors


def _refuse_distrusted(settings: Settings, executors: tuple[Executor, ...]) -> None:
    if kills(executors) and (reasons := [*distrusted_files(settings), *distrusted_policies(settings)]):
        listed = "\n".join(f"spyderresp: error: {safe(reason)}" for reason in reasons)
        raise CannotGoOnError(
            f"{listed}\nspyderresp: a service that can kill believes only what nobody else can change"
        )


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
