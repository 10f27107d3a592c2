"""What values of a field or label a clause lets through: sets to be cut, taken from each other, shown by an example."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from spyderresp.analysis.patterns import find, matches
from spyderresp.policy import Clause


@dataclass(frozen=True, slots=True)
class Values:
    """A set of values of one field, absence among them.

    Attributes:
        absent: whether the field may be missing.
        present: whether it may be there.
        any_of: where it is there, one glob of each of these groups takes it.
        none_of: and none of these.
    """

    absent: bool = True
    present: bool = True
    any_of: frozenset[frozenset[str]] = field(default_factory=frozenset)
    none_of: frozenset[str] = field(default_factory=frozenset)

    def __and__(self, other: Values) -> Values:
        """Return what is in both."""
        return Values(
            self.absent and other.absent,
            self.present and other.present,
            self.any_of | other.any_of,
            self.none_of | other.none_of,
        )

    def minus(self, other: Values) -> Iterator[Values]:
        """Yield sets that together hold what is in this one and not in the other; none twice."""
        if self.absent and not other.absent:
            yield ABSENT
        if not self.present:
            return
        rest = Values(False, True, self.any_of, self.none_of)
        if not other.present:
            yield rest
            return
        for group in sorted(other.any_of, key=sorted):
            yield Values(False, True, rest.any_of, rest.none_of | group)
            rest = Values(False, True, rest.any_of | {group}, rest.none_of)
        if other.none_of:
            yield Values(False, True, rest.any_of | {other.none_of}, rest.none_of)

    def holds(self, value: str | None) -> bool:
        """Tell whether a value is in it; None is absence."""
        if value is None:
            return self.absent
        return (
            self.present
            and all(any(matches(value, glob) for glob in group) for group in self.any_of)
            and not any(matches(value, glob) for glob in self.none_of)
        )

    @property
    def example(self) -> str | None:
        """A value of it, None for absence.

        Raises:
            EmptyError: there is none.
            NotDecidedError: the search for one was given up.
        """
        if self.absent:
            return None
        text = present_example(self)
        if text is None:
            raise EmptyError
        return text

    @property
    def empty(self) -> bool:
        """Whether it holds nothing.

        Raises:
            NotDecidedError: the search was given up.
        """
        return not self.absent and present_example(self) is None


class EmptyError(Exception):
    """A set has no example, for nothing is in it."""


ANYTHING: Final = Values()
ABSENT: Final = Values(True, False)
PRESENT: Final = Values(False, True)


@lru_cache(maxsize=200_000)
def present_example(values: Values) -> str | None:
    """Return a text of a set, or None where absence is all that it holds, or nothing.

    Raises:
        NotDecidedError: the search was given up.
    """
    if not values.present:
        return None
    return find(tuple(sorted(values.any_of, key=sorted)), values.none_of)


def of_clause(clause: Clause, *, not_in_takes_absent: bool) -> Values:
    """Return the values of which a clause holds."""
    if clause.operator == "Exists":
        return PRESENT
    if clause.operator == "DoesNotExist":
        return ABSENT
    if clause.operator == "In":
        return Values(False, True, frozenset({frozenset(clause.values)}))
    return Values(not_in_takes_absent, True, none_of=frozenset(clause.values))
