"""Which policies to look at: those posted under the event's values, each under its most selective condition."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from peers.named import is_glob
from spyderresp.policies.policy_set import Clause, Policy

_Posted = dict[Any, list[Any]]


class Pivots:
    """Policies by exact value, by what a glob begins with, and by regular expression; a few are always looked at.

    Args:
        policies: disabled ones are passed over.
        places: of a scope and key in the values that ``find`` is given.
        globs: whether policies without an exact value are posted under what their globs begin with; else they are
            always looked at.
        payload: from the policies of one bucket to what ``find`` returns of it; a list.
    """

    def __init__(
        self,
        policies: Sequence[Policy],
        places: Mapping[Any, int],
        payload: Callable[[list[int]], list[Any]] = lambda found: found,
        *,
        globs: bool = True,
    ) -> None:
        exact: dict[int, _Posted] = {}
        prefixes: dict[int, dict[int, _Posted]] = {}
        opened: dict[int, _Posted] = {}
        always: list[int] = []
        held = [[(s.scope, clause) for s in policy.selectors for clause in s.clauses] for policy in policies]
        use = Counter((s, c.key, v) for clauses in held for s, c in clauses if c.operator == "In" for v in c.values)
        for number, policy in enumerate(policies):
            inside = [
                (scope, clause)
                for scope, clause in held[number]
                if clause.operator == "In" and (globs or not any(map(is_glob, clause.values)))
            ]
            if not policy.enabled:
                continue
            if not inside:
                always.append(number)
                continue
            scope, clause = min(inside, key=lambda item: _selectivity(item[0], item[1], use))
            place = places[scope, clause.key]
            for value in clause.values:
                prefix = re.split(r"[*?\[]", value, maxsplit=1)[0]
                if not is_glob(value):
                    exact.setdefault(place, {}).setdefault(value, []).append(number)
                elif prefix:
                    by_length = prefixes.setdefault(place, {}).setdefault(len(prefix), {})
                    by_length.setdefault(prefix, []).append(number)
                else:
                    opened.setdefault(place, {}).setdefault(value, []).append(number)
        self._always = payload(always) if always else []
        self._exact = [
            (place, {key: payload(posted) for key, posted in table.items()}) for place, table in exact.items()
        ]
        self._prefixes = [
            (place, length, {key: payload(posted) for key, posted in table.items()})
            for place, tables in prefixes.items()
            for length, table in tables.items()
        ]
        self._opened = [
            (place, re.compile(fnmatch.translate(glob)).match, payload(posted))
            for place, table in opened.items()
            for glob, posted in table.items()
        ]

    def find(self, values: Sequence[Any]) -> list[Any]:
        """Return all that is posted under the values; some of it twice, perhaps."""
        found = list(self._always)
        for place, table in self._exact:
            more = table.get(values[place])
            if more is not None:
                found += more
        for place, length, table in self._prefixes:
            value = values[place]
            if value is not None:
                more = table.get(value[:length])
                if more is not None:
                    found += more
        for place, match, posted in self._opened:
            value = values[place]
            if value is not None and match(value) is not None:
                found += posted
        return found


def _selectivity(scope: str, clause: Clause, use: Counter[tuple[str, str, str]]) -> tuple[bool, bool, int]:
    """Order clauses: no globs, then no glob that begins with a wildcard, then the value that fewest policies name."""
    return (
        any(map(is_glob, clause.values)),
        any(value[:1] in ("*", "?", "[") for value in clause.values),
        max(use[scope, clause.key, value] for value in clause.values),
    )
