"""Reading an event by code that is generated for one policy set, as one would write it by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from peers.named import IDENTITY, LABELLED
from spyderresp.decision.reference import NAME_LABEL, SCOPES


class Reads:
    """Expressions that read an event.

    Attributes:
        lines: statements, indented by one, to run first.
        present: an expression by scope; it tells whether the event has the scope.
        values: expressions by scope and key, None where absent.
        identity: expressions of what a target keeps.
    """

    def __init__(self, names: list[tuple[str, str]]) -> None:
        self.lines = [" get = event.get"]
        self.present: dict[str, str] = {}
        self.values: dict[tuple[str, str], str] = {}
        self.identity: list[str] = []
        for scope in SCOPES:
            keys = [key for held, key in names if held == scope]
            if not keys and scope not in IDENTITY:
                continue
            self.lines += [f" {scope} = get({scope!r})", f" {scope}_get = none if {scope} is None else {scope}.get"]
            self.present[scope] = f"{scope} is not None"
            if scope in LABELLED:
                self.lines += [f" labels = {scope}_get('labels')"]
                self.lines += [f" {scope}_label = none if labels is None else labels.get"]
            for key in keys:
                self.values[scope, key] = f"{scope}_label({key!r})" if scope in LABELLED else f"{scope}_get({key!r})"
            if ("namespace", NAME_LABEL) in self.values and scope == "namespace":
                implied = f"({self.values[scope, NAME_LABEL]} or namespace_get('name'))"
                self.values[scope, NAME_LABEL] = implied
            self.identity += [f"{scope}_get({key!r})" for key in IDENTITY.get(scope, ())]


def compiled(lines: list[str], **scope: Any) -> Callable[..., Any]:
    """Return the function ``made`` of generated source."""
    names: dict[str, Any] = {"none": lambda _: None, **scope}
    exec("\n".join(lines), names)
    made: Callable[..., Any] = names["made"]
    return made


def projection(names: list[tuple[str, str]]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return a function from an event to a flat dict.

    It holds the values as ``a0``, ``a1`` and on, then ``has_pod`` and the like for the scopes. Engines that take any
    dict are given this one, since every value that they need not convert is time saved.
    """
    reads = Reads(names)
    parts = [f"'a{place}': {reads.values[name]}" for place, name in enumerate(names)]
    parts += [f"'has_{scope}': {test}" for scope, test in reads.present.items()]
    return compiled(["def made(event):", *reads.lines, f" return {{{', '.join(parts)}}}"])
