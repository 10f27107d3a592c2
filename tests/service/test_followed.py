"""A followed file: whatever is done to it, no line is lost, and a restart goes on where everything was decided."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spyderresp.service.intake import DeliveryResult, Intake
from spyderresp.service.sources.base import SourceError, Stop
from spyderresp.service.sources.file import Followed, Positions

ANSWER = DeliveryResult(0, (), {}, "")


class Following:
    """A follower at work; ``lines`` takes what it handed in, and answers it."""

    def __init__(self, path: Path, heard: Any, **settings: Any) -> None:
        self.positions = Positions(f"{path}.positions")
        self.positions.load()
        self.source = Followed(str(path), self.positions, heard, **settings)
        self.intake = Intake()
        self.stop = Stop()
        self.source.open()
        self.thread = threading.Thread(target=self.source.run, args=(self.intake, self.stop), daemon=True)
        self.thread.start()
        self.held: list[tuple[int, str]] = []

    def lines(self, count: int, *, count_events: bool = True) -> list[tuple[int, str]]:
        """Return the next lines with their numbers, as soon as there are so many."""
        while len(self.held) < count:
            deliveries = self.intake.take(100_000, timeout=240)
            assert deliveries, f"only {self.held}"
            for delivery in deliveries:
                self.held += [(number, "long") for number in delivery.long]
                texts = delivery.data.decode().split("\n")
                self.held += [(n, text) for n, text in enumerate(texts, delivery.first) if text]
                if count_events and delivery.done is not None:
                    delivery.done(ANSWER)
        taken, self.held = self.held[:count], self.held[count:]
        return taken

    def nothing_more(self) -> bool:
        return not self.held and self.intake.take(1, timeout=0.3) == []

    def end(self) -> None:
        self.stop.call()
        self.thread.join(240)
        assert not self.thread.is_alive()
        self.source.close()
        self.stop.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


@pytest.fixture
def follow(path: Path, heard: Any) -> Iterator[Callable[..., Following]]:
    started: list[Following] = []

    def follow(**settings: Any) -> Following:
        started.append(Following(path, heard, **settings))
        return started[-1]

    yield follow
    for following in started:
        if following.thread.is_alive():
            following.end()


def add(path: Path, *texts: str, end: str = "\n") -> None:
    with path.open("a") as file:
        file.write("".join(f"{text}{end}" for text in texts))


def test_what_is_there_and_what_comes(path, follow):
    add(path, "a", "b")
    following = follow()
    assert following.lines(2) == [(1, "a"), (2, "b")]
    add(path, "c")
    assert following.lines(1) == [(3, "c")]


def test_from_the_end(path, follow):
    add(path, "a", "b")
    add(path, "half", end="")
    following = follow(start="end")
    assert following.nothing_more()
    add(path, "-whole", "c")
    assert following.lines(2) == [(3, "half-whole"), (4, "c")]


def test_a_file_that_comes_later_is_read_from_its_beginning(path, follow, heard, until):
    following = follow(start="end")
    until(lambda: heard.said)
    assert heard.said == [("warning", f"{path}: no such file or directory; waiting for it")]
    add(path, "a")
    assert following.lines(1) == [(1, "a")]


def test_half_a_line_waits_for_its_end(path, follow):
    add(path, "a", end="")
    following = follow()
    assert following.nothing_more()
    add(path, "b", "c")
    assert following.lines(2) == [(1, "ab"), (2, "c")]


def test_renamed_and_made_anew(path, follow):
    add(path, "a")
    following = follow()
    assert following.lines(1) == [(1, "a")]
    with path.open("a") as writer:
        path.rename(f"{path}.1")
        add(path, "n")
        # Its writer does not know yet.
        writer.write("late\n")
        writer.flush()
        assert sorted(following.lines(2)) == [(1, "n"), (2, "late")]
        add(path, "m")
        writer.write("later\n")
        writer.flush()
        assert sorted(following.lines(2)) == [(2, "m"), (3, "later")]


def test_renamed_its_last_half_line_is_a_line(path, follow):
    add(path, "m")
    following = follow(linger=0.5)
    # Renamed before it is first looked at, the file would never be followed.
    assert following.lines(1) == [(1, "m")]
    add(path, "a", "half", end="")
    path.rename(f"{path}.1")
    add(path, "n")
    assert sorted(following.lines(2)) == [(1, "n"), (2, "ahalf")]


def test_a_path_that_is_a_link(path, follow, tmp_path):
    add(tmp_path / "one", "a")
    path.symlink_to("one")
    following = follow()
    assert following.lines(1) == [(1, "a")]
    add(tmp_path / "two", "b")
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(path)
    assert following.lines(1) == [(1, "b")]


@pytest.mark.parametrize("after", ["x", "longer than before"])
def test_truncated(path, follow, heard, after):
    add(path, "first", "second")
    following = follow()
    assert len(following.lines(2)) == 2
    # As `copytruncate` does. What is written at once may be longer than what was there.
    path.write_text(f"{after}\n{after * 9}\n")
    assert following.lines(2) == [(1, after), (2, after * 9)]
    assert ("info", f"{path}: was truncated; read from its beginning") in heard.said


def test_many_lines_come_in_order_through_many_rotations(path, follow):
    following = follow(linger=0.5)
    for turn in range(20):
        add(path, *(f"{turn}-{n}" for n in range(500)))
        if turn < 19:
            shutil.move(path, f"{path}.{turn}")
    got = [text for _, text in following.lines(10_000)]
    assert sorted(got) == sorted(f"{turn}-{n}" for turn in range(20) for n in range(500))


def test_a_line_beyond_the_limit_is_told_and_passed_over(path, follow):
    add(path, "x" * 300_000, "ok")
    following = follow(max_line=1000)
    assert following.lines(2) == [(1, "long"), (2, "ok")]


def test_a_restart_goes_on(path, follow):
    add(path, "a", "b")
    first = follow()
    first.lines(2)
    first.end()
    add(path, "c")
    second = follow()
    assert second.lines(1) == [(3, "c")]


def test_what_was_not_answered_comes_again(path, follow):
    add(path, "a", "b")
    first = follow()
    first.lines(2)
    add(path, "c")
    assert first.lines(1, count_events=False) == [(3, "c")]
    first.end()
    second = follow()
    assert second.lines(1) == [(3, "c")]


def test_rotated_more_than_once_while_nobody_followed(path, follow, heard):
    add(path.with_name("events.jsonl.9"), "old")
    os.utime(path.with_name("events.jsonl.9"), (1, 1))
    add(path, "a")
    first = follow()
    first.lines(1)
    first.end()
    add(path, "b")
    path.rename(f"{path}.2")
    add(path, "c")
    path.rename(f"{path}.1")
    add(path, "d")
    second = follow()
    assert [text for _, text in second.lines(3)] == ["b", "c", "d"]
    assert second.nothing_more()


def test_gone_while_nobody_followed(path, follow, heard):
    add(path, "a")
    first = follow()
    first.lines(1)
    first.end()
    path.unlink()
    add(path, "other", "b")
    second = follow()
    assert second.lines(2) == [(1, "other"), (2, "b")]
    assert [message for level, message in heard.said if level == "warning"]


def test_an_inode_that_was_given_to_another_file(path, follow, heard):
    add(path, "a" * 50)
    first = follow()
    first.lines(1)
    first.end()
    # The same inode, other bytes, and longer than before.
    path.write_text("b" * 80 + "\n")
    assert follow().lines(1) == [(1, "b" * 80)]
    assert "was overwritten" in heard.said[-1][1]


def test_compressed_while_nobody_followed_is_told(path, follow, heard):
    add(path, "a")
    first = follow()
    first.lines(1)
    first.end()
    path.rename(f"{path}.1")
    Path(f"{path}.1").unlink()
    add(Path(f"{path}.1.gz"), "packed")
    add(path, "b")
    assert follow().lines(1) == [(1, "b")]
    assert any("compressed" in message for level, message in heard.said if level == "error")


def test_a_directory_is_refused(tmp_path, heard):
    with pytest.raises(SourceError, match="is a directory"):
        Followed(str(tmp_path), Positions(None), heard).open()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1, "files": {"x": [{"inode": 1}]}}', '{"version": 2}'])
def test_positions_that_are_none(tmp_path, text):
    (tmp_path / "p").write_text(text)
    with pytest.raises(ValueError, match="it holds no positions"):
        Positions(str(tmp_path / "p")).load()
