"""Totals gathered in columns and natively, held equal to the slow way: every count, every target, every breaker."""

from __future__ import annotations

import pickle
from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
import replaying_slowly as slowly
import strategies as s
from hypothesis import given, settings
from hypothesis import strategies as st

import spyderresp
from spyderresp.authoring.replay.kills import Kill, Kills
from spyderresp.authoring.replay.totals import Replay
from spyderresp.events.timestamps import epoch_seconds, epoch_seconds_of
from spyderresp.execution.guards.circuit_breakers import Limits

TEXT = pa.string()
LABELS = pa.map_(TEXT, TEXT)
DICTIONARY = pa.dictionary(pa.int32(), TEXT)
KILLS = ("agentKillProcess", "agentKillProcessGroup", "agentKillProcessTree", "agentKillPod")
START = datetime(2026, 11, 24, 1, 2, 3, tzinfo=timezone.utc)


def schema(number: pa.DataType, text: pa.DataType, time: pa.DataType) -> pa.Schema:
    """Return the columns of events whose pids and starts are of a type."""
    process = [(key, text) for key in ("name", "exe", "euser", "uid", "boot_id", "start_time")]
    return pa.schema(
        [
            ("id", TEXT),
            ("time", time),
            ("cluster", pa.struct([("name", text), ("uid", text)])),
            ("machine", pa.struct([("hostname", text), ("uid", text)])),
            ("namespace", pa.struct([("name", text), ("labels", LABELS)])),
            ("pod", pa.struct([("name", text), ("uid", text), ("kuid", text), ("labels", LABELS)])),
            ("container", pa.struct([(key, text) for key in ("image", "imageID", "containerName", "containerID")])),
            ("service", pa.struct([("name", text), ("cgroup", text)])),
            ("process", pa.struct([*process, ("pid", number), ("start_ticks", number)])),
        ]
    )


SCHEMAS = [
    schema(number, text, time)
    for number, text, time in (
        (pa.int64(), TEXT, TEXT),
        (pa.uint8(), pa.large_string(), pa.dictionary(pa.int8(), TEXT)),
        (pa.float64(), TEXT, pa.float64()),
        (pa.float32(), DICTIONARY, pa.int64()),
        (pa.int16(), pa.string_view(), pa.timestamp("ms", "UTC")),
        (pa.bool_(), TEXT, pa.timestamp("ns")),
        (TEXT, DICTIONARY, TEXT),
    )
]
KEYS = ("a", "b", "", "é", "/", "a/b", None)


def moment_in(kind: pa.DataType, seconds: int | None, odd: str | None) -> Any:
    if kind in (TEXT, pa.dictionary(pa.int8(), TEXT)):
        return odd if odd is not None or seconds is None else (START + timedelta(seconds=seconds)).isoformat()
    if seconds is None:
        return None
    moment = START + timedelta(seconds=seconds)
    if pa.types.is_timestamp(kind):
        return moment if kind.tz else moment.replace(tzinfo=None)
    return moment.timestamp() if pa.types.is_floating(kind) else int(moment.timestamp())


def number_in(kind: pa.DataType, number: int | None) -> Any:
    if number is None:
        return None
    if kind == TEXT:
        return str(number)
    return bool(number % 2) if pa.types.is_boolean(kind) else number + 0.5 if pa.types.is_floating(kind) else number


def killing(document: dict[str, Any]) -> dict[str, Any]:
    """Return a policy with kills in place of most else that it does."""
    for section in ("default", "actions"):
        for place, entry in enumerate(document["spec"]["response"][section]):
            name = next(name for name in entry if not name.endswith("Selector"))
            body = entry[name]
            own = {key: value for key, value in (body or {}).items() if key.endswith("Selector") or key == "enabled"}
            kill = KILLS[place % 4]
            if kill == "agentKillPod" and "serviceSelector" in own:
                kill = "agentKillProcess"
            others = {key: value for key, value in entry.items() if key != name}
            if kill != "agentKillPod" or "serviceSelector" not in others:
                document["spec"]["response"][section][place] = {kill: own or None, **others}
    return document


