"""Answers about small policy sets, held against trying every event on the oracle."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spyderresp
from spyderresp.authoring.analysis import Analysis, Answer, relation
from spyderresp.authoring.analysis.regions import of_text
from spyderresp.decision import reference

# One text of each kind that the globs below tell apart.
VALUES = (None, "a", "b", "ab", "aa", "bb", "x")
GLOBS = ("a", "b", "a*", "*b")
clause = st.one_of(
    st.tuples(st.just("matchFields"), st.sampled_from(["name", "exe"]), st.sampled_from(GLOBS)),
    st.tuples(st.just("NotIn"), st.sampled_from(["name", "exe"]), st.sampled_from(GLOBS)),
    st.tuples(st.sampled_from(["Exists", "DoesNotExist"]), st.sampled_from(["name", "exe"]), st.none()),
)


def selector(clauses: list[tuple[str, str, str | None]]) -> dict[str, Any]:
    fields = {key: value for word, key, value in clauses if word == "matchFields"}
    expressions: list[dict[str, Any]] = []
    for word, key, value in clauses:
        if word != "matchFields":
            expressions.append({"key": key, "operator": word, **({"values": [value]} if value else {})})
    return {
        **({"matchFields": fields} if fields else {}),
        **({"matchFieldsExpressions": expressions} if expressions else {}),
    }


process = st.lists(clause, min_size=1, max_size=2).map(selector)
ACTIONS: list[dict[str, Any]] = [
    {"agentKillProcess": {}},
    {"agentKillProcessTree": {}},
    {"makeRedFlag": {"severity": "high"}},
    {"agentReniceProcess": {"priority": "5"}},
    {"agentReniceProcess": {"priority": "6"}},
]


def entry(action: dict[str, Any], held: dict[str, Any]) -> dict[str, Any]:
    (name, body), *_ = action.items()
    return {name: {**body, "processSelector": held}}


def policy(name: str, mode: str, cluster: str, scope: dict[str, Any] | None, entries: list[Any]) -> dict[str, Any]:
    return {
        "apiVersion": "spyderbat/v1",
        "kind": "SpyderbatPolicy",
        "metadata": {"name": name, "type": "cluster"},
        "spec": {
            "mode": mode,
            "clusterSelector": {"matchFields": {"name": cluster}},
            **({"processSelector": scope} if scope else {}),
            "response": {"actions": entries},
        },
    }


entries = st.lists(st.builds(entry, st.sampled_from(ACTIONS), process), min_size=1, max_size=3)
modes = st.sampled_from(["audit", "enforce"])
policies_of = st.tuples(
    st.builds(policy, st.just("p"), modes, st.sampled_from(["c", "*"]), st.none() | process, entries),
    st.builds(policy, st.just("q"), modes, st.sampled_from(["c", "*"]), st.none() | process, entries),
).map(list)
EVENTS: list[dict[str, Any]] = [
    {"cluster": cluster, "process": held, **attribution}
    for cluster in (None, {"name": "c"}, {"name": "d"})
    for held in (None, *({"name": name, "exe": exe} for name, exe in itertools.product(VALUES, VALUES)))
    for attribution in ({}, {"policy_name": "p"}, {"policy_name": "q"})
]


def said(answers: list[Answer], kind: str) -> dict[tuple[str, str], Answer]:
    return {(item.policy, item.subject): item for item in answers if item.kind == kind}


def fires(plan: dict[str, Any], policy: str, index: int) -> dict[str, Any] | None:
    for action in plan["actions"]:
        for source in action["sources"]:
            if (source["policy"], source["index"]) == (policy, index):
                return action  # type: ignore[no-any-return]
    return None


@settings(max_examples=120, deadline=None)
@given(policies_of)
def test_answers_agree_with_trying_every_event(documents: list[dict[str, Any]]) -> None:
    policies = spyderresp.from_documents(documents)
    engine = spyderresp.Engine(policies)
    answers = list(Analysis(policies).answers())
    assert not said(answers, "not-decided")
    free = [reference.evaluate(policies, event) for event in EVENTS if "policy_name" not in event]
    bound = [reference.evaluate(policies, event) for event in EVENTS if "policy_name" in event]
    for item in policies:
        for held in item.entries:
            key = (item.name, f"actions[{held.index}] {held.action}")
            mine = [(plan, found) for plan in free if (found := fires(plan, item.name, held.index))]
            attributed = any(fires(plan, item.name, held.index) for plan in bound)
            never = key in said(answers, "never-fires") or key in said(answers, "never-in-scope")
            assert never <= (not mine and not attributed)
            assert (key in said(answers, "attributed-only")) == (not mine and attributed)
            if not mine and not attributed:
                assert never
            if not mine:
                continue
            others = [
                {(source["policy"], source["index"]) for source in found["sources"]} - {(item.name, held.index)}
                for _, found in mine
            ]
            covered = said(answers, "covered").get(key)
            if covered is not None:
                assert all(others)
            if held.action == "agentKillProcess":
                always = all(found["disposition"] in ("superseded", "not_applicable") for _, found in mine) and any(
                    found["disposition"] == "superseded" for _, found in mine
                )
                if key in said(answers, "always-superseded"):
                    assert always
    for answer in answers:
        if answer.event is not None:
            plan = engine.evaluate(dict(answer.event)).to_dict()
            index = int(answer.subject.partition("[")[2].partition("]")[0])
            found = fires(plan, answer.policy, index)
            assert found is not None, answer
            if answer.kind == "always-superseded":
                assert found["disposition"] == "superseded"
            if answer.kind == "covered":
                assert len(found["sources"]) > 1


@settings(max_examples=60, deadline=None)
@given(
    policies_of, st.sampled_from(["process.name=a", "process.name=*b", "cluster.name=d", "process.exe=x", "process"])
)
def test_what_can_be_reached_agrees_with_trying_every_event(documents: list[dict[str, Any]], question: str) -> None:
    policies = spyderresp.from_documents(documents)
    engine = spyderresp.Engine(policies)
    wanted = {"agentKillProcess", "agentKillProcessTree"}
    answers = list(Analysis(policies).reaching(of_text(question), wanted))
    path, _, glob = question.partition("=")
    scope, _, key = path.partition(".")

    def asked(event: dict[str, Any]) -> bool:
        held = event[scope]
        if held is None or not key:
            return held is not None
        value = held.get(key)
        return value is not None and reference.fnmatch.fnmatchcase(value, glob)

    expected = set()
    for event in EVENTS:
        if asked(event) and event["process"] is not None:
            for action in reference.evaluate(policies, event)["actions"]:
                if action["action"] in wanted:
                    expected |= {
                        (source["policy"], f"actions[{source['index']}] {action['action']}")
                        for source in action["sources"]
                    }
    assert set(said(answers, "reaches")) == expected
    for answer in answers:
        assert answer.event is not None
        assert fires(engine.evaluate(dict(answer.event)).to_dict(), answer.policy, int(answer.subject[8])) is not None


def one(*entries: Any, scope: dict[str, Any] | None = None) -> list[Answer]:
    return list(Analysis(spyderresp.from_documents([policy("p", "enforce", "c", scope, list(entries))])).answers())


def test_a_union_of_two_covers_a_third() -> None:
    kill = {"agentKillProcess": {}}
    found = one(
        entry(kill, {"matchFields": {"name": ["a", "b"]}}),
        entry(kill, {"matchFields": {"name": "a"}}),
        entry(kill, {"matchFields": {"name": "b*"}}),
    )
    assert [(item.kind, item.subject) for item in found] == [
        ("covered", "actions[0] agentKillProcess"),
        ("covered", "actions[1] agentKillProcess"),
    ]
    assert found[0].others == ("p: actions[1] agentKillProcess", "p: actions[2] agentKillProcess")


def test_of_two_equal_entries_the_later_is_needless() -> None:
    kill = {"agentKillProcess": {}}
    found = one(entry(kill, {"matchFields": {"name": "a"}}), entry(kill, {"matchFields": {"name": "a"}}))
    assert [(item.kind, item.subject) for item in found] == [("covered", "actions[1] agentKillProcess")]


def test_what_covers_two_equal_entries_covers_both() -> None:
    kill = {"agentKillProcess": {}}
    for equal, more in (("a", "a*"), (["a"], ["a", "b"])):
        names = ("a", equal, more)
        found = one(*(entry(kill, {"matchFields": {"name": name}}) for name in names))
        assert [(item.subject, item.others) for item in found] == [
            ("actions[0] agentKillProcess", ("p: actions[2] agentKillProcess",)),
            ("actions[1] agentKillProcess", ("p: actions[0] agentKillProcess",)),
        ]


def test_globs_that_cannot_meet_never_fire() -> None:
    found = one(
        entry(
            {"agentKillProcess": {}},
            {
                "matchFields": {"exe": "/usr/*"},
                "matchFieldsExpressions": [{"key": "exe", "operator": "In", "values": ["/opt/*", "*.[ab]"]}],
            },
        ),
        scope={"matchFieldsExpressions": [{"key": "exe", "operator": "NotIn", "values": ["*.?"]}]},
    )
    assert [item.kind for item in found] == ["never-fires"]


def test_a_renice_and_a_kill_of_the_same_contradict_each_other() -> None:
    found = one(
        entry({"agentReniceProcess": {"priority": "5"}}, {"matchFields": {"name": "a*"}}),
        entry({"agentKillProcess": {}}, {"matchFields": {"name": "*b"}}),
    )
    assert [(item.kind, item.others) for item in found] == [("contradictory", ("p: actions[0] agentReniceProcess",))]
    assert found[0].event == {"cluster": {"name": "c"}, "process": {"name": "ab"}}


def test_what_is_reached_is_said_with_its_policys_mode_for_others_may_ask_for_the_same() -> None:
    policies = spyderresp.from_documents(
        [
            policy("p", "audit", "c", None, [{"agentKillProcess": {"processSelector": {"name": "a"}}}]),
            policy("q", "enforce", "c", None, [{"agentKillProcess": {"processSelector": {"exe": "*"}}}]),
        ]
    )
    first, _ = Analysis(policies).reaching(of_text("process.exe=x"), {"agentKillProcess"})
    assert first.message == "it can fire for such an event; its policy is in mode `audit`"
    assert first.event is not None
    # What is planned is executed, as the other policy says.
    assert spyderresp.Engine(policies).evaluate(dict(first.event))[0].disposition == "execute"


@settings(max_examples=150, deadline=None)
@given(policies_of)
def test_how_two_stand_to_each_other_agrees_with_trying_every_event(documents: list[dict[str, Any]]) -> None:
    policies = spyderresp.from_documents(documents)
    free = [event for event in EVENTS if "policy_name" not in event]
    plans = [reference.evaluate(policies, event) for event in free]

    def asked(name: str) -> list[dict[Any, bool]]:
        """What one policy asks for of each event, and whether in force."""
        alone = [item for item in policies if item.name == name]
        return [
            {
                (item["action"], str(item["parameters"])): alone[0].mode == "enforce"
                for item in reference.evaluate(alone, event)["actions"]
            }
            for event in free
        ]

    def kind(mine: list[bool], theirs: list[bool], left: bool, right: bool) -> str:
        if not any(a and b for a, b in zip(mine, theirs, strict=True)):
            return "disjoint"
        return {(False, False): "equivalent", (False, True): "implied", (True, False): "implies"}.get(
            (left, right), "overlapping"
        )

    # Two entries: by the events for which they fire.
    names = [("p", 0), ("q", 0)]
    first, second = ([fires(plan, *name) is not None for plan in plans] for name in names)
    both = list(zip(first, second, strict=True))
    expected = kind(first, second, any(a and not b for a, b in both), any(b and not a for a, b in both))
    found = relation(policies, "p: actions[0]", "q: actions[0]")
    assert found.kind == expected
    if found.event is not None:
        plan = reference.evaluate(policies, found.event)
        shown = tuple(fires(plan, *name) is not None for name in names)
        assert shown == {"implied": (False, True), "implies": (True, False)}.get(expected, (True, True))
    # Two policies: by what they ask for.
    mine, theirs = asked("p"), asked("q")

    def beyond(some: list[dict[Any, bool]], others: list[dict[Any, bool]]) -> bool:
        return any(
            action not in other or (force and not other[action])
            for one, other in zip(some, others, strict=True)
            for action, force in one.items()
        )

    expected = kind([bool(a) for a in mine], [bool(b) for b in theirs], beyond(mine, theirs), beyond(theirs, mine))
    assert relation(policies, "p", "q").kind == expected


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("proces.name=a", "unknown scope `proces`; did you mean `process`?"),
        ("process.nmae=a", "unknown field `process.nmae`; did you mean `process.name`?"),
        ("process.pid", "unknown field `process.pid`"),
        ("pod.name=a", "unknown field `pod.name`"),
        ("namespace.nam=a", "unknown field `namespace.nam`; did you mean `namespace.name`?"),
    ],
)
def test_a_question_about_what_no_selector_looks_at_is_refused(question: str, reason: str) -> None:
    with pytest.raises(ValueError, match="unknown") as caught:
        of_text(question)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("r", "there is no policy `r`; valid here: `p`"),
        ("p: actions[1]", "`p: actions[1]` has no entry that is enabled"),
    ],
)
def test_what_is_not_there_cannot_be_compared(name: str, reason: str) -> None:
    documents = [policy("p", "audit", "c", None, [{"agentKillProcess": {"processSelector": {"name": "a"}}}])]
    with pytest.raises(ValueError, match="p") as caught:
        relation(spyderresp.from_documents(documents), name, "p")
    assert str(caught.value) == reason
