"""The executable specification: what a policy set means for one event, as a linear scan.

Written from the normative semantics (docs/POLICY.md), section by section, for reading and not for speed. It is the
oracle of the tests and of ``certify``, and never a fallback: nothing on the way to a plan imports it. It shares no
code with the index or with the plan builder, so that neither can be wrong in both places.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from spyderresp.errors import EventError
from spyderresp.policies.policy_set import Clause, Entry, Policy, Selector

NAME_LABEL = "kubernetes.io/metadata.name"
STAGES = (
    {"makeRedFlag", "makeOpsFlag"},
    {"agentReniceProcess"},
    {"agentKillProcess", "agentKillProcessGroup", "agentKillProcessTree"},
    {"agentKillPod"},
)
SCOPES = ("cluster", "machine", "namespace", "pod", "container", "service", "process")


class Options(NamedTuple):
    """The engine's options, under the same names."""

    defaults: Literal["always", "unless-overridden"] = "always"
    not_in: Literal["kubernetes", "documented"] = "kubernetes"
    mode: Literal["audit"] | None = None


DEFAULT = Options()


class Fired(NamedTuple):
    """One entry that fired: the policy's place in the set, the policy, the entry, and whether it is set aside."""

    order: int
    policy: Policy
    entry: Entry
    set_aside: bool


def evaluate(policies: Iterable[Policy], event: Mapping[str, Any], options: Options = DEFAULT) -> dict[str, Any]:
    """Return the plan for one event in JSON form: ``event``, ``policies`` and ``actions`` (section 5).

    Raises:
        EventError: the event is malformed where it is checked (section 2).
    """
    policies = list(policies)
    check_event(policies, event)
    in_scope = [(order, policy) for order, policy in enumerate(policies) if applies(policy, event, options)]
    fired = [item for order, policy in in_scope for item in fire(order, policy, event, options)]
    return {
        "event": event.get("id"),
        "policies": [policy.name for _, policy in in_scope],
        "actions": plan(fired, event, options),
    }


# Section 2: what is checked before anything is decided.


def named(policies: Iterable[Policy]) -> set[tuple[str, str]]:
    """Return each scope and key that an enabled policy, or an enabled entry of it, names in a selector."""
    names = set()
    for policy in policies:
        if policy.enabled:
            selectors = [*policy.selectors]
            for entry in policy.entries:
                if entry.enabled:
                    selectors.extend(entry.selectors)
            names |= {(selector.scope, clause.key) for selector in selectors for clause in selector.clauses}
    return names


def check_event(policies: Iterable[Policy], event: Mapping[str, Any]) -> None:
    """Refuse an event that is malformed in anything the policies name, or in its attribution or targets."""
    if not isinstance(event, Mapping):
        raise EventError("", "an event must be a mapping")
    names = named(policies)
    for key in ("policy_uid", "policy_name"):
        text_or_absent(event.get(key), key)
    scopes = {scope for scope, _ in names} | {"process", "pod"}
    for scope in (scope for scope in SCOPES if scope in scopes):
        value = mapping_or_absent(event.get(scope), scope)
        keys = sorted(key for named_scope, key in names if named_scope == scope)
        if scope in ("namespace", "pod"):
            if scope == "namespace" and NAME_LABEL in keys:
                text_or_absent(value.get("name"), "namespace.name")
            if keys:
                labels = mapping_or_absent(value.get("labels"), f"{scope}.labels")
                for key in keys:
                    text_or_absent(labels.get(key), f"{scope}.labels.{key}")
        else:
            for key in keys:
                text_or_absent(value.get(key), f"{scope}.{key}")


