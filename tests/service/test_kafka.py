"""Events out of Kafka: against librdkafka's mock cluster, and against a real broker where one is named."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from kafka_cluster import REAL, Cluster, cluster
from service.brokered import Brokered, flagged
from service.conftest import line

from spyderresp.execution.backoff import Backoff
from spyderresp.executors import Recording
from spyderresp.service.config.source_settings import KafkaSource
from spyderresp.service.loop import ServiceContext
from spyderresp.service.metrics import Counts
from spyderresp.service.sources.kafka import KafkaMessage, PartitionProgress, letter_headers


@pytest.fixture(params=["mock", pytest.param("real", marks=pytest.mark.skipif(not REAL, reason="no broker named"))])
def kafka(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with cluster(REAL if request.param == "real" else "") as held:
        yield held


@pytest.fixture
def mock() -> Iterator[Cluster]:
    with cluster() as held:
        yield held


@pytest.fixture
def member(context: ServiceContext) -> Iterator[Callable[..., Brokered]]:
    started: list[Brokered] = []

    def member(
        kafka: Cluster, topic: str, context: ServiceContext = context, *, session: float = 6.0, **more: Any
    ) -> Brokered:
        said = KafkaSource((kafka.server,), (topic,), session=session)
        started.append(Brokered(said, context, **more))
        return started[-1]

    yield member
    for each in started:
        each.service.stop()
        each.thread.join(240)


@pytest.mark.slow
def test_what_is_decided_is_committed(kafka, member, context, recording, until):
    topic = kafka.topic()
    kafka.send(topic, *(line(n).strip() for n in range(100)))
    running = member(kafka, topic)
    until(lambda: len(flagged(recording)) == 100)
    until(lambda: sum(kafka.committed(topic).values()) == 100)
    ending = running.stop()
    assert (ending.signal, ending.failures, ending.undecided) == (15, (), 0)
    assert flagged(recording) == sorted(f"e{n}" for n in range(100))
    # Another one goes on where this one ended.
    kafka.send(topic, line(100))
    member(kafka, topic)
    until(lambda: len(flagged(recording)) == 101)


def test_a_message_may_hold_several_events(kafka, member, recording, until):
    topic = kafka.topic()
    kafka.send(
        topic, line(1) + line(2), b"[" + line(3) + b"," + line(4) + b"]", json.dumps(json.loads(line(5)), indent=1)
    )
    member(kafka, topic)
    until(lambda: len(flagged(recording)) == 5)
    until(lambda: sum(kafka.committed(topic).values()) == 3)


POISON = {
    b"{": "not valid JSON",
    b'{"process": {"name": 5}}': "process.name",
    b"": "not valid JSON",
    b" \n": "not valid JSON",
    b"[]": "no event is in it",
    b"\xff\x00": "not valid UTF-8",
    line(7) + b"[7]\n" + b"{\n": "(and 1 more)",
    b"x" * 5000: "longer than 4,096 bytes",
}


def test_what_cannot_be_decided_goes_to_the_dead_letters(kafka, member, context, recording, until):
    topic = kafka.topic()
    kafka.send(topic, line(1), partition=0)
    for number, value in enumerate(POISON):
        kafka.send(topic, value, partition=0, key=b"k%d" % number, headers=[("trace", b"%d" % number)])
    kafka.send(topic, None, line(2), partition=0)
    member(kafka, topic, body=4096)
    until(lambda: kafka.committed(topic).get(0) == len(POISON) + 3)
    letters = kafka.read(f"{topic}.dead-letters")
    letters.sort(key=lambda letter: int(dict(letter.headers())["spyderresp-offset"]))
    assert [letter.value() or b"" for letter in letters] == [*POISON, b""]
    assert [letter.key() for letter in letters[:-1]] == [b"k%d" % number for number in range(len(POISON))]
    for number, (letter, said) in enumerate(zip(letters, POISON.values(), strict=False)):
        headers = dict(letter.headers())
        assert headers["trace"] == b"%d" % number
        assert said in headers["spyderresp-reason"].decode()
        assert headers["spyderresp-topic"] == topic.encode()
        assert (headers["spyderresp-partition"], headers["spyderresp-offset"]) == (b"0", b"%d" % (number + 1))
        assert len(headers["spyderresp-id"]) == 64
    assert flagged(recording) == ["e1", "e2", "e7"]
    assert context.counts.dead_letters == {"kafka": len(POISON) + 1}


# Of Kafka's protocol: requests and errors.
PRODUCE, COMMIT = 0, 8
TOO_LARGE, NOT_ALLOWED, NOT_COORDINATOR = 10, 29, 16


def test_a_dead_letter_that_is_too_large_says_where_it_stands(mock, member, recording, until):
    topic = mock.topic()
    mock.send(topic, b"{" * 500)
    mock.fail(PRODUCE, TOO_LARGE)
    member(mock, topic)
    until(lambda: sum(mock.committed(topic).values()) == 1)
    (letter,) = mock.read(f"{topic}.dead-letters")
    assert letter.value() is None
    assert dict(letter.headers())["spyderresp-left-out"] == b"500 bytes are more than the topic takes"


def test_nothing_is_committed_before_its_dead_letter_has_arrived(mock, member, context, heard, until, monkeypatch):
    refused = threading.Event()
    monkeypatch.setattr(Backoff, "wait", lambda backoff, failures: (refused.set(), 0.0)[1])
    topic = mock.topic()
    mock.send(topic, line(1), b"{", line(2), partition=0)
    # Refused again and again, until the test allows it.
    mock.fail(PRODUCE, *[NOT_ALLOWED] * 100_000)
    member(mock, topic)
    until(
        lambda: context.counts.decided == 2 and any("dead letters cannot be written" in said for _, said in heard.said)
    )
    until(lambda: mock.committed(topic) == {0: 1})
    assert context.counts.dead_letters == {}
    mock.fail_no_more(PRODUCE)
    until(lambda: mock.committed(topic) == {0: 3})
    assert context.counts.dead_letters == {"kafka": 1}
    assert heard.said[-1][1].endswith("works again")


def test_a_commit_that_fails_is_made_again(mock, member, heard, until):
    topic = mock.topic()
    mock.send(topic, line(1), partition=0)
    mock.fail(COMMIT, NOT_ALLOWED)
    member(mock, topic)
    until(lambda: mock.committed(topic) == {0: 1})
    assert any("offsets cannot be committed" in said for _, said in heard.said)


@pytest.mark.slow
def test_a_server_that_dies_and_returns(mock, member, heard, recording, until):
    topic = mock.topic()
    mock.send(topic, *(line(n) for n in range(50)))
    # Longer than it is away, however slow the machine: else the group would give its partitions away meanwhile.
    member(mock, topic, session=240.0)
    until(lambda: len(flagged(recording)) == 50)
    until(lambda: sum(mock.committed(topic).values()) == 50)
    mock.down()
    until(lambda: any("cannot be reached" in said for _, said in heard.said))
    time.sleep(1.0)
    mock.up()
    mock.send(topic, *(line(n) for n in range(50, 100)))
    until(lambda: len(flagged(recording)) >= 100)
    until(lambda: sum(mock.committed(topic).values()) == 100)
    assert flagged(recording) == sorted(f"e{n}" for n in range(100))
    # Told once, however often it was tried.
    assert [said.partition(": ")[2] for _, said in heard.said].count("works again") == 1
    assert sum("cannot be reached" in said for _, said in heard.said) == 1


def test_a_server_that_is_not_there_does_not_keep_it_from_ending(mock, member, heard, until):
    topic = mock.topic()
    mock.down()
    running = member(mock, topic)
    until(lambda: any("cannot be reached" in said for _, said in heard.said))
    assert running.stop().failures == ()


class Slow(Recording):
    """Takes its time, or waits until it is let."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.attempted = False
        self.let = threading.Event()

    def note(self, step: Any) -> Any:
        self.attempted = True
        self.let.wait(self.seconds)
        return super().note(step)


