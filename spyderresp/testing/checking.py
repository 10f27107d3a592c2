"""One event of a test against what is expected of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from spyderresp.decision._plan import ActionPlan
from spyderresp.engine import Engine
from spyderresp.errors import EventError
from spyderresp.explain import Explanation
from spyderresp.findings import listed, quoted
from spyderresp.testing.matching import Pair, differences, laid_out, same
from spyderresp.testing.model import Expectation, ExpectedAction, ExpectedError, Given
from spyderresp.testing.naming import attributed_to_nobody
from spyderresp.testing.report import Layout, Problem, Reason

#: Entries of which it is said why they did not fire.
_MOST_REASONS: Final = 3


def check(given: Given, expect: Expectation, engine: Engine) -> tuple[Problem, ...]:
    """Return what is not as expected."""
    try:
        if given.error is not None:
            raise given.error
        plan = engine.evaluate(given.event)
    except EventError as error:
        return tuple(_refused(error, given, expect))
    if expect.error is not None:
        message = f"an error {_wanted(expect.error)}was expected, and the event was decided"
        return (Problem("error", message, expect.error.location, given, got=plan.to_dict()),)
    return tuple(_planned(plan, given, expect, engine))


def _refused(error: EventError, given: Given, expect: Expectation) -> Iterator[Problem]:
    wanted = expect.error
    where = expect.location if wanted is None else wanted.location
    said = {"path": error.path, "reason": error.reason}
    if wanted is None:
        yield Problem("error", f"the event cannot be decided: {error}", where, given, got=said)
    elif (wanted.path is not None and wanted.path != error.path) or (wanted.reason or "") not in error.reason:
        message = f"an error {_wanted(wanted)}was expected, and it is: {error}"
        asked = {"path": wanted.path, "reason": wanted.reason}
        yield Problem("error", message, where, given, expected=asked, got=said)


def _wanted(error: ExpectedError) -> str:
    path = "" if error.path is None else f"at {quoted(error.path)} " if error.path else "about the event itself "
    return path + (f"that says {quoted(error.reason)} " if error.reason else "")


def _planned(plan: ActionPlan, given: Given, expect: Expectation, engine: Engine) -> Iterator[Problem]:
    yield from attributed_to_nobody(given, plan, expect, engine.policies)
    said = plan.to_dict()
    actions = said["actions"]
    if expect.policies is not None:
        wanted = [name.name for name in expect.policies]
        if wanted != said["policies"]:
            message = f"in scope are {_names(said['policies'])}, not {_names(wanted)}"
            yield Problem("policies", message, expect.location, given, expected=wanted, got=said["policies"])
    for key, value in expect.rest.items():
        held = said.get(key)
        if not (same(value, held) if key != "attribution" else _attributed(value, held)):
            yield Problem("plan", f"`{key}` is not as expected", expect.location, given, expected=value, got=held)
    if expect.actions is not None:
        pairs = laid_out(expect.how, expect.actions, actions)
        more = expect.how == "contains"
        wanting = [pair for pair in pairs if not pair.agrees and not (more and pair.expected is None)]
        if wanting:
            reasons: dict[int, tuple[Reason, ...]] = {}
            explanation = engine.explain(given.event)
            for place in (pair.expected for pair in pairs if pair.got is None):
                if place is not None:
                    reasons[place] = tuple(why_not(expect.actions[place], explanation))
            layout = Layout(expect.how, expect.actions, plan, tuple(pairs), reasons)
            message = _counted(pairs, more=more)
            yield Problem("actions", message, expect.location, given, layout)
    for item in expect.none_of:
        for place, action in enumerate(actions):
            if not differences(item, action):
                message = f"`{action['action']}` is planned, and was not to be"
                got = {"place": place, **action}
                yield Problem("none_of", message, item.location, given, expected=dict(item.said), got=got)


def _counted(pairs: list[Pair], *, more: bool) -> str:
    """Return how many actions are as expected, and how many are not."""
    expected = [pair for pair in pairs if pair.expected is not None]
    counts = {
        "as expected": sum(pair.agrees for pair in expected),
        "not": sum(not pair.agrees and pair.got is not None for pair in expected),
        "missing": sum(pair.got is None for pair in expected),
        "more than expected": 0 if more else len(pairs) - len(expected),
    }
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f"{len(expected)} action{'' if len(expected) == 1 else 's'} expected: {said}"


def _attributed(wanted: Any, held: Mapping[str, Any] | None) -> bool:
    """Compare an attribution; its outcome alone may be said."""
    if held is None or not isinstance(wanted, dict):
        return wanted is None and held is None
    return same(wanted, held if len(wanted) > 1 else {"outcome": held["outcome"]})


def _names(names: list[str]) -> str:
    return listed(names) if names else "none"


def why_not(item: ExpectedAction, explanation: Explanation) -> Iterator[Reason]:
    """Yield why entries that might have given the expected action did not, those first that came furthest."""
    said = item.said
    found = []
    for policy in explanation.policies:
        for entry in policy.entries:
            fits = (
                not entry.fired
                and said.get("action") in (None, entry.action)
                and said.get("policy") in (None, policy.policy)
                and said.get("section") in (None, entry.section)
                and said.get("index") in (None, entry.index)
            )
            if fits:
                deciding = entry.deciding if policy.in_scope else policy.deciding
                where = deciding.location if deciding is not None else entry.location
                name = f"{policy.policy}, {entry.section}[{entry.index}]"
                text = entry.reason if policy.in_scope else f"the policy is {policy.reason}"
                if not policy.in_scope and not policy.reason.startswith("out of scope"):
                    text = policy.reason
                found.append((policy.in_scope, Reason(name, text, where)))
    found.sort(key=lambda pair: not pair[0])
    yield from (reason for _, reason in found[:_MOST_REASONS])
