"""Reads settings from a configuration or from flags: one pass reports every fault, each with its place and a fix."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from spyderresp.errors import Diagnostic, SpyderrespError
from spyderresp.errors import Location as LineLocation
from spyderresp.policies.codes import CODES
from spyderresp.policies.diagnostics import Findings, Source, TooManyFindingsError
from spyderresp.policies.document_limits import DocumentError
from spyderresp.policies.document_reader import Node
from spyderresp.policies.loader import read_source, trees
from spyderresp.service.config.executor_settings import Origin
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


def diagnosed(code: str, where: str, message: str, hint: str = "") -> Diagnostic:
    """Return a diagnostic about something that has a name but no text, such as a source."""
    return Diagnostic(code, CODES[code].level, message, LineLocation(where, 0, 0), hint)


def read_configuration(path: str) -> Settings:
    """Return the settings in a file.

    Raises:
        ConfigurationError: the file cannot be read, or anything in it is wrong.
    """
    findings = Findings()
    source = None
    if os.path.exists(path):
        source = read_source(path, findings)
    else:
        findings.about_path("SR001", "no such file or directory", path)
    if source is None:
        raise ConfigurationError(tuple(findings.items))
    return settings_of(source)


def settings_of(source: Source) -> Settings:
    """Return the settings in a text, YAML or JSON.

    Raises:
        ConfigurationError: anything in it is wrong.
    """
    values, root = _document(source)

    def origin(loc: Location, at_key: bool) -> Origin:
        node = _node_at(root, loc, at_key=at_key)
        return Origin(source, node.start, node.end)

    return _validated(values, origin, os.path.dirname(source.path))


def settings_of_flags(values: Mapping[str, Any], flags: Mapping[Location, str]) -> Settings:
    """Return the settings that the flags of a command line give.

    Args:
        values: what a configuration would hold; each scalar is a text.
        flags: the flag that gave a value, by the place of the value in ``values``. It stands for all places below too.

    Raises:
        ConfigurationError: anything is wrong with them.
    """

    def origin(loc: Location, at_key: bool) -> Origin:  # noqa: ARG001 - a flag has no key
        flag = next((flags[loc[:end]] for end in range(len(loc), 0, -1) if loc[:end] in flags), "command line")
        return Origin(Source(flag, ""))

    return _validated(dict(values), origin, "")


def value_of_flag(flag: str, written: str) -> Any:
    """Return the value that a flag gives to a setting: a text, or a list or mapping in YAML's flow style.

    Raises:
        ConfigurationError: the value begins like a list, a mapping or a quoted text, and is not valid YAML.
    """
    return _document(Source(flag, written))[0] if written[:1] in ("[", "{", "'", '"') else written


def _validated(values: Any, origin: Callable[[Location, bool], Origin], folder: str) -> Settings:
    findings = Findings()
    try:
        settings: Settings = SETTINGS.validate_python(values, context=folder)
    except ValidationError as error:
        try:
            for item in error.errors():
                _add(findings, item["loc"], item["ctx"]["error"], origin)
        except TooManyFindingsError:
            pass
        findings.sort_since(0)
        raise ConfigurationError(tuple(findings.items)) from None
    executors = (
        replace(executor, origin=origin(("executors", index, executor.name), True))
        for index, executor in enumerate(settings.executors)
    )
    return replace(settings, executors=tuple(executors))


def _add(findings: Findings, loc: Location, fault: SettingError, origin: Callable[[Location, bool], Origin]) -> None:
    loc += fault.loc
    parents = loc[:-1] if fault.at_key else loc
    key = next((part for part in reversed(parents) if isinstance(part, str)), "")
    at = origin(loc, fault.at_key)
    message, hint = (part.replace("{key}", key) for part in (fault.message, fault.help))
    findings.add(fault.code, message, at.source, at.start, at.end, hint)


def _document(source: Source) -> tuple[Any, Node]:
    """Return the values of a document, in which each scalar is a text, and its nodes, which have the places."""
    findings = Findings()
    try:
        documents = [tree for tree in trees(source) if not tree.empty]
    except DocumentError as error:
        findings.unreadable(error, source)
        raise ConfigurationError(tuple(findings.items)) from None
    if len(documents) == 1:
        return documents[0].plain(), Node(*documents[0].nodes())
    message = f"a configuration must contain one YAML document; this file contains {len(documents) or 'none'}"
    if documents:
        second = Node(*documents[1].nodes())
        findings.add("SR614", message, source, second.start, second.end, "delete the others")
    else:
        findings.add("SR614", message, source)
    raise ConfigurationError(tuple(findings.items))


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
