"""An explanation as text: every policy and entry, and the clause that decided."""

from __future__ import annotations

from collections.abc import Iterator

from spyderresp.cli.output import Paint, safe
from spyderresp.explain import ClauseReason, EntryReason, Explanation, PolicyReason, SelectorReason, clause_text


def explanation_text(explanation: Explanation, paint: Paint) -> Iterator[str]:
    """Yield the lines: those of policies in scope in full, one line for each of the others."""
    for policy in explanation.policies:
        yield from _policy(policy, paint)


def _policy(policy: PolicyReason, paint: Paint) -> Iterator[str]:
    name = f"{paint('bold', safe(policy.policy))} ({policy.mode})"
    if not policy.in_scope:
        where = policy.deciding.location if policy.deciding is not None else policy.location
        yield f"{paint('dim', '-')} {name}: {safe(f'{policy.reason} ({where})')}"
        return
    yield f"{paint('green', '+')} {name}: {safe(f'{policy.reason} ({policy.location})')}"
    for selector in policy.selectors:
        yield from _selector(selector, None, "    ", paint)
    for entry in policy.entries:
        yield from _entry(entry, paint)


def _entry(entry: EntryReason, paint: Paint) -> Iterator[str]:
    mark = paint("green", "+") if entry.fired else paint("dim", "-")
    # Where there are clauses to show, they say why.
    reason = entry.reason if not entry.selectors else "fired" if entry.fired else "did not fire"
    yield f"  {mark} {entry.section}[{entry.index}] {entry.action}: {safe(f'{reason} ({entry.location})')}"
    for selector in entry.selectors:
        yield from _selector(selector, entry.deciding, "      ", paint)


def _selector(selector: SelectorReason, deciding: ClauseReason | None, indent: str, paint: Paint) -> Iterator[str]:
    if selector.status == "absent":
        said = f"the event has no such object ({selector.location})"
        yield f"{indent}{_verdict(False, paint)} {selector.selector}: {safe(said)}"
    elif selector.status == "excused":
        said = "the event has none, and by its attribution the detector has checked it"
        yield f"{indent}{_verdict(True, paint)} {selector.selector}: {said}"
    for clause in selector.clauses:
        where = "" if clause.holds else f" ({'decides: ' if clause is deciding else ''}{clause.location})"
        yield f"{indent}{_verdict(clause.holds, paint)} {safe(f'{selector.selector}: {clause_text(clause)}{where}')}"


def _verdict(holds: bool, paint: Paint) -> str:
    return paint("green", "yes") if holds else paint("yellow", "NO ")
