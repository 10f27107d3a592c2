"""Kills that are wider than their author is likely to have meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from spyderresp.analysis.patterns import NotDecidedError
from spyderresp.analysis.values import Values, of_clause, present_example
from spyderresp.findings import listed, quoted
from spyderresp.linting.subject import Remark, Subject
from spyderresp.policy import Clause, Entry, Selector
from spyderresp.vocabulary import STAGES

_FIRST_KILL: Final = STAGES["agentKillProcess"]
_TARGETS: Final = {
    "agentKillPod": "the pod",
    "agentKillProcess": "the process",
    "agentKillProcessGroup": "the process group",
    "agentKillProcessTree": "the process tree",
}


def is_kill(entry: Entry) -> bool:
    """Tell whether an entry's action kills."""
    return STAGES[entry.action] >= _FIRST_KILL


def kills(subject: Subject) -> Iterator[tuple[Entry, str]]:
    """Yield the enabled kills of an enabled policy, and what each kills."""
    if subject.policy.enabled:
        yield from (
            (entry, _TARGETS[entry.action]) for entry in subject.policy.entries if entry.enabled and is_kill(entry)
        )


def default_kills(subject: Subject) -> Iterator[Remark]:
    """A kill under ``default`` fires for every deviation in the policy's scope."""
    for entry, target in kills(subject):
        if entry.section != "default":
            continue
        what = f"{quoted(entry.action)} under `default` kills {target} of every deviation in the policy's scope"
        if subject.policy.mode == "enforce":
            hint = "move it to `actions` with a selector, or set `mode: audit` until its plans are known"
            yield subject.say("SR802", f"{what}, and the policy is in `enforce`", entry.location, help=hint)
        else:
            yield subject.say("SR801", what, entry.location, help="move it to `actions`, with a selector")


def unscoped_kills(subject: Subject) -> Iterator[Remark]:
    """A kill whose selectors let everything through, and a clause of a kill that lets every value through."""
    for entry, target in kills(subject):
        clauses = [(selector, clause) for selector in entry.selectors for clause in selector.clauses]
        idle = [pair for pair in clauses if _takes_all(pair[1])]
        if clauses and len(idle) == len(clauses):
            scopes = listed(dict.fromkeys(selector.scope for selector, _ in clauses))
            message = (
                f"{quoted(entry.action)} kills {target} of every deviation in the policy's scope that has {scopes}: "
                "its selectors let everything through"
            )
            yield subject.say("SR803", message, idle[0][1].location, help="select what is meant by name")
            continue
        for _, clause in idle:
            if clause.operator == "In":
                glob = next(value for value in clause.values if _is_all((value,)))
                message = f"{quoted(glob)} takes every value of {quoted(clause.key)}, in a kill"
                hint = "say which are meant, leave it out, or write `operator: Exists`"
                yield subject.say("SR804", message, clause.location, help=hint)


def _takes_all(clause: Clause) -> bool:
    """Tell whether a clause lets every value through, the empty text perhaps apart."""
    return clause.operator == "Exists" or (clause.operator == "In" and _is_all(clause.values))


def _is_all(globs: tuple[str, ...]) -> bool:
    if not any("*" in glob and not glob.strip("*?") for glob in globs):
        return False
    try:
        return present_example(Values(False, True, none_of=frozenset({*globs, ""}))) is None
    except NotDecidedError:
        return False


def absent_kills(subject: Subject) -> Iterator[Remark]:
    """``NotIn`` in a kill holds where the key is absent, unless another clause asks for the key."""
    for entry, target in kills(subject):
        for selector in entry.selectors:
            for clause in selector.clauses:
                if clause.operator == "NotIn" and not _is_asked_for(clause, selector, subject):
                    message = f"`NotIn` kills {target} where {quoted(clause.key)} is absent, too"
                    hint = f"add `- {{key: {clause.key}, operator: Exists}}` if it must be there"
                    yield subject.say("SR805", message, clause.location, help=hint)


def _is_asked_for(clause: Clause, selector: Selector, subject: Subject) -> bool:
    scoping = (other for other in subject.policy.selectors if other.scope == selector.scope)
    return any(
        other.key == clause.key and not of_clause(other, not_in_takes_absent=True).absent
        for held in (selector, *scoping)
        for other in held.clauses
    )
