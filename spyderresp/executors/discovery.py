"""Finds executors by name: those that ship, and those of other distributions.

Other distributions offer an executor as an entry point of the group ``spyderresp.executors``: a name, and a class or
function that makes the executor from keyword settings. It is imported when its name is asked for.
"""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, cast

import spyderresp.executors as ours
from spyderresp.errors import SpyderrespError
from spyderresp.execution.interfaces import Executor
from spyderresp.execution.report import error_text
from spyderresp.policies.diagnostics import listed, suggestion

GROUP: Final = "spyderresp.executors"
#: The executors that ship. pyproject.toml has the same list; tests/execution/test_found.py compares both.
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
# A distribution, and its entry point.
_Offer: TypeAlias = "tuple[str, importlib.metadata.EntryPoint]"


class ExecutorError(SpyderrespError, ValueError):
    """An executor cannot be found or made.

    Attributes:
        name: the name that was asked for.
        reason: for people.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"executor `{name}`: {reason}")
        self.name = name
        self.reason = reason

    def __reduce__(self) -> tuple[type[ExecutorError], tuple[str, str]]:
        return type(self), (self.name, self.reason)


def names() -> tuple[str, ...]:
    """Return the names of all executors, sorted."""
    return tuple(sorted({*BUILT_IN, *_offers()[0]}))


def made(name: str, settings: Mapping[str, Any]) -> Executor:
    """Make an executor.

    ::

        made("webhook", {"url": "https://example.com/flags", "secret": None})

    Args:
        name: the name of the executor, such as ``webhook``.
        settings: its keyword arguments.

    Raises:
        ExecutorError: as ``factory`` raises; or a setting is unknown, missing or wrong; or the entry point did not make
            an executor.
    """
    make = factory(name)
    try:
        signature = inspect.signature(make)
    except (TypeError, ValueError):
        # Native code may have no signature; then `make` itself rejects wrong settings.
        signature = None
    if signature is not None:
        _check(name, signature, settings)
    try:
        executor = make(**settings)
    except Exception as error:
        raise ExecutorError(name, _reason(error)) from error
    lacking = [part for part in ("name", "actions", "resolve", "close") if not hasattr(executor, part)]
    if lacking:
        raise ExecutorError(name, f"its entry point made an object without {listed(lacking)}, which is not an executor")
    return cast("Executor", executor)


def factory(name: str) -> Callable[..., Any]:
    """Return the class or function that makes an executor.

    Raises:
        ExecutorError: there is no executor of this name, several distributions offer one, or it cannot be imported.
    """
    offers, unreadable = _offers()
    offered = offers.get(name, [])
    if name in BUILT_IN:
        if offered:
            raise ExecutorError(name, f"is offered by {listed([_OURS, *_owners(offered)])}: uninstall one of them")
        try:
            return cast("Callable[..., Any]", getattr(ours, BUILT_IN[name]))
        except ImportError as error:
            raise ExecutorError(name, str(error)) from error
    if not offered:
        unread = f"; the entry points of {listed(unreadable)} cannot be read" if unreadable else ""
        raise ExecutorError(name, f"there is none; {suggestion(name, names())}{unread}")
    if len({entry.value for _, entry in offered}) > 1:
        raise ExecutorError(name, f"is offered by {listed(_owners(offered))}: uninstall one of them")
    owner, entry = offered[0]
    try:
        factory = entry.load()
    except Exception as error:
        raise ExecutorError(name, f"`{owner}` offers it, but it cannot be loaded: {_reason(error)}") from error
    if not callable(factory):
        raise ExecutorError(name, f"`{owner}` offers `{entry.value}`, which is neither a class nor a function")
    return cast("Callable[..., Any]", factory)


def _check(name: str, signature: inspect.Signature, settings: Mapping[str, Any]) -> None:
    by_keyword = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = signature.parameters.values()
    known = {parameter.name: parameter for parameter in parameters if parameter.kind in by_keyword}
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
    for key in settings:
        if key not in known and not takes_any:
            hint = suggestion(key, known) if known else "it has no settings"
            raise ExecutorError(name, f"has no setting `{key}`; {hint}")
    missing = [key for key, item in known.items() if item.default is item.empty and key not in settings]
    if missing:
        raise ExecutorError(name, f"needs {listed(missing)}")


def _offers() -> tuple[dict[str, list[_Offer]], list[str]]:
    """Return the offers of other distributions by name, and the distributions whose entry points cannot be read."""
    by_name: dict[str, list[_Offer]] = {}
    unreadable: list[str] = []
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        try:
            owner = distribution.metadata["Name"]
            if owner is None or owner in seen:
                # Python imports the first distribution of a name on the path.
                continue
            seen.add(owner)
            entries = [entry for entry in distribution.entry_points if entry.group == GROUP]
        except Exception:  # noqa: BLE001 - one broken distribution must not hide the others
            unreadable.append(str(getattr(distribution, "_path", "one")).rpartition("/")[2])
            continue
        if owner != _OURS:
            for entry in entries:
                by_name.setdefault(entry.name, []).append((owner, entry))
    return by_name, unreadable


def _owners(offered: list[_Offer]) -> list[str]:
    return sorted({owner for owner, _ in offered})


def _reason(error: Exception) -> str:
    """Return the message of an exception, with its type unless its messages are for people."""
    return str(error) if str(error) and isinstance(error, (ValueError, ImportError, OSError)) else error_text(error)
