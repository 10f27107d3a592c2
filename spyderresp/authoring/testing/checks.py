"""One event of a test against what is expected of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from spyderresp.authoring.testing.expectations import ActionPair, Difference, differences, laid_out, same
from spyderresp.authoring.testing.report import Layout, Problem, Reason, Result
from spyderresp.authoring.testing.suite import CaseEvent, Expectation, ExpectedAction, ExpectedError
from spyderresp.decision import ActionPlan
from spyderresp.decision.engine import Engine
from spyderresp.decision.explain import Explanation
from spyderresp.errors import EventError, Location
from spyderresp.policies.diagnostics import listed, quoted, suggestion
from spyderresp.policies.policy_set import PolicySet
from spyderresp.policies.vocabulary import ACTIONS, FLAG_TEXTS

# Whether what a test names is there: a test about a policy that nobody has would pass or fail for no reason.


def missing_names(expect: Expectation, policies: PolicySet) -> tuple[Problem, ...]:
    """Return what an expectation names and the policies do not have.

    An action that no policy has may well be expected to be absent: that holds what nobody is to add.
    """
    found: list[Problem] = []
    for item in (*(expect.actions or ()), *expect.none_of):
        found += _action(item, policies)
    for name in expect.policies or ():
        found += _policy(name.name, name.location, policies)
    return tuple(found)


def _action(item: ExpectedAction, policies: PolicySet) -> Iterator[Problem]:
    said = item.said
    action = said.get("action")
    if action is not None and action not in ACTIONS:
        yield Problem("name", f"there is no action {quoted(action)}; {suggestion(action, ACTIONS)}", item.location)
        return
    for source in (said, *said.get("sources", ())):
        yield from _source_problems(source, action, item.location, policies)


def _source_problems(
    source: Mapping[str, Any], action: str | None, where: Location, policies: PolicySet
) -> Iterator[Problem]:
    name, uid, section, index = (source.get(key) for key in ("policy", "uid", "section", "index"))
    bearers = [policy for policy in policies if name is None or policy.name == name]
    if not bearers:
        yield from _policy(str(name), where, policies)
        return
    uids = [policy.uid for policy in bearers if policy.uid is not None]
    if uid is not None and uid not in uids:
        hint = suggestion(uid, uids) if uids else "none has a uid"
        yield Problem("name", f"no policy here has the uid {quoted(uid)}; {hint}", where)
        return
    entries = [
        entry
        for policy in bearers
        if uid is None or policy.uid == uid
        for entry in policy.entries
        if (section is None or entry.section == section) and (index is None or entry.index == index)
    ]
    if index is not None or section is not None:
        place = f"{section or 'entry '}[{index}]" if index is not None else f"`{section}`"
        of = f"policy {quoted(name)}" if name is not None else "any policy here"
        if not entries:
            yield Problem("name", f"there is no {place} in {of}", where)
        elif index is not None and action is not None and action not in (entry.action for entry in entries):
            held = listed(dict.fromkeys(entry.action for entry in entries))
            yield Problem("name", f"{place} in {of} is {held}, not `{action}`", where)


def _policy(name: str, where: Location, policies: PolicySet) -> Iterator[Problem]:
    names = list(dict.fromkeys(policy.name for policy in policies))
    if name not in names:
        hint = suggestion(name, names) if names else "there is none"
        yield Problem("name", f"there is no policy {quoted(name)} here; {hint}", where)


def attributed_to_nobody(
    given: CaseEvent, plan: ActionPlan, expect: Expectation, policies: PolicySet
) -> Iterator[Problem]:
    """Yield what is wrong where an event names a policy that does not decide, and the test does not say so."""
    if plan.attribution is None or plan.attribution[2] == "matched" or "attribution" in expect.rest:
        return
    key, value, outcome = plan.attribution
    bearers = [policy.uid if key == "policy_uid" else policy.name for policy in policies]
    if outcome == "unknown":
        valid = [bearer for bearer in bearers if bearer is not None]
        why = f"no policy here has it; {suggestion(value, valid) if valid else 'none has any'}"
    else:
        why = "every policy that has it is disabled"
    message = f"the event names {key} {quoted(value)}, and {why} (`attribution: {outcome}` says that this is meant)"
    yield Problem("name", message, expect.location, given)


#: Entries of which it is said why they did not fire.
_MOST_REASONS: Final = 3


def check(given: CaseEvent, expect: Expectation, engine: Engine) -> tuple[Problem, ...]:
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


def _refused(error: EventError, given: CaseEvent, expect: Expectation) -> Iterator[Problem]:
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


def _planned(plan: ActionPlan, given: CaseEvent, expect: Expectation, engine: Engine) -> Iterator[Problem]:
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


def _counted(pairs: list[ActionPair], *, more: bool) -> str:
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


# What is not as expected, as lines for people: plain text, neither coloured nor escaped.

#: ``problem``: what is wrong; ``expected``, ``got``: only one of both; ``differs``: both, and not alike; ``same``:
#: as expected; ``detail``: more about the line before; ``event``: what it is about.
Kind = Literal["problem", "expected", "got", "differs", "same", "detail", "event"]
_LONGEST_EVENT: Final = 400


class Line(NamedTuple):
    """A line, with its mark and indentation."""

    kind: Kind
    text: str


def lines_of(result: Result) -> Iterator[Line]:
    """Yield what is not as expected of a test, each event said once."""
    said: CaseEvent | None = None
    for problem in result.problems:
        if problem.given is not None and problem.given is not said:
            said = problem.given
            text = event_text(said)
            if text:
                yield Line("event", f"  event {said.label + ' ' if said.label else ''}{text}")
        yield Line("problem", f"  {problem.message} ({problem.location})")
        yield from _more(problem)


def event_text(given: CaseEvent) -> str:
    """Return an event as JSON, cut to a readable length; an empty text where there is none."""
    if given.event is None:
        return ""
    try:
        text = json.dumps(given.event, ensure_ascii=False)
    except (RecursionError, TypeError):
        return ""
    return text if len(text) <= _LONGEST_EVENT else f"{text[:_LONGEST_EVENT]}..."


def _more(problem: Problem) -> Iterator[Line]:
    if problem.layout is not None:
        for pair in problem.layout.pairs:
            yield from _pair(problem.layout, pair)
    elif problem.kind == "none_of":
        for source in problem.got["sources"]:
            yield Line("detail", f"        asked for by {_source_text(source)}")
    elif problem.kind == "plan":
        yield Line("expected", f"    - expected {json.dumps(problem.expected)}")
        yield Line("got", f"    + got      {json.dumps(problem.got)}")


def _pair(layout: Layout, pair: ActionPair) -> Iterator[Line]:
    if pair.got is None and pair.expected is not None:
        said = _said(layout.expected[pair.expected].said)
        yield Line("expected", f"    - {said}  <- expected, not planned")
        yield from _reasons(layout, pair.expected)
    elif pair.got is not None:
        action = layout.plan[pair.got]
        text = _described(action.name, action.parameters, action.disposition)
        if pair.agrees or (pair.expected is None and layout.how == "contains"):
            yield Line("same", f"      {text}")
            return
        if pair.expected is None:
            yield Line("got", f"    + {text}  <- not expected")
        else:
            yield Line("differs", f"    ! {text}  <- not as expected")
            for found in pair.differences:
                yield Line(
                    "detail", f"        {found.path}: expected {_value(found, False)}, got {_value(found, True)}"
                )
        for source in action.sources:
            place = f"{source.policy}, {source.section}[{source.index}]"
            yield Line("detail", f"        asked for by {place} ({source.location})")


def _reasons(layout: Layout, place: int) -> Iterator[Line]:
    reasons = layout.reasons.get(place, ())
    for reason in reasons:
        yield Line("detail", f"        {reason.entry} {reason.text} ({reason.location})")
    if not reasons and "action" in layout.expected[place].said:
        yield Line("detail", "        no further entry of these policies asks for such an action")


def _value(found: Difference, got: bool) -> str:
    value = found.got if got else found.expected
    if value is None:
        return "none"
    if found.path in ("source", "sources"):
        return "; ".join(map(_source_text, value if isinstance(value, list) else [value])) or "none"
    return f"`{value}`"


def _source_text(source: Mapping[str, Any]) -> str:
    if {"policy", "section", "index"} <= set(source):
        uid = f" ({source['uid']})" if source.get("uid") is not None else ""
        return f"{source['policy']}{uid}, {source['section']}[{source['index']}]"
    return ", ".join(f"{key} `{value}`" for key, value in source.items())


def _described(name: str, parameters: Mapping[str, Any], disposition: str) -> str:
    short = "".join(f" {key}={value}" for key, value in parameters.items() if key not in FLAG_TEXTS)
    return f"{disposition + ' ' if disposition else ''}{name}{short}"


def _said(said: Mapping[str, Any]) -> str:
    name, parameters = said.get("action") or "any action", said.get("parameters", {})
    head = _described(name, parameters, said.get("disposition") or "")
    rest = {key: said[key] for key in ("policy", "section", "index", "uid") if said.get(key) is not None}
    return f"{head} by {_source_text(rest)}" if rest else head
