"""A round decides everything that was delivered, and answers each delivery with what became of it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from service.conftest import line

from spyderresp.errors import EventError
from spyderresp.service import loop
from spyderresp.service.intake import Delivery, DeliveryResult
from spyderresp.service.loop import carry_out, decide


def answers(context: Any, *bodies: bytes, **settings: Any) -> list[DeliveryResult]:
    heard: list[DeliveryResult] = []
    carry_out(decide([Delivery("s", body, time.time(), heard.append, **settings) for body in bodies], context), context)
    return heard


def bad(answer: DeliveryResult) -> list[tuple[int, str]]:
    return [(item.line, item.error.path) for item in answer.bad]


def test_each_delivery_hears_of_its_own(context, heard, recording):
    first, second = answers(context, line(1) + b"{\n\n" + line(2, "fine"), line(3) + line(4, cluster=7))
    assert (first.events, bad(first), first.outcomes) == (2, [(2, "")], {"done": 2})
    assert (second.events, bad(second), second.outcomes) == (1, [(2, "cluster")], {"done": 2})
    assert first.policy_set == context.engine.policies.digest
    assert sorted(step.event for step in recording.acted) == ["e1", "e1", "e3", "e3"]
    assert heard.places == [1, 1]
    assert context.counts.accepted == {"file": 5}
    assert (context.counts.decided, context.counts.bad) == (3, {"file": 2})
    assert context.counts.steps == {("makeRedFlag", "done"): 2, ("agentKillProcess", "done"): 2}


def test_lines_are_numbered_from_where_they_stood(context):
    (answer,) = answers(context, b"{}\r\n \r\n[\r\n", first=100, long=(98, 99), limit=10)
    assert bad(answer) == [(98, ""), (99, ""), (102, "")]
    assert "longer than 10 bytes" in str(answer.bad[0].error)


@pytest.mark.parametrize(
    ("body", "events", "wrong"),
    [
        (line(1), 1, []),
        (b'{\n "id": "e1",\n "cluster": {"name": "c"}\n}', 1, []),
        (b"[" + line(1) + b"," + line(2, "fine") + b", 5]", 2, [(3, "")]),
        (line(1) + b"{]\n" + line(2), 2, [(2, "")]),
        (b"{", 0, [(1, "")]),
        (b'{\n "id": "e1",\n "cluster": {"name": "c"\n}', 0, [(1, "")]),
        (b"[\n" + line(1) + line(2) + b"]", 0, [(1, "")]),
        (b"[]", 0, []),
        (b"\xff", 0, [(1, "")]),
    ],
)
def test_one_json_value(context, body, events, wrong):
    (answer,) = answers(context, body, whole=True)
    assert (answer.events, bad(answer)) == (events, wrong)


def test_many_plans_are_carried_out_in_calls_of_bounded_size(context, recording, monkeypatch):
    sizes = []
    real = loop.execute_many

    def counted(plans, *arguments, **settings):
        sizes.append(len(plans))
        return real(plans, *arguments, **settings)

    monkeypatch.setattr(loop, "execute_many", counted)
    (answer,) = answers(context, b"".join(line(n) + line(n, "fine") for n in range(450)))
    assert sizes == [200, 200, 50]
    assert answer.outcomes["done"] + answer.outcomes["refused"] == 900
    # The others are the flags of the breakers that opened.
    assert len([step for step in recording.acted if step.event]) == answer.outcomes["done"]


def test_an_event_that_cannot_be_carried_out_keeps_no_other(context, monkeypatch):
    real = loop.execute_many

    def broken(plans, *arguments, **settings):
        if any(plan.event == "e2" for plan in plans):
            raise RuntimeError("no")
        return real(plans, *arguments, **settings)

    monkeypatch.setattr(loop, "execute_many", broken)
    (answer,) = answers(context, line(1) + line(2) + line(3))
    assert (answer.events, bad(answer), answer.outcomes["done"]) == (2, [(2, "")], 4)


def test_an_id_that_is_nested_too_deeply_is_a_bad_event(context):
    deep = b'{"id":' + b"[" * 900 + b"]" * 900 + b',"cluster":{"name":"c"},"process":{"name":"evil","pid":1}}\n'
    (answer,) = answers(context, deep + line(2))
    assert answer.events + len(answer.bad) == 2
    assert answer.outcomes["done"] >= 2


def test_the_form_of_records_can_be_told(context):
    alert = b'{"output_fields": {"proc.name": "evil", "proc.pid": 3, "k8s.ns.name": "n"}}'
    (answer,) = answers(context, alert)
    assert (answer.events, bad(answer)) == (1, [])
    (answer,) = answers(replace(context, form="tetragon"), alert)
    assert (answer.events, len(answer.bad)) == (0, 1)
    assert isinstance(answer.bad[0].error, EventError)


def test_an_event_that_waited_too_long_is_expired(context):
    heard: list[DeliveryResult] = []
    carry_out(
        decide([Delivery("s", line(1), time.time() - 100, heard.append), Delivery("s", line(2), time.time())], context),
        context,
    )
    assert heard[0].outcomes == {"done": 1, "expired": 1}
