"""A configuration file into settings: YAML or JSON, every fault found in one pass, with its place and a fix."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Final, Literal, Protocol, cast, get_args

from spyderresp.adapters import BUILT_IN
from spyderresp.compiler import Defaults, NotIn
from spyderresp.document import DocumentError
from spyderresp.errors import Diagnostic
from spyderresp.executors.found import ExecutorError
from spyderresp.findings import Findings, TooManyFindingsError, quoted, suggestion
from spyderresp.loading import read_source, trees
from spyderresp.service.credentials import in_plain_sight
from spyderresp.service.guarding import read_guard
from spyderresp.service.installed import SECRETS
from spyderresp.service.reading import Keys, Node, Reader
from spyderresp.service.settings import Bare, ExecutorSettings, Monitor, Origin, Settings
from spyderresp.service.sourcing import read_address, read_sources
from spyderresp.source import Source

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


class ConfigurationError(Exception):
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
    return node.value if node.value is None or written in ("'", '"', "|", ">") else Bare(node.value)
