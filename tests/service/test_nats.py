"""Events out of NATS JetStream: against a real nats-server, where there is one."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trustme
from nats.js.api import AckPolicy, ConsumerConfig
from nats_server import PATIENCE, PROGRAM, Server, server
from service.brokered import Brokered, flagged
from service.conftest import line

from spyderresp.executors import Recording
from spyderresp.service.config.load import ConfigurationError
from spyderresp.service.config.settings import SenderLimits
from spyderresp.service.config.source_settings import BrokerTls, NatsSource, Secret
from spyderresp.service.loop import ServiceContext
from spyderresp.service.metrics import Counts
from spyderresp.service.sources.nats import Nats, covers

NEEDED = pytest.mark.skipif(PROGRAM is None, reason="no nats-server is installed")


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Server]:
    with server(tmp_path) as held:
        held.stream("events", "events.>")
        held.stream("dead", "dead-letters.>")
        yield held


@pytest.fixture
def reader(context: ServiceContext) -> Iterator[Callable[..., Brokered]]:
    started: list[Brokered] = []

    def reader(
        nats: Server, context: ServiceContext = context, source: dict[str, Any] | None = None, **more: Any
    ) -> Brokered:
        said = NatsSource((nats.address,), "events")
        started.append(Brokered(replace(said, **(source or {})), context, **more))
        return started[-1]

    yield reader
    for each in started:
        each.service.stop()
        each.thread.join(240)


@NEEDED
def test_what_is_decided_is_acknowledged(nats, reader, recording, until):
    nats.send("events.a", *(line(n).strip() for n in range(100)))
    running = reader(nats)
    until(lambda: len(flagged(recording)) == 100)
    until(lambda: nats.left("events") == 0)
    ending = running.stop()
    assert (ending.signal, ending.failures, ending.undecided) == (15, (), 0)
    assert flagged(recording) == sorted(f"e{n}" for n in range(100))
    # Another one goes on where this one ended.
    nats.send("events.b", line(100))
    reader(nats)
    until(lambda: len(flagged(recording)) == 101)


@NEEDED
def test_where_a_new_consumer_begins_and_what_it_is_for(nats, reader, recording, until):
    nats.send("events.a", line(1))
    reader(nats, source={"start": "end", "subject": "events.a.*"})
    until(lambda: nats.left("events") is not None)
    nats.send("events.a", line(2))
    nats.send("events.a.b", line(3))
    until(lambda: flagged(recording))
    until(lambda: nats.left("events") == 0)
    assert flagged(recording) == ["e3"]


POISON = {
    b"{": "not valid JSON",
    b'{"process": {"name": 5}}': "process.name",
    b"": "not valid JSON",
    b"[]": "no event is in it",
    b"\xff\x00": "not valid UTF-8",
    line(7) + b"[7]\n" + b"{\n": "(and 1 more)",
    b"x" * 5000: "longer than 4,096 bytes",
}


@NEEDED
def test_what_cannot_be_decided_goes_to_the_dead_letters(nats, reader, context, recording, until):
    nats.send("events.a", line(1))
    nats.send("events.a", *POISON, headers={"Trace": "t", "Nats-Expected-Stream": "events"})
    nats.send("events.a", line(2))
    reader(nats, body=4096)
    until(lambda: nats.left("events") == 0)
    letters = nats.read("dead")
    assert [letter.data or b"" for letter in letters] == list(POISON)
    for number, (letter, said) in enumerate(zip(letters, POISON.values(), strict=True)):
        assert letter.headers["Trace"] == "t"
        assert said in letter.headers["Spyderresp-Reason"]
        assert letter.headers["Spyderresp-Stream"] == "events"
        assert letter.headers["Spyderresp-Subject"] == "events.a"
        assert letter.headers["Spyderresp-Sequence"] == str(number + 2)
        assert len(letter.headers["Nats-Msg-Id"]) == 64
    assert len({letter.headers["Nats-Msg-Id"] for letter in letters}) == len(POISON)
    assert flagged(recording) == ["e1", "e2", "e7"]
    assert context.counts.dead_letters == {"nats": len(POISON)}


@NEEDED
def test_a_dead_letter_that_comes_again_is_one(nats, reader, until):
    nats.send("events.a", b"{")
    reader(nats)
    until(lambda: nats.left("events") == 0)
    reader(nats, source={"consumer": "another"})
    until(lambda: nats.left("events", "another") == 0)
    assert len(nats.read("dead")) == 1


@NEEDED
def test_nothing_is_acknowledged_before_its_dead_letter_has_arrived(tmp_path, reader, context, heard, until):
    with server(tmp_path) as nats:
        nats.stream("events", "events.>")
        nats.send("events.a", line(1), b"{", line(2))
        running = reader(nats)
        until(lambda: nats.left("events") == 1 and context.counts.decided == 2)
        assert any("no stream takes `dead-letters.events`" in said for _, said in heard.said)
        assert running.stop().failures == ()
        assert nats.left("events") == 1
        nats.stream("dead", "dead-letters.>")
        nats.ask(lambda jetstream: jetstream.delete_consumer("events", "spyderresp"))
        reader(nats)
        until(lambda: nats.left("events") == 0)
        assert len(nats.read("dead")) == 1


@NEEDED
def test_a_message_larger_than_the_server_takes_back_says_where_it_stands(tmp_path, reader, until):
    with server(tmp_path) as nats:
        nats.stream("events", "events.>")
        nats.stream("dead", "dead-letters.>")
        # The headers that a dead letter adds make it larger than its message.
        nats.send("events.a", b"{" * (1024 * 1024 - 100))
        reader(nats)
        until(lambda: nats.left("events") == 0)
        (letter,) = nats.read("dead")
        assert not letter.data
        assert letter.headers["Spyderresp-Left-Out"] == "1048476 bytes are more than the server takes"


@NEEDED
def test_a_server_that_dies_and_returns(nats, reader, heard, recording, until):
    nats.send("events.a", *(line(n) for n in range(50)))
    # What it did not hear of before it died it delivers again, after this time.
    reader(nats, source={"ack_wait": 3.0})
    until(lambda: len(flagged(recording)) == 50)
    nats.kill()
    until(lambda: any("cannot be read" in said for _, said in heard.said))
    # It is tried again meanwhile.
    time.sleep(1.0)
    nats.start()
    nats.send("events.a", *(line(n) for n in range(50, 100)))
    until(lambda: set(flagged(recording)) == {f"e{n}" for n in range(100)})
    until(lambda: nats.left("events") == 0)
    # Told once, however often it was tried.
    assert [said.partition(": ")[2] for _, said in heard.said].count("works again") == 1
    assert sum("cannot be read" in said for _, said in heard.said) == 1


@NEEDED
def test_a_server_that_is_not_there_does_not_keep_it_from_ending(tmp_path, reader, heard, until):
    running = reader(Server(tmp_path))
    until(lambda: any("cannot be read: connection refused" in said for _, said in heard.said))
    assert running.stop().failures == ()


class Slow(Recording):
    """Waits until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = threading.Event()
        self.attempted = False

    def note(self, step: Any) -> Any:
        self.attempted = True
        self.let.wait(240)
        return super().note(step)


