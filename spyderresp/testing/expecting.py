"""What a test expects, out of its document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, cast, get_args

from spyderresp.errors import Location
from spyderresp.findings import quoted
from spyderresp.service.reading import Keys, Node, Reader
from spyderresp.testing.events import data_of
from spyderresp.testing.model import Expectation, ExpectedAction, ExpectedError, ExpectedName, How
from spyderresp.vocabulary import ACTIONS, FLAG_TEXTS, Disposition, Outcome, Section

#: The keys of a plan's JSON form that are compared as they stand.
_REST: Final = ("version", "event", "policy_set", "target", "attribution")
KEYS: Final = ("plan", "actions", "none_of", "policies", "error", *_REST)
_SOURCE_KEYS: Final = ("policy", "section", "index", "uid")
ACTION_KEYS: Final = (
    "action",
    "parameters",
    "disposition",
    *_SOURCE_KEYS,
    "sources",
    "superseded_by",
    "reason",
)
_PARAMETERS: Final = ("severity", *FLAG_TEXTS, "priority")


def read_expectation(node: Node, reader: Reader) -> Expectation | None:
    """Return what a test expects, or None after recording what is wrong with it."""
    where = place(node, reader)
    if isinstance(node.value, list):
        return Expectation("exactly", _actions(node, "expect", reader), (), None, {}, None, where)
    if isinstance(node.value, str):
        help_ = f"write `[{node.value}]`" if node.value in ACTIONS else ""
        reader.wrong("SR111", node, "`expect` must be a list of actions or a mapping, not a text", help_)
        return None
    keys = reader.keys(node, "`expect`", KEYS)
    if keys is None:
        return None
    how = cast("How", reader.choice(keys, "plan", get_args(How)) or "exactly")
    listed = keys.get("actions")
    actions = None if listed is None else _actions(listed, "actions", reader)
    refused = keys.get("none_of")
    none_of = () if refused is None else _actions(refused, "none_of", reader)
    rest = {key: _rest(key, held, reader) for key in _REST if (held := keys.get(key)) is not None}
    names = keys.get("policies")
    policies = None if names is None else tuple(_names(reader.items(names, "policies"), reader))
    error = reader.given(keys, "error", lambda held, _: _error(held, reader))
    _check_it_can_fail(keys, Expectation(how, actions, none_of, policies, rest, error, where), reader)
    return Expectation(how, actions, none_of, policies, rest, error, where)


def place(node: Node, reader: Reader) -> Location:
    """Return where a node stands."""
    return Location(reader.source.path, *reader.source.position(node.start))


def _check_it_can_fail(keys: Keys, said: Expectation, reader: Reader) -> None:
    if said.error is not None:
        others = [key for key in keys if key not in ("error", "plan")]
        if others:
            reader.wrong("SR709", keys.key(others[0]), "an event with an error has no plan", "leave one of the two out")
        return
    if said.how != "exactly" and said.actions is None:
        reader.wrong("SR709", keys.key("plan"), f"`plan: {said.how}` compares `actions`, and there are none")
    elif said.how == "contains" and not said.actions:
        reader.wrong("SR709", keys.key("actions"), "every plan contains no actions", "`plan: exactly` expects none")
    elif said.actions is None and not said.none_of and said.policies is None and not said.rest:
        node = keys.key("none_of") if "none_of" in list(keys) else keys.node
        reader.wrong("SR709", node, "nothing is expected, so this cannot fail", "`actions: []` expects an empty plan")


def _rest(key: str, node: Node, reader: Reader) -> Any:
    if key == "attribution" and isinstance(node.value, str):
        outcomes = get_args(Outcome)
        word = reader.choice(Keys(Node({key: (tuple(node), tuple(node))}, node.start, node.end), key), key, outcomes)
        return {"outcome": word}
    return data_of(node, reader.source.text)


def _names(nodes: Iterable[Node], reader: Reader) -> Iterable[ExpectedName]:
    for node in nodes:
        name = reader.text(node, "policies")
        if name is not None:
            yield ExpectedName(name, place(node, reader))


def _error(node: Node, reader: Reader) -> ExpectedError | None:
    where = place(node, reader)
    if isinstance(node.value, str):
        return ExpectedError(node.value, None, where)
    keys = reader.keys(node, "`error`", ("path", "reason"))
    if keys is None:
        return None
    return ExpectedError(reader.given(keys, "path", reader.text), reader.given(keys, "reason", reader.text), where)


def _actions(node: Node, what: str, reader: Reader) -> tuple[ExpectedAction, ...]:
    if node.value is None:
        reader.wrong("SR110", node, f"`{what}` needs a value", "`[]` is an empty list")
        return ()
    found = []
    for item in reader.items(node, what):
        if isinstance(item.value, str):
            found.append(ExpectedAction({"action": item.value}, place(item, reader)))
            continue
        keys = reader.keys(item, "an expected action", ACTION_KEYS)
        if keys is None:
            continue
        if not list(keys):
            reader.wrong("SR709", item, "any action is this one", "name its `action`, or what else it has")
        found.append(ExpectedAction(_said(keys, reader), place(item, reader)))
    return tuple(found)


def _said(keys: Keys, reader: Reader) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for key in keys:
        node = cast("Node", keys.get(key))
        if node.value is None and key in ("superseded_by", "reason", "uid"):
            said[key] = None
        elif key == "parameters":
            said[key] = _parameters(node, reader)
        elif key == "sources":
            sources = (reader.keys(item, "a source", _SOURCE_KEYS) for item in reader.items(node, key))
            said[key] = [_said(source, reader) for source in sources if source is not None]
        elif key == "disposition":
            said[key] = reader.choice(keys, key, get_args(Disposition))
        elif key == "section":
            said[key] = reader.choice(keys, key, get_args(Section))
        elif key in ("index", "superseded_by"):
            said[key] = reader.count(keys, key, 0)
        elif key in ACTION_KEYS:
            said[key] = reader.text(node, key)
    return said


def _parameters(node: Node, reader: Reader) -> dict[str, Any]:
    if node.value is None:
        return {}
    keys = reader.keys(node, "`parameters`", _PARAMETERS)
    if keys is None:
        return {}
    said: dict[str, Any] = {}
    for key in keys:
        held = cast("Node", keys.get(key))
        if held.value is None:
            said[key] = None
        elif key == "priority":
            # The reader's own counts begin at a bound; a priority may be below zero.
            said[key] = _priority(held, reader)
        else:
            said[key] = reader.text(held, key)
    return said


def _priority(node: Node, reader: Reader) -> int | None:
    word = reader.text(node, "priority")
    try:
        return None if word is None else int(word)
    except ValueError:
        reader.wrong("SR703", node, f"`priority` must be an integer, not {quoted(str(word))}")
        return None
