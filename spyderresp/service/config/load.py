"""Reads settings from a configuration or from flags: one pass reports every fault, each with its place and a fix."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from spyderresp.errors import Diagnostic, SpyderrespError
from spyderresp.policies.diagnostics import Findings, Source, TooManyFindingsError
from spyderresp.policies.document_limits import DocumentError
from spyderresp.policies.document_reader import Node
from spyderresp.policies.loader import read_source, trees
from spyderresp.service.config.executor_settings import Installed, Origin
from spyderresp.service.config.settings import SETTINGS, Settings
from spyderresp.service.config.values import Location, SettingError


class ConfigurationError(SpyderrespError):
    """A configuration cannot be used.

    Attributes:
        diagnostics: every fault.
    """

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__("\n".join(map(str, diagnostics)))
        self.diagnostics = diagnostics


@dataclass(frozen=True, slots=True)
class _Context:
    """What validation needs besides the values."""

    folder: str
    installed: Installed


def read_configuration(path: str, installed: Installed) -> Settings:
    """Return the settings in a file.

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
    return replace(settings_of(source, installed), path=path)


def settings_of(source: Source, installed: Installed) -> Settings:
    """Return the settings in a text, YAML or JSON.

    Raises:
        ConfigurationError: anything is wrong with it.
    """
    root = _root(source)

    def origin(loc: Location, at_key: bool) -> Origin:
        node = _node_at(root, loc, at_key=at_key)
        return Origin(source, node.start, node.end)

    return _validated(_plain(root), origin, _Context(os.path.dirname(source.path), installed))


def settings_of_flags(values: Mapping[str, Any], flags: Mapping[Location, str], installed: Installed) -> Settings:
    """Return the settings that the flags of a command line give.

    Args:
        values: what a configuration would hold, each scalar as a text.
        flags: the flag that gave a value, by its place in ``values``; one given for a place is that of all below it.
        installed: the executors.

    Raises:
        ConfigurationError: anything is wrong with them.
    """

    def origin(loc: Location, at_key: bool) -> Origin:  # noqa: ARG001 - of both kinds
        flag = next((flags[loc[:end]] for end in range(len(loc), 0, -1) if loc[:end] in flags), "command line")
        return Origin(Source(flag, ""))

    return _validated(dict(values), origin, _Context("", installed))


def value_of_flag(flag: str, written: str) -> Any:
    """Return the value of a setting that a flag gives: a text, or a list or mapping in YAML's flow style.

    Raises:
        ConfigurationError: it begins like one, and is none.
    """
    return _plain(_root(Source(flag, written))) if written[:1] in ("[", "{", "'", '"') else written


def _validated(values: Any, origin: Any, context: _Context) -> Settings:
    findings = Findings()
    try:
        settings = SETTINGS.validate_python(values, context=context)
    except ValidationError as error:
        try:
            for details in error.errors(include_url=False):
                _add(findings, details, origin)
        except TooManyFindingsError:
            pass
        findings.sort_since(0)
        raise ConfigurationError(tuple(findings.items)) from None
    executors = (
        replace(executor, origin=origin(("executors", index, executor.name), True))
        for index, executor in enumerate(settings.executors)
    )
    return replace(settings, executors=tuple(executors))


def _add(findings: Findings, details: Any, origin: Any) -> None:
    """Record an error of pydantic as a diagnostic."""
    loc: Location = details["loc"]
    fault = details.get("ctx", {}).get("error")
    if not isinstance(fault, SettingError):
        fault = SettingError("SR605", f"`{{key}}`: {details['msg']}")
    else:
        loc += fault.loc
    named = loc[:-1] if fault.at_key else loc
    name = next((part for part in reversed(named) if isinstance(part, str)), "")
    at = origin(loc, fault.at_key)
    message, help_ = (part.replace("{key}", name) for part in (fault.message, fault.help))
    findings.add(fault.code, message, at.source, at.start, at.end, help_)


# Nodes of a document: each a value with its place.


def _root(source: Source) -> Node:
    findings = Findings()
    try:
        documents = [tree for tree in trees(source) if not tree.empty]
    except DocumentError as error:
        findings.unreadable(error, source)
        raise ConfigurationError(tuple(findings.items)) from None
    if len(documents) == 1:
        return Node(*documents[0].nodes())
    if not documents:
        findings.add("SR614", "a configuration must contain one YAML document; this file contains none", source)
    else:
        second = Node(*documents[1].nodes())
        message = f"a configuration must contain one YAML document; this file contains {len(documents)}"
        findings.add("SR614", message, source, second.start, second.end, "delete the others")
    raise ConfigurationError(tuple(findings.items))


def _plain(node: Node) -> Any:
    """Return the value of a node without places: mappings, lists, texts and None."""
    if isinstance(node.value, dict):
        return {key: _plain(Node(*value)) for key, (_, value) in node.value.items()}
    return [_plain(Node(*item)) for item in node.value] if isinstance(node.value, list) else node.value


def _node_at(node: Node, loc: Location, *, at_key: bool) -> Node:
    """Return the node at a place, or its key. Parts of the place that are not in the document are skipped."""
    key: Node | None = None
    for part in loc:
        if isinstance(node.value, dict) and part in node.value:
            name, value = node.value[part]
            key, node = Node(*name), Node(*value)
        elif isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
            key, node = None, Node(*node.value[part])
    return key if at_key and key is not None else node