@NEEDED
def test_what_takes_longer_than_the_server_waits_is_not_done_twice(nats, reader, context, until):
    nats.send("events.a", line(1))
    slow = Slow()
    # Three times as long as between two words that it is under way: only a machine that stands still for four seconds
    # says too late that it is.
    reader(nats, replace(context, executors=(slow,)), source={"ack_wait": 6.0})
    until(lambda: slow.attempted)

    async def under_way(jetstream: Any) -> int:
        words = await jetstream._nc.subscribe("$JS.ACK.events.spyderresp.>")
        for _ in range(4):
            assert (await words.next_msg(PATIENCE)).data == b"+WPI"
        return (await jetstream.consumer_info("events", "spyderresp")).num_redelivered

    assert nats.ask(under_way) == 0
    slow.let.set()
    until(lambda: nats.left("events") == 0)
    assert flagged(slow) == ["e1"]


@NEEDED
def test_what_is_done_while_the_server_is_away_is_acknowledged_later(nats, reader, context, until):
    nats.send("events.a", *(line(n) for n in range(20)))
    slow = Slow()
    reader(nats, replace(context, executors=(slow,)), source={"ack_wait": 6.0})
    until(lambda: slow.attempted)
    nats.kill()
    slow.let.set()
    until(lambda: len(flagged(slow)) == 20)
    nats.start()
    until(lambda: nats.left("events") == 0)
    # Delivered again it is known, but where an acknowledgement went into a connection that was dead already.
    found = flagged(slow)
    assert set(found) == {f"e{n}" for n in range(20)}
    assert all(found.count(event) <= 2 for event in found)


@NEEDED
def test_no_more_is_read_than_there_is_room_for(nats, reader, context, until):
    nats.send("events.a", *(line(n) for n in range(1000)))
    slow = Slow()
    running = reader(nats, replace(context, executors=(slow,)), events=50)
    until(lambda: slow.attempted and len(running.sources[0]._pending) >= 50)
    time.sleep(1.0)
    assert len(running.sources[0]._pending) <= 52
    slow.let.set()
    until(lambda: nats.left("events") == 0)
    assert len(flagged(slow)) == 1000


@NEEDED
def test_what_was_not_handed_in_is_given_back_at_the_end(nats, reader, context, recording, until):
    # Of messages of 20 events four are handed in at most: one is carried out, three wait at a place each.
    nats.send("events.a", *(b"".join(line(20 * n + m) for m in range(20)) for n in range(100)))
    slow = Slow()
    slowed = replace(context, executors=(slow,), counts=Counts())
    running = reader(nats, slowed, events=30, source={"ack_wait": 3600.0})
    (source,) = running.sources
    until(lambda: slow.attempted and len(source._pending) >= 30 and source._backlog)
    running.service.stop(15)
    until(lambda: source._stopped.is_set() and not source._backlog)
    slow.let.set()
    running.stop()
    done = len(flagged(slow))
    assert 0 < done <= 80
    # At once, not when the server has waited for an hour.
    reader(nats)
    until(lambda: len(flagged(recording)) == 2000 - done)


