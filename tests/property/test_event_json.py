"""JSON events are decided the same by the decoder that skips what nobody names, and by the standard library's."""

from __future__ import annotations

import json
import random
import sys
from typing import Any

import pytest
import strategies as s
from hypothesis import example, given
from hypothesis import strategies as st

import spyderresp
from spyderresp.decision import _engine as native_engine
from spyderresp.events.json_decoder import decode_event
from spyderresp.policies.vocabulary import SCOPES

pytest.importorskip("msgspec")

#: Where a value may stand: what one decoder reads and the other skips.
VALUES = (
    *("null", "true", "false", "0", "-0", "-0.0", "1.5", "1e5", "1E-3", "1e999", "-1e999", "1e-999", "5e-324", "[]"),
    *("18446744073709551616", "-9223372036854775809", "9" * 30, "0.1e1", "1.7976931348623159e308", "[1, {}]", "{}"),
    *('"a"', '"\\u0061b"', '"\\ud83d\\ude00"', '"\\ud800"', '"\\udc00\\ud800"', '"\\/\\b\\f\\n\\r\\t\\"\\\\"', '"é"'),
    *('"\x7f"', '"\U0001f600"', '{"name": 1}', '{"name": "a", "name": null}', '{"labels": []}', '{"\\ud800": 1}'),
)
#: The same for what is no JSON, or more than a decoder takes.
NO_VALUES = (
    *("", "NaN", "Infinity", "-Infinity", "nul", "nullx", "True", "01", "-01", "1.", ".5", "+1", "-", "1e", "1e+"),
    *("0x1", "1_0", "--1", "1 2", "'a'", '"', '"\\', '"\\x"', '"\\u12"', '"\\u 123"', '"\\u+123"', '"a\nb"', '"\x00"'),
    *("[1,]", "[,]", '{"a":1,}', "{1:2}", '{"a" 1}', "[NaN]", "[01]", "[", "{", "/**/1", "9" * 4_300, "9" * 4_301),
    *("9" * 6_000, "-" + "9" * 5_000, "9" * 5_000 + ".5", "0." + "1" * 5_000, "9" * 5_000 + "e1", "[" * 2_000),
    *("[" * 300 + "]" * 300, "[" * 2_000 + "]" * 2_000, '{"a":' * 2_000 + "1" + "}" * 2_000),
)
TAILS = (b"", b"", b"", b" \t\r\n", b"x", b"\x00", b"{}", b",", b"\xff", b"\x0c")
NOISE = (
    b"",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b",",
    b":",
    b"0",
    b"e",
    b" ",
    b"\n",
    b"\x00",
    b"\x80",
    b"\xff",
    b"\xc3\xa9",
)
OWN = ("id", "time", "policy_uid", "policy_name")
IDENTITY = ("name", "uid", "kuid", "pid", "ppid", "start_ticks", "boot_id", "start_time", "image", "containerID", "x")


def spelled(text: str, draw: random.Random) -> str:
    """Return a JSON string, some of its characters escaped."""
    return '"' + "".join(json.dumps(char)[1:-1] if draw.random() < 0.3 else _raw(char) for char in text) + '"'


def _raw(char: str) -> str:
    return json.dumps(char, ensure_ascii=False)[1:-1] if not "\ud800" <= char <= "\udfff" else json.dumps(char)[1:-1]


def written(value: Any, draw: random.Random, hostile: float) -> str:
    """Return a JSON text of a value, spelled by chance, with keys twice and members that nobody asked for."""
    if isinstance(value, dict):
        members = [(key, written(item, draw, hostile)) for key, item in value.items()]
        while draw.random() < 2 * hostile:
            key = draw.choice((*value, *OWN, *IDENTITY, *SCOPES, "labels"))
            token = draw.choice(NO_VALUES) if draw.random() < hostile / 2 else draw.choice(VALUES)
            members.insert(draw.randint(0, len(members)), (key, token))
        space = draw.choice(("", "", " ", "\n\t"))
        return "{" + ",".join(f"{space}{spelled(key, draw)}{space}:{space}{item}" for key, item in members) + "}"
    if isinstance(value, str):
        return spelled(value, draw)
    return json.dumps(value)


