"""Terminals, pipes and files at the other end: colour, promptness, memory, and what happens when they go away."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from spyderresp.cli.terminal import Paint, diagnostic_text
from spyderresp.errors import Diagnostic, Location

PLAN = ("plan", "--policies", "policies")
FULL = Path("/dev/full")
BROKEN_PIPE = 141
SGR = re.compile("\x1b\\[[0-9;]*m")


class Terminal:
    """A terminal to give to a program, and what the program has put on it."""

    def __init__(self) -> None:
        self._master, self.end = pty.openpty()
        attributes = termios.tcgetattr(self.end)
        attributes[1] &= ~termios.OPOST  # lines arrive as they were written
        termios.tcsetattr(self.end, termios.TCSANOW, attributes)

    def has_something(self) -> bool:
        """Tell, after a moment, whether something was written that was not read."""
        return bool(select.select([self._master], [], [], 0.05)[0])

    def read(self) -> str:
        """Return all that was written, once the program is gone."""
        os.close(self.end)
        read = b""
        try:
            while data := os.read(self._master, 65536):
                read += data
        except OSError:  # Linux says so that the other end is closed
            pass
        os.close(self._master)
        return read.decode()


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["check", "warned.yaml"], 1),
        ([*PLAN, "--format", "text", "events.jsonl"], 0),
        (["explain", "--policies", "policies", "event.json"], 0),
    ],
)
@pytest.mark.parametrize(
    ("env", "colours"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, False), ({"TERM": "dumb"}, False)]
)
def test_colour_only_on_a_terminal_that_wants_it(program, terminal, arguments, code, env, colours):
    Path("event.json").write_text(Path("events.jsonl").read_text().splitlines()[0])
    plain = program(*arguments, env=env)
    assert "\x1b" not in plain.out
    result = program(*arguments, env=env, stdout=terminal.end)
    shown = terminal.read()
    assert (result.code, plain.code) == (code, code)
    assert ("\x1b" in shown) is colours
    assert SGR.sub("", shown) == plain.out


def test_complaints_have_colours_of_their_own(program, terminal):
    result = program("plan", "--policies", "mixed.yaml", "events.jsonl", stderr=terminal.end)
    assert (result.code, result.out) == (2, "")
    assert "\x1b[31;1merror[SR304]\x1b[0m: unknown action" in terminal.read()


def test_a_narrow_terminal_keeps_the_place_in_sight(program, terminal):
    text = Path("mixed.yaml").read_text("utf-8").replace("urgent", "urgent, description: " + "long " * 60)
    Path("mixed.yaml").write_text(text, "utf-8")
    program("check", "mixed.yaml", stdout=terminal.end, env={"COLUMNS": "50", "NO_COLOR": "1"})
    lines = terminal.read().splitlines()
    place = next(number for number, line in enumerate(lines) if "SR308" in line)
    assert "severity: urgent" in lines[place + 1]
    assert len(lines[place + 1]) <= 50
    assert "^" in lines[place + 2]


@pytest.mark.parametrize("width", [20, 60, 100, 400])
@pytest.mark.parametrize("column", [1, 2, 30, 119, 200, 236])
def test_the_caret_stands_under_the_place(width, column):
    """Over ASCII and tabs, where a column of the terminal is a character of the text."""
    line = "".join("\t" if place % 17 == 5 else chr(ord("a") + place % 26) for place in range(235)) + "XYZ"
    line = line[: column - 1] + "@#" + line[column + 1 :]
    diagnostic = Diagnostic("SR007", "error", "m", Location("p", 9, column), "", line, column, 2)
    _, source, caret = diagnostic_text(diagnostic, Paint(enabled=False, width=width)).split("\n")
    assert len(source) <= max(width, 40)
    assert caret.strip(" 9|") == "^^"
    at = caret.index("^")
    assert source[at : at + 2] == "@#"


def test_wide_and_combining_characters_before_the_place():
    line = "\u65e5\u672c e\u0301 \u202e\x1b @"
    diagnostic = Diagnostic("SR007", "error", "m", Location("p", 1, 1), "", line, len(line), 1)
    _, source, caret = diagnostic_text(diagnostic, Paint(enabled=False)).split("\n")
    assert source == " 1 | \u65e5\u672c e\u0301 \\u202e\\x1b @"
    assert caret == "   | " + " " * (4 + 1 + 1 + 1 + 6 + 4 + 1) + "^"


@pytest.mark.parametrize(("line", "column", "width"), [("", 1, 1), ("ab", 3, 1), ("ab", 1, 99), ("\u0301", 1, 1)])
def test_a_place_at_the_end_or_of_no_width(line, column, width):
    diagnostic = Diagnostic("SR007", "error", "m", Location("p", 1, 1), "h", line, column, width)
    text = diagnostic_text(diagnostic, Paint(enabled=False))
    assert text.endswith("\nhelp: h")
    assert ("^" in text) is bool(line)


def receive(process: subprocess.Popen[bytes], seconds: float = 240) -> bytes:
    """Return the next line of a program that runs on."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], seconds)[0], "nothing came"
    return process.stdout.readline()


