"""Applies fixes to texts: those that do not overlap at once, again and again until none is left.

After each round the text is read again. It must be readable, and its policies must have the same meaning as before.
tests/linting/test_fixing.py checks this for every policy of the corpus.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from spyderresp.authoring.lint import lint
from spyderresp.authoring.lint.rules import reads_on
from spyderresp.errors import Diagnostic
from spyderresp.policies import Entry, Policy, digest
from spyderresp.policies.loader import Reading, read_text
from spyderresp.policies.vocabulary import FLAG_TEXTS

_ROUNDS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Fixed:
    """A text after fixing.

    Attributes:
        text: the fixed text.
        applied: the findings that were fixed, in the order of fixing.
    """

    text: str
    applied: tuple[Diagnostic, ...]


def fix_text(path: str, text: str, *, unsafe: bool = False) -> Fixed:
    """Fix the findings about a text.

    Args:
        path: the name of the text in messages.
        text: the text.
        unsafe: whether to apply fixes that change the texts of flags. No fix changes targets or other actions.
    """
    applied: list[Diagnostic] = []
    rejected: set[tuple[str, str]] = set()
    reading = read_text(text, path=path)
    for _ in range(_ROUNDS):
        chosen = [item for item in _candidates(reading, unsafe=unsafe) if _key(item) not in rejected]
        chosen = _separate(chosen, text)
        if not chosen:
            break
        # In most cases all can be applied at once. Otherwise try half of them, until the wrong one is alone.
        while (after := _checked(reading, text, chosen, path)) is None and len(chosen) > 1:
            chosen = chosen[: len(chosen) // 2]
        if after is None:
            rejected.add(_key(chosen[0]))
            continue
        text, reading = after
        applied += chosen
    return Fixed(text, tuple(applied))


def _key(item: Diagnostic) -> tuple[str, str]:
    # Without the line, because earlier fixes may move it.
    return item.code, f"{item.message}{item.source_line}{item.source_column}"


def _candidates(reading: Reading, *, unsafe: bool) -> list[Diagnostic]:
    fixable = [item for item in lint(reading) if item.fix is not None and (item.fix.safe or unsafe)]
    if reading.findings.errors:
        # Other fixes could not be checked, because the meaning of the policies is not known.
        return [item for item in fixable if item.level == "error"]
    return fixable


def _separate(items: Iterable[Diagnostic], text: str) -> list[Diagnostic]:
    """Return findings whose fixes change different lines."""
    spans: list[tuple[int, int, int, Diagnostic]] = []
    for item in items:
        edits = item.fix.edits if item.fix is not None else ()
        last = text.find("\n", edits[-1].end)
        # Sorted so that a span comes before the spans that it contains.
        first = text.rfind("\n", 0, edits[0].start) + 1
        spans.append((first, -(last if last >= 0 else len(text)), len(spans), item))
    chosen: list[Diagnostic] = []
    end = -1
    for first, last, _, item in sorted(spans, key=lambda span: span[:3]):
        if first > end:
            chosen.append(item)
            end = -last
    return chosen


def _edited(text: str, items: Iterable[Diagnostic]) -> str:
    edits = sorted(edit for item in items if item.fix is not None for edit in item.fix.edits)
    pieces, at = [], 0
    for edit in edits:
        pieces += [text[at : edit.start], edit.text]
        at = edit.end
    return "".join([*pieces, text[at:]])


def _checked(reading: Reading, text: str, items: list[Diagnostic], path: str) -> tuple[str, Reading] | None:
    """Return the text after these fixes, and what is read from it; None if its meaning has changed."""
    edited = _edited(text, items)
    after = read_text(edited, path=path)
    if reading.findings.errors:
        return (edited, after) if all(reads_on(item, after) for item in items) else None
    same = not after.findings.errors and len(after.policies) == len(reading.policies)
    safe = all(item.fix is not None and item.fix.safe for item in items)
    if not same or _meaning(reading, safe=safe) != _meaning(after, safe=safe):
        return None
    return edited, after


def _meaning(reading: Reading, *, safe: bool) -> str:
    policies = reading.policies
    return digest(policies if safe else tuple(_without_texts(policy) for policy in policies))


def _without_texts(policy: Policy) -> Policy:
    """Return the policy with normalised white space in the texts of flags."""
    entries = tuple(
        Entry(
            entry.action,
            tuple(
                (key, " ".join(value.split()) if key in FLAG_TEXTS and isinstance(value, str) else value)
                for key, value in entry.parameters
            ),
            entry.selectors,
            entry.enabled,
            entry.section,
            entry.index,
            entry.location,
        )
        for entry in policy.entries
    )
    return Policy(
        policy.name,
        policy.uid,
        policy.type,
        policy.enabled,
        policy.mode,
        policy.selectors,
        entries,
        policy.metadata,
        policy.location,
    )
