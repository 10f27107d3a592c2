"""Checks the plan of one event of a test against the expectation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from spyderresp.authoring.testing.expectations import ActionPair, differences, paired, same
from spyderresp.authoring.testing.report import Layout, Problem, Reason, Result
from spyderresp.authoring.testing.suite import CaseEvent, Expectation, ExpectedAction, ExpectedError
from spyderresp.decision import ActionPlan
from spyderresp.decision.engine import Engine
from spyderresp.decision.explain import Explanation
from spyderresp.errors import EventError, Location
from spyderresp.policies.diagnostics import listed, quoted, suggestion
from spyderresp.policies.policy_set import PolicySet
from spyderresp.policies.vocabulary import ACTIONS, FLAG_TEXTS

# Names in expectations. A test that names a policy or entry that does not exist would pass for the wrong reason.


def missing_names(expect: Expectation, policies: PolicySet) -> tuple[Problem, ...]:
    """Return the names in an expectation that do not exist in the policies.

    An action that no policy has is no problem: a test may check that it is not planned.
    """
    problems: list[Problem] = []
    for item in (*(expect.actions or ()), *expect.none_of):
        problems += _action(item, policies)
    for name in expect.policies or ():
        problems += _policy(name.name, name.location, policies)
    return tuple(problems)


def _action(item: ExpectedAction, policies: PolicySet) -> Iterator[Problem]:
    action = item.fields.get("action")
    if action is not None and action not in ACTIONS:
        yield Problem("name", f"there is no action {quoted(action)}; {suggestion(action, ACTIONS)}", item.location)
        return
    for source in (item.fields, *item.fields.get("sources", ())):
        yield from _source_problems(source, action, item.location, policies)


def _source_problems(
    source: Mapping[str, Any], action: str | None, where: Location, policies: PolicySet
) -> Iterator[Problem]:
    name, uid, section, index = (source.get(key) for key in ("policy", "uid", "section", "index"))
    named = [policy for policy in policies if name is None or policy.name == name]
    if not named:
        yield from _policy(str(name), where, policies)
        return
    uids = [policy.uid for policy in named if policy.uid is not None]
    if uid is not None and uid not in uids:
        hint = suggestion(uid, uids) if uids else "none has a uid"
        yield Problem("name", f"no policy here has the uid {quoted(uid)}; {hint}", where)
        return
    entries = [
        entry
        for policy in named
        if uid is None or policy.uid == uid
        for entry in policy.entries
        if (section is None or entry.section == section) and (index is None or entry.index == index)
    ]
    if index is not None or section is not None:
        entry_name = f"{section or 'entry '}[{index}]" if index is not None else f"`{section}`"
        of = f"policy {quoted(name)}" if name is not None else "any policy here"
        if not entries:
            yield Problem("name", f"there is no {entry_name} in {of}", where)
        elif index is not None and action is not None and action not in (entry.action for entry in entries):
            actions = listed(dict.fromkeys(entry.action for entry in entries))
            yield Problem("name", f"{entry_name} in {of} is {actions}, not `{action}`", where)


def _policy(name: str, where: Location, policies: PolicySet) -> Iterator[Problem]:
    names = list(dict.fromkeys(policy.name for policy in policies))
    if name not in names:
        hint = suggestion(name, names) if names else "there is none"
        yield Problem("name", f"there is no policy {quoted(name)} here; {hint}", where)


def unexpected_attribution(
    event: CaseEvent, plan: ActionPlan, expect: Expectation, policies: PolicySet
) -> Iterator[Problem]:
    """Yield a problem if the event names an unknown or disabled policy, and the test does not expect that."""
    if plan.attribution is None or plan.attribution[2] == "matched" or "attribution" in expect.rest:
        return
    key, value, outcome = plan.attribution
    values = [policy.uid if key == "policy_uid" else policy.name for policy in policies]
    if outcome == "unknown":
        valid = [other for other in values if other is not None]
        reason = f"no policy here has it; {suggestion(value, valid) if valid else 'no policy has one'}"
    else:
        reason = "every policy that has it is disabled"
    hint = f"expect `attribution: {outcome}` if this is intended"
    message = f"the event names {key} {quoted(value)}, and {reason} ({hint})"
    yield Problem("name", message, expect.location, event)


# The most entries for which a problem explains why they did not fire.
_MAX_REASONS: Final = 3


def check(event: CaseEvent, expect: Expectation, engine: Engine) -> tuple[Problem, ...]:
    """Return the problems: everything that is not as expected for an event."""
    try:
        if event.error is not None:
            raise event.error
        plan = engine.evaluate(event.event)
    except EventError as error:
        return tuple(_check_error(error, event, expect))
    if expect.error is not None:
        message = f"an error {_description(expect.error)}was expected, and the event was decided"
        return (Problem("error", message, expect.error.location, event, got=plan.to_dict()),)
    return tuple(_check_plan(plan, event, expect, engine))


def _check_error(error: EventError, event: CaseEvent, expect: Expectation) -> Iterator[Problem]:
    expected = expect.error
    where = expect.location if expected is None else expected.location
    got = {"path": error.path, "reason": error.reason}
    if expected is None:
        yield Problem("error", f"the event cannot be decided: {error}", where, event, got=got)
    elif (expected.path is not None and expected.path != error.path) or (expected.reason or "") not in error.reason:
        message = f"an error {_description(expected)}was expected, and the error is: {error}"
        wanted = {"path": expected.path, "reason": expected.reason}
        yield Problem("error", message, where, event, expected=wanted, got=got)


def _description(error: ExpectedError) -> str:
    path = "" if error.path is None else f"at {quoted(error.path)} " if error.path else "about the event itself "
    return path + (f"with the reason {quoted(error.reason)} " if error.reason else "")


def _check_plan(plan: ActionPlan, event: CaseEvent, expect: Expectation, engine: Engine) -> Iterator[Problem]:
    yield from unexpected_attribution(event, plan, expect, engine.policies)
    actual = plan.to_dict()
    actions = actual["actions"]
    if expect.policies is not None:
        names = [name.name for name in expect.policies]
        if names != actual["policies"]:
            message = f"in scope are {_names(actual['policies'])}, not {_names(names)}"
            yield Problem("policies", message, expect.location, event, expected=names, got=actual["policies"])
    for key, value in expect.rest.items():
        got = actual.get(key)
        if not (same(value, got) if key != "attribution" else _same_attribution(value, got)):
            yield Problem("plan", f"`{key}` is not as expected", expect.location, event, expected=value, got=got)
    if expect.actions is not None:
        pairs = paired(expect.how, expect.actions, actions)
        more_allowed = expect.how == "contains"
        if any(not pair.agrees and not (more_allowed and pair.expected is None) for pair in pairs):
            explanation = engine.explain(event.event)
            reasons = {
                pair.expected: tuple(reasons_not_fired(expect.actions[pair.expected], explanation))
                for pair in pairs
                if pair.got is None and pair.expected is not None
            }
            layout = Layout(expect.how, expect.actions, plan, tuple(pairs), reasons)
            yield Problem("actions", _counts(pairs, more_allowed=more_allowed), expect.location, event, layout)
    for item in expect.none_of:
        for index, action in enumerate(actions):
            if not differences(item, action):
                message = f"`{action['action']}` must not be planned, and is planned"
                data = {"place": index, **action}
                yield Problem("none_of", message, item.location, event, expected=dict(item.fields), got=data)


def _counts(pairs: list[ActionPair], *, more_allowed: bool) -> str:
    """Return the number of actions that are as expected, and of the others."""
    expected = [pair for pair in pairs if pair.expected is not None]
    counts = {
        "as expected": sum(pair.agrees for pair in expected),
        "not": sum(not pair.agrees and pair.got is not None for pair in expected),
        "missing": sum(pair.got is None for pair in expected),
        "more than expected": 0 if more_allowed else len(pairs) - len(expected),
    }
    text = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f"{len(expected)} action{'' if len(expected) == 1 else 's'} expected: {text}"


def _same_attribution(wanted: Any, actual: Mapping[str, Any] | None) -> bool:
    """Return whether an attribution is as expected; the test may give its outcome only."""
    if actual is None or not isinstance(wanted, dict):
        return wanted is None and actual is None
    return same(wanted, actual if len(wanted) > 1 else {"outcome": actual["outcome"]})


def _names(names: list[str]) -> str:
    return listed(names) if names else "none"


def reasons_not_fired(item: ExpectedAction, explanation: Explanation) -> Iterator[Reason]:
    """Yield why the entries that could plan an expected action did not fire; policies in scope come first."""
    fields = item.fields
    reasons = []
    for policy in explanation.policies:
        for entry in policy.entries:
            fits = (
                not entry.fired
                and fields.get("action") in (None, entry.action)
                and fields.get("policy") in (None, policy.policy)
                and fields.get("section") in (None, entry.section)
                and fields.get("index") in (None, entry.index)
            )
            if fits:
                deciding = entry.deciding if policy.in_scope else policy.deciding
                where = deciding.location if deciding is not None else entry.location
                name = f"{policy.policy}, {entry.section}[{entry.index}]"
                text = entry.reason if policy.in_scope else f"the policy is {policy.reason}"
                if not policy.in_scope and not policy.reason.startswith("out of scope"):
                    text = policy.reason
                reasons.append((policy.in_scope, Reason(name, text, where)))
    reasons.sort(key=lambda pair: not pair[0])
    yield from (reason for _, reason in reasons[:_MAX_REASONS])


# Problems as lines for people: plain text, without colours and escapes.

#: ``problem``: a problem; ``expected``: an expected action that is missing; ``got``: an action that is not expected;
#: ``differs``: an action with differences; ``same``: an action as expected; ``detail``: more about the line before;
#: ``event``: the event of the next problem.
Kind = Literal["problem", "expected", "got", "differs", "same", "detail", "event"]
_LONGEST_EVENT: Final = 400


class Line(NamedTuple):
    """A line with its indentation."""

    kind: Kind
    text: str


def lines_of(result: Result) -> Iterator[Line]:
    """Yield the problems of a test as lines, with each event once."""
    shown: CaseEvent | None = None
    for problem in result.problems:
        event = problem.event
        if event is not None and event is not shown:
            shown = event
            text = event_text(event)
            if text:
                yield Line("event", f"  event {event.label + ' ' if event.label else ''}{text}")
        yield Line("problem", f"  {problem.message} ({problem.location})")
        yield from _more(problem)


def event_text(event: CaseEvent) -> str:
    """Return an event as JSON, cut to a readable length; an empty text if it cannot be shown."""
    if event.event is None:
        return ""
    try:
        text = json.dumps(event.event, ensure_ascii=False)
    except (RecursionError, TypeError):
        return ""
    return text if len(text) <= _LONGEST_EVENT else f"{text[:_LONGEST_EVENT]}..."


def _more(problem: Problem) -> Iterator[Line]:
    if problem.layout is not None:
        for pair in problem.layout.pairs:
            yield from _pair(problem.layout, pair)
    elif problem.kind == "none_of":
        for source in problem.got["sources"]:
            yield Line("detail", f"        planned by {_source_text(source)}")
    elif problem.kind == "plan":
        yield Line("expected", f"    - expected {json.dumps(problem.expected)}")
        yield Line("got", f"    + got      {json.dumps(problem.got)}")


def _pair(layout: Layout, pair: ActionPair) -> Iterator[Line]:
    if pair.got is None and pair.expected is not None:
        text = _expected_text(layout.expected[pair.expected].fields)
        yield Line("expected", f"    - {text}  <- expected, not planned")
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
            for item in pair.differences:
                expected, got = _value(item.path, item.expected), _value(item.path, item.got)
                yield Line("detail", f"        {item.path}: expected {expected}, got {got}")
        for source in action.sources:
            entry = f"{source.policy}, {source.section}[{source.index}]"
            yield Line("detail", f"        planned by {entry} ({source.location})")


def _reasons(layout: Layout, index: int) -> Iterator[Line]:
    reasons = layout.reasons.get(index, ())
    for reason in reasons:
        yield Line("detail", f"        {reason.entry} {reason.text} ({reason.location})")
    if not reasons and "action" in layout.expected[index].fields:
        yield Line("detail", "        no other entry of these policies plans such an action")


def _value(path: str, value: Any) -> str:
    if value is None:
        return "none"
    if path in ("source", "sources"):
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


def _expected_text(fields: Mapping[str, Any]) -> str:
    name, parameters = fields.get("action") or "any action", fields.get("parameters", {})
    head = _described(name, parameters, fields.get("disposition") or "")
    rest = {key: fields[key] for key in ("policy", "section", "index", "uid") if fields.get(key) is not None}
    return f"{head} by {_source_text(rest)}" if rest else head
