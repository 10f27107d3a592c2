"""JSON lines: no line is torn, mixed or lost, whoever writes beside and whatever the disk does."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flagged import ENGINE, EVENT, many, records
from hypothesis import given
from hypothesis import strategies as st
from small_disk import fill, small_disk

import spyderresp
from spyderresp.executors import DeliveryError, JsonLines
from spyderresp.executors.sinks.delivery_queue import FlagSink
from spyderresp.guards import Guard

HOSTILE = 'a\nb\r\x00\x1b[2J\u2028 "}{\\ \udcff \U0001f600'


def lines(path: Path) -> list[dict[str, Any]]:
    """Return what is in a file; every line must be whole."""
    text = path.read_bytes().decode("ascii")
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_execute_delivers_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "flags.jsonl"
    sink = JsonLines(path)
    report = spyderresp.execute(ENGINE.evaluate(EVENT), sink, Guard(kill_switch=None), event=EVENT)
    assert [outcome.status for outcome in report] == ["done", "done"]
    assert lines(path) == records()
    assert path.stat().st_mode & 0o777 == 0o600
    sink.close()
    sink.deliver(records())
    assert len(lines(path)) == 4, "closed, it opens anew"
    sink.deliver([])
    assert len(lines(path)) == 4


def test_hostile_text_stays_on_its_line(tmp_path: Path) -> None:
    path = tmp_path / "flags.jsonl"
    made = many(3, process={"name": HOSTILE, "exe": HOSTILE * 1000, "pid": 1}, pod={"name": HOSTILE})
    JsonLines(path).deliver(made)
    assert lines(path) == made
    assert made[0]["name"] == HOSTILE.replace("\udcff", "\\udcff")


@pytest.mark.parametrize("envelope", ["cloudevents", "ocsf"])
def test_in_an_envelope(tmp_path: Path, envelope: str) -> None:
    path = tmp_path / "flags.jsonl"
    JsonLines(path, envelope=envelope).deliver(records())
    assert all(("specversion" if envelope == "cloudevents" else "class_uid") in line for line in lines(path))


def test_a_file_that_is_moved_away_or_removed_or_cut_is_followed_by_name(tmp_path: Path) -> None:
    path = tmp_path / "flags.jsonl"
    sink = JsonLines(path, fsync=True)
    first, second, third, fourth = many(4)
    sink.deliver([first])
    path.rename(tmp_path / "flags.jsonl.1")
    sink.deliver([second])
    assert lines(path) == [second]
    path.unlink()
    sink.deliver([third])
    assert lines(path) == [third]
    os.truncate(path, 0)
    sink.deliver([fourth])
    assert lines(path) == [fourth]
    assert lines(tmp_path / "flags.jsonl.1") == [first]


def test_half_a_line_that_somebody_left_ends_before_ours(tmp_path: Path) -> None:
    path = tmp_path / "flags.jsonl"
    path.write_text('{"id": "ha')
    (record, _) = records()
    JsonLines(path).deliver([record])
    torn, whole = path.read_text().splitlines()
    assert torn == '{"id": "ha'
    assert json.loads(whole) == record


WRITER = """
import sys, json
sys.path[:0] = json.loads(sys.argv[1])
from spyderresp.executors import JsonLines
sink = JsonLines(sys.argv[2])
for batch in range(int(sys.argv[4])):
    sink.deliver([{"id": f"{sys.argv[3]}:{batch}:{n}", "fill": "x" * (batch * 997 % 30000)} for n in range(3)])
