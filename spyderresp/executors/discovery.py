"""Executors by name: those that ship, and those that other distributions offer as entry points.

A distribution offers one under the group ``spyderresp.executors``: a name, and what makes an executor from keyword
settings. Nothing of it is loaded before its name is asked for.
"""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import spyderresp.executors as ours
from spyderresp.errors import SpyderrespError
from spyderresp.execution.interfaces import Executor
from spyderresp.policies.diagnostics import listed, suggestion

GROUP: Final = "spyderresp.executors"
#: What ships. pyproject.toml lists the same, for those who look there; tests/execution/test_found.py holds them equal.
BUILT_IN: Final = {
    "dry-run": "DryRun",
    "jsonlines": "JsonLines",
    "kubernetes": "Kubernetes",
    "local-host": "LocalHost",
    "otel": "Otel",
    "spyderbat-api": "SpyderbatApi",
    "sqlite": "Sqlite",
    "syslog": "Syslog",
    "webhook": "Webhook",
}
_OURS: Final = "spyderresp"


class ExecutorError(SpyderrespError, ValueError):
    """An executor cannot be had by this name, or not with these settings.

    Attributes:
        name: as asked for.
        reason: why.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"executor `{name}`: {reason}")
        self.name = name
        self.reason = reason

    def __reduce__(self) -> tuple[type[ExecutorError], tuple[str, str]]:
        return type(self), (self.name, self.reason)


@dataclass(frozen=True, slots=True)
class _Offers:
    """What other distributions offer, by name, and whose entry points cannot be read."""

    by_name: Mapping[str, list[tuple[str, importlib.metadata.EntryPoint]]]
    unreadable: tuple[str, ...]


def names() -> tuple[str, ...]:
    """Return every name that an executor can be asked for by, sorted."""
    return tuple(sorted({*BUILT_IN, *_offers().by_name}))


def made(name: str, settings: Mapping[str, Any]) -> Executor:
    """Return a new executor.

    Args:
        name: such as ``webhook``.
        settings: by keyword, as the executor's own documentation names them.

    Raises:
        ExecutorError: there is none of this name, or more than one; it cannot be loaded; a setting is unknown, missing
            or wrong; what was made is no executor.
    """
    make = factory(name)
    try:
        signature = inspect.signature(make)
    except (TypeError, ValueError):
        # Native code may have none: then it says itself what it does not take.
        signature = None
    if signature is not None:
        _check(name, signature, settings)
    try:
        executor = make(**settings)
    except Exception as error:
        raise ExecutorError(name, _cause(error)) from error
    lacking = [part for part in ("name", "actions", "resolve", "close") if not hasattr(executor, part)]
    if lacking:
        raise ExecutorError(name, f"what was made has no {listed(lacking)}: it is no executor")
    return cast("Executor", executor)


def factory(name: str) -> Callable[..., Any]:
    """Return what makes the executor of a name from keyword settings.

    Raises:
        ExecutorError: there is none of this name, or more than one; it cannot be loaded.
    """
    offers = _offers()
    offered = offers.by_name.get(name, [])
    if name in BUILT_IN:
        if offered:
            raise ExecutorError(name, f"is offered by {listed([_OURS, *_owners(offered)])}: take one of them away")
        try:
            return cast("Callable[..., Any]", getattr(ours, BUILT_IN[name]))
        except ImportError as error:
            raise ExecutorError(name, str(error)) from error
    if not offered:
        unread = f"; the entry points of {listed(offers.unreadable)} cannot be read" if offers.unreadable else ""
        raise ExecutorError(name, f"there is none; {suggestion(name, names())}{unread}")
    if len({entry.value for _, entry in offered}) > 1:
        raise ExecutorError(name, f"is offered by {listed(_owners(offered))}: take one of them away")
    owner, entry = offered[0]
    try:
        factory = entry.load()
    except Exception as error:
        raise ExecutorError(name, f"`{owner}` offers it, and it cannot be loaded: {_cause(error)}") from error
    if not callable(factory):
        raise ExecutorError(name, f"`{owner}` offers `{entry.value}`, which makes nothing")
    return cast("Callable[..., Any]", factory)


def _check(name: str, signature: inspect.Signature, settings: Mapping[str, Any]) -> None:
    by_keyword = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    known = {key: held for key, held in signature.parameters.items() if held.kind in by_keyword}
    takes_any = any(held.kind is inspect.Parameter.VAR_KEYWORD for held in signature.parameters.values())
    for key in settings:
        if key not in known and not takes_any:
            hint = suggestion(key, known) if known else "it takes none"
            raise ExecutorError(name, f"has no setting `{key}`; {hint}")
    missing = [key for key, held in known.items() if held.default is held.empty and key not in settings]
    if missing:
        raise ExecutorError(name, f"needs {listed(missing)}")


def _offers() -> _Offers:
    by_name: dict[str, list[tuple[str, importlib.metadata.EntryPoint]]] = {}
    unreadable: list[str] = []
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        try:
            owner = distribution.metadata["Name"]
            if owner is None or owner in seen:
                # The first on the path is the one that is imported.
                continue
            seen.add(owner)
            entries = [entry for entry in distribution.entry_points if entry.group == GROUP]
        except Exception:  # noqa: BLE001 - one broken distribution must not take the others with it
            unreadable.append(str(getattr(distribution, "_path", "one")).rpartition("/")[2])
            continue
        if owner != _OURS:
            for entry in entries:
                by_name.setdefault(entry.name, []).append((owner, entry))
    return _Offers(by_name, tuple(unreadable))


def _owners(offered: list[tuple[str, importlib.metadata.EntryPoint]]) -> list[str]:
    return sorted({owner for owner, _ in offered})


def _cause(error: Exception) -> str:
    """Return what went wrong: by itself where the message is for people, else with its kind."""
    text = str(error)
    if text and isinstance(error, (ValueError, ImportError, OSError)):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
