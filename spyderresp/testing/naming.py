"""Whether what a test names is there: a test about a policy that nobody has would pass or fail for no reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spyderresp.decision._plan import ActionPlan
from spyderresp.errors import Location
from spyderresp.findings import listed, quoted, suggestion
from spyderresp.policy import PolicySet
from spyderresp.testing.model import Expectation, ExpectedAction, Given
from spyderresp.testing.report import Problem
from spyderresp.vocabulary import ACTIONS


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
        yield from _source(source, action, item.location, policies)


def _source(source: Mapping[str, Any], action: str | None, where: Location, policies: PolicySet) -> Iterator[Problem]:
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


def attributed_to_nobody(given: Given, plan: ActionPlan, expect: Expectation, policies: PolicySet) -> Iterator[Problem]:
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
