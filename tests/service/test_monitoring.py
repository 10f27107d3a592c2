"""Health, metrics and spans of a service at work."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from dataclasses import replace

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from service.conftest import line, put

from spyderresp.journal import JournalError
from spyderresp.service.intake import Delivery, Intake
from spyderresp.service.loop import carry_out, decide
from spyderresp.service.metrics import Counts, StateReader
from spyderresp.service.prometheus import exposition
from spyderresp.service.tracing import Spans


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=240) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def figures(text: str) -> dict[str, float]:
    return {
        name: float(value) for name, value in re.findall(r"^(spyderresp_\S+(?:\{.*\})?) (\S+)$", text, re.MULTILINE)
    }


def test_a_monitor_of_its_own(start, tmp_path, until):
    (tmp_path / "events.jsonl").write_bytes(line(1) + b"{\n" + line(2, "fine"))
    program = start(
        *("--policies", "policy.yaml", "--events", "events.jsonl", "--follow"),
        *("--journal", "j.sqlite", "--monitor", "0", "--mode", "audit"),
    )
    until(lambda: any("events from" in said for said in program.err))
    base = "http://127.0.0.1:" + re.search(r"monitor [\d.]+:(\d+)", "\n".join(program.err))[1]
    assert get(f"{base}/healthz") == (200, b'{"alive":true}')
    until(lambda: get(f"{base}/readyz")[0] == 200)
    assert json.loads(get(f"{base}/readyz")[1])["policies"] == 1
    # It takes no events.
    assert get(f"{base}/v1/events")[0] == 404
    # The last that is counted of a delivery.
    until(lambda: figures(get(f"{base}/metrics")[1].decode())["spyderresp_answer_seconds_count"] == 1)
    found = figures(get(f"{base}/metrics")[1].decode())
    assert found['spyderresp_events_accepted_total{source="file"}'] == 3
    assert found['spyderresp_events_bad_total{source="file"}'] == 1
    assert found['spyderresp_steps_total{action="makeRedFlag",outcome="audit"}'] == 1
    assert found["spyderresp_events_decided_total"] == 2
    assert found["spyderresp_journal_working"] == 1
    put(tmp_path / "policy.yaml", "[")
    until(lambda: 'spyderresp_reloads_total{result="failed"} 1.0' in get(f"{base}/metrics")[1].decode())
    program.process.terminate()
    assert program.end() == 0


def test_the_kill_switch_is_in_the_log_the_metric_and_readyz(start, tmp_path, until):
    switch = tmp_path / "halt"
    (tmp_path / "events.jsonl").write_bytes(line(1))
    (tmp_path / "run.yaml").write_text(f"guard: {{kill_switch: {switch}}}\n")
    for on in (True, False):
        switch.touch() if on else switch.unlink()
        program = start(
            *("--policies", "policy.yaml", "--events", "events.jsonl", "--follow", "--config", "run.yaml"),
            *("--monitor", "0"),
        )
        until(lambda program=program: any("events from" in said for said in program.err))
        base = "http://127.0.0.1:" + re.search(r"monitor [\d.]+:(\d+)", "\n".join(program.err))[1]
        until(lambda base=base: get(f"{base}/readyz")[0] == 200)
        reason = f"the kill switch is on: {switch} exists" if on else None
        assert json.loads(get(f"{base}/readyz")[1])["halted"] == reason
        assert figures(get(f"{base}/metrics")[1].decode())["spyderresp_halted"] == on
        assert any(f"no agent action is taken: {reason}" in said for said in program.err) == on
        program.process.terminate()
        assert program.end() == 0


def test_open_breakers_are_told(context):
    counts, intake = Counts(), Intake()
    watch = StateReader(context.engine, context.guard, intake)
    # More kills than the first minute allows.
    carry_out(decide([Delivery("s", b"".join(line(n) for n in range(9)), time.time())], context), context)
    text = exposition(counts, watch.state)().decode()
    assert 'spyderresp_breaker_open_seconds{breaker="agentKillProcess of ' in text
    context.guard.rearm()
    assert "spyderresp_breaker_open_seconds{" not in exposition(counts, watch.state)().decode()


def test_a_journal_that_cannot_be_read(context):
    def owed() -> dict[str, int]:
        raise JournalError("j", "it is gone")

    state = StateReader(context.engine, context.guard, Intake(), owed, ready=lambda: True).state()
    assert (state.ready, state.journal, state.owed) == (True, False, {})


def test_a_span_for_each_round(context):
    exporter = InMemorySpanExporter()
    spans = Spans(SimpleSpanProcessor(exporter))
    carry_out(
        decide([Delivery("s", line(1) + line(2, "fine") + b"{", time.time())], context), replace(context, tracer=spans)
    )
    spans.close()
    (span,) = exporter.get_finished_spans()
    assert span.name == "spyderresp.round"
    assert dict(span.attributes) == {"spyderresp.deliveries": 1, "spyderresp.events": 2, "spyderresp.steps": 2}
    assert [(event.name, event.attributes["spyderresp.outcome"]) for event in span.events] == [
        ("makeRedFlag", "done"),
        ("agentKillProcess", "done"),
    ]
