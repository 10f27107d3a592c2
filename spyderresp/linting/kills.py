"""Kills that are wider than their author is likely to have meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from operator import and_
from typing import Final

from spyderresp.analysis.patterns import NotDecidedError
from spyderresp.analysis.values import Values, of_clause, present_example
from spyderresp.findings import listed, quoted
from spyderresp.linting.subject import Remark, Subject
from spyderresp.policy import Clause, Entry, Selector
from spyderresp.vocabulary import STAGES

_FIRST_KILL: Final = STAGES["agentKillProcess"]
#: What every value of a field looks like: an exe is a resolved path, and a cgroup has this prefix.
_POSSIBLE: Final = {("process", "exe"): "/*", ("service", "cgroup"): "systemd:*"}
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
        open_ = [(selector, clause) for selector, clause in clauses if _takes_all(selector.scope, clause)]
        again = [pair for pair in clauses if pair not in open_ and _is_scope(*pair, subject)]
        if clauses and len(open_) + len(again) == len(clauses):
            scopes = listed(dict.fromkeys(selector.scope for selector, _ in clauses))
            why = "ask for no more than the policy's own" if again else "let everything through"
            message = (
                f"{quoted(entry.action)} kills {target} of every deviation in the policy's scope that has {scopes}: "
                f"its selectors {why}"
            )
            yield subject.say("SR803", message, clauses[0][1].location, help="select what is meant by name")
            continue
        for selector, clause in open_:
            if clause.operator == "In":
                message = f"{_open_glob(selector.scope, clause)} every value of {quoted(clause.key)}, in a kill"
                hint = "say which are meant, leave it out, or write `operator: Exists`"
                yield subject.say("SR804", message, clause.location, help=hint)


def _takes_all(scope: str, clause: Clause) -> bool:
    """Tell whether a clause lets every value through, the empty text perhaps apart."""
    return clause.operator == "Exists" or (clause.operator == "In" and _is_all(scope, clause.key, clause.values))


def _is_all(scope: str, key: str, globs: Iterable[str]) -> bool:
    if not any("*" in glob for glob in globs):
        return False
    possible = _POSSIBLE.get((scope, key))
    any_of = frozenset({frozenset({possible})} if possible else ())
    try:
        return present_example(Values(False, True, any_of, frozenset({*globs, ""}))) is None
    except NotDecidedError:
        return False


def _open_glob(scope: str, clause: Clause) -> str:
    alone = next((glob for glob in clause.values if _is_all(scope, clause.key, (glob,))), None)
    return f"{quoted(alone)} takes" if alone is not None else f"{listed(clause.values)} together take"


def _is_scope(selector: Selector, clause: Clause, subject: Subject) -> bool:
    """Tell whether a clause lets through whatever the policy's own clauses on the same key do."""
    own = [
        of_clause(other, not_in_takes_absent=True)
        for held in subject.policy.selectors
        if held.scope == selector.scope
        for other in held.clauses
        if other.key == clause.key
    ]
    if not own:
        return False
    scope = reduce(and_, own)
    try:
        left = scope.minus(of_clause(clause, not_in_takes_absent=True))
        return not scope.empty and all(part.empty for part in left)
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
