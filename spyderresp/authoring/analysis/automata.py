"""Finds a text that matches some globs and not others, or proves that there is none.

A set of globs becomes one automaton. Its state is an int, in which each bit is a position in a glob. Characters that no
glob distinguishes form a class; the search tries one character of each class. ``fnmatch`` decides which characters
match a bracket.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from spyderresp.errors import SpyderrespError

_STAR: Final = "*"
_ANY: Final = "?"
_SPECIAL: Final = frozenset("*?[")
#: The most states that a search visits before it gives up.
BUDGET: Final = 200_000
# The characters that examples prefer, best first.
_NICE: Final = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_./:@ "
_LAST: Final = 0x10FFFF
_SURROGATES: Final = (0xD800, 0xE000)
_Steps = dict[tuple[int, ...], tuple[tuple[int, ...], str] | None]


class UndecidedError(SpyderrespError):
    """The search was given up, because it would take too long."""


@lru_cache(maxsize=100_000)
def is_literal(pattern: str) -> bool:
    """Return whether a pattern matches itself and no other text."""
    return _SPECIAL.isdisjoint(pattern) or all(len(part) == 1 and part not in "*?" for part in tokens(pattern))


def matches(text: str, pattern: str) -> bool:
    """Return whether a pattern matches a text."""
    return text == pattern if is_literal(pattern) else fnmatchcase(text, pattern)


@lru_cache(maxsize=100_000)
def tokens(pattern: str) -> tuple[str, ...]:
    """Return the parts of a glob: ``*``, ``?``, a whole bracket such as ``[a-z]``, or any other character.

    A ``[`` that no ``]`` closes is such a character.
    """
    parts: list[str] = []
    i = 0
    while i < len(pattern):
        end = _bracket_end(pattern, i) if pattern[i] == "[" else 0
        part = pattern[i : end + 1] if end else pattern[i]
        if not (part == _STAR and parts and parts[-1] == _STAR):
            parts.append(part)
        i += len(part)
    return tuple(parts)


def _bracket_end(pattern: str, start: int) -> int:
    """Return the position of the ``]`` that closes the bracket at ``start``; 0 if none closes it."""
    i = start + 1
    if pattern[i : i + 1] == "!":
        i += 1
    if pattern[i : i + 1] == "]":
        i += 1
    return max(pattern.find("]", i), 0)


class Automaton:
    """Matches a text with a set of globs: at least one of them must match. Bit ``i`` of a state is token ``i``.

    Attributes:
        start: the first state.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._tokens: list[str] = []
        self._stars = 0
        self._accepting = 0
        # For each character, the tokens that match it.
        self._matching: dict[str, int] = {}
        self.start = 0
        for pattern in sorted(set(patterns)):
            self.start |= 1 << len(self._tokens)
            for token in tokens(pattern):
                if token == _STAR:
                    self._stars |= 1 << len(self._tokens)
                self._tokens.append(token)
            self._accepting |= 1 << len(self._tokens)
            self._tokens.append("")
        self.start = self._closed(self.start)

    def accepts(self, state: int) -> bool:
        """Return whether a text that leads to this state matches."""
        return bool(state & self._accepting)

    def after(self, state: int, character: str) -> int:
        """Return the state after one more character; 0 if no continuation matches."""
        matching = self._matching.get(character)
        if matching is None:
            matching = sum(1 << index for index, token in enumerate(self._tokens) if _token_matches(token, character))
            self._matching[character] = matching
        return self._closed(((state & matching) << 1) | (state & self._stars))

    def _closed(self, state: int) -> int:
        """Return the state with the positions behind its stars: a star also matches nothing."""
        while (more := state | ((state & self._stars) << 1)) != state:
            state = more
        return state


def _token_matches(token: str, character: str) -> bool:
    if len(token) > 1:
        return fnmatchcase(character, token)
    return token == _ANY or (token == character and token not in ("", _STAR))


