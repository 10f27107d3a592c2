"""The chain: whatever is altered, taken out, moved or cut off is named, and so are tables that say something else."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from journals import Shelf, flag, kill, outcome

from spyderresp.journal import Journal, JournalError, JournalReader, verify
from spyderresp.journal.hash_chain import digest


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of two segments and what came after, with something in every table."""
    path = tmp_path_factory.mktemp("written") / "journal.sqlite"
    with Journal(path) as journal:
        for turn in range(3):
            keys = [f"{turn}-{number}" for number in range(4)]
            journal.record_policies("set", ["policies/"], policies=2)
            journal.begin(
                [*(kill(key) for key in keys), flag(f"f{turn}", "shelf", "gone")],
                guard=lambda turn=turn: {"turn": turn},
            )
            journal.deliver_now({"shelf": Shelf()})
            journal.finish([outcome(key) for key in keys[:2]])
            journal.finish([outcome(keys[2], "accepted", uid="u"), outcome(flag(f"f{turn}", "shelf", "gone"))])
            if turn < 2:
                assert journal.rotate() > 0
    return path


@pytest.fixture
def path(written: Path, tmp_path: Path) -> Path:
    shutil.copytree(written.parent, tmp_path / "copy")
    for file in (tmp_path / "copy").iterdir():
        file.chmod(0o600)
    return tmp_path / "copy" / written.name