"""


def test_processes_and_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "flags.jsonl"
    writers, batches = 4, 60
    package = json.dumps([str(Path(spyderresp.__file__).parents[1])])
    children = [
        subprocess.Popen([sys.executable, "-c", WRITER, package, str(path), f"p{n}", str(batches)])
        for n in range(writers)
    ]
    sink = JsonLines(path)

    def write(number: int) -> None:
        for batch in range(batches):
            sink.deliver([{"id": f"t{number}:{batch}:{n}", "fill": "y" * (batch * 13)} for n in range(3)])

    threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
    for thread in threads:
        thread.start()
    for n in range(5):
        # Rotated meanwhile.
        if path.exists():
            path.rename(tmp_path / f"flags.jsonl.{n}")
        threading.Event().wait(0.1)
    for thread in threads:
        thread.join(120)
    assert [child.wait(120) for child in children] == [0] * writers
    written = [line["id"] for file in sorted(tmp_path.iterdir()) for line in lines(file)]
    expected = [f"{kind}{w}:{b}:{n}" for kind in "pt" for w in range(writers) for b in range(batches) for n in range(3)]
    assert sorted(written) == sorted(expected), "none lost, none twice"
    # A batch stands together.
    assert all(written[at].rpartition(":")[0] == written[at + 1].rpartition(":")[0] for at in range(0, len(written), 3))


def test_a_fork_takes_a_lock_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "flags.jsonl"
    sink = JsonLines(path)
    sink.deliver([{"id": "before"}])

    def write(mark: str) -> None:
        for number in range(100):
            sink.deliver([{"id": f"{mark}{number}", "fill": "z" * 50_000}])

    children = [multiprocessing.get_context("fork").Process(target=write, args=(mark,)) for mark in "ab"]
    for child in children:
        child.start()
    write("c")
    for child in children:
        child.join(120)
        assert child.exitcode == 0
    assert len(lines(path)) == 301


@given(
    st.lists(
        st.dictionaries(
            st.text(st.characters(exclude_categories=()), max_size=9),
            st.text(st.characters(exclude_categories=())) | st.integers() | st.none(),
            max_size=3,
        ),
        max_size=4,
    )
)
def test_any_record_is_one_line(made: list[dict[str, Any]]) -> None:
    stream = io.BytesIO()
    JsonLines(stream).deliver(made)
    assert [json.loads(line) for line in stream.getvalue().split(b"\n")[:-1]] == made


LIMITED = """
import json, os, resource, sys
sys.path[:0] = json.loads(sys.argv[1])
from spyderresp.executors import DeliveryError, JsonLines
sink = JsonLines(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
sink.deliver([{"id": 1, "fill": "x" * 4000}])
try:
    sink.deliver([{"id": 2, "fill": "x" * 4000}, {"id": 3, "fill": "x" * 4000}])
except DeliveryError as error:
    print(error)
    print(error.permanent)
sink.deliver([{"id": 4}])
"""


def test_what_does_not_fit_is_taken_back(tmp_path: Path) -> None:
    """By a limit on the file's size: the kernel writes up to it, then fails."""
    path = tmp_path / "flags.jsonl"
    package = json.dumps([str(Path(spyderresp.__file__).parents[1])])
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, package, str(path)], capture_output=True, text=True, timeout=240, check=True
    )
    assert ran.stdout.splitlines() == [f"{path}: File too large", "False"]
    assert [line["id"] for line in lines(path)] == [1, 4]


def test_a_full_disk_is_said_and_nothing_is_torn(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        path = disk / "flags.jsonl"
        sink = JsonLines(path, fsync=True)
        sink.deliver([{"id": 1}])
        filler = fill(disk, 8192)
        with pytest.raises(DeliveryError, match="No space left on device"):
            sink.deliver([{"id": n, "fill": "x" * 4000} for n in range(2, 20)])
        assert [line["id"] for line in lines(path)] == [1]
        filler.unlink()
        sink.deliver([{"id": 20, "fill": "x" * 50_000}])
        assert [line["id"] for line in lines(path)] == [1, 20]
        sink.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.mkdir(), "Is a directory"),
        (os.mkfifo, "is not a regular file"),
        (lambda path: path.symlink_to(path.parent / "no" / "such"), "No such file or directory"),
    ],
)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    path = tmp_path / "flags.jsonl"
    make(path)
    with pytest.raises(DeliveryError, match=message):
        JsonLines(path).deliver([{"id": 1}])


HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_that_another_process_keeps_is_waited_for_with_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "flags.jsonl"
    monkeypatch.setattr("spyderresp.executors.sinks.jsonlines._PATIENCE", 0.05)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DeliveryError, match="another process has kept it locked"):
            JsonLines(path).deliver([{"id": 1}])
        holder.communicate(b"")
    JsonLines(path).deliver([{"id": 2}])
    assert [line["id"] for line in lines(path)] == [2]


def test_standard_output_is_the_one_of_the_moment(capsys: pytest.CaptureFixture[str]) -> None:
    sink = JsonLines("-")
    sink.deliver([{"id": 1}])
    sink.close()
    sink.deliver([{"id": 2}])
    assert [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()] == [1, 2]


class Failing(io.RawIOBase):
    """Takes seven bytes at a time, and fails once in the middle."""

    def __init__(self) -> None:
        self.taken = b""
        self.left = 2

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.left == 0:
            self.left = -1
            raise OSError(28, "No space left on device")
        self.left -= 1
        part = bytes(data[:7])
        self.taken += part
        return len(part)


def test_a_stream_that_failed_half_way_goes_on_on_a_fresh_line() -> None:
    stream = Failing()
    sink = JsonLines(stream)  # type: ignore[arg-type]
    with pytest.raises(DeliveryError, match="stream: No space left on device"):
        sink.deliver([{"id": "one and only"}])
    sink.deliver([{"id": "one and only"}])
    torn, whole, rest = stream.taken.split(b"\n")
    assert (len(torn), json.loads(whole), rest) == (14, {"id": "one and only"}, b"")


def test_a_closed_stream_is_said() -> None:
    stream = io.StringIO()
    stream.close()
    with pytest.raises(DeliveryError, match="closed file"):
        JsonLines(stream).deliver([{"id": 1}])


@pytest.mark.parametrize("actions", [[], ["agentKillPod"], ["makeRedFlag", "x"]])
def test_a_sink_takes_flags(actions: list[str]) -> None:
    with pytest.raises(ValueError, match="a sink takes `makeRedFlag`, `makeOpsFlag`, or both"):
        FlagSink("x", actions, None)