def representatives(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return one character of each class that no pattern distinguishes; readable characters come first."""
    edges = {0, _LAST + 1, *_SURROGATES}
    for pattern in patterns:
        for token in tokens(pattern):
            if token not in (_STAR, _ANY):
                for character in token if len(token) > 1 else (token,):
                    edges |= {ord(character), ord(character) + 1}
    bounds = sorted(edges)
    chosen = []
    for low, high in itertools.pairwise(bounds):
        # A file cannot contain a lone surrogate.
        if not _SURROGATES[0] <= low < _SURROGATES[1]:
            nice = next((c for c in _NICE if low <= ord(c) < high), None)
            chosen.append(nice if nice is not None else chr(low))
    return tuple(sorted(chosen, key=lambda c: (_NICE.find(c) < 0, _NICE.find(c), c)))


def find(any_of: Sequence[frozenset[str]], none_of: frozenset[str], *, budget: int = BUDGET) -> str | None:
    """Return a short text that matches a glob of each group and no glob of ``none_of``; None if there is none.

    Args:
        any_of: the groups of globs.
        none_of: the globs that must not match.
        budget: the most states to visit.

    Raises:
        UndecidedError: the search would visit more than ``budget`` states.
    """
    smallest = min((group for group in any_of if all(map(is_literal, group))), key=len, default=None)
    if smallest is not None:
        for text in sorted(smallest, key=lambda item: (len(item), item)):
            if _fits(text, any_of, none_of):
                return text
        return None
    # In most cases a glob in which wildcards are replaced by plain letters is such a text.
    for text in _guesses(any_of):
        if _fits(text, any_of, none_of):
            return text
    if _ends_conflict(any_of):
        return None
    return _search(any_of, none_of, budget)


def _ends_conflict(any_of: Sequence[frozenset[str]]) -> bool:
    """Return whether two globs that must both match begin, or end, with different letters."""
    single = [tokens(glob) for group in any_of if len(group) == 1 for glob in group]
    for parts_list in (single, [parts[::-1] for parts in single]):
        ends = sorted("".join(itertools.takewhile(_is_letter, parts)) for parts in parts_list)
        # If no two conflict, each is a beginning of the last one in sorted order.
        if any(not ends[-1].startswith(end) for end in ends[:-1]):
            return True
    return False


def _is_letter(part: str) -> bool:
    return len(part) == 1 and part not in (_STAR, _ANY)


def _fits(text: str, any_of: Sequence[frozenset[str]], none_of: frozenset[str]) -> bool:
    return all(any(matches(text, glob) for glob in group) for group in any_of) and not any(
        matches(text, glob) for glob in none_of
    )


def _guesses(any_of: Sequence[frozenset[str]]) -> Iterable[str]:
    if not any_of:
        yield from ("x", "other")
        return
    shortest = min(any_of, key=lambda group: (len(group), sorted(group)))
    for filler in ("", "x"):
        for glob in sorted(shortest)[:8]:
            yield _filled(glob, filler)
        # If all globs begin and end with a star, their concatenation matches all of them.
        yield "".join(_filled(min(group), filler) for group in any_of)


def _filled(glob: str, filler: str) -> str:
    return "".join(
        filler if part == _STAR else "x" if part == _ANY else part for part in tokens(glob) if len(part) == 1
    )


def _search(any_of: Sequence[frozenset[str]], none_of: frozenset[str], budget: int) -> str | None:
    """Search all texts, the shortest first: a breadth-first search over the states of all automata together."""
    required = [Automaton(group) for group in any_of]
    forbidden = Automaton(none_of)
    letters = representatives({glob for group in (*any_of, none_of) for glob in group})
    first = (*(automaton.start for automaton in required), forbidden.start)
    # For each visited state, the state before it and the letter between them.
    steps: _Steps = {first: None}
    queue = deque([first])
    while queue:
        state = queue.popleft()
        matched = all(automaton.accepts(part) for automaton, part in zip(required, state, strict=False))
        if matched and not forbidden.accepts(state[-1]):
            return _text_to(state, steps)
        for letter in letters:
            parts = [automaton.after(part, letter) for automaton, part in zip(required, state, strict=False)]
            if not all(parts):
                continue
            following = (*parts, forbidden.after(state[-1], letter))
            if following not in steps:
                if len(steps) >= budget:
                    raise UndecidedError(f"more than {budget:,} states of {len(required) + 1} automata")
                steps[following] = (state, letter)
                queue.append(following)
    return None


def _text_to(state: tuple[int, ...], steps: _Steps) -> str:
    letters = []
    while (step := steps[state]) is not None:
        state, letter = step
        letters.append(letter)
    return "".join(reversed(letters))