def change(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        assert connection.execute(statement).rowcount != 0
    connection.commit()
    connection.close()


def test_what_was_written_is_fine(path: Path) -> None:
    result = verify(path)
    assert result.problems == ()
    assert result.notes == ()
    assert result.segments == 2
    assert sorted(file.name for file in path.parent.glob("journal*sqlite")) == [
        "journal.0001.sqlite",
        "journal.0002.sqlite",
        "journal.sqlite",
    ]
    with JournalReader(path) as reader:
        entries = list(reader.entries())
        assert [entry.seq for entry in entries] == list(range(1, result.entries + 1))
        assert (entries[-1].seq, entries[-1].hash) == reader.head == result.head


def places(path: Path) -> list[tuple[Path, int]]:
    found = []
    for file in (path.with_name("journal.0001.sqlite"), path.with_name("journal.0002.sqlite"), path):
        connection = sqlite3.connect(file)
        found += [(file, seq) for (seq,) in connection.execute("SELECT seq FROM entries")]
        connection.close()
    return found


@pytest.mark.parametrize(
    "assignment",
    ["time = time + 1", "kind = 'policies'", "key = 'x'", "body = replace(body, '{', '{ ')", f"hash = '{'0' * 64}'"],
)
def test_the_first_altered_entry_is_named_wherever_it_is(path: Path, assignment: str) -> None:
    for number, (file, seq) in enumerate(places(path)):
        copy = path.parent.with_name(f"altered-{number}")
        shutil.copytree(path.parent, copy)
        connection = sqlite3.connect(copy / file.name)
        before = connection.execute("SELECT * FROM entries WHERE seq = ?", (seq,)).fetchone()
        connection.execute(f"UPDATE entries SET {assignment} WHERE seq = {seq}")
        after = connection.execute("SELECT * FROM entries WHERE seq = ?", (seq,)).fetchone()
        connection.commit()
        connection.close()
        (problem,) = verify(copy / path.name).problems or ("",)
        assert (problem == "") == (before == after)
        assert before == after or problem.startswith(f"entry {seq} was altered or moved")
        shutil.rmtree(copy)


def test_an_entry_taken_out_is_named(path: Path) -> None:
    for number, (file, seq) in enumerate(places(path)):
        copy = path.parent.with_name(f"out-{number}")
        shutil.copytree(path.parent, copy)
        change(copy / file.name, f"DELETE FROM entries WHERE seq = {seq}")
        (problem,) = verify(copy / path.name).problems
        assert problem.startswith(f"entry {seq} is missing")
        shutil.rmtree(copy)


def test_entries_that_changed_places_are_named(path: Path) -> None:
    last = places(path)[-1][1]
    change(
        path,
        f"UPDATE entries SET seq = 0 WHERE seq = {last - 1}",
        f"UPDATE entries SET seq = {last - 1} WHERE seq = {last}",
        f"UPDATE entries SET seq = {last} WHERE seq = 0",
    )
    assert verify(path).problems[0].startswith(f"entry {last - 1} was altered or moved")


def test_an_end_cut_off_is_named_as_long_as_the_head_is_as_it_was(path: Path) -> None:
    last = places(path)[-1][1]
    change(path, f"DELETE FROM entries WHERE seq > {last - 2}")
    assert verify(path).problems == (f"entry {last - 1} is missing: entries {last - 1} to {last} were cut off the end",)


def test_a_digest_that_was_noted_elsewhere_tells_of_a_chain_made_anew(path: Path) -> None:
    noted = verify(path).head[1]
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT * FROM entries ORDER BY seq").fetchall()
    (before,) = connection.execute("SELECT hash FROM segments ORDER BY number DESC").fetchone()
    for seq, time, kind, key, body, _ in rows:
        before = digest(before, seq, time + 1, kind, key, body)
        connection.execute("UPDATE entries SET time = ?, hash = ? WHERE seq = ?", (time + 1, before, seq))
    connection.execute("UPDATE head SET hash = ?", (before,))
    connection.commit()
    connection.close()
    # Whoever can do all this is not seen by the file alone.
    assert verify(path).ok
    assert verify(path, expect=before).ok
    assert verify(path, expect=noted).problems == (
        f"no entry has the digest {noted}: what was noted is not in this chain",
    )


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM keys WHERE key = '2-0'", "step 2-0 is not listed as begun"),
        (
            "UPDATE keys SET status = 'failed' WHERE key = '2-1'",
            "step 2-1 is listed as `failed`, but by its entries it is `done`",
        ),
        ("UPDATE keys SET status = NULL, ended = NULL WHERE key = '0-1'", "step 0-1 is listed as open"),
        ("DELETE FROM keys WHERE key = '0-3'", "step 0-3 is not listed as begun"),
        (
            "INSERT INTO keys VALUES ('new', 'done', 1, 1, 'run', 1, NULL)",
            "step new is listed as begun, but",
        ),
        ("DELETE FROM outbox WHERE key = 'f0'", "the flag of step f0 is missing in the outbox of `gone`"),
        ("UPDATE outbox SET record = '{}' WHERE key = 'f1'", "the flag of step f1 in the outbox of `gone` was altered"),
        ("UPDATE outbox SET sink = 'shelf' WHERE key = 'f2'", "the outbox of `shelf` holds the flag of step f2, but"),
        (
            "INSERT INTO outbox (sink, key, record) VALUES ('x', 'y', '{}')",
            "the outbox of `x` holds a flag of step y",
        ),
        ("DELETE FROM under_way WHERE key = '0-2'", "step 0-2 is under way by its entries, but is not listed"),
        ("UPDATE under_way SET key = '0-0' WHERE key = '0-2'", "step 0-0 is listed as under way"),
        ("DELETE FROM head", "it is corrupt: the head is missing"),
    ],
)
def test_tables_that_disagree_are_named(path: Path, statement: str, said: str) -> None:
    change(path, statement)
    try:
        problems = verify(path).problems
    except JournalError as error:
        problems = (str(error),)
    assert any(said in problem for problem in problems), problems


def test_a_segment_that_is_gone_is_named_unless_it_was_moved_on_purpose(path: Path) -> None:
    first = path.with_name("journal.0001.sqlite")
    whole = verify(path)
    with JournalReader(path) as reader:
        end = reader.segments[0]
    first.unlink()
    result = verify(path)
    assert result.problems == (f"entries 1 to {end.last} are missing: there is no {first.resolve()}",)
    moved = verify(path, archived=True, expect=end.hash)
    assert moved.ok
    assert moved.entries == whole.entries - end.last
    assert moved.notes == (f"entries 1 to {end.last} were moved away with {first.resolve()}",)
    path.with_name("journal.0002.sqlite").rename(first)
    assert not verify(path).ok


def test_a_file_whose_pages_are_damaged_is_named(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for place in range(4096 * 2, len(data), 4096):
        data[place : place + 64] = b"\xff" * 64
    path.write_bytes(bytes(data))
    try:
        problems = verify(path).problems
    except JournalError as error:
        problems = (str(error),)
    assert "corrupt" in problems[0]
