"""A service under test, with an observer that keeps what it receives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import spyderresp
from spyderresp.execution.report import StepOutcome
from spyderresp.executors import Recording
from spyderresp.guards import Guard
from spyderresp.service.intake import BadRecord
from spyderresp.service.loop import ServiceContext
from spyderresp.service.metrics import Level

POLICY = """\
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: watch, type: cluster}
spec:
  mode: enforce
  clusterSelector: {matchFields: {name: c}}
  response:
    default: []
    actions:
    - makeRedFlag: {severity: high, processSelector: {matchFields: {name: evil}}}
    - agentKillProcess: {processSelector: {matchFields: {name: evil}}}
"""


def line(number: int, name: str = "evil", **more: Any) -> bytes:
    event = {"id": f"e{number}", "cluster": {"name": "c"}, "process": {"name": name, "pid": number}, **more}
    return json.dumps(event).encode() + b"\n"


def put(path: Path, text: str) -> None:
    """Write a file at once: whoever watches it sees all of it, or what was there before."""
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(text)
    beside.replace(path)


@dataclass
class Heard:
    """An observer."""

    said: list[tuple[str, str]] = field(default_factory=list)
    bads: list[tuple[str, int, str]] = field(default_factory=list)
    outcomes: list[tuple[str, int, StepOutcome]] = field(default_factory=list)

    def say(self, level: Level, message: str) -> None:
        self.said.append((level, message))

    def bad(self, source: str, bad: BadRecord) -> None:
        self.bads.append((source, bad.line, str(bad.error)))

    def outcome(self, source: str, line: int, outcome: StepOutcome) -> None:
        self.outcomes.append((source, line, outcome))

    def flush(self) -> None:
        pass

    @property
    def places(self) -> list[int]:
        """The lines of the events whose flag was raised."""
        return [line for _, line, outcome in self.outcomes if outcome.action == "makeRedFlag"]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def recording() -> Recording:
    return Recording()


@pytest.fixture
def context(heard: Heard, recording: Recording) -> ServiceContext:
    engine = spyderresp.Engine(spyderresp.loads(POLICY))
    return ServiceContext(engine, (recording,), Guard(kill_switch=None), None, heard)


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait for something to hold; a test that waits in vain fails."""

    def until(holds: Callable[[], object], seconds: float = 240.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, "it never came to be"
            time.sleep(0.01)

    return until


class Program:
    """``spyderresp run`` as a process of its own, whose output is read as it comes."""

    def __init__(
        self, *arguments: str, cwd: Path, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.PIPE, **env: str
    ) -> None:
        dropped = ("PYTHONUNBUFFERED", "PYTHONWARNINGS", "NO_COLOR")
        kept = {key: value for key, value in os.environ.items() if key not in dropped}
        root = str(Path(spyderresp.__file__).parents[1])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "spyderresp", "run", *arguments],
            cwd=cwd,
            env={**kept, "PYTHONPATH": os.pathsep.join(filter(None, [root, kept.get("PYTHONPATH")])), **env},
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err))
            if stream is not None
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(stream: Any, lines: list[str]) -> None:
        # Other threads look at it while it grows.
        lines.extend(raw.decode().rstrip("\n") for raw in iter(stream.readline, b""))

    @property
    def flags(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in list(self.out)]

    def end(self, seconds: float = 240.0) -> int:
        """Wait for its end; return its exit code."""
        code = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(seconds)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return code


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    (tmp_path / "policy.yaml").write_text(POLICY)
    started: list[Program] = []

    def start(*arguments: str, **more: Any) -> Program:
        started.append(Program(*arguments, cwd=tmp_path, **more))
        return started[-1]

    yield start
    for program in started:
        if program.process.poll() is None:
            program.process.kill()
        program.end()
