"""The output of ``spyderresp run``: flags on standard output, all messages on standard error."""

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
from spyderresp.executors.dry_run import target_text
from spyderresp.policies.vocabulary import FLAGS
from spyderresp.service.intake import BadRecord
from spyderresp.service.metrics import Level

Form = Literal["text", "json", "quiet"]
_encode: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=repr).encode
# The most bad events logged in a second for live sources, so that a bad sender cannot fill the disk with log lines.
_NAMED_A_SECOND: Final = 20
_COLOURS: Final = {"done": "green", "accepted": "green", "failed": "red", "refused": "yellow", "incomplete": "red"}


class StdoutFlags:
    """A sink that writes flags as JSON lines to standard output.

    Attributes:
        lost: the error that ended standard output; None while it works.
    """

    name: Final = "stdout"
    actions: Final = FLAGS
    local: Final = True

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self.lost: Exception | None = None

    def resolve(self, step: Step, protection: Protection) -> Result:  # noqa: ARG002 - the protocol's signature
        """Unused: flags are delivered, not resolved."""
        return Result("unsupported", "a sink")

    def deliver(self, records: list[Mapping[str, Any]]) -> None:
        """Write each record as a line."""
        try:
            for record in records:
                self._streams.write(_encode(record))
            self._streams.flush()
        except Exception as error:
            self.lost = error
            raise DeliveryError("standard output cannot be written") from error

    def close(self) -> None:
        """Nothing to close."""


class RunLog:
    """Logs to standard error, as text or as JSON lines.

    Args:
        streams: the standard streams.
        form: the form of the log; ``quiet`` leaves out outcomes and messages of level ``info``.
        sink: the sink on standard output, if flags go there: when its reader goes away, the service ends.
        bounded: whether to limit the number of bad events logged in a second.
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
        """Log a message about the service itself."""
        if self._form == "quiet" and level == "info":
            return
        if self._form == "json":
            self._write({"level": level, "message": message})
            return
        word = "" if level == "info" else f"{self._paint('red' if level == 'error' else 'yellow', level)}: "
        self._complain(f"spyderresp: {word}" + "\n".join(safe(line) for line in message.split("\n")))

    def bad(self, source: str, bad: BadRecord) -> None:
        """Log a bad event with its source and line."""
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
        """Log the outcome of a step. Skip flags that a sink accepted, because the sink shows them."""
        if self._form == "quiet" or (outcome.step.is_flag and outcome.status in ("done", "accepted")):
            return
        if self._form == "json":
            self._write({"level": "info", "event": "outcome", "source": source, "line": line, **outcome.to_dict()})
            return
        where = f"{safe(source)}:{line}: " if line else ""
        self._complain(f"{where}{self._status(outcome)} {outcome.action}: {safe(sentence(outcome))}")

    def flush(self) -> None:
        """Log the number of bad events that were not logged one by one.

        Raises:
            BrokenPipeError: the reader of the flags went away.
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
        """Log the last number of bad events that were not logged one by one."""
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

    def _write(self, record: Mapping[str, Any]) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        self._complain(_encode({"time": stamp, **record}))

    def _complain(self, text: str) -> None:
        with self._lock:
            self._streams.complain(text)


class LogHandler(logging.Handler):
    """Passes records of ``logging`` to the log of a run."""

    def __init__(self, log: RunLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record, with its traceback if it has one."""
        self._log.say("warning" if record.levelno < logging.ERROR else "error", self.format(record))


def sentence(outcome: StepOutcome) -> str:
    """Return the text about an outcome: target, reason, rule, and the policy entries that planned the step."""
    step = outcome.step
    about = [] if step.is_flag or outcome.status == "dry_run" else [target_text(step)]
    rule = f" [{outcome.rule}]" if outcome.rule else ""
    text = ": ".join([*about, *([outcome.reason] if outcome.reason else [])]) + rule
    entries = [f"{source.policy}, {source.section}[{source.index}], {source.location}" for source in step.sources]
    return f"{text} (by {'; '.join(entries)})" if entries else text