@pytest.mark.slow
def test_partitions_are_handed_over_when_they_are_done(kafka, member, context, heard, until):
    """Members that come and go: each event is decided by one of them, and by no other if the broker takes the offsets.

    The mock takes none while a group changes, a real broker does.
    """
    topic = kafka.topic()
    workers = [Slow(0.002) for _ in range(3)]
    members = []
    sent = 0
    for worker in workers:
        members.append(member(kafka, topic, replace(context, executors=(worker,), counts=Counts())))
        until(lambda worker=worker: kafka.send(topic, line(0)) or worker.acted)
        kafka.send(topic, *(line(n) for n in range(sent, sent + 300)))
        sent += 300
    members[0].stop()
    kafka.send(topic, *(line(n) for n in range(sent, sent + 300)))
    members[1].stop()
    until(lambda: len({event for worker in workers for event in flagged(worker)}) == sent + 300)
    members[2].stop()
    decided = [event for worker in workers for event in flagged(worker) if event != "e0"]
    assert set(decided) == {f"e{n}" for n in range(1, sent + 300)}
    assert len(decided) == len(set(decided)) or any("decide the same events again" in said for _, said in heard.said)
    assert all(flagged(worker) for worker in workers)


@pytest.mark.slow
def test_what_was_not_done_goes_to_the_other_member(kafka, member, context, heard, until, monkeypatch):
    monkeypatch.setattr("spyderresp.service.sources.kafka._HAND_OVER", 0.5)
    topic = kafka.topic()
    for partition in range(4):
        kafka.send(topic, *(line(partition * 10 + n) for n in range(10)), partition=partition)
    stuck, quick = Slow(240.0), Recording()
    (source,) = member(kafka, topic, replace(context, executors=(stuck,), counts=Counts())).sources
    # All of it is handed in.
    until(lambda: stuck.attempted and len(source._pending) == 40 and not source._backlog)
    member(kafka, topic, replace(context, executors=(quick,), counts=Counts()))
    # It gets two of the four partitions, with all that is in them.
    until(lambda: len(flagged(quick)) == 20)
    until(lambda: sum(kafka.committed(topic).values()) == 20)
    stuck.let.set()
    until(lambda: sum(kafka.committed(topic).values()) == 40)
    assert len(flagged(stuck)) == 40


