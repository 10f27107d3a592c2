"""JSON lines: what is known by its bytes to be in the normal form, and what an engine says of it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
import strategies as s
from hypothesis import given
from hypothesis import strategies as st

import spyderresp
from spyderresp.cli.replay_pieces import decided
from spyderresp.events import tetragon
from spyderresp.events.formats import BUILT_IN
from spyderresp.events.records import is_surely_normal, to_event

MARKS = {
    "schema": "event_deviation:guardian_deviation:1.0.0",
    "kind": "GuardianDeviation",
    "output_fields": {},
    **{key: {} for key in (*tetragon.KINDS, *tetragon.WITHOUT_PROCESS)},
}


@pytest.mark.parametrize(("key", "value"), MARKS.items())
def test_what_has_a_mark_of_another_form_is_not_taken_for_an_event(key: str, value: Any) -> None:
    record = {"cluster": {"name": "a"}, key: value}
    text = json.dumps(record)
    escaped = text.replace(f'"{key[0]}', f'"\\u{ord(key[0]):04x}')
    assert json.loads(escaped) == record
    # It may have no form at all.
    with contextlib.suppress(spyderresp.EventError):
        assert BUILT_IN.recognise(record).name != "normal"
    for line in (text, escaped):
        assert not is_surely_normal(line.encode(), None)
        assert is_surely_normal(line.encode(), "normal")
        assert not is_surely_normal(line.encode(), "falco")


def outcome(decide: Any) -> Any:
    try:
        return decide()
    except spyderresp.EventError as error:
        return str(error)


@given(s.cases() | s.firing_cases(), st.sampled_from((None, "normal")), st.booleans(), st.data())
def test_lines_are_decided_as_their_events_are(
    case: tuple[list[dict[str, Any]], list[dict[str, Any]]], form: str | None, ascii_only: bool, data: st.DataObject
) -> None:
    documents, events = case
    engine = spyderresp.Engine(spyderresp.from_documents(documents))
    for event in events:
        if data.draw(st.integers(0, 4)) == 0:
            event[data.draw(st.sampled_from(tuple(MARKS)))] = data.draw(st.sampled_from((*MARKS.values(), 7)))
        line = json.dumps(event, ensure_ascii=ascii_only, default=str).encode("utf-8", "surrogatepass")
        if data.draw(st.integers(0, 4)) == 0:
            line = line[: data.draw(st.integers(0, len(line)))]
        wanted = outcome(lambda line=line: engine.evaluate(to_event(line, form)))
        assert outcome(lambda line=line: decided(engine, line, form)) == wanted