@NEEDED
@pytest.mark.parametrize(
    ("consumer", "said"),
    [
        ({"ack_policy": AckPolicy.NONE}, "must be a pull consumer with explicit acks"),
        ({"deliver_subject": "push"}, "must be a pull consumer with explicit acks"),
        ({"max_deliver": 3}, "gives a message up after 3 deliveries"),
    ],
)
def test_a_consumer_that_would_lose_events(nats, reader, consumer, said):
    config = ConsumerConfig(**{"durable_name": "spyderresp", "ack_policy": AckPolicy.EXPLICIT, **consumer})
    nats.ask(lambda jetstream: jetstream.add_consumer("events", config))
    running = reader(nats)
    running.thread.join(240)
    assert said in running.ending[0].failures[0]


@NEEDED
def test_dead_letters_that_would_be_read_again(nats, reader):
    running = reader(nats, source={"dead_letters": "events.dead"})
    running.thread.join(240)
    assert running.ending[0].failures[0].endswith("dead letters in `events.dead` would be read again")


@NEEDED
def test_a_stream_that_is_not_there_yet(nats, reader, heard, recording, until):
    reader(nats, source={"stream": "later"})
    until(lambda: any("cannot be read: stream not found; trying again" in said for _, said in heard.said))
    nats.stream("later", "later")
    nats.send("later", line(1))
    until(lambda: flagged(recording) == ["e1"])


@NEEDED
@pytest.mark.parametrize("shown", ["token", "user"])
def test_a_login(tmp_path, reader, heard, recording, until, shown, monkeypatch):
    monkeypatch.setenv("NATS_SECRET", "correct-horse")
    options = ("--auth", "correct-horse") if shown == "token" else ("--user", "u", "--pass", "correct-horse")
    with server(tmp_path, *options) as nats:
        nats.login = {"token": "correct-horse"} if shown == "token" else {"user": "u", "password": "correct-horse"}
        nats.stream("events", "events.>")
        nats.send("events.a", line(1))
        reader(nats)
        until(lambda: any("cannot be read: authorization" in said for _, said in heard.said))
        secret = Secret(env="NATS_SECRET")
        login = {"token": secret} if shown == "token" else {"user": "u", "password": secret}
        reader(nats, source=login)
        until(lambda: flagged(recording) == ["e1"])


@NEEDED
def test_tls_and_a_server_without_it(tmp_path, nats, reader, heard, recording, until, monkeypatch):
    monkeypatch.setenv("NATS_SECRET", "correct-horse")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    for number, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(str(tmp_path / "chain.pem"), append=number > 0)
    told = {"token": Secret(env="NATS_SECRET"), "tls": BrokerTls(str(tmp_path / "ca.pem"))}
    # This one speaks none: it is not shown the token, in the clear.
    reader(nats, source=told)
    until(lambda: any("the server does not speak TLS" in said for _, said in heard.said))
    (tmp_path / "tls").mkdir()
    files = ("--tls", "--tlscert", str(tmp_path / "chain.pem"), "--tlskey", str(tmp_path / "key.pem"))
    with server(tmp_path / "tls", *files, "--auth", "correct-horse") as other:
        other.login = {"token": "correct-horse", "tls": ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))}
        other.stream("events", "events.>")
        other.send("events.a", line(1))
        reader(other, source=told)
        until(lambda: flagged(recording) == ["e1"])
        # An authority that did not sign it.
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
        reader(other, source={**told, "consumer": "x", "tls": BrokerTls(str(tmp_path / "other.pem"))})
        until(lambda: any("certificate verify failed" in said for _, said in heard.said))


def test_a_certificate_that_is_none(reader, tmp_path):
    (tmp_path / "ca.pem").write_text("none")
    with pytest.raises(ConfigurationError, match=r"SR612.*`tls`: "):
        reader(Server(tmp_path), source={"tls": BrokerTls(str(tmp_path / "ca.pem"))})


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.b", "a", False),
        ("a", "a.b", False),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("*", "a", True),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        (">", "a", True),
        ("*.>", "a.b", True),
        ("*.c", "a.b", False),
    ],
)
def test_what_a_pattern_covers(pattern, subject, expected):
    assert covers(pattern, subject) is expected


def test_a_stream_that_was_made_anew_holds_other_messages(heard) -> None:
    first = datetime(2026, 11, 24, tzinfo=timezone.utc)
    source = Nats(NatsSource(("localhost:4222",), "s"), heard, Counts(), SenderLimits())
    for reply, moment, data in (("r1", first, b"1"), ("r2", first, b"1"), ("r3", first + timedelta(seconds=1), b"2")):
        about = SimpleNamespace(sequence=SimpleNamespace(stream=1), timestamp=moment)
        message = SimpleNamespace(metadata=about, headers=None, reply=reply, subject="a", data=data)
        source._take(cast("Any", message))
    # The second is the first once more; the third is another.
    assert [(held.delivery.reply, held.value) for held in source._pending.values()] == [("r2", b"1"), ("r3", b"2")]
    assert len(source._backlog) == 2
