"""OpenTelemetry log records: read back from the bytes of OTLP, and from an exporter in memory."""

from __future__ import annotations

import json
import logging
import socket
import sys
from typing import Any

import pytest
from flagged import ENGINE, EVENT, alarm_record, many, records
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, LogRecordExporter, LogRecordExportResult
from receiver import receiver

import spyderresp
from spyderresp.execution.backoff import Backoff
from spyderresp.executors import DeliveryError, Otel
from spyderresp.guards import Guard

QUICK = Backoff(first=0.001, longest=0.002, attempts=None)


def sent(body: bytes) -> list[Any]:
    request = ExportLogsServiceRequest.FromString(body)
    return [record for logs in request.resource_logs for scope in logs.scope_logs for record in scope.log_records]


def test_over_otlp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    with receiver() as there:
        sink = Otel(there.url, headers={"authorization": "Bearer abc"}, resource={"host.name": "n"}, now=lambda: 5.0)
        sink.deliver(records())
        sink.deliver([])
        sink.close()
    ((headers, body),) = there.requests
    assert headers["authorization"] == "Bearer abc"
    request = ExportLogsServiceRequest.FromString(body)
    resource = {item.key: item.value.string_value for item in request.resource_logs[0].resource.attributes}
    assert resource["service.name"] == "spyderresp"
    assert (resource["deployment.environment"], resource["host.name"]) == ("test", "n")
    red, ops = sent(body)
    assert json.loads(red.body.string_value) == records()[0]
    assert (red.time_unix_nano, red.observed_time_unix_nano) == (1_700_000_000_250_000_000, 5_000_000_000)
    assert (red.severity_text, red.severity_number, ops.severity_number) == ("high", 17, 9)
    assert red.event_name == "spyderresp.flag"
    attributes = {item.key: item.value for item in red.attributes}
    assert attributes["log.record.uid"].string_value == records()[0]["id"]
    assert attributes["process.pid"].int_value == 7
    assert attributes["k8s.pod.name"].string_value == "cart-0"


@pytest.mark.parametrize("envelope", [None, "cloudevents", "ocsf"])
def test_hostile_text_and_times(envelope: str | None) -> None:
    hostile = "\x00\n\udcff\U0001f600" * 50
    made = many(2, process={"name": hostile, "exe": hostile * 100, "pid": 2**63}, time=-5.0)
    made += [alarm_record(targets=[hostile]), {"id": hostile, "time": float("inf")} if envelope is None else made[0]]
    made = [{**record, "time": 0.0} if record.get("time") == float("inf") else record for record in made]
    with receiver() as there:
        Otel(there.url, envelope=envelope).deliver(made)
        ((_, body),) = there.requests
        assert len(sent(body)) == 4
        assert sent(body)[0].time_unix_nano == 0


def test_execute_goes_on_while_the_collector_is_down() -> None:
    with receiver() as there:
        there.answers = [(400, {}), (500, {}), (404, {})]
        sink = Otel(there.url, backoff=QUICK)
        report = spyderresp.execute(ENGINE.evaluate(EVENT), sink, Guard(kill_switch=None), event=EVENT)
        assert [outcome.status for outcome in report] == ["accepted", "accepted"]
        sink.close(240.0)
        assert sink.waiting == 0
        assert len(sent(there.requests[-1][1])) == 2


def test_a_redirect_is_not_taken_for_success() -> None:
    """Followed, a POST becomes a GET without the flags, and the answer to that counted as theirs."""
    with receiver() as there:
        there.answers = [(302, {"location": there.url})]
        with pytest.raises(DeliveryError):
            Otel(there.url, timeout=1.0).deliver(records())
        assert len(there.requests) == 1


def test_nobody_there(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    sink = Otel(f"http://127.0.0.1:{port}/v1/logs", headers={"x": "t0ken"}, timeout=0.2)
    with pytest.raises(DeliveryError) as caught:
        sink.deliver(records())
    assert not caught.value.permanent
    assert "t0ken" not in caplog.text


class Raising(LogRecordExporter):
    def export(self, batch: Any) -> LogRecordExportResult:
        raise RuntimeError("a mistake")

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True


def test_an_exporter_of_the_hosts_own() -> None:
    exporter = InMemoryLogRecordExporter()
    sink = Otel(exporter=exporter)
    sink.deliver(records())
    sink.close()
    assert [item.log_record.attributes["log.record.uid"] for item in exporter.get_finished_logs()] == [
        record["id"] for record in records()
    ]
    with pytest.raises(DeliveryError, match="the exporter failed: RuntimeError"):
        Otel(exporter=Raising()).deliver(records())


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "spyderresp.executors.sinks.otel")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk._logs", None)
    with pytest.raises(ImportError, match=r"`Otel` needs the extra `otel` .*pip install 'spyderresp\[otel\]'"):
        spyderresp.executors.Otel  # type: ignore[attr-defined]
