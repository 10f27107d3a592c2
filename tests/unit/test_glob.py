"""Globs: the edges of the syntax one by one, and the bound on their time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from globs import engine, matching
from strategies import matches

# Pattern; what it matches; what it does not; the only text it matches, where there is one.
EDGES: list[tuple[str, list[str], list[str], str | None]] = [
    ("", [""], ["a", "\n"], ""),
    ("a", ["a"], ["", "A", "aa", "a\n"], "a"),
    ("*", ["", "a", "/bin/sh", "a\nb", "\x00", "\ud800", "\U0001f600"], [], None),
    ("**", ["", "a"], [], None),
    ("?", ["a", "/", "\n", "\ud800", "\U0001f600"], ["", "aa", "e\u0301"], None),
    ("*.sh", [".sh", "/a/b.sh"], ["sh", "a.sh ", "a.sh\n", "a.SH"], None),
    ("a*a", ["aa", "aba"], ["a", "ab", ""], None),
    ("a*b*c", ["abc", "axbxc", "abbcc"], ["acb", "ab", "bc"], None),
    ("*ab*ab*", ["abab", "xabxabx"], ["ab", "aab", "aba"], None),
    ("[ab]", ["a", "b"], ["c", "", "ab", "[ab]"], None),
    ("[a-c]x", ["ax", "bx", "cx"], ["dx", "x", "-x"], None),
    ("[!a-c]", ["d", "!", "\n", "\U0001f600"], ["a", "b", ""], None),
    ("[^a]", ["^", "a"], ["b"], None),
    ("[a-]", ["a", "-"], ["b"], None),
    ("[-a]", ["a", "-"], ["b"], None),
    ("[!-a]", ["b"], ["a", "-"], None),
    ("[!-a-c]", ["d", "!"], ["a", "b", "c", "-"], None),
    ("[]]", ["]"], ["[]]", "["], "]"),
    ("[]a]", ["]", "a"], ["[", "b"], None),
    ("[!]]", ["a", "["], ["]"], None),
    ("[!]", ["[!]"], ["a", "!"], "[!]"),
    ("[", ["["], ["", "[["], "["),
    ("[a", ["[a"], ["a"], "[a"),
    ("[]", ["[]"], ["", "]"], "[]"),
    ("a[", ["a["], ["a"], "a["),
    ("[a*", ["[a", "[ab"], ["a"], None),
    ("[*]", ["*"], ["a", ""], "*"),
    ("[?]", ["?"], ["a"], "?"),
    ("[[]", ["["], ["[[]"], "["),
    ("[!*]", ["a"], ["*"], None),
    ("[z-a]", [], ["a", "z", "-", "", "m"], None),
    ("[!z-a]", ["a", "z", "\n"], [""], None),
    # An empty range goes, and the `!` behind it comes to the front.
    ("[b-a!-z]", ["a", "!", "b"], ["-", "z"], None),
    ("[a-a]", ["a"], ["-", "b"], None),
    ("[a&&b]", ["a", "&", "b"], ["c"], None),
    ("[a||b]", ["a", "|"], ["c"], None),
    ("[\\]", ["\\"], ["[\\]"], "\\"),
    ("\\*", ["\\", "\\a"], ["*", "a"], None),
    ("\\", ["\\"], [""], "\\"),
    ("[\U0001f5ff-\U0001f601]", ["\U0001f600"], ["a", "\U0001f602"], None),
    ("[\u0100-\u0200]", ["\u0150"], ["\xff", "\U00010150", "P"], None),
    ("\U0001f600*", ["\U0001f600", "\U0001f600a"], ["\U0001f601", ""], None),
    ("e\u0301", ["e\u0301"], ["\xe9"], "e\u0301"),
    (".+(a){2}$^", [".+(a){2}$^"], ["aa"], ".+(a){2}$^"),
]


@pytest.mark.parametrize(("pattern", "inside", "outside", "only"), EDGES, ids=[repr(row[0]) for row in EDGES])
def test_edges(pattern: str, inside: list[str], outside: list[str], only: str | None) -> None:
    held = engine([pattern])
    for values, expected in ((inside, True), (outside, False)):
        for value in values:
            assert matching(held, value) == [0] * expected, value
            assert matches(value, pattern) is expected, value
    # A pattern that matches a single text is looked up, not tried. A range of one is a class, and may well be tried.
    if pattern != "[a-a]":
        assert held.stats()["globs"] == (only is None)


# Backtracking, and even a search that restarts at each star, would outlast the machine; pattern times value does not.
HARD = {
    "many stars": ("'*a' * 20 + 'b'", "'a' * 1_000_000", False),
    "many stars, then a match": ("'*a' * 20 + '*'", "'a' * 1_000_000", True),
    "long segments that nearly match": ("('*' + 'a' * 50) * 20", "('a' * 49 + 'b') * 20_000", False),
    "long segments that match": ("('*' + 'a' * 50) * 20", "'a' * 1_000_000", True),
    "the tail decides": ("'*' + 'a' * 500 + '*b'", "'a' * 1_000_000", False),
    "more stars than letters": ("'*' * 100_000 + 'b'", "'a' * 1_000_000", False),
    "question marks": ("'*?' * 500 + 'b'", "'a' * 1_000_000", False),
    "classes": ("'*[!b]' * 30 + 'b'", "'a' * 1_000_000", False),
    "ranges": ("'*[' + 'c-d' * 50 + ']'", "'a' * 1_000_000", False),
    "a long literal": ("'a' * 1_000_000", "'a' * 1_000_000", True),
    "unclosed classes": ("'[' * 100_000", "'[' * 100_000", True),
    "astral": ("'*\\U0001f600' * 20 + 'b'", "'\\U0001f600' * 250_000", False),
}


@pytest.mark.parametrize("name", HARD)
def test_time_is_bounded_by_pattern_times_value(name: str, tmp_path: Path) -> None:
    pattern, value, expected = HARD[name]
    program = f"from globs import engine, matching; print(matching(engine([{pattern}]), {value}))"
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=240, cwd=tmp_path, env=environment
    )
    assert done.stdout == f"{[0] * expected}\n"
