"""Sets of texts named by globs: is a text in some and in none of others? Decided exactly, with a text that shows it.

A set of globs is one automaton, its states the bits of an int. Characters that no glob tells apart are one class, and
one of each class stands for all. What a bracket means is asked of ``fnmatch`` itself, one character at a time.
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
#: How many states a search may visit before it says that it has not decided.
BUDGET: Final = 200_000
# What a person would rather read in an example, first.
_NICE: Final = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_./:@ "
_LAST: Final = 0x10FFFF
_SURROGATES: Final = (0xD800, 0xE000)


class UndecidedError(SpyderrespError):
    """The budget ended before the answer was found."""


@lru_cache(maxsize=100_000)
def is_literal(pattern: str) -> bool:
    """Tell whether a pattern names one text only, itself."""
    return _SPECIAL.isdisjoint(pattern) or all(len(part) == 1 and part not in "*?" for part in tokens(pattern))


def matches(text: str, pattern: str) -> bool:
    """Tell whether a pattern takes a text."""
    return text == pattern if is_literal(pattern) else fnmatchcase(text, pattern)


@lru_cache(maxsize=100_000)
def tokens(pattern: str) -> tuple[str, ...]:
    """Return a glob's parts: ``*``, ``?``, a bracket with what stands in it, or one character as it is, ``[`` too."""
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
    """Return where the bracket that begins at ``start`` closes; 0 where it does not, and is a character like others."""
    i = start + 1
    if pattern[i : i + 1] == "!":
        i += 1
    if pattern[i : i + 1] == "]":
        i += 1
    return max(pattern.find("]", i), 0)


class Automaton:
    """A set of globs, any of which takes a text. A state is an int whose bits are places in the globs.

    Attributes:
        start: the first state.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._tokens: list[str] = []
        self._stars = 0
        self._accepting = 0
        self._takers: dict[str, int] = {}
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
        """Tell whether a text that leads here is taken."""
        return bool(state & self._accepting)

    def after(self, state: int, character: str) -> int:
        """Return the state after one more character; 0 where no text that goes on is taken."""
        takers = self._takers.get(character)
        if takers is None:
            takers = sum(1 << place for place, token in enumerate(self._tokens) if _takes(token, character))
            self._takers[character] = takers
        return self._closed(((state & takers) << 1) | (state & self._stars))

    def _closed(self, state: int) -> int:
        while (more := state | ((state & self._stars) << 1)) != state:
            state = more
        return state


def _takes(token: str, character: str) -> bool:
    if len(token) > 1:
        return fnmatchcase(character, token)
    return token == _ANY or (token == character and token not in ("", _STAR))


def representatives(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return one character of each class that no pattern tells apart; those that read well come first."""
    edges = {0, _LAST + 1, *_SURROGATES}
    for pattern in patterns:
        for token in tokens(pattern):
            if token not in (_STAR, _ANY):
                for character in token if len(token) > 1 else (token,):
                    edges |= {ord(character), ord(character) + 1}
    bounds = sorted(edges)
    chosen = []
    for low, high in itertools.pairwise(bounds):
        # A lone surrogate is no text that a file could hold.
        if not _SURROGATES[0] <= low < _SURROGATES[1]:
            nice = next((c for c in _NICE if low <= ord(c) < high), None)
            chosen.append(nice if nice is not None else chr(low))
    return tuple(sorted(chosen, key=lambda c: (_NICE.find(c) < 0, _NICE.find(c), c)))


def find(any_of: Sequence[frozenset[str]], none_of: frozenset[str], *, budget: int = BUDGET) -> str | None:
    """Return a short text that a glob of each of ``any_of`` takes and none of ``none_of``, or None: there is none.

    Raises:
        UndecidedError: more than ``budget`` states would have to be looked at.
    """
    smallest = min((group for group in any_of if all(map(is_literal, group))), key=len, default=None)
    if smallest is not None:
        for text in sorted(smallest, key=lambda item: (len(item), item)):
            if _taken(text, any_of, none_of):
                return text
        return None
    # Most often the globs themselves, with something plain for what is open, already show it.
    for text in _guesses(any_of):
        if _taken(text, any_of, none_of):
            return text
    if _ends_clash(any_of):
        return None
    return _search(any_of, none_of, budget)


def _ends_clash(any_of: Sequence[frozenset[str]]) -> bool:
    """Tell whether two globs that must both hold begin, or end, with different letters."""
    single = [tokens(glob) for group in any_of if len(group) == 1 for glob in group]
    for turned in (single, [parts[::-1] for parts in single]):
        ends = sorted("".join(itertools.takewhile(_is_letter, parts)) for parts in turned)
        # In order, what begins alike stands together, the shorter first: the last must go on from each before it.
        if any(not ends[-1].startswith(end) for end in ends[:-1]):
            return True
    return False


def _is_letter(part: str) -> bool:
    return len(part) == 1 and part not in (_STAR, _ANY)


def _taken(text: str, any_of: Sequence[frozenset[str]], none_of: frozenset[str]) -> bool:
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
        # Globs that are open at both ends are all in one text, one after the other.
        yield "".join(_filled(min(group), filler) for group in any_of)


def _filled(glob: str, filler: str) -> str:
    return "".join(
        filler if part == _STAR else "x" if part == _ANY else part for part in tokens(glob) if len(part) == 1
    )


def _search(any_of: Sequence[frozenset[str]], none_of: frozenset[str], budget: int) -> str | None:
    wanted = [Automaton(group) for group in any_of]
    unwanted = Automaton(none_of)
    letters = representatives({glob for group in (*any_of, none_of) for glob in group})
    first = (*(automaton.start for automaton in wanted), unwanted.start)
    came: dict[tuple[int, ...], tuple[tuple[int, ...], str] | None] = {first: None}
    queue = deque([first])
    while queue:
        state = queue.popleft()
        if all(
            automaton.accepts(part) for automaton, part in zip(wanted, state, strict=False)
        ) and not unwanted.accepts(state[-1]):
            return _spelt(state, came)
        for letter in letters:
            parts = [automaton.after(part, letter) for automaton, part in zip(wanted, state, strict=False)]
            if not all(parts):
                continue
            following = (*parts, unwanted.after(state[-1], letter))
            if following not in came:
                if len(came) >= budget:
                    raise UndecidedError(f"more than {budget:,} states of {len(wanted) + 1} automata")
                came[following] = (state, letter)
                queue.append(following)
    return None


def _spelt(state: tuple[int, ...], came: dict[tuple[int, ...], tuple[tuple[int, ...], str] | None]) -> str:
    letters = []
    while (step := came[state]) is not None:
        state, letter = step
        letters.append(letter)
    return "".join(reversed(letters))