@st.composite
def json_texts(draw: st.DrawFn, events: list[Any]) -> bytes:
    chance = draw(st.randoms(use_true_random=False))
    text = written(draw(st.sampled_from(events)), chance, draw(st.sampled_from((0.0, 0.1, 0.3)))).encode()
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2)))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(NOISE)) + text[at + draw(st.integers(0, 2)) :]
    return draw(st.sampled_from((b"", b"", b"", b" ", b"\xef\xbb\xbf"))) + text + draw(st.sampled_from(TAILS))


def outcome(decide: Any, *arguments: Any) -> tuple[str, str]:
    """Return all there is to know of an answer or a refusal."""
    try:
        plan = decide(*arguments)
    except spyderresp.EventError as error:
        return error.path, str(error)
    return plan.to_json(), repr((plan.event, plan.time, plan.attribution, plan.target and plan.target.to_dict()))


def assert_alike(engine: spyderresp.Engine, text: bytes | bytearray | memoryview | str) -> None:
    assert outcome(engine.evaluate_json, text) == outcome(lambda: engine.evaluate(decode_event(text))), text


@given(st.data())
def test_both_decoders_decide_alike(data: Any) -> None:
    documents, events = data.draw(s.cases(bad=True))
    events = [event for event in events if s.is_json([event])]
    if not events:
        return
    engine = spyderresp.Engine(spyderresp.from_documents(documents))
    for text in data.draw(st.lists(json_texts(events), min_size=1, max_size=8)):
        assert_alike(engine, text)
        if text.isascii():
            assert_alike(engine, text.decode())


@given(st.recursive(st.sampled_from((*VALUES, *NO_VALUES)), lambda inner: st.builds("[{}, {}]".format, inner, inner)))
@example('"\ud800"')
def test_a_value_anywhere_is_judged_alike(value: str) -> None:
    for path in ("{{{}:{}}}", '{{"cluster":{{"name":"a",{}:{}}}}}', '{{"pod":{{"labels":{{{}:{}}}}}}}'):
        for key in ('"id"', '"x"', '"name"', '"app"', '"pod"', '"labels"', '"\\u006eame"', '"kuid"'):
            text = path.format(key, value)
            assert_alike(ENGINE, text)
            assert_alike(ENGINE, text.encode("utf-8", "surrogatepass"))


@given(st.binary(max_size=8), st.sampled_from(("x", "id", "name")))
def test_bytes_anywhere_are_judged_alike(held: bytes, key: str) -> None:
    assert_alike(ENGINE, b'{"%s":"%s","cluster":{"name":"a","%s":"%s"}}' % (key.encode(), held, key.encode(), held))


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
    for form in (text, bytearray(text), memoryview(text)):
        assert_alike(ENGINE, form)


@pytest.mark.parametrize("padding", range(0, 1_300, 97))
@pytest.mark.parametrize("digits", [639, 640, 641, 700, 4_300, 4_301])
def test_long_integers_are_found_wherever_they_stand(padding: int, digits: int) -> None:
    before = sys.get_int_max_str_digits()
    text = b'{"x":"%s","y":%s}' % (b"-" * padding, b"1" * digits)
    try:
        for most in (640, 4_300, 0):
            sys.set_int_max_str_digits(most)
            assert_alike(ENGINE, text)
    finally:
        sys.set_int_max_str_digits(before)