def mapping_or_absent(value: Any, path: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return value
    raise EventError(path, "must be a mapping or null")


def text_or_absent(value: Any, path: str) -> None:
    if value is not None and not isinstance(value, str):
        raise EventError(path, "must be a text or null")


# Section 2: attribution, and which policies are in scope.


def applies(policy: Policy, event: Mapping[str, Any], options: Options) -> bool:
    """Tell whether an enabled policy is in scope of the event."""
    if not policy.enabled:
        return False
    if event.get("policy_uid") is not None:
        attributed, is_named = True, policy.uid == event["policy_uid"]
    elif event.get("policy_name") is not None:
        attributed, is_named = True, policy.name == event["policy_name"]
    else:
        attributed, is_named = False, True
    return is_named and all(
        (attributed and event.get(selector.scope) is None) or matches(selector, event, options)
        for selector in policy.selectors
    )


# Section 3: selectors.


def matches(selector: Selector, event: Mapping[str, Any], options: Options) -> bool:
    """Tell whether every clause holds, of an object that the event has."""
    scope = event.get(selector.scope)
    if scope is None:
        return False
    return all(holds(clause, value_of(selector.scope, clause.key, scope), options) for clause in selector.clauses)


def value_of(scope: str, key: str, value: Mapping[str, Any]) -> str | None:
    """Return the text that a clause on ``key`` looks at, or None where it is absent."""
    if scope not in ("namespace", "pod"):
        return value.get(key)
    label: str | None = (value.get("labels") or {}).get(key)
    if label is None and scope == "namespace" and key == NAME_LABEL:
        return value.get("name")
    return label


def holds(clause: Clause, value: str | None, options: Options) -> bool:
    """Tell whether one clause holds of a value, which is None where absent."""
    if clause.operator == "Exists":
        return value is not None
    if clause.operator == "DoesNotExist":
        return value is None
    some = value is not None and any(fnmatch.fnmatchcase(value, pattern) for pattern in clause.values)
    if clause.operator == "In":
        return some
    if value is None:
        return options.not_in == "kubernetes"
    return not some


# Sections 4 and 5: firing, merging, order, dispositions.


def fire(order: int, policy: Policy, event: Mapping[str, Any], options: Options) -> list[Fired]:
    """Return the enabled entries whose selectors match, with those of ``default`` that are set aside marked."""
    entries = [
        entry
        for entry in policy.entries
        if entry.enabled and all(matches(selector, event, options) for selector in entry.selectors)
    ]
    overridden = set()
    if options.defaults == "unless-overridden":
        overridden = {entry.action for entry in entries if entry.section == "actions"}
    return [Fired(order, policy, entry, entry.section == "default" and entry.action in overridden) for entry in entries]


def source_key(item: Fired) -> tuple[int, int, int]:
    """Order sources by policy, then ``default`` before ``actions``, then place in the list."""
    return item.order, 0 if item.entry.section == "default" else 1, item.entry.index


def merge(fired: list[Fired]) -> list[list[Fired]]:
    """Group what becomes one planned action: agent actions over all policies, flags within one policy."""
    groups: dict[Any, list[Fired]] = {}
    for item in sorted(fired, key=source_key):
        flag_of = item.order if item.entry.action in STAGES[0] else None
        key = (item.set_aside, flag_of, item.entry.action, item.entry.parameters)
        groups.setdefault(key, []).append(item)
    return list(groups.values())


def stage(action: str) -> int:
    return next(number for number, actions in enumerate(STAGES) if action in actions)


def plan(fired: list[Fired], event: Mapping[str, Any], options: Options) -> list[dict[str, Any]]:
    """Return the planned actions of the fired entries, in order."""
    groups = merge(fired)
    groups.sort(key=lambda group: (stage(group[0].entry.action), source_key(group[0]), group[0].set_aside))
    first = [own_disposition(group, event, options) for group in groups]
    return [
        {
            "action": group[0].entry.action,
            "parameters": dict(group[0].entry.parameters),
            "disposition": "superseded" if superseded(index, groups, first) else first[index],
            "sources": [
                {"policy": item.policy.name, "section": item.entry.section, "index": item.entry.index} for item in group
            ],
        }
        for index, group in enumerate(groups)
    ]


def own_disposition(group: list[Fired], event: Mapping[str, Any], options: Options) -> str:
    """Return the disposition before one action is held against another."""
    action = group[0].entry.action
    if action == "agentKillPod" and event.get("pod") is None:
        return "not_applicable"
    if action in STAGES[1] | STAGES[2] and event.get("process") is None:
        return "not_applicable"
    if group[0].set_aside:
        return "superseded"
    enforced = any(item.policy.mode == "enforce" for item in group) and options.mode != "audit"
    return "execute" if enforced else "audit"


def superseded(index: int, groups: list[list[Fired]], dispositions: list[str]) -> bool:
    """Tell whether a live action of the plan makes this live action pointless."""
    if dispositions[index] not in ("execute", "audit"):
        return False
    mine = groups[index][0].entry
    for group, disposition in zip(groups, dispositions, strict=True):
        other = group[0].entry
        if disposition not in ("execute", "audit") or (disposition, dispositions[index]) == ("audit", "execute"):
            continue
        if mine.action == "agentKillProcess" and other.action in ("agentKillProcessGroup", "agentKillProcessTree"):
            return True
        if mine.action == other.action == "agentReniceProcess" and priority(other) > priority(mine):
            return True
    return False


def priority(entry: Entry) -> int:
    return int(dict(entry.parameters)["priority"])
