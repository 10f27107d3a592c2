"""A policy set as flat rows of conditions, from which rules in other engines' languages are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from peers.named import attributes, is_glob
from peers.shapes import Fired, Shape, Shapes
from spyderresp.policies.policy_set import Clause, PolicySet, Selector


class Condition(NamedTuple):
    """One condition on the value ``a{place}`` of a projected event."""

    name: str
    operator: str
    exact: tuple[str, ...]
    globs: tuple[str, ...]


class Row(NamedTuple):
    """What must hold for a policy to be in scope, or for an entry of one in scope to fire.

    Attributes:
        place: the policy's place in the set.
        entry: section and index; None in the policy's own row.
        scopes: ``has_pod`` and the like: what must be true.
        conditions: all must hold.
    """

    place: int
    entry: tuple[str, int] | None
    scopes: tuple[str, ...]
    conditions: tuple[Condition, ...]


class NotSupportedError(Exception):
    """An engine's language cannot say what a policy says."""


class Contestant(Protocol):
    """Another engine, set up with a policy set.

    Attributes:
        name: what tables call it, with the version of what decides.
    """

    name: str

    def evaluate(self, event: Mapping[str, Any]) -> tuple[Any, Shape]:
        """Return an event's id and the shape of its plan; events are not attributed."""


def rows(policies: PolicySet) -> list[Row]:
    """Return a row for each enabled policy, and one for each of its enabled entries that has selectors."""
    names = {name: f"a{place}" for place, name in enumerate(attributes(policies))}
    made = []
    for place, policy in enumerate(policies):
        if policy.enabled:
            made.append(_row(place, None, policy.selectors, names))
            made += [
                _row(place, (entry.section, entry.index), entry.selectors, names)
                for entry in policy.entries
                if entry.enabled and entry.selectors
            ]
    return made


def _row(
    place: int, entry: tuple[str, int] | None, selectors: tuple[Selector, ...], names: dict[tuple[str, str], str]
) -> Row:
    conditions = tuple(
        _condition(names[selector.scope, clause.key], clause) for selector in selectors for clause in selector.clauses
    )
    scopes = tuple(dict.fromkeys(f"has_{selector.scope}" for selector in selectors))
    return Row(place, entry, scopes, conditions)


def _condition(name: str, clause: Clause) -> Condition:
    exact = tuple(value for value in clause.values if not is_glob(value))
    return Condition(name, clause.operator, exact, tuple(value for value in clause.values if is_glob(value)))


def simple_glob(glob: str) -> tuple[str, str]:
    """Return how a glob is said with plain text functions: ``("starts", "app-")``, ``("ends", ...)``, ``("has", ...)``.

    Raises:
        NotSupportedError: it takes more than that.
    """
    inner = glob.strip("*")
    if not is_glob(inner) and glob in (f"{inner}*", f"*{inner}", f"*{inner}*"):
        return ("has" if glob[0] == glob[-1] == "*" else "starts" if glob[-1] == "*" else "ends"), inner
    raise NotSupportedError(f"the glob {glob} is not said with plain text functions")


class Assembler:
    """From the rows that hold to a shape."""

    def __init__(self, policies: PolicySet) -> None:
        self._policies = list(policies)
        self._defaults: list[list[Fired]] = [
            [(place, entry.section, entry.index) for entry in policy.entries if entry.enabled and not entry.selectors]
            for place, policy in enumerate(self._policies)
        ]
        self._shapes = Shapes(self._policies)

    def shape(self, places: list[int], entries: list[Fired], event: Mapping[str, Any]) -> Shape:
        """Return the shape of the policies in scope, ascending, and of the entries that hold.

        An entry's row may hold though its policy's does not.
        """
        in_scope = set(places)
        fired = [item for place in places for item in self._defaults[place]]
        fired += [item for item in entries if item[0] in in_scope]
        # `default` before `actions` is not the order of the words.
        fired.sort(key=lambda item: (item[0], item[1] == "actions", item[2]))
        return self._shapes.of(places, fired, event)