def test_usual_events_take_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(data: object) -> None:
        raise AssertionError(data)

    monkeypatch.setattr(native_engine, "_decode_event", refuse)
    event = {
        "id": "e",
        "time": 1.5,
        "cluster": {"name": "a", "uid": "é", "other": [1, {"b": None}]},
        "namespace": {"name": "n", "labels": {"team": "t", "other": "o"}},
        "pod": None,
        "process": {"name": "sh", "pid": 2**70, "args": ["x", "\u2028"]},
        "more": {"deep": [[[]]]},
    }
    for text in (json.dumps(event), json.dumps(event, ensure_ascii=False), json.dumps(event, indent=1)):
        for form in (text, text.encode(), bytearray(text.encode()), memoryview(text.encode())):
            plan = ENGINE.evaluate_json(form)
            assert plan.policies == ("p",)
            assert plan.target["process.pid"] == 2**70
            assert plan.target["cluster.uid"] == "é"
    assert len(ENGINE.evaluate_jsonl(b"{}\n\n{}")) == 2


def test_many_and_odd_label_keys() -> None:
    for keys in ([f"k{number}" for number in range(100)], ['"', "\\", "é", "a\nb", "", "\x7f", "\ud800"]):
        engine = spyderresp.Engine(spyderresp.from_documents([labelled(keys)]))
        for key in (*keys, "other"):
            for value in ("x", None, 1, {}):
                for labels in ({key: value}, {**dict.fromkeys(keys, "x"), key: value}, {key: value, "k1": "x"}):
                    assert_alike(engine, json.dumps({"pod": {"labels": labels}}))
        assert (
            len(engine.evaluate_json(json.dumps({"cluster": {}, "namespace": {}, "pod": {"labels": {keys[0]: "x"}}})))
            == 1
        )


def test_without_the_extra_answers_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)
    engine = spyderresp.Engine(spyderresp.from_documents([labelled(["app"])]))
    decoded = []
    monkeypatch.setattr(native_engine, "_decode_event", lambda data: decoded.append(data) or decode_event(data))
    text = b'{"id": 1, "cluster": {"name": "a"}, "namespace": {}, "pod": {"labels": {"app": "x"}}}'
    for form in (text, text.decode()):
        assert len(engine.evaluate_json(form)) == 1
    assert decoded == [text, text.decode()]
    assert engine.stats()["evaluated"] == 2


def test_a_refused_event_is_not_counted_and_a_decided_one_once() -> None:
    engine = spyderresp.Engine(spyderresp.from_documents([labelled(["app"])]))
    for text in (b'{"id": 1}', b'{"id": [1]}', b'{"id": "\\ud800"}'):
        engine.evaluate_json(text)
    with pytest.raises(spyderresp.EventError, match=r"pod\.labels\.app"):
        engine.evaluate_json(b'{"pod": {"labels": {"app": 1}}}')
    assert engine.stats()["evaluated"] == 3


def test_a_replaced_engine_reads_what_the_new_policies_name() -> None:
    engine = spyderresp.Engine(spyderresp.from_documents([labelled(["app"])]))
    text = json.dumps({"cluster": {}, "namespace": {}, "pod": {"labels": {"tier": "x"}}})
    assert not len(engine.evaluate_json(text))
    engine.replace(spyderresp.from_documents([labelled(["tier"])]))
    assert len(engine.evaluate_json(text)) == 1


def labelled(keys: list[str]) -> dict[str, Any]:
    """Return a policy that flags pods with any of these labels, one action a key."""
    actions = [
        {"makeRedFlag": {"severity": "low", "content": f"{place}", "podSelector": {"matchLabels": {key: "x"}}}}
        for place, key in enumerate(keys)
    ]
    return {
        "apiVersion": "spyderbat/v1",
        "kind": "SpyderbatPolicy",
        "metadata": {"name": "p", "type": "cluster", "uid": "u"},
        "spec": {
            "mode": "enforce",
            "clusterSelector": {"matchFieldsExpressions": [{"key": "name", "operator": "NotIn", "values": ["b"]}]},
            "namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["b"]}]},
            "response": {"default": [], "actions": actions},
        },
    }


def _engine() -> spyderresp.Engine:
    document = labelled(["app"])
    document["spec"]["response"]["default"] = [{"agentKillProcess": None}]
    return spyderresp.Engine(spyderresp.from_documents([document]))


ENGINE = _engine()
