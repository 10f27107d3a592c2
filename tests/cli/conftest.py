"""How the tests run the command line: inside this process, for speed, and as a program of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import spyderresp
from spyderresp.cli import main

EXPECTED = Path(__file__).parent / "expected"

POLICIES = {
    "production.yaml": """\
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: production, type: cluster, uid: "pol:1"}
spec:
  mode: enforce
  clusterSelector: {matchFields: {name: prod-*}}
  response:
    default:
    - makeRedFlag:
        severity: high
        content: |
          ### Remediation
          1. Call the team
    - agentReniceProcess: {priority: 5}
    actions:
    - agentKillProcessTree:
        processSelector: {matchFields: {exe: [/bin/bash, "*/nc"]}}
        namespaceSelector:
          matchExpressions:
          - {key: env, operator: NotIn, values: [test]}  # spyderresp: ignore[SR805] all but the test namespaces
    - agentKillPod:
        podSelector: {matchLabels: {app: payments}}
    - makeOpsFlag:
        enabled: false
        severity: low
        processSelector: {name: [sh]}
""",
    "trial.yaml": """\
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: trial, type: container, uid: "pol:2"}
spec:
  mode: audit
  containerSelector: {matchFields: {image: "nginx:*"}}
  response:
    default:
    - agentReniceProcess: {priority: 10}
    actions:
    - agentKillProcess:
        processSelector: {matchFields: {name: bash}}
---
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: quiet, type: cluster, uid: "pol:3"}
spec:
  mode: audit
  clusterSelector: {matchFields: {name: "*"}}
  response:
    actions:
    - makeOpsFlag:
        severity: low
        serviceSelector: {matchFields: {name: cron.service}}
---
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: asleep, type: cluster, uid: "pol:4"}
spec:
  enabled: false
  mode: enforce
  clusterSelector: {matchFields: {name: "*"}}
  response:
    default:
    - makeRedFlag: {severity: low}
""",
}

EVENTS = """\
{"id": "shell", "time": "2026-11-24T01:02:03Z", "cluster": {"name": "prod-1"}, "machine": {"hostname": "node-7"}, \
"namespace": {"name": "shop", "labels": {"env": "live"}}, "pod": {"name": "web-1", "labels": {"app": "web"}}, \
"container": {"image": "nginx:1.25", "containerName": "web"}, \
"process": {"name": "bash", "exe": "/bin/bash", "euser": "root", "pid": 4242}}

{"id": 7, "time": 1742825939.44, "cluster": {"uid": "clus:1", "name": "prod-2"}}
{"id": "lost", "policy_uid": "pol:gone", "process": {"name": "nc", "pid": 8}}
{"id": "off", "policy_uid": "pol:4"}
{"policy_name": "trial", "process": {"name": "bash", "exe": "/bin/bash"}}
{"id": "nowhere", "cluster": {"name": "staging"}, "policy_name": null}
"""

# One of each: an error, a warning, a note; tabs, wide and combining characters before the place.
MIXED = """\
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: mixed, type: cluster}
spec:
  clusterSelector: {matchFields: {name: "*"}}
  response:
    default:
    - makeOpsFlag: {content: "\u65e5\u672c e\u0301\tx", impact: x, severity: urgent}
    - agentReniceProcess: {priority: 40}
    - agentKilProcess:
"""

WARNED = MIXED.replace("urgent", "high").replace("    - agentKilProcess:\n", "")
NOTED = WARNED.replace("spec:\n", "spec:\n  mode: audit\n").replace("priority: 40", "priority: 4")
GOOD = NOTED.replace("impact: x, ", "")


@dataclass(frozen=True)
class Result:
    """What a command came to."""

    code: int
    out: str
    err: str


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to stand in, with policies and events whose paths are short and relative."""
    monkeypatch.chdir(tmp_path)
    Path("policies").mkdir()
    for name, text in POLICIES.items():
        Path("policies", name).write_text(text, "utf-8")
    Path("events.jsonl").write_text(EVENTS, "utf-8")
    for name, text in (("mixed", MIXED), ("warned", WARNED), ("noted", NOTED), ("good", GOOD)):
        Path(f"{name}.yaml").write_text(text, "utf-8")
    return tmp_path


@pytest.fixture
def run(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command inside this process."""

    def run(*arguments: str, stdin: str | bytes = b"") -> Result:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        capsys.readouterr()
        code = main(arguments)
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of a program of its own: this very package, and nothing that changes how streams behave."""
    dropped = ("NO_COLOR", "COLUMNS", "PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONWARNINGS")
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    root = str(Path(spyderresp.__file__).parents[1])
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, [root, kept.get("PYTHONPATH")])), "TERM": "xterm"}


@pytest.fixture
def start(place: Path, environment: dict[str, str]) -> Callable[..., subprocess.Popen[bytes]]:
    """Start a command as a program of its own; streams as for ``Popen``."""

    def start(*arguments: str, env: dict[str, str] | None = None, **streams: object) -> subprocess.Popen[bytes]:
        given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
        command = [sys.executable, "-m", "spyderresp", *arguments]
        return subprocess.Popen(command, cwd=place, env=environment | (env or {}), **given)  # type: ignore[call-overload]

    return start


@pytest.fixture
def program(start: Callable[..., subprocess.Popen[bytes]]) -> Callable[..., Result]:
    """Run a command as a program of its own, to its end."""

    def program(*arguments: str, stdin: bytes | None = None, **streams: object) -> Result:
        if stdin is not None:
            streams["stdin"] = subprocess.PIPE
        with start(*arguments, **streams) as process:
            out, err = process.communicate(stdin, timeout=240)
        return Result(process.returncode, (out or b"").decode(), (err or b"").decode())

    return program


@pytest.fixture
def expect() -> Callable[[str, str], None]:
    """Compare a text with a file under ``expected/``; SPYDERRESP_UPDATE_EXPECTED=1 writes the file instead."""

    def expect(name: str, text: str) -> None:
        path = EXPECTED / f"{name}.txt"
        if os.environ.get("SPYDERRESP_UPDATE_EXPECTED"):
            path.write_bytes(text.encode())
        assert text == path.read_bytes().decode()

    return expect