@pytest.mark.slow
def test_no_more_is_read_than_there_is_room_for(mock, member, context, until):
    topic = mock.topic()
    mock.send(topic, *(line(n) for n in range(5000)))
    slow = Slow(240.0)
    running = member(mock, topic, replace(context, executors=(slow,)), events=50)
    (source,) = running.sources
    until(lambda: slow.attempted and len(source._pending) >= 50)
    time.sleep(1.5)
    assert len(source._pending) <= 50 + 2 * 501
    slow.let.set()
    until(lambda: sum(mock.committed(topic).values()) == 5000)
    assert len(flagged(slow)) == 5000


def test_the_id_of_a_dead_letter_does_not_depend_on_our_clock() -> None:
    def letter_id(arrived: float, timestamp: int, offset: int = 7) -> bytes:
        original: Any = SimpleNamespace(
            topic=lambda: "t", partition=lambda: 0, headers=lambda: None, timestamp=lambda: (1, timestamp)
        )
        message = KafkaMessage(
            "kafka t[0]@7", b"{", arrived, "not valid JSON", original=original, offset=offset,
            progress=PartitionProgress(),
        )  # fmt: skip
        return dict(letter_headers(message))["spyderresp-id"]

    assert letter_id(10.0, 12_000) == letter_id(11.0, 12_000)
    assert len({letter_id(10.0, 12_000), letter_id(10.0, 12_001), letter_id(10.0, 12_000, 8)}) == 3