@pytest.mark.parametrize("form", ["json", "text"])
def test_each_plan_comes_at_once_through_pipes(start, form):
    with start(*PLAN, "--format", form, stdin=subprocess.PIPE) as process:
        for name in ("first", "second"):
            process.stdin.write(f'{{"id": "{name}"}}\n'.encode())
            process.stdin.flush()
            while name.encode() not in receive(process):
                pass
        process.stdin.close()
        assert process.wait(240) == 0


def test_each_plan_comes_at_once_from_a_pipe_into_a_file(start, place):
    with (place / "out").open("wb") as out, start(*PLAN, stdin=subprocess.PIPE, stdout=out) as process:
        process.stdin.write(b'{"id": "first"}\n')
        process.stdin.flush()
        until = time.monotonic() + 240
        while not (place / "out").read_bytes().endswith(b"\n"):
            assert time.monotonic() < until, "nothing came"
            time.sleep(0.02)
        process.stdin.close()
        assert process.wait(240) == 0


def test_bad_events_are_named_at_once(start):
    with start(*PLAN, stdin=subprocess.PIPE) as process:
        process.stdin.write(b"nonsense\n")
        process.stdin.flush()
        assert select.select([process.stderr], [], [], 240)[0]
        assert process.stderr.readline().startswith(b"<stdin>:1: error: not valid JSON")
        process.stdin.close()
        assert process.wait(240) == 1


def test_a_broken_pipe_is_quiet(start):
    Path("many.jsonl").write_text('{"id": "x"}\n' * 50_000)
    for arguments in ([*PLAN, "many.jsonl"], [*PLAN, "--format", "text", "many.jsonl"]):
        with start(*arguments) as process:
            assert receive(process)
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(240) == BROKEN_PIPE


@pytest.mark.parametrize(
    "arguments",
    [["check", "warned.yaml"], ["schema"], ["--help"], ["--version"], ["explain", "--policies", "policies"], [*PLAN]],
)
def test_a_pipe_that_nobody_reads(start, arguments):
    reader, writer = os.pipe()
    os.close(reader)
    Path("event.json").write_text("{}\n")
    with Path("event.json").open("rb") as event, start(*arguments, stdin=event, stdout=writer) as process:
        os.close(writer)
        assert process.stderr.read() == b""
        assert process.wait(240) == BROKEN_PIPE


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "warned.yaml"],
        ["check", "--format", "json", "warned.yaml"],
        ["schema"],
        ["--help"],
        ["plan", "--help"],
        ["--version"],
        ["explain", "--policies", "policies", "event.json"],
        [*PLAN, "event.json"],
        [*PLAN, "--format", "text", "event.json"],
    ],
)
def test_a_full_disk(program, arguments):
    Path("event.json").write_text("{}\n")
    with FULL.open("wb") as full:
        result = program(*arguments, stdout=full)
    assert (result.code, result.err) == (3, "spyderresp: standard output cannot be written: no space left on device\n")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_complaints_that_cannot_be_written(program):
    with FULL.open("wb") as full:
        assert program(*PLAN, stdin=b"bad\n{}\n", stderr=full).code == 1
        assert program(*PLAN, "gone.jsonl", stderr=full).code == 3
        assert program("plan", "--policies", "mixed.yaml", stderr=full).code == 2


