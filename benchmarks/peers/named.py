"""What a policy set names and what a target keeps: the values that every contestant has to read."""

from __future__ import annotations

import re
from typing import Any

from spyderresp.decision.reference import NAME_LABEL, SCOPES, named
from spyderresp.policies.policy_set import PolicySet

#: What a plan keeps of its event, by scope; tests hold it against the plans themselves.
IDENTITY = {
    "cluster": ("name", "uid"),
    "machine": ("hostname", "uid"),
    "namespace": ("name",),
    "pod": ("name", "uid", "kuid"),
    "container": ("containerName", "containerID", "image"),
    "process": ("name", "exe", "euser", "pid", "ppid", "uid", "start_ticks", "boot_id", "start_time"),
}
LABELLED = ("namespace", "pod")
_MAGIC = re.compile(r"[*?\[]")


def attributes(policies: PolicySet) -> list[tuple[str, str]]:
    """Return the scopes and keys that the policies name, in a fixed order."""
    return sorted(named(policies), key=lambda name: (SCOPES.index(name[0]), name[1]))


def is_glob(text: str) -> bool:
    return _MAGIC.search(text) is not None


def known_values(policies: PolicySet) -> dict[tuple[str, str], dict[str, int]]:
    """Return the exact values that the policies name, numbered, by scope and key."""
    known: dict[tuple[str, str], dict[str, int]] = {name: {} for name in attributes(policies)}
    for policy in policies:
        if policy.enabled:
            entries = [entry for entry in policy.entries if entry.enabled]
            for selectors in (policy.selectors, *(entry.selectors for entry in entries)):
                for selector in selectors:
                    for clause in selector.clauses:
                        table = known[selector.scope, clause.key]
                        for value in clause.values:
                            if not is_glob(value):
                                table.setdefault(value, len(table))
    return known


def floor_plan(policies: PolicySet) -> list[tuple[str, list[Any], list[Any]]]:
    """Return what the floor reads: by scope the keys, then the label keys, each with its dict of known values."""
    known = known_values(policies)
    plan = []
    for scope in SCOPES:
        own: dict[str, Any] = dict.fromkeys(IDENTITY.get(scope, ()))
        labels: dict[str, Any] = {}
        for (held, key), table in known.items():
            if held != scope:
                continue
            if scope not in LABELLED:
                own[key] = table
            elif (scope, key) == ("namespace", NAME_LABEL):
                # The name stands for the label, and almost no event gives both.
                own["name"] = table
                labels[key] = None
            else:
                labels[key] = table
        if own or labels:
            plan.append((scope, list(own.items()), list(labels.items())))
    return plan
