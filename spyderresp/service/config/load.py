"""A configuration file into settings: YAML or JSON, every fault found in one pass, with its place and a fix."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any, Final, Literal, Protocol, cast, get_args

from spyderresp.decision.compiler import Defaults, NotIn
from spyderresp.errors import Diagnostic, SpyderrespError
from spyderresp.events.formats import BUILT_IN
from spyderresp.execution.guards.circuit_breakers import Limits
from spyderresp.execution.guards.silences import Silence
from spyderresp.execution.protection import Protection
from spyderresp.execution.steps import epoch_seconds
from spyderresp.executors.discovery import ExecutorError
from spyderresp.policies.diagnostics import Findings, Source, TooManyFindingsError, quoted, suggestion
from spyderresp.policies.document_limits import DocumentError
from spyderresp.policies.document_reader import Keys, Node, Reader
from spyderresp.policies.loader import read_source, trees
from spyderresp.policies.vocabulary import ACTIONS, FALSE, FLAGS
from spyderresp.service.config.executor_settings import SECRETS
from spyderresp.service.config.secrets import in_plain_sight
from spyderresp.service.config.settings import ExecutorSettings, GuardSettings, Monitor, Origin, PlainScalar, Settings
from spyderresp.service.config.source_settings import read_address, read_sources

# The ``guard`` of a configuration.

GUARD: Final = ("expiry", "kill_switch", "cooldown", "limits", "protect", "silences")
GUARD_LIMITS: Final = ("policy", "namespace", "overall", "window", "warm_up", "warm_up_seconds")
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
    keys = None if node is None else reader.keys(node, "`limits`", GUARD_LIMITS)
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


KEYS: Final = (
    "policies",
    "strict",
    "defaults",
    "not_in",
    "mode",
    "form",
    "events",
    "executors",
    "guard",
    "journal",
    "positions",
    "watch",
    "monitor",
    "limits",
    "drain",
    "spans",
)
LIMITS: Final = ("events", "bytes", "body", "line", "connections", "patience")


class Catalogue(Protocol):
    """The executors that there are."""

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""

    def settings(self, name: str) -> tuple[str, ...]:
        """Return the names of an executor's settings.

        Raises:
            ExecutorError: it cannot be loaded, because an extra is not installed, say.
        """


class ConfigurationError(SpyderrespError):
    """A configuration cannot be read.

    Attributes:
        diagnostics: every fault.
    """

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__("\n".join(map(str, diagnostics)))
        self.diagnostics = diagnostics


def read_configuration(path: str, catalogue: Catalogue) -> Settings:
    """Return the settings that a file says.

    Raises:
        ConfigurationError: anything is wrong with it.
    """
    findings = Findings()
    source = None
    if os.path.exists(path):
        source = read_source(path, findings)
    else:
        findings.about_path("SR001", "no such file or directory", path)
    if source is None:
        raise ConfigurationError(tuple(findings.items))
    return replace(settings_of(source, catalogue), path=path)


def settings_of(source: Source, catalogue: Catalogue) -> Settings:
    """Return the settings that a text says.

    Raises:
        ConfigurationError: anything is wrong with it.
    """
    findings = Findings()
    settings = None
    try:
        documents = [tree for tree in trees(source) if not tree.empty]
        reader = Reader(source, findings)
        if not documents:
            findings.add("SR614", "a configuration is one document, and here is none", source)
        elif len(documents) > 1:
            second = Node(*documents[1].nodes())
            reader.wrong("SR614", second, f"a configuration is one document, and here are {len(documents)}")
        else:
            settings = _settings(Node(*documents[0].nodes()), reader, catalogue)
    except DocumentError as error:
        findings.unreadable(error, source)
    except TooManyFindingsError:
        pass
    findings.sort_since(0)
    if findings.errors or settings is None:
        raise ConfigurationError(tuple(findings.items))
    return settings


def _settings(root: Node, reader: Reader, catalogue: Catalogue) -> Settings | None:
    keys = reader.keys(root, "the configuration", KEYS)
    if keys is None:
        return None
    unset = Settings()
    limits = reader.given(keys, "limits", lambda node, what: reader.keys(node, f"`{what}`", LIMITS))
    limits = limits or Keys(Node({}, 0, 0), "limits")
    form = reader.choice(keys, "form", BUILT_IN.names)
    policies = (reader.path(item, "policies") for item in reader.items(keys.get("policies"), "policies"))
    return Settings(
        policies=tuple(path for path in policies if path is not None),
        strict=reader.boolean(keys, "strict", unset.strict),
        defaults=cast("Defaults", reader.choice(keys, "defaults", get_args(Defaults)) or unset.defaults),
        not_in=cast("NotIn", reader.choice(keys, "not_in", get_args(NotIn)) or unset.not_in),
        mode=cast("Literal['audit'] | None", reader.choice(keys, "mode", ("audit",))),
        form=form,
        sources=read_sources(keys.get("events"), reader),
        executors=_executors(keys.get("executors"), reader, catalogue),
        guard=read_guard(keys.get("guard"), reader),
        journal=reader.given(keys, "journal", reader.path),
        positions=reader.given(keys, "positions", reader.path),
        watch=reader.boolean(keys, "watch", unset.watch),
        monitor=_monitor(keys, reader),
        max_events=reader.count(limits, "events", unset.max_events, least=1),
        max_bytes=reader.size(limits, "bytes", unset.max_bytes),
        max_body=reader.size(limits, "body", unset.max_body),
        max_line=reader.size(limits, "line", unset.max_line),
        max_connections=reader.count(limits, "connections", unset.max_connections, least=1),
        patience=reader.seconds(limits, "patience", unset.patience, least=0.1),
        drain=reader.seconds(keys, "drain", unset.drain),
        spans=reader.boolean(keys, "spans", unset.spans),
    )


def _monitor(keys: Keys, reader: Reader) -> Monitor | None:
    address = reader.given(keys, "monitor", lambda node, what: read_address(node, what, reader))
    return None if address is None else Monitor(*address)


def _executors(node: Node | None, reader: Reader, catalogue: Catalogue) -> tuple[ExecutorSettings, ...]:
    found = []
    for item in reader.items(node, "executors"):
        if isinstance(item.value, str):
            name, said, inner = item.value, item, Node({}, item.start, item.end)
        elif isinstance(item.value, dict) and len(item.value) == 1:
            ((name, (key, settings)),) = item.value.items()
            said, inner = Node(*key), Node(*settings)
            inner = Node({}, *inner[1:]) if inner.value is None else inner
        else:
            reader.wrong("SR606", item, "an executor is its name, or one key, its name, with its settings under it")
            continue
        if name not in catalogue.names:
            reader.wrong("SR608", said, f"unknown executor {quoted(name)}", suggestion(name, catalogue.names))
            continue
        try:
            valid = catalogue.settings(name)
        except ExecutorError as error:
            reader.wrong("SR608", said, str(error))
            continue
        keys = reader.keys(inner, f"the settings of `{name}`", valid)
        if keys is None:
            continue
        for key in keys:
            value = cast("Node", keys.get(key))
            if key in SECRETS and isinstance(value.value, str):
                in_plain_sight(value, key, reader)
        origin = Origin(reader.source, said.start, said.end)
        found.append(ExecutorSettings(name, _plain(inner, reader), origin))
    return tuple(found)


def _plain(node: Node, reader: Reader) -> Any:
    """Return a value as data, each text as it is written."""
    if isinstance(node.value, dict):
        return {key: _plain(Node(*value), reader) for key, (_, value) in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(Node(*item), reader) for item in node.value]
    written = reader.source.text[node.start : node.start + 1]
    return node.value if node.value is None or written in ("'", '"', "|", ">") else PlainScalar(node.value)