def closed(place: Path, environment: dict[str, str], redirection: str, *arguments: str) -> tuple[int, str, str]:
    command = f'exec "$0" -m spyderresp "$@" {redirection}'
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, *arguments],
        cwd=place, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_closed_streams(place, environment):
    code, _, err = closed(place, environment, ">&-", "check", "good.yaml")
    assert (code, err) == (3, "spyderresp: standard output is closed\n")
    code, _, err = closed(place, environment, "<&-", *PLAN)
    assert (code, err) == (3, "spyderresp: standard input is closed; name a file\n")
    code, out, _ = closed(place, environment, "2>&-", *PLAN, "events.jsonl")
    assert (code, out.count("\n")) == (0, 6)
    code, _, _ = closed(place, environment, "2>&-", *PLAN, "gone.jsonl")
    assert code == 3
    code, _, err = closed(place, environment, "<&-", "check", "good.yaml")
    assert (code, err) == (0, "")


def test_an_interruption_is_quiet(start):
    with start(*PLAN, stdin=subprocess.PIPE) as process:
        process.stdin.write(b"{}\n")
        process.stdin.flush()
        assert receive(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(240) == 130
        assert process.stderr.read() == b""


def test_what_was_planned_before_an_interruption_is_kept(start, place):
    """Even where output is held back: from a file into a file."""
    with (place / "many.jsonl").open("wb") as file:
        file.write(b'{"id": "x"}\n' * 50_000)
        # A line with no end follows: however fast it plans, it is not done before it is interrupted.
        file.truncate(1 << 40)
    with (place / "out").open("wb") as out, start(*PLAN, "many.jsonl", stdout=out) as process:
        until = time.monotonic() + 240
        while not (place / "out").stat().st_size:
            assert time.monotonic() < until, "nothing came"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(240) == 130
    lines = (place / "out").read_text().splitlines()
    assert json.loads(lines[-1])["line"] == len(lines)


def test_long_lines_cost_bounded_memory(start, place):
    """Lines of 20 and 120 MiB are bad events; the others are planned; an address space of 180 MiB is enough."""
    with (place / "long.jsonl").open("wb") as file:
        for size in (20, 120):
            file.write(b'{"id": "ok"}\n{"id": "')
            for _ in range(size):
                file.write(b"x" * 2**20)
            file.write(b'"}\n')
        file.write(b'{"id": "last"}')
    # Not the peak that the kernel reports: a child inherits that of the process it was forked from.
    with start(*PLAN, "long.jsonl") as process:
        resource.prlimit(process.pid, resource.RLIMIT_AS, (180 << 20, 180 << 20))
        out, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 1
    assert [json.loads(line)["line"] for line in out.splitlines()] == [1, 3, 5]
    said = "error: the line is longer than 16,777,216 bytes"
    assert err.decode().splitlines() == [f"long.jsonl:2: {said}", f"long.jsonl:4: {said}"]


def test_a_line_of_just_the_limit_is_an_event(program):
    limit = 16 * 2**20
    event = b'{"id": "x", "more": "'
    line = event + b"y" * (limit - len(event) - 3) + b'"}\n'
    assert len(line) == limit
    assert program(*PLAN, stdin=line).code == 0
    assert program(*PLAN, stdin=line[:-3] + b'y"}\n').code == 1


def test_memory_does_not_grow_with_the_stream(start, place):
    def peak(count: int) -> int:
        (place / "many.jsonl").write_text('{"id": "x"}\n' * count)
        with (place / "out").open("wb") as out, start(*PLAN, "many.jsonl", stdout=out) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_maxrss

    assert peak(40_000) < peak(1_000) * 1.2


def feed_until(process: subprocess.Popen[bytes], terminal: Terminal) -> None:
    """Feed a program until it has put something on its terminal."""
    while not terminal.has_something():
        process.stdin.write(b'{"id": "x"}\n')
        process.stdin.flush()
    process.stdin.close()


def feed_slowly(process: subprocess.Popen[bytes], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        process.stdin.write(b'{"id": "x"}\n')
        process.stdin.flush()
        time.sleep(0.05)
    process.stdin.close()


def test_progress_on_a_terminal_is_shown_and_erased(start, terminal, place):
    with (place / "out").open("wb") as out:
        with start(*PLAN, stdin=subprocess.PIPE, stdout=out, stderr=terminal.end) as process:
            feed_until(process, terminal)
        assert process.returncode == 0
    shown = terminal.read()
    assert re.match(r"\r[0-9,]+ lines, [0-9,]+ a second *\r", shown)
    assert re.search(r"\r +\r\Z", shown)
    assert "\n" not in shown
    assert "\x1b" not in shown


# Its clock is the test's: a tenth of a second passes between two looks.
TIMED = """\
import itertools, sys, types
import spyderresp.cli.terminal as output
ticks = itertools.count()
output.time = types.SimpleNamespace(monotonic=lambda: next(ticks) / 10)
sys.exit(output.sys.modules["spyderresp.cli"].main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("lines", "shown"), [(9, False), (10, True)])
def test_progress_is_shown_after_a_second(place, environment, terminal, lines, shown):
    (place / "few.jsonl").write_text('{"id": "x"}\n' * lines)
    command = [sys.executable, "-c", TIMED, *PLAN, "few.jsonl"]
    done = subprocess.run(
        command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=terminal.end, timeout=240, check=False
    )
    assert (done.returncode, done.stdout.count(b"\n")) == (0, lines)
    assert ("lines" in terminal.read()) is shown


def test_no_progress_where_plans_show_themselves(start):
    both = Terminal()
    with start(*PLAN, stdin=subprocess.PIPE, stdout=both.end, stderr=both.end) as process:
        feed_slowly(process, 2)
    assert "lines" not in both.read()


def test_no_progress_but_on_a_terminal(start):
    with start(*PLAN, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        feed_slowly(process, 2)
        assert process.stderr.read() == b""


@pytest.mark.parametrize("arguments", [PLAN, ("explain", "--policies", "policies")])
def test_reading_from_a_terminal_says_so(start, terminal, arguments):
    with start(*arguments, stdin=terminal.end) as process:
        assert b"from the terminal" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(240) == 130
    terminal.read()


# Of the standard library, what takes long to load; a module of ours that needs it is one of the other verbs'.
SLOW = (
    "asyncio", "concurrent.futures", "ctypes", "email", "gzip", "http.client", "logging", "multiprocessing", "random",
    "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "tomllib", "urllib.request", "uuid", "xml",
)  # fmt: skip


def test_starting_loads_nothing_that_takes_long(place, environment):
    """How long starting takes stands in docs/CLI.md; that depends on the machine."""
    code = "import sys; from spyderresp.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-S", "-c", code, *PLAN, "events.jsonl"]
    paths = os.pathsep.join([environment["PYTHONPATH"], *filter(None, sys.path)])
    done = subprocess.run(
        command, cwd=place, env=environment | {"PYTHONPATH": paths}, capture_output=True, text=True, timeout=240,
        check=True,
    )  # fmt: skip
    assert set(SLOW) & set(done.stderr.split()) == set()
