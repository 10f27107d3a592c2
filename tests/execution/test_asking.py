"""What came back from another machine, and the end that every call has."""

from __future__ import annotations

import threading

import pytest

from spyderresp.executors.sinks.http_call import Calls, HttpResponse, NoResponseError


def test_a_call_returns_and_raises_as_it_would() -> None:
    calls = Calls(most=1)
    assert calls(lambda: 7, 240.0) == 7
    with pytest.raises(KeyError, match="gone"):
        calls(lambda: {}["gone"], 240.0)
    # Its room is given back.
    assert calls(lambda: 8, 240.0) == 8


def test_what_hangs_is_left_to_itself_and_so_much_of_it_at_once() -> None:
    let_go = threading.Event()
    calls = Calls(most=2)
    try:
        for _ in range(2):
            with pytest.raises(NoResponseError, match="no answer within"):
                calls(lambda: let_go.wait(240), 0.05)
        with pytest.raises(NoResponseError, match="too many calls hang"):
            calls(lambda: 7, 0.05)
    finally:
        let_go.set()
    assert calls(lambda: 7, 240.0) == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "HTTP 503"),
        ('{"message": "pods \\"p\\"\\nis  forbidden"}', 'HTTP 503: pods "p" is forbidden'),
        ('{"message": 5}', 'HTTP 503: {"message": 5}'),
        ("<html>\n  bad gateway", "HTTP 503: <html> bad gateway"),
        ("x" * 5000, "HTTP 503: " + "x" * 300),
    ],
)
def test_an_answer_says_what_it_is_on_one_short_line(text: str, said: str) -> None:
    assert HttpResponse(503, text).message() == said


@pytest.mark.parametrize("text", ["", "[1]", "null", "{", "[" * 200_000, '{"a": NaN'])
def test_what_is_no_object_has_no_data(text: str) -> None:
    assert HttpResponse(200, text).data() == {}
