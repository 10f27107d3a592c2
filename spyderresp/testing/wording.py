"""What is not as expected, as lines for people: plain text, neither coloured nor escaped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from spyderresp.testing.matching import Difference, Pair
from spyderresp.testing.model import Given
from spyderresp.testing.report import Layout, Problem, Result
from spyderresp.vocabulary import FLAG_TEXTS

#: ``problem``: what is wrong; ``expected``, ``got``: only one of both; ``differs``: both, and not alike; ``same``:
#: as expected; ``detail``: more about the line before; ``event``: what it is about.
Kind = Literal["problem", "expected", "got", "differs", "same", "detail", "event"]
_LONGEST_EVENT: Final = 400


class Line(NamedTuple):
    """A line, with its mark and indentation."""

    kind: Kind
    text: str


def lines_of(result: Result) -> Iterator[Line]:
    """Yield what is not as expected of a test, each event said once."""
    said: Given | None = None
    for problem in result.problems:
        if problem.given is not None and problem.given is not said:
            said = problem.given
            text = event_text(said)
            if text:
                yield Line("event", f"  event {said.label + ' ' if said.label else ''}{text}")
        yield Line("problem", f"  {problem.message} ({problem.location})")
        yield from _more(problem)


def event_text(given: Given) -> str:
    """Return an event as JSON, cut to a readable length; an empty text where there is none."""
    if given.event is None:
        return ""
    try:
        text = json.dumps(given.event, ensure_ascii=False)
    except (RecursionError, TypeError):
        return ""
    return text if len(text) <= _LONGEST_EVENT else f"{text[:_LONGEST_EVENT]}..."


def _more(problem: Problem) -> Iterator[Line]:
    if problem.layout is not None:
        for pair in problem.layout.pairs:
            yield from _pair(problem.layout, pair)
    elif problem.kind == "none_of":
        for source in problem.got["sources"]:
            yield Line("detail", f"        asked for by {_source(source)}")
    elif problem.kind == "plan":
        yield Line("expected", f"    - expected {json.dumps(problem.expected)}")
        yield Line("got", f"    + got      {json.dumps(problem.got)}")


def _pair(layout: Layout, pair: Pair) -> Iterator[Line]:
    if pair.got is None and pair.expected is not None:
        said = _said(layout.expected[pair.expected].said)
        yield Line("expected", f"    - {said}  <- expected, not planned")
        yield from _reasons(layout, pair.expected)
    elif pair.got is not None:
        action = layout.plan[pair.got]
        text = _described(action.name, action.parameters, action.disposition)
        if pair.agrees or (pair.expected is None and layout.how == "contains"):
            yield Line("same", f"      {text}")
            return
        if pair.expected is None:
            yield Line("got", f"    + {text}  <- not expected")
        else:
            yield Line("differs", f"    ! {text}  <- not as expected")
            for found in pair.differences:
                yield Line(
                    "detail", f"        {found.path}: expected {_value(found, False)}, got {_value(found, True)}"
                )
        for source in action.sources:
            place = f"{source.policy}, {source.section}[{source.index}]"
            yield Line("detail", f"        asked for by {place} ({source.location})")


def _reasons(layout: Layout, place: int) -> Iterator[Line]:
    reasons = layout.reasons.get(place, ())
    for reason in reasons:
        yield Line("detail", f"        {reason.entry} {reason.text} ({reason.location})")
    if not reasons and "action" in layout.expected[place].said:
        yield Line("detail", "        no further entry of these policies asks for such an action")


def _value(found: Difference, got: bool) -> str:
    value = found.got if got else found.expected
    if value is None:
        return "none"
    if found.path in ("source", "sources"):
        return "; ".join(map(_source, value if isinstance(value, list) else [value])) or "none"
    return f"`{value}`"


def _source(source: Mapping[str, Any]) -> str:
    if {"policy", "section", "index"} <= set(source):
        uid = f" ({source['uid']})" if source.get("uid") is not None else ""
        return f"{source['policy']}{uid}, {source['section']}[{source['index']}]"
    return ", ".join(f"{key} `{value}`" for key, value in source.items())


def _described(name: str, parameters: Mapping[str, Any], disposition: str) -> str:
    short = "".join(f" {key}={value}" for key, value in parameters.items() if key not in FLAG_TEXTS)
    return f"{disposition + ' ' if disposition else ''}{name}{short}"


def _said(said: Mapping[str, Any]) -> str:
    name, parameters = said.get("action") or "any action", said.get("parameters", {})
    head = _described(name, parameters, said.get("disposition") or "")
    rest = {key: said[key] for key in ("policy", "section", "index", "uid") if said.get(key) is not None}
    return f"{head} by {_source(rest)}" if rest else head
