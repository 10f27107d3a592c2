"""Hypothesis strategies: policy documents over small alphabets, where things collide, and events that nearly match."""

from __future__ import annotations

import fnmatch
import json
import warnings
from collections import ChainMap, OrderedDict, UserDict, defaultdict
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

import spyderresp
from spyderresp.policies.vocabulary import (
    ACTION_FIELDS,
    FIELD_ALIASES,
    FIELDS,
    LABEL_SCOPES,
    NAMESPACE_NAME_LABEL,
    REQUIRED_SELECTOR,
    SCOPES,
)

LABELS = ("app", "env", NAMESPACE_NAME_LABEL, "name")
WORDS = ("a", "ab", "b", "ba", "/bin/sh", "", "no", "007", "A", "é", "\U0001f600", "a\nb", "[", "]", "-", "!")
GLOBS = (
    "*",
    "a*",
    "*b",
    "?",
    "??",
    "[ab]",
    "[!a]",
    "[a-b]*",
    "[",
    "[a",
    "a[",
    "**",
    "*a*b*",
    "[]]",
    "[!]]",
    "[b-a]",
    "\\*",
)
HOSTILE = ("\ud800", "\x00", "e\u0301", "a\u202eb", "\u2028", "a" * 1_000_000, "aab" * 300_000)
OPTIONS = [
    {"defaults": defaults, "not_in": not_in, "mode": mode}
    for defaults in ("always", "unless-overridden")
    for not_in in ("kubernetes", "documented")
    for mode in (None, "audit")
]

words = st.sampled_from(WORDS)
patterns = st.sampled_from(WORDS + GLOBS)
names = st.sampled_from(("p0", "p1", "p2"))
uids = st.sampled_from(("u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7"))