@st.composite
def recorded(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]], pa.Schema]:
    """Draw documents, events that they kill by, and columns that hold the events."""
    documents, drawn = draw(s.firing_cases())
    if draw(st.integers(0, 3)):
        documents = [killing(document) for document in documents]
    columns = draw(st.sampled_from(SCHEMAS))
    pid, time = columns.field("process").type.field("pid").type, columns.field("time").type
    events = []
    for event in (event for event in drawn for _ in range(draw(st.integers(1, 4)))):
        held = {scope: said_of(event.get(scope), columns.field(scope).type) for scope in s.SCOPES}
        seconds = draw(st.none() | st.integers(0, 90) | st.integers(-(10**9), 10**9))
        odd = draw(st.sampled_from((None,) * 8 + ("soon", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00Z")))
        held["time"] = moment_in(time, seconds, odd)
        for scope, keys in (("pod", ("name", "uid", "kuid")), ("process", ("uid", "boot_id"))):
            if held.get(scope) is not None and draw(st.booleans()):
                held[scope] |= {key: draw(st.sampled_from(KEYS)) for key in keys}
        if held.get("process") is not None:
            numbers = draw(st.tuples(*[st.none() | st.integers(0, 2)] * 2))
            held["process"]["pid"], held["process"]["start_ticks"] = (number_in(pid, number) for number in numbers)
        events.append({key: value for key, value in held.items() if value is not None})
    return documents, events, columns


def said_of(held: Any, kind: pa.DataType) -> Any:
    """Return what of a scope its column can hold."""
    if not isinstance(held, dict):
        return None
    made: dict[str, Any] = {f.name: held.get(f.name) for f in kind if isinstance(held.get(f.name), str)}
    if isinstance(held.get("labels"), dict) and kind.get_field_index("labels") >= 0:
        made["labels"] = {key: value for key, value in held["labels"].items() if isinstance(value, str)}
    return {key: value for key, value in made.items() if is_unicode(value)}


def is_unicode(value: Any) -> bool:
    texts = [*value.keys(), *value.values()] if isinstance(value, dict) else [value]
    return not any("\ud800" <= char <= "\udfff" for text in texts for char in text)


def batches(events: list[dict[str, Any]], columns: pa.Schema, size: int) -> list[pa.RecordBatch]:
    return [
        pa.RecordBatch.from_pylist(events[start : start + size], schema=columns)
        for start in range(0, len(events), size)
    ]


def rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return a batch's rows as events, with the times that its columns say."""
    made = batch.to_pylist()
    for row, event in enumerate(made):
        for scope in ("namespace", "pod"):
            if event[scope] is not None and event[scope]["labels"] is not None:
                event[scope]["labels"] = dict(event[scope]["labels"])
        if isinstance(event["time"], datetime):
            event["time"] = batch.column("time").cast(pa.timestamp("us"), safe=False)[row].value / 1_000_000
    return made


LIMITS = st.builds(
    Limits,
    policy=st.integers(0, 3),
    namespace=st.integers(0, 3),
    overall=st.integers(0, 4),
    window=st.sampled_from((0.0, 0.5, 3.0, 60.0)),
    warm_up=st.integers(0, 2),
    warm_up_seconds=st.sampled_from((0.0, 5.0)),
)


@given(recorded(), LIMITS, st.integers(1, 7), st.integers(0, 20))
def test_columns_parts_and_single_plans_give_what_the_slow_way_gives(
    case: tuple[list[dict[str, Any]], list[dict[str, Any]], pa.Schema], limits: Limits, size: int, cut: int
) -> None:
    documents, events, columns = case
    engine = spyderresp.Engine(spyderresp.from_documents(documents))
    held = batches(events, columns, size)
    plans = [engine.evaluate(event) for batch in held for event in rows(batch)]
    wanted = slowly.totals(plans, limits)
    by_plans, by_batches, summed = Replay(limits), Replay(limits), Replay(limits)
    for plan in plans:
        by_plans.add(plan)
    assert slowly.found(by_plans) == wanted
    parts = [Replay(), Replay()]
    for place, batch in enumerate(held):
        for replay in (by_batches, parts[place >= cut]):
            replay.add_batch(engine.evaluate_batch(batch), batch)
    assert slowly.found(by_batches) == wanted
    for part in parts:
        summed.add_part(pickle.loads(pickle.dumps(part.part())))
    assert slowly.found(summed) == wanted
    # Plans that wait to be counted are in what is asked for first.
    by_plans, summed = Replay(limits), Replay(limits)
    for plan in plans:
        by_plans.add(plan)
    summed.add_part(by_plans.part())
    assert list(summed.buckets()) == list(by_batches.buckets())
    by_plans = Replay(limits)
    for plan in plans:
        by_plans.add(plan)
    assert list(by_plans.buckets()) == list(by_batches.buckets())


ATTEMPTS = st.lists(
    st.builds(
        slowly.Attempt,
        time=st.integers(-20, 200).map(float) | st.floats(-1e6, 1e6),
        action=st.sampled_from(KILLS[2:]),
        policies=st.sampled_from(((), ("p",), ("q",), ("p", "q"))),
        target=st.sampled_from(("", "a", "b", "c", "d", "e")),
        namespace=st.sampled_from((None, "", "n", "m")),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(ATTEMPTS, LIMITS)
def test_breakers_are_stepped_as_the_guard_steps_them(attempts: list[slowly.Attempt], limits: Limits) -> None:
    kills = Kills()
    for attempt in attempts:
        kills.add_outcome([Kill(attempt.action, attempt.policies, True, True)])
    texts = {
        "pod.kuid": [attempt.target.encode() for attempt in attempts],
        "namespace.name": [attempt.namespace and attempt.namespace.encode() for attempt in attempts],
    }

    def rows(path: str, wanted: pa.Array) -> pa.Array:
        return pa.array(texts.get(path, [None] * len(attempts)), pa.large_binary()).take(wanted)

    if attempts:
        seconds = pa.array([attempt.time for attempt in attempts], pa.float64())
        kills.add(pa.array(range(len(attempts)), pa.int32()), seconds, rows)
    found = kills.breakers(limits)
    openings = [(one.time, one.name, one.limit, one.refused) for one in found.openings]
    assert (openings, found.refused, found.allowed) == slowly.breakers(attempts, limits)


@st.composite
def moments(draw: st.DrawFn) -> str:
    """Draw texts that are times in the form of RFC 3339, or nearly."""
    moment = draw(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))
    fraction = draw(st.sampled_from(("", ".5", ".000001", ".123456789", ".", ".1x")))
    zone = draw(st.sampled_from(("Z", "z", "+00:00", "-23:59", "+24:00", "+05:60", "", "+0100", "Z ", "-00:30")))
    text = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + fraction + zone
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(text) - 1))
        text = text[:at] + draw(st.sampled_from("0123456789- t:é")) + text[at + 1 :]
    return text


@given(st.lists(st.none() | moments(), min_size=1, max_size=5))
def test_times_are_read_as_single_ones_are(texts: list[str | None]) -> None:
    wanted = [None if text is None else epoch_seconds(text) for text in texts]
    for kind in (TEXT, pa.large_string(), pa.string_view()):
        assert epoch_seconds_of(pa.array(texts, kind)).to_pylist() == wanted
    assert epoch_seconds_of(pa.array(texts, TEXT).dictionary_encode()).to_pylist() == wanted


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+01:00"])
def test_a_time_that_its_zone_leads_out_of_the_calendar_is_none(text: str) -> None:
    assert epoch_seconds(text) is None
