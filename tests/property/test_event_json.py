"""Events out of JSON: the quick decoder and the standard one lead to one answer, whatever the text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spyderresp
from spyderresp import event_json
from spyderresp.errors import EventError
from spyderresp.event_json import decode_event, decoder_of

DOCUMENT = {
    "apiVersion": "spyderbat/v1",
    "kind": "SpyderbatPolicy",
    "metadata": {"name": "p", "type": "cluster"},
    "spec": {
        "mode": "enforce",
        "clusterSelector": {"matchFields": {"name": "*"}},
        "response": {
            "default": [{"makeRedFlag": {"severity": "low"}}],
            "actions": [
                {"agentKillPod": {"podSelector": {"matchLabels": {"app": ["a", "b*"]}}}},
                {"agentKillProcess": {"processSelector": {"matchFields": {"exe": "/bin/*"}}}},
                {
                    "makeOpsFlag": {
                        "severity": "high",
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "a*"}},
                    }
                },
            ],
        },
    },
}
ENGINE = spyderresp.Engine(spyderresp.from_documents([DOCUMENT]))
DECODE = decoder_of(ENGINE._compiled.attributes)

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(["a", "b1", "/bin/sh", ""])
)
anything = st.recursive(
    scalars | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
)
keys = st.sampled_from(["name", "exe", "labels", "app", "kuid", "pid", "uid", "kubernetes.io/metadata.name", "other"])
objects = st.dictionaries(keys, scalars | st.dictionaries(keys, scalars, max_size=3), max_size=4)
events = st.dictionaries(
    st.sampled_from(
        ["id", "time", "policy_uid", "policy_name", "cluster", "pod", "process", "namespace", "machine", "more"]
    ),
    objects | scalars | anything,
    max_size=6,
)


def said(decode: Any, text: bytes | str) -> str:
    try:
        return ENGINE.evaluate(decode(text)).to_json()
    except EventError as error:
        return f"error: {error}"


def test_the_quick_decoder_is_there() -> None:
    """Else everything below would hold the standard one against itself."""
    assert DECODE is not decode_event
    assert DECODE(b'{"more": 1, "process": {"environ": "x", "pid": 3}}') == {"process": {"pid": 3}}


@settings(max_examples=400)
@given(events, st.booleans())
def test_both_decoders_lead_to_one_answer(event: dict[str, Any], plain: bool) -> None:
    text = json.dumps(event, ensure_ascii=plain)
    assert said(DECODE, text) == said(decode_event, text)
    if plain:
        assert said(DECODE, text.encode()) == said(decode_event, text)
        assert ENGINE.evaluate_jsonl(text, on_error="collect")[0] is not None


@settings(max_examples=400)
@given(events.map(json.dumps), st.data())
def test_broken_texts_lead_to_one_answer(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 3))
    put = data.draw(st.text('{}[]",:\\u0019.eE-truefalsnNI \x00\n\ud800é', max_size=4))
    broken = text[:at] + put + text[at + cut :]
    assert said(DECODE, broken) == said(decode_event, broken)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[1]",
        b'{"id":1} x',
        b'{"id":1,"id":2}',
        b'{"process":{"pid":1},"process":{"pid":2,"exe":"/bin/a"},"cluster":{"name":"c"}}',
        b'{"\\u0069d":3}',
        b'\xef\xbb\xbf{"id":1}',
        b'{"more":"\xff"}',
        b'{"id":"\xff"}',
        b'{"more":"\xed\xa0\x80"}',
        b'{"id":"\\ud800"}',
        b'{"more":"\\ud800"}',
        b'{"more":NaN}',
        b'{"id":Infinity}',
        b'{"id":1e400}',
        b'{"id":123456789012345678901234567890123456789012345678901234567890}',
        b'{"id":-0.0}',
        b'{"id":' + b"[" * 200_000,
        b'{"more":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"process":7}',
        b'{"process":[]}',
        b'{"pod":{"labels":[]}}',
        b'{"pod":{"labels":{"app":1}}}',
        b'{"pod":{"labels":{"other":1}}}',
        b'{"process":{"exe":1}}',
        b'{"cluster":{"name":null}}',
    ],
    ids=lambda text: text[:24].decode("latin-1"),
)
def test_odd_texts(text: bytes) -> None:
    assert said(DECODE, text) == said(decode_event, text)
    assert said(DECODE, bytearray(text)) == said(DECODE, memoryview(text)) == said(decode_event, text)


def test_without_the_extra_the_answers_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_json, "optional", lambda _: None)
    assert decoder_of({("process", "exe"): 0}) is decode_event
    engine = spyderresp.Engine(ENGINE.policies)
    text = b'{"cluster": {"name": "c"}, "process": {"exe": "/bin/sh"}}'
    assert engine.evaluate_json(text) == ENGINE.evaluate_json(text)


def test_other_policies_look_at_other_fields() -> None:
    engine = spyderresp.Engine(ENGINE.policies)
    text = b'{"cluster": {"name": "c"}, "service": {"name": "s"}, "process": {"exe": "/bin/sh"}}'
    before = engine.evaluate_json(text)
    document = json.loads(json.dumps(DOCUMENT).replace('"processSelector": {"matchFields": {"exe": "/bin/*"}}',
        '"serviceSelector": {"matchFields": {"name": "s"}}'))  # fmt: skip
    engine.replace(spyderresp.from_documents([document]))
    after = engine.evaluate_json(text)
    assert [action.name for action in before] == [action.name for action in after]
    assert engine.evaluate_json(text.replace(b'"s"', b'"t"')) != after


def test_a_label_that_only_an_escape_can_hold() -> None:
    document = json.loads(json.dumps(DOCUMENT).replace('"app"', '"\\ud800"'))
    engine = spyderresp.Engine(spyderresp.from_documents([document]))
    for value in ("a", "c"):
        event = {"cluster": {"name": "c"}, "pod": {"labels": {"\ud800": value}}}
        assert engine.evaluate_json(json.dumps(event)) == engine.evaluate(event)
