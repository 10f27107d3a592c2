"""The ``guard`` of a configuration."""

from __future__ import annotations

import time
from typing import Final

from spyderresp.findings import quoted, suggestion
from spyderresp.guards.breakers import Limits
from spyderresp.guards.silences import Silence
from spyderresp.protection import Protection
from spyderresp.service.reading import Keys, Node, Reader
from spyderresp.service.settings import GuardSettings
from spyderresp.steps import epoch_seconds
from spyderresp.vocabulary import ACTIONS, FALSE, FLAGS

GUARD: Final = ("expiry", "kill_switch", "cooldown", "limits", "protect", "silences")
LIMITS: Final = ("policy", "namespace", "overall", "window", "warm_up", "warm_up_seconds")
PROTECT: Final = ("executables", "cgroups", "users", "namespaces")
SILENCE: Final = ("match", "until", "reason", "actions")


def read_guard(node: Node | None, reader: Reader) -> GuardSettings:
    """Return what a configuration says of the guard."""
    unset = GuardSettings()
    keys = None if node is None else reader.keys(node, "`guard`", GUARD)
    if keys is None:
        return unset
    return GuardSettings(
        protection=_protection(keys.get("protect"), reader),
        limits=_limits(keys.get("limits"), reader),
        expiry=reader.seconds(keys, "expiry", unset.expiry),
        kill_switch=_kill_switch(keys, reader, unset.kill_switch),
        cooldown=reader.seconds(keys, "cooldown", unset.cooldown),
        silences=_silences(keys.get("silences"), reader),
    )


def _kill_switch(keys: Keys, reader: Reader, default: str | None) -> str | None:
    node = keys.get("kill_switch")
    if node is None:
        return default
    if isinstance(node.value, str) and node.value.lower() in FALSE:
        return None
    return reader.path(node, "kill_switch") or default


def _limits(node: Node | None, reader: Reader) -> Limits:
    unset = Limits()
    keys = None if node is None else reader.keys(node, "`limits`", LIMITS)
    if keys is None:
        return unset
    return Limits(
        policy=reader.count(keys, "policy", unset.policy),
        namespace=reader.count(keys, "namespace", unset.namespace),
        overall=reader.count(keys, "overall", unset.overall),
        window=reader.seconds(keys, "window", unset.window),
        warm_up=reader.count(keys, "warm_up", unset.warm_up),
        warm_up_seconds=reader.seconds(keys, "warm_up_seconds", unset.warm_up_seconds),
    )


def _protection(node: Node | None, reader: Reader) -> Protection:
    """Return what is protected: what is by default, and what is named here."""
    keys = None if node is None else reader.keys(node, "`protect`", PROTECT)
    if keys is None:
        return Protection()
    for key in ("executables", "cgroups"):
        for item in reader.items(keys.get(key), key):
            if isinstance(item.value, str) and not item.value.startswith("/"):
                reader.wrong("SR605", item, f"`{key}` are absolute paths, not {quoted(item.value)}")
    return Protection().including(
        executables=reader.texts(keys.get("executables"), "executables"),
        cgroups=reader.texts(keys.get("cgroups"), "cgroups"),
        users=frozenset(int(u) if u.isdigit() else u for u in reader.texts(keys.get("users"), "users")),
        namespaces=frozenset(reader.texts(keys.get("namespaces"), "namespaces")),
    )


def _silences(node: Node | None, reader: Reader) -> tuple[Silence, ...]:
    found = (_silence(item, reader) for item in reader.items(node, "silences"))
    return tuple(silence for silence in found if silence is not None)


def _silence(node: Node, reader: Reader) -> Silence | None:
    keys = reader.keys(node, "a silence", SILENCE)
    if keys is None:
        return None
    match = reader.needed(keys, "match", lambda node, what: _match(node, what, reader))
    until = reader.needed(keys, "until", lambda node, what: _moment(node, what, reader))
    actions = frozenset(_action(item, reader) for item in reader.items(keys.get("actions"), "actions")) - {""}
    reason = reader.given(keys, "reason", reader.text) or ""
    if match is None:
        return None
    try:
        # Made without an end too: what it matches is worth checking all the same.
        silence = Silence(match, until or 0.0, reason, actions or FLAGS)
    except ValueError as error:
        reader.wrong("SR615", keys.get("match") or node, str(error))
        return None
    return None if until is None else silence


def _match(node: Node, what: str, reader: Reader) -> dict[str, str | tuple[str, ...]] | None:
    if not isinstance(node.value, dict):
        reader.keys(node, f"`{what}`", ())
        return None
    return {key: reader.texts(Node(*value), key) for key, (_, value) in node.value.items()}


def _moment(node: Node, what: str, reader: Reader) -> float | None:
    text = reader.text(node, what)
    if text is None:
        return None
    moment = epoch_seconds(float(text)) if text.isascii() and text.isdigit() else epoch_seconds(text)
    if moment is None:
        example = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(0))
        reader.wrong("SR615", node, f"{quoted(text)} is no time", f"write it as `{example}`, or in seconds since then")
    return moment


def _action(node: Node, reader: Reader) -> str:
    word = reader.text(node, "actions")
    if word is not None and word not in ACTIONS:
        reader.wrong("SR605", node, f"unknown action {quoted(word)}", suggestion(word, tuple(ACTIONS)))
        return ""
    return word or ""
