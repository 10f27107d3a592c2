"""Every Python snippet of README.md and docs runs, and type-checks with ``mypy --strict``."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from snippets import ROOT, pages, snippets
from type_checks import mypy

EXAMPLES = ROOT / "examples"
README = (ROOT / "README.md").read_text("utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make the files that snippets name: README's policy and alert, and the example policies, events and tests."""
    for name, language in (("policy.yaml", "yaml"), ("alerts.jsonl", "json")):
        (text,) = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
        (tmp_path / name).write_text(text)
    for name in ("policies", "tests"):
        shutil.copytree(EXAMPLES / name, tmp_path / name)
    shutil.copy(EXAMPLES / "events.jsonl", tmp_path)
    events = [json.loads(line) for line in (EXAMPLES / "events.jsonl").read_text().splitlines()]
    pq.write_table(pa.Table.from_pylist(events), tmp_path / "events.parquet")
    return tmp_path


def test_marks_are_few() -> None:
    marks = Counter(snippet.mark for page in pages() for snippet in snippets(page))
    # Spark, in batches and as a stream: the examples in examples/scale run.
    assert marks.pop("no_run") == 2
    assert set(marks) == {""}
    texts = [(ROOT / page).read_text("utf-8") for page in pages()]
    assert marks[""] == sum(text.count("```python") for text in texts) - 2


@pytest.mark.parametrize("page", pages())
def test_the_snippets_of_a_page_run(page: str, folder: Path) -> None:
    program = "".join(snippet.code for snippet in snippets(page) if not snippet.mark)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    if page == "README.md":
        first, second, flag, kill = lines
        assert first.startswith("execute makeRedFlag {'severity': 'high'} ")
        assert second.startswith("execute agentKillProcess {} ")
        assert flag.startswith("done makeRedFlag")
        # The alert has no exact identity of a process: nothing is killed, whatever has its pid here.
        status, action, *_ = kill.split()
        assert (status in {"mismatch", "already", "refused"}, action) == (True, "agentKillProcess")
    if page == "docs/TESTING.md":
        assert lines[0] == "passed production a shell in a workload dies with whatever it started []"
        assert lines[-1] == "100.0"


def test_the_snippets_type_check(tmp_path: Path) -> None:
    files = [EXAMPLES / f"{name}.py" for name in ("quickstart", "embed")]
    for page in pages():
        files.append(tmp_path / f"{Path(page).stem.lower()}_page.py")
        files[-1].write_text("".join(snippet.code for snippet in snippets(page)))
    code, said = mypy(*files, cache=tmp_path / "cache")
    assert code == 0, said
