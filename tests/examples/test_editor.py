"""The schema in the editor's own server: the markers stand where the mistakes are, and a good file has none.

Needs yaml-language-server (npm): on the path, or installed for the test where npm is and CI says so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import spyderresp
from spyderresp.policies.json_schema import policy_schema

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "schemas" / f"spyderbat-policy-{spyderresp.__version__}.schema.json"
VERSION = "1.25"
GOOD = """\
# yaml-language-server: $schema=SCHEMA
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata:
  name: demo
  type: cluster
spec:
  mode: audit
  clusterSelector:
    matchFields:
      name: demo-cluster
  response:
    default:
    - makeRedFlag:
        severity: high
    actions:
    - agentKillProcess:
        processSelector:
          matchFields:
            exe: /bin/bash
"""


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the server is."""
    found = shutil.which("yaml-language-server")
    if found is not None:
        return found
    npm = shutil.which("npm")
    if npm is None or os.environ.get("CI") != "true":
        pytest.skip("no yaml-language-server on the path (npm install -g yaml-language-server)")
    folder = tmp_path_factory.mktemp("npm")
    arguments = [npm, "install", "--silent", "--no-audit", "--prefix", str(folder), f"yaml-language-server@{VERSION}"]
    try:
        subprocess.run(arguments, capture_output=True, timeout=180, check=True)
    except (subprocess.SubprocessError, OSError):
        pytest.skip("yaml-language-server cannot be installed from npm here")
    return str(folder / "node_modules/.bin/yaml-language-server")


class Server:
    """A language server on pipes (Language Server Protocol 3.17)."""

    def __init__(self, program: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [program, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._folder = folder
        self._send(
            {"id": 1, "method": "initialize", "params": {"processId": None, "rootUri": None, "capabilities": {}}}
        )
        self._until(lambda said: said.get("id") == 1)
        self._send({"method": "initialized", "params": {}})
        settings = {"yaml": {"validate": True, "schemaStore": {"enable": False}}}
        self._send({"method": "workspace/didChangeConfiguration", "params": {"settings": settings}})

    def markers(self, name: str, text: str) -> list[dict[str, Any]]:
        """Open a document, and return what the server marks in it."""
        uri = (self._folder / name).as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text.replace("SCHEMA", SCHEMA.as_uri())}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        said = self._until(
            lambda said: said.get("method") == "textDocument/publishDiagnostics" and said["params"]["uri"] == uri
        )
        markers: list[dict[str, Any]] = said["params"]["diagnostics"]
        return markers

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(data), data))
        self._process.stdin.flush()

    def _until(self, wanted: Any) -> dict[str, Any]:
        """Read on until what is wanted comes; what the server asks meanwhile is answered with nothing."""
        stream = self._process.stdout
        assert stream is not None
        while True:
            size = 0
            while line := stream.readline().strip():
                if line.lower().startswith(b"content-length:"):
                    size = int(line.partition(b":")[2])
            assert size, "the server has ended"
            said: dict[str, Any] = json.loads(stream.read(size))
            if wanted(said):
                return said
            if "id" in said and "method" in said:
                self._send({"id": said["id"], "result": None})


@pytest.fixture
def server(program: str, tmp_path: Path) -> Iterator[Server]:
    made = Server(program, tmp_path)
    yield made
    made.close()


def place(text: str, word: str) -> tuple[int, int]:
    """Return the line and column, from 0, of a word."""
    before = text[: text.index(word)]
    return before.count("\n"), len(before) - before.rfind("\n") - 1


def test_a_good_file_has_no_marker(server: Server) -> None:
    assert server.markers("good.yaml", GOOD) == []


@pytest.mark.parametrize(
    ("right", "wrong", "word", "hint"),
    [
        ("severity: high", "severity: urgent", "urgent", "critical"),
        ("processSelector", "procesSelector", "procesSelector", "procesSelector"),
        ("mode: audit", "mode: enforced", "enforced", "enforce"),
    ],
)
def test_a_mistake_is_marked_where_it_stands(server: Server, right: str, wrong: str, word: str, hint: str) -> None:
    text = GOOD.replace(right, wrong)
    markers = server.markers("wrong.yaml", text)
    starts = {(item["range"]["start"]["line"], item["range"]["start"]["character"]) for item in markers}
    assert place(text, word) in starts
    assert any(hint in item["message"] for item in markers)


def test_the_schema_of_this_version_is_published() -> None:
    assert json.loads(SCHEMA.read_text("utf-8")) == policy_schema()
