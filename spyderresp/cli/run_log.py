"""What ``spyderresp run`` prints: flags on standard output, everything else on standard error."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

from spyderresp.cli.terminal import Streams, safe
from spyderresp.execution.interfaces import DeliveryError
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result, StepOutcome
from spyderresp.execution.steps import Step
from spyderresp.executors.dry_run import said_of
from spyderresp.policies.vocabulary import FLAGS
from spyderresp.service.intake import BadRecord
from spyderresp.service.metrics import Level

Form = Literal["text", "json", "quiet"]
_encode: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=repr).encode
# Of a source that never ends so many bad events are named a second: whoever sends them must not fill the disk.
_NAMED_A_SECOND: Final = 20
_COLOURS: Final = {"done": "green", "accepted": "green", "failed": "red", "refused": "yellow", "incomplete": "red"}


class StdoutFlags:
    """Flags as JSON lines on standard output.

    Attributes:
        lost: what went wrong with standard output, once it did.
    """

    name: Final = "stdout"
    actions: Final = FLAGS
    local: Final = True

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self.lost: Exception | None = None

    def resolve(self, step: Step, protection: Protection) -> Result:  # noqa: ARG002 - the protocol's signature
        """Flags are delivered, not resolved."""
        return Result("unsupported", "a sink")

    def deliver(self, records: list[Mapping[str, Any]]) -> None:
        """Write each as a line."""
        try:
            for record in records:
                self._streams.write(_encode(record))
            self._streams.flush()
        except Exception as error:
            self.lost = error
            raise DeliveryError("standard output is gone") from error

    def close(self) -> None:
        """Nothing is held."""


class RunLog:
    """Tells people, or a machine that reads JSON lines, on standard error.

    Args:
        streams: where it goes.
        form: ``quiet`` leaves out outcomes and news.
        sink: where flags go, if it is standard output: when its reader goes away, the service ends.
        bounded: whether to name only so many bad events a second.
    """

    def __init__(self, streams: Streams, form: Form, sink: StdoutFlags | None = None, *, bounded: bool = False) -> None:
        self._streams = streams
        self._form = form
        self._sink = sink
        self._paint = streams.paint(errors=True)
        self._bounded = bounded
        self._lock = threading.Lock()
        self._second = 0
        self._named = 0
        self._unnamed = 0
        self.bad_events = 0

    def say(self, level: Level, message: str) -> None:
        """Tell something about the service itself."""
        if self._form == "quiet" and level == "info":
            return
        if self._form == "json":
            self._write({"level": level, "message": message})
            return
        word = "" if level == "info" else f"{self._paint('red' if level == 'error' else 'yellow', level)}: "
        self._complain(f"spyderresp: {word}" + "\n".join(safe(line) for line in message.split("\n")))

    def bad(self, source: str, bad: BadRecord) -> None:
        """Name a bad event, and where it stood."""
        with self._lock:
            self.bad_events += 1
            named = self._may_name()
        if not named:
            return
        if self._form == "json":
            self._write(
                {
                    "level": "error",
                    "event": "bad",
                    "source": source,
                    "line": bad.line,
                    "path": bad.error.path,
                    "message": bad.error.reason,
                }
            )
            return
        self._complain(f"{safe(source)}:{bad.line}: error: {safe(str(bad.error))}")

    def outcome(self, source: str, line: int, outcome: StepOutcome) -> None:
        """Tell what became of a step; a flag that was taken tells of itself."""
        if self._form == "quiet" or (outcome.step.is_flag and outcome.status in ("done", "accepted")):
            return
        if self._form == "json":
            self._write({"level": "info", "event": "outcome", "source": source, "line": line, **outcome.to_dict()})
            return
        where = f"{safe(source)}:{line}: " if line else ""
        self._complain(f"{where}{self._status(outcome)} {outcome.action}: {safe(sentence(outcome))}")

    def flush(self) -> None:
        """Tell what was held back.

        Raises:
            BrokenPipeError: whoever read the flags went away.
            CommandError: standard output cannot be written.
        """
        if self._sink is not None and self._sink.lost is not None:
            raise self._sink.lost
        with self._lock:
            unnamed = self._unnamed if int(time.monotonic()) != self._second else 0
            self._unnamed -= unnamed
        if unnamed:
            self.say("error", f"{unnamed:,} more bad events")

    def end(self) -> None:
        """Tell what is still held back."""
        self._second = -1
        self._sink = None
        self.flush()

    def _may_name(self) -> bool:
        if not self._bounded:
            return True
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._named = second, 0
        self._named += 1
        self._unnamed += self._named > _NAMED_A_SECOND
        return self._named <= _NAMED_A_SECOND

    def _status(self, outcome: StepOutcome) -> str:
        colour = _COLOURS.get(outcome.status)
        return self._paint(colour, outcome.status) if colour else outcome.status

    def _write(self, said: Mapping[str, Any]) -> None:
        moment = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z"
        self._complain(_encode({"time": stamp, **said}))

    def _complain(self, text: str) -> None:
        with self._lock:
            self._streams.complain(text)


class LogHandler(logging.Handler):
    """Hands what is logged to the log of a run."""

    def __init__(self, log: RunLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Tell a record; a traceback is for whoever looks for the fault."""
        self._log.say("warning" if record.levelno < logging.ERROR else "error", self.format(record))


def sentence(outcome: StepOutcome) -> str:
    """Return what became of a step, of whom, and who asked for it."""
    step = outcome.step
    about = [] if step.is_flag or outcome.status == "dry_run" else [said_of(step)]
    rule = f" [{outcome.rule}]" if outcome.rule else ""
    said = ": ".join([*about, *([outcome.reason] if outcome.reason else [])]) + rule
    asked = [f"{source.policy}, {source.section}[{source.index}], {source.location}" for source in step.sources]
    return f"{said} (by {'; '.join(asked)})" if asked else said