def one_or_list(values: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return values | st.lists(values, min_size=1, max_size=3)


def keys_of(scope: str) -> st.SearchStrategy[str]:
    return st.sampled_from(LABELS if scope in LABEL_SCOPES else FIELDS[scope])


@st.composite
def expressions(draw: st.DrawFn, scope: str) -> dict[str, Any]:
    operator = draw(st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist")))
    expression: dict[str, Any] = {"key": draw(keys_of(scope)), "operator": operator}
    if operator in ("In", "NotIn"):
        expression["values"] = draw(st.lists(patterns, min_size=1, max_size=3))
    elif draw(st.booleans()):
        expression["values"] = draw(st.sampled_from(([], None)))
    return expression


@st.composite
def selectors(draw: st.DrawFn, scope: str) -> dict[str, Any]:
    """Draw one selector, in any of its spellings."""
    matches = st.dictionaries(keys_of(scope), one_or_list(patterns), min_size=1, max_size=2)
    primitive, several = (
        ("matchLabels", "matchExpressions") if scope in LABEL_SCOPES else ("matchFields", "matchFieldsExpressions")
    )
    selector: dict[str, Any] = {}
    shape = draw(st.sampled_from(("match", "expressions", "both", "bare")))
    if shape in ("match", "both"):
        selector[primitive] = draw(matches)
    if shape in ("expressions", "both"):
        selector[several] = draw(st.lists(expressions(scope), min_size=1, max_size=2))
    if shape == "bare":
        # Under the scope's other names too: `machineUID`.
        aliases = {field: alias for (of, alias), field in FIELD_ALIASES.items() if of == scope}
        selector.update({draw(st.sampled_from((key, aliases.get(key, key)))): v for key, v in draw(matches).items()})
    return selector


@st.composite
def entries(draw: st.DrawFn, section: str) -> dict[str, Any]:
    """Draw one item of a response."""
    action = draw(st.sampled_from(tuple(ACTION_FIELDS)))
    body: dict[str, Any] = {}
    if "severity" in ACTION_FIELDS[action]:
        body["severity"] = draw(st.sampled_from(("high", "low")))
        if draw(st.booleans()):
            body["content"] = draw(st.sampled_from(("x", "y")))
    if "priority" in ACTION_FIELDS[action]:
        body["priority"] = draw(st.sampled_from(("-40", "-20", "0", "7", 7, "19", "20", "+5")))
    if draw(st.integers(0, 5)) == 0:
        body["enabled"] = draw(st.sampled_from((True, False, "no", "YES")))
    if section == "actions":
        allowed = [scope for scope in SCOPES if not (action == "agentKillPod" and scope == "service")]
        for scope in draw(st.lists(st.sampled_from(allowed), min_size=1, max_size=2, unique=True)):
            body[f"{scope}Selector"] = draw(selectors(scope))
        if draw(st.integers(0, 5)) == 0:
            return {action: None, **body}
    return {action: body or None}


@st.composite
def policies(draw: st.DrawFn, uid: st.SearchStrategy[str] | None = None) -> dict[str, Any]:
    """Draw one policy document that loads."""
    kind = draw(st.sampled_from(tuple(REQUIRED_SELECTOR)))
    needed = REQUIRED_SELECTOR[kind].removesuffix("Selector")
    scopes = [needed, *draw(st.lists(st.sampled_from(SCOPES), max_size=2, unique=True))]
    spec: dict[str, Any] = {f"{scope}Selector": draw(selectors(scope)) for scope in dict.fromkeys(scopes)}
    mode = draw(st.sampled_from(("audit", "enforce", "enforce", "missing")))
    if mode != "missing":
        spec["mode"] = mode
    if draw(st.integers(0, 6)) == 0:
        spec["enabled"] = draw(st.booleans())
    spec["response"] = {
        "default": draw(st.lists(entries("default"), max_size=3)),
        "actions": draw(st.lists(entries("actions"), max_size=3)),
    }
    metadata: dict[str, Any] = {"name": draw(names), "type": kind}
    if uid is not None:
        metadata["uid"] = draw(uid)
    return {"apiVersion": "spyderbat/v1", "kind": "SpyderbatPolicy", "metadata": metadata, "spec": spec}


@st.composite
def policy_sets(draw: st.DrawFn, min_size: int = 0, max_size: int = 6) -> list[dict[str, Any]]:
    """Draw documents with unique uids, or none, and colliding names."""
    bearers = draw(
        st.lists(st.none() | uids, min_size=min_size, max_size=max_size, unique_by=lambda uid: uid or object())
    )
    return [draw(policies(None if bearer is None else st.just(bearer))) for bearer in bearers]


wrong = st.sampled_from((7, 1.5, True, [], ["a"], {"a": "b"}, b"a"))
wrong_scope = st.sampled_from((7, "text", [], ["a"], True))


def texts(*, bad: bool) -> st.SearchStrategy[Any]:
    good = st.none() | words | words | words
    return good | wrong if bad else good


@st.composite
def events(draw: st.DrawFn, *, bad: bool = False) -> dict[str, Any]:
    """Draw an event over the policies' own alphabets: most nearly match something."""
    event: dict[str, Any] = {}
    for scope in SCOPES:
        if draw(st.integers(0, 3)) == 0:
            if draw(st.booleans()):
                event[scope] = None
            continue
        if bad and draw(st.integers(0, 15)) == 0:
            event[scope] = draw(wrong_scope)
            continue
        held: dict[str, Any] = draw(
            st.dictionaries(st.sampled_from((*FIELDS[scope], "name")), texts(bad=bad), max_size=4)
        )
        if scope in LABEL_SCOPES and draw(st.integers(0, 3)):
            labels = st.dictionaries(st.sampled_from((*LABELS, "other")), texts(bad=bad), max_size=4)
            held["labels"] = draw(labels | wrong_scope if bad else labels | st.none())
        event[scope] = held
    if draw(st.integers(0, 3)) == 0:
        event["policy_uid"] = draw(uids | st.just("") | st.none() | (wrong if bad else st.nothing()))
    if draw(st.integers(0, 3)) == 0:
        event["policy_name"] = draw(names | st.just("unknown") | st.none() | (wrong if bad else st.nothing()))
    if draw(st.booleans()):
        event["id"] = draw(st.sampled_from(("e1", "", 7, None, "\ud800")))
    return event


def concrete(draw: st.DrawFn, pattern: str) -> str:
    """Draw a text that the pattern matches, or nearly."""
    text, rest = "", pattern
    while rest:
        char, rest = rest[0], rest[1:]
        end = rest.find("]", 1)
        if char == "*":
            text += draw(st.sampled_from(("", "a", "b", "/", "ab")))
        elif char == "?" or (char == "[" and end > 0):
            text += draw(st.sampled_from("ab-" + (rest[:end] if char == "[" else "c")))
            rest = rest[end + 1 :] if char == "[" else rest
        else:
            text += char
    if draw(st.integers(0, 5)) == 0:
        # One character more, fewer or other.
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(("", "a", "b", "A", "\n"))) + text[at + draw(st.integers(0, 1)) :]
    return text


def satisfy(draw: st.DrawFn, event: dict[str, Any], selectors: Any) -> None:
    """Give an event what the selectors ask for, where they can be pleased at all."""
    for selector in selectors:
        scope = selector.scope
        held = event.setdefault(scope, {})
        for clause in selector.clauses:
            where = held.setdefault("labels", {}) if scope in LABEL_SCOPES else held
            if clause.operator == "DoesNotExist":
                where.pop(clause.key, None)
            elif clause.operator == "In":
                where[clause.key] = concrete(draw, draw(st.sampled_from(clause.values)))
            elif clause.operator == "Exists" or draw(st.booleans()):
                where.setdefault(clause.key, draw(words))
            if clause.key == NAMESPACE_NAME_LABEL and scope == "namespace" and draw(st.booleans()):
                # A name implies the label.
                held["name"] = where.pop(clause.key, None)


def spoil(draw: st.DrawFn, event: dict[str, Any], *, bad: bool) -> None:
    """Take away, empty or replace one thing."""
    scopes = [scope for scope in SCOPES if isinstance(event.get(scope), dict)]
    if not scopes:
        return
    scope = draw(st.sampled_from(scopes))
    held = event[scope]
    if isinstance(held.get("labels"), dict) and draw(st.booleans()):
        held = held["labels"]
    key = draw(st.sampled_from((*held, "other")))
    what = draw(
        st.sampled_from(("drop", "null", "other", "empty", "no scope", *(("wrong", "wrong scope") if bad else ())))
    )
    if what == "drop":
        held.pop(key, None)
    elif what == "null":
        held[key] = None
    elif what == "other":
        held[key] = draw(words) if key != "labels" else {}
    elif what == "wrong":
        held[key] = draw(wrong)
    else:
        event[scope] = draw({"empty": st.just({}), "no scope": st.none(), "wrong scope": wrong_scope}[what])


@st.composite
def near_events(draw: st.DrawFn, loaded: spyderresp.PolicySet, *, bad: bool = False) -> dict[str, Any]:
    """Draw an event made to match some of the policies and their entries, and spoilt in few places or none."""
    event: dict[str, Any] = {}
    for policy in draw(st.lists(st.sampled_from(loaded), max_size=2)) if len(loaded) else ():
        satisfy(draw, event, policy.selectors)
        for entry in draw(st.lists(st.sampled_from(policy.entries), max_size=2)) if policy.entries else ():
            satisfy(draw, event, entry.selectors)
        if draw(st.integers(0, 3)) == 0:
            event[draw(st.sampled_from(("policy_uid", "policy_name")))] = draw(
                st.sampled_from((policy.uid, policy.name, "unknown", None))
            )
    for scope in draw(st.lists(st.sampled_from(("pod", "process")), max_size=2)):
        event.setdefault(scope, {})
    for _ in range(draw(st.sampled_from((0, 0, 1, 2)))):
        spoil(draw, event, bad=bad)
    if draw(st.booleans()):
        event["id"] = draw(st.sampled_from(("e1", 7, None)))
    return event


@st.composite
def cases(
    draw: st.DrawFn, *, bad: bool = False, min_size: int = 1, max_size: int = 6, max_events: int = 6
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Draw documents, and events of which most nearly match them."""
    documents = draw(policy_sets(min_size=min_size, max_size=max_size))
    loaded = spyderresp.from_documents(documents)
    near = near_events(loaded, bad=bad)
    return documents, draw(st.lists(near | near | events(bad=bad), min_size=1, max_size=max_events))


@st.composite
def firing_cases(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Draw policies that are nearly all in scope, with many entries, so that much fires and little is decided.

    What is drawn is what merging, ordering and dispositions look at: actions and their few parameters, sections, modes,
    what is disabled, attribution, and whether the events have a pod and a process.
    """
    bodies = {
        "makeRedFlag": ({"severity": "high"}, {"severity": "low"}),
        "makeOpsFlag": ({"severity": "high"},),
        "agentReniceProcess": ({"priority": "5"}, {"priority": "7"}, {"priority": "07"}, {"priority": "19"}),
    }
    # Few kinds of action in one case, so that they meet.
    kinds = draw(st.lists(st.sampled_from(tuple(ACTION_FIELDS)), min_size=1, max_size=3, unique=True))
    kinds += [kind for kind in ("agentKillProcessTree",) if "agentKillProcess" in kinds]
    body = st.sampled_from([(kind, some) for kind in kinds for some in bodies.get(kind, ({},))])
    off = st.sampled_from(({}, {}, {}, {}, {"enabled": "no"}))
    match = st.sampled_from(({"name": "*"}, {"name": "*"}, {"uid": "u"}))
    default = st.lists(st.builds(lambda item, no: {item[0]: item[1] | no}, body, off), max_size=3)
    under = st.lists(
        st.builds(lambda item, no, where: {item[0]: item[1] | no | {"clusterSelector": where}}, body, off, match),
        max_size=3,
    )
    spec = st.fixed_dictionaries(
        {
            "mode": st.sampled_from(("audit", "enforce")),
            "enabled": st.sampled_from(("true", "true", "true", "false")),
            "clusterSelector": match,
            "response": st.fixed_dictionaries({"default": default, "actions": under}),
        }
    )
    documents = [
        {
            "apiVersion": "spyderbat/v1",
            "kind": "SpyderbatPolicy",
            "metadata": {"name": draw(names), "type": "cluster", "uid": f"u{number}"},
            "spec": one,
        }
        for number, one in enumerate(draw(st.lists(spec, min_size=1, max_size=4)))
    ]
    clusters: tuple[dict[str, Any], ...] = ({"name": "a", "uid": "u"}, {"name": "a", "uid": "v"})
    attributions: tuple[dict[str, Any], ...] = (
        {},
        {},
        {"policy_name": "p0"},
        {"policy_uid": "u1"},
        {"policy_uid": "u2"},
    )
    attribution = draw(st.sampled_from(attributions))
    cluster = draw(st.sampled_from(clusters))
    objects: tuple[dict[str, Any], ...] = ({}, {"pod": {}}, {"process": {}}, {"pod": {}, "process": {}})
    return documents, [{"cluster": cluster, **attribution, **held} for held in objects]


class Text(str):
    """A subclass that lies about itself."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    def __hash__(self) -> int:
        raise RuntimeError("hashed")


WRAPPERS = (
    dict,
    OrderedDict,
    MappingProxyType,
    UserDict,
    ChainMap,
    lambda held: defaultdict(lambda: "made up", held),
)


def wrapped(value: Any, wrap: Any) -> Any:
    """Return an event with every mapping of another kind, and every text a subclass."""
    if isinstance(value, dict):
        return wrap({key: wrapped(item, wrap) for key, item in value.items()})
    return Text(value) if isinstance(value, str) else value


def is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except TypeError:
        return False
    return True


GLOB_ALPHABET = "ab-]![^*?\\&~|c\u0100\U0001f600\ud800\n"
glob_texts = st.text(GLOB_ALPHABET, max_size=10)


def matches(value: str, pattern: str) -> bool:
    """Return what Python's own globs say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return fnmatch.fnmatchcase(value, pattern)
