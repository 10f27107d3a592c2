"""Policies that do nothing."""

from __future__ import annotations

from collections.abc import Iterator

from spyderresp.linting.documents import child, key_of
from spyderresp.linting.subject import Remark, Subject


def silent(subject: Subject) -> Iterator[Remark]:
    """A policy without an action, and one that audits nothing."""
    policy = subject.policy
    spec = child(subject.document, "spec")
    if not policy.entries:
        response = key_of(spec, "response")
        what = "`response` holds no action" if response is not None else "the policy has no `response`"
        place = response or key_of(subject.document, "spec")
        start = place[1] if place is not None else subject.documents.offset(policy.location)
        message = f"{what}: it never plans anything"
        hint = "write what is to be done, under `default` or `actions`, or take the policy away"
        yield Remark("SR814", message, start, subject.documents.word(start), hint)
    mode = key_of(spec, "mode")
    if mode is not None and policy.mode == "audit" and policy.enabled and not any(e.enabled for e in policy.entries):
        message = "`mode: audit`, and no action that is enabled: there is nothing to audit"
        yield Remark("SR813", message, mode[1], mode[2], "enable an action, or set `enabled: false` for the policy")
