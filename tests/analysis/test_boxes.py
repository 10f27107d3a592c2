"""Sets of texts and of events, held against trying every one over small alphabets."""

from __future__ import annotations

import itertools
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spyderresp.authoring.analysis.automata import UndecidedError, find, is_literal, matches, tokens
from spyderresp.authoring.analysis.regions import EventRegion, Scope, Values, of_selectors, of_text
from spyderresp.decision import reference
from spyderresp.errors import Location
from spyderresp.policies.policy_set import Clause, Selector

LETTERS = "abx"
TEXTS = ["".join(letters) for length in range(5) for letters in itertools.product(LETTERS, repeat=length)]
globs = st.text("ab*?[]!-", max_size=5)
groups = st.frozensets(globs, min_size=1, max_size=2)
sets = st.builds(
    Values, st.booleans(), st.booleans(), st.frozensets(groups, max_size=2), st.frozensets(globs, max_size=2)
)


@given(globs, st.text("ab[]!-x", max_size=4))
def test_a_pattern_that_names_one_text_takes_it_and_no_other(pattern: str, text: str) -> None:
    assert "".join(tokens(pattern)) == pattern or "**" in pattern
    assert matches(text, pattern) == fnmatchcase(text, pattern)
    if is_literal(pattern):
        assert fnmatchcase(text, pattern) == (text == pattern)


@settings(max_examples=400)
@given(st.lists(groups, max_size=3), st.frozensets(globs, max_size=3))
def test_a_text_is_found_where_there_is_one(any_of: list[frozenset[str]], none_of: frozenset[str]) -> None:
    found = find(any_of, none_of)

    def taken(text: str) -> bool:
        return all(any(fnmatchcase(text, glob) for glob in group) for group in any_of) and not any(
            fnmatchcase(text, glob) for glob in none_of
        )

    if found is None:
        assert not any(taken(text) for text in TEXTS)
    else:
        assert taken(found)


def test_what_takes_too_long_is_not_decided() -> None:
    halves = [frozenset({f"*{letter}*{letter}?????????"}) for letter in "abcdefgh"]
    with pytest.raises(UndecidedError):
        find(halves, frozenset(), budget=1_000)


def test_the_answer_may_need_a_character_that_no_glob_names() -> None:
    assert find([frozenset({"?"})], frozenset({"[a-z]", "[A-Z0-9]", "[!a-zA-Z0-9_]"})) == "_"
    assert find([frozenset({"?"})], frozenset({"[!_]", "_"})) is None


@given(sets, sets)
def test_taking_away_leaves_what_only_the_first_has_and_no_value_twice(mine: Values, other: Values) -> None:
    def has(values: Values, text: str | None) -> bool:
        if text is None:
            return values.absent
        return (
            values.present
            and all(any(fnmatchcase(text, glob) for glob in group) for group in values.any_of)
            and not any(fnmatchcase(text, glob) for glob in values.none_of)
        )

    parts = list(mine.minus(other))
    for text in [None, *TEXTS[:60]]:
        assert sum(has(part, text) for part in parts) == (has(mine, text) and not has(other, text))
        assert has(mine & other, text) == (has(mine, text) and has(other, text))


clauses = st.builds(
    lambda key, operator, values: Clause(
        key, operator, values if operator in ("In", "NotIn") else (), "matchExpressions", Location("p", 1, 1)
    ),
    st.sampled_from(["name", "exe"]),
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
    st.lists(st.sampled_from(["a", "b", "a*", "?", "*b"]), min_size=1, max_size=2).map(tuple),
)
selectors = st.lists(
    st.builds(
        lambda scope, held: Selector(scope, tuple(held), Location("p", 1, 1)),
        st.sampled_from(["process", "service"]),
        st.lists(clauses, min_size=1, max_size=2),
    ),
    max_size=2,
)
# One text of each kind that the globs above tell apart.
VALUES = (None, "", "a", "b", "x", "ab", "aa", "bb")


def all_events() -> list[dict[str, Any]]:
    objects: list[Any] = [None, *({"name": name, "exe": exe} for name in VALUES for exe in VALUES)]
    return [{"process": process, "service": service} for process in objects for service in objects]


EVENTS = all_events()


def holds(held: list[Selector], event: dict[str, Any], not_in: Any) -> bool:
    return all(reference.matches(item, event, reference.Options(not_in=not_in)) for item in held)


@settings(max_examples=60)
@given(selectors, selectors, selectors, st.sampled_from(["kubernetes", "documented"]))
def test_questions_about_boxes_agree_with_trying_every_event(
    one: list[Selector], two: list[Selector], three: list[Selector], not_in: str
) -> None:
    absent = not_in == "kubernetes"
    boxes = [of_selectors(held, not_in_takes_absent=absent) for held in (one, two, three)]
    held_by = [[holds(held, event, not_in) for event in EVENTS] for held in (one, two, three)]
    for held, box, members in zip((one, two, three), boxes, held_by, strict=True):
        assert box.empty == (not any(members))
        if not box.empty:
            assert holds(held, box.example(), not_in)
            assert holds(held, box.example(with_scopes=("process", "service")), not_in)
    both = boxes[0] & boxes[1]
    assert both.empty == (not any(a and b for a, b in zip(*held_by[:2], strict=True)))
    outside = boxes[0].within(boxes[1:])
    expected = any(a and not (b or c) for a, b, c in zip(*held_by, strict=True))
    assert (outside is not None) == expected
    if outside is not None:
        event = outside.example()
        assert holds(one, event, not_in)
        assert not holds(two, event, not_in)
        assert not holds(three, event, not_in)


def test_questions_in_words() -> None:
    assert of_text("namespace.name=kube-*").example() == {"namespace": {"name": "kube-"}}
    assert of_text("pod.labels.app=db").example() == {"pod": {"labels": {"app": "db"}}}
    assert of_text("pod").example() == {"pod": {}}
    assert of_text("process.exe").scope("process").present
    for wrong in ("pod.app=db", "colour=red", "namespace=x", "process=x"):
        with pytest.raises(ValueError, match="unknown"):
            of_text(wrong)


def test_a_union_beyond_the_budget_is_not_decided() -> None:
    box = EventRegion({"process": Scope(False, True)})
    others = [
        of_selectors(
            [Selector("process", (Clause(key, "In", (key,), "", Location("p", 1, 1)),), Location("p", 1, 1))],
            not_in_takes_absent=True,
        )
        for key in "abcdefghijklmnop"
    ]
    with pytest.raises(UndecidedError, match="pieces"):
        box.within(others, budget=10)
