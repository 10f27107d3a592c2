"""What all brokers share: what is refused, what is missing, and how old a message is."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from service.conftest import Heard, line

import spyderresp
from spyderresp.guards import Guard
from spyderresp.service.config.build import SourceFactory
from spyderresp.service.config.load import ConfigurationError
from spyderresp.service.config.settings import Settings
from spyderresp.service.config.source_settings import BrokerTls, KafkaSource, NatsSource, Secret
from spyderresp.service.intake import BadRecord, Delivery, DeliveryResult, Intake
from spyderresp.service.loop import ServiceContext, carry_out, decide
from spyderresp.service.metrics import StateReader
from spyderresp.service.sources.acknowledgement import ProblemReports, fault_of
from spyderresp.service.sources.file import Positions
from spyderresp.service.sources.kafka import librdkafka

LOCAL = ("--executor", "local-host", "--set", "local-host.machine=m")
SOURCES = {"kafka": "kafka:127.0.0.1:9/events", "nats": "nats:127.0.0.1:9/events"}
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root is held to this")


@pytest.mark.parametrize(("extra", "source"), SOURCES.items())
def test_a_missing_extra_is_told(start, tmp_path, extra, source):
    module = {"kafka": "confluent_kafka", "nats": "nats"}[extra]
    (tmp_path / f"{module}.py").write_text("raise ImportError('there is none')\n")
    path = os.pathsep.join([str(tmp_path), str(Path(spyderresp.__file__).parents[1])])
    program = start("--policies", "policy.yaml", "--events", source, PYTHONPATH=path)
    assert program.end() == 3
    said = "\n".join(program.err)
    assert (
        f"error[SR608]: reading from {extra.upper() if extra == 'nats' else 'Kafka'} needs the extra `{extra}`" in said
    )
    assert f"pip install 'spyderresp[{extra}]'" in said


@pytest.mark.parametrize(("kind", "source"), SOURCES.items())
def test_a_service_that_kills_has_a_journal(start, tmp_path, kind, source):
    program = start("--policies", "policy.yaml", "--events", source, *LOCAL, "--plain")
    assert program.end() == 3
    assert f"{kind}: error[SR602]: there is no journal, and a broker delivers events again" in "\n".join(program.err)
    # With nothing to kill by it may be tried without.
    program = start("--policies", "policy.yaml", "--events", source, "--check")
    assert program.end() == 0, program.err


@ROOT_ONLY
@pytest.mark.parametrize(("kind", "source"), SOURCES.items())
def test_a_service_that_kills_believes_no_open_broker(start, kind, source):
    arguments = ("--policies", "policy.yaml", "--events", source, *LOCAL, "--journal", "j.sqlite", "--check")
    program = start(*arguments)
    assert program.end() == 3
    assert "error[SR610]: the broker does not authenticate clients, so anybody can send events" in "\n".join(
        program.err
    )
    program = start(*arguments, "--plain")
    assert program.end() == 0, program.err


def broker(kind: str, **more: Any) -> KafkaSource | NatsSource:
    return KafkaSource(("a:1",), ("t",), **more) if kind == "kafka" else NatsSource(("a:1",), "t", **more)


def making(source: KafkaSource | NatsSource, context: ServiceContext) -> SourceFactory:
    watch = StateReader(context.engine, context.guard, Intake())
    return SourceFactory(Settings(events=(source,)), Positions(None), context.observer, context.counts, watch)


def test_who_connects_to_kafka_and_how(context, tmp_path, monkeypatch):
    monkeypatch.setenv("KAFKA_PASSWORD", "correct-horse")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    login = {"user": "u", "password": Secret(env="KAFKA_PASSWORD")}
    tls = BrokerTls(str(tmp_path / "ca.pem"))
    said = KafkaSource(("a:1", "b:2"), ("t",), **login, tls=tls)
    assert librdkafka(said) == {
        "bootstrap.servers": "a:1,b:2",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "u",
        "sasl.password": "correct-horse",
        "ssl.ca.location": str(tmp_path / "ca.pem"),
    }
    for user, other, protocol in ((None, None, "PLAINTEXT"), (None, tls, "SSL"), ("u", None, "SASL_PLAINTEXT")):
        assert librdkafka(replace(said, user=user, tls=other))["security.protocol"] == protocol
    # The client knows these settings, and looks at the files.
    (source,) = making(said, context).sources()
    source.open()


@pytest.mark.parametrize(
    ("kind", "more"),
    [("kafka", {"tls": BrokerTls("gone")}), ("nats", {"tls": BrokerTls("gone")}), ("nats", {"credentials": "gone"})],
)
def test_a_file_that_is_not_there(context, kind, more):
    said = broker(kind, **more)
    with pytest.raises(ConfigurationError, match=rf"{kind} a:1: error\[SR612\]: gone: no such file"):
        making(said, context).sources()


@pytest.mark.parametrize("kind", ["kafka", "nats"])
def test_a_password_that_is_not_there(context, kind):
    said = broker(kind, user="u", password=Secret(env="NOT_SET"))
    with pytest.raises(ConfigurationError, match=rf"{kind} a:1: error\[SR612\]: the variable `NOT_SET` is not set"):
        making(said, context).sources()


def test_what_came_long_ago_expires_alone(context, heard):
    """An event without a time is as old as its delivery; those that came with it are not."""
    context = replace(context, guard=Guard(kill_switch=None, expiry=60.0))
    now = time.time()
    arrivals = [now, now - 600, now - 599, now, now - 3]
    deliveries = [Delivery("kafka", line(n), arrived, whole=True) for n, arrived in enumerate(arrivals)]
    carry_out(decide(deliveries, context), context)
    said = [outcome.status for _, _, outcome in heard.outcomes if outcome.action == "agentKillProcess"]
    assert said == ["done", "expired", "expired", "done", "done"]


@pytest.mark.parametrize("count", [0, 1, 200, 201, 450])
def test_what_is_carried_out_together(context, recording, count):
    context = replace(context, guard=Guard(kill_switch=None))
    deliveries = [Delivery("kafka", line(n), 100.0 * (n // 150), whole=True) for n in range(count)]
    carry_out(decide(deliveries, context), context)
    assert [step.event for step in recording.acted if step.is_flag and step.event] == [f"e{n}" for n in range(count)]


def answer(events: int, *bad: str) -> DeliveryResult:
    return DeliveryResult(
        events, tuple(BadRecord(number, ValueError(text)) for number, text in enumerate(bad, 1)), {}, ""
    )


def test_what_is_a_dead_letter():
    assert fault_of(answer(1)) is None
    assert fault_of(answer(0)) == "no event is in it"
    assert fault_of(answer(1, "wrong")) == "wrong"
    assert fault_of(answer(0, "wrong\r\n\x1b[31m", "so", "so")) == "wrong\ufffd\ufffd\ufffd[31m (and 2 more)"
    assert len(fault_of(answer(0, "x" * 5000))) == 1000


def test_a_problem_is_reported_once_and_again_after_five_minutes():
    observer, now = Heard(), 0.0
    problems = ProblemReports("kafka", observer, lambda: now)
    problems.solved("down")
    for now in (0.0, 10.0, 299.0, 300.0):  # noqa: B007 - the clock above
        problems.report("down", "cannot be reached")
    problems.report("commit", "refused")
    problems.solved("down")
    problems.solved("down")
    problems.report("down", "cannot be reached")
    assert [message for _, message in observer.said] == [
        f"kafka: {message}"
        for message in ("cannot be reached", "cannot be reached", "refused", "works again", "cannot be reached")
    ]
