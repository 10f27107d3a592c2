"""The input of a rule, and its findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from spyderresp.authoring.lint.documents import Documents, Node, child
from spyderresp.errors import Fix, Location
from spyderresp.policies.policy_set import Entry, Policy


@dataclass(frozen=True)
class Subject:
    """A policy, and the documents of its file."""

    policy: Policy
    documents: Documents

    @cached_property
    def document(self) -> Node | None:
        """The document of the policy; None if it is not found."""
        return self.documents.at(self.policy.location)

    def body(self, entry: Entry) -> Node | None:
        """Return the mapping with the keys of an entry: the value of its action, or the item of the list."""
        item = child(self.document, "spec", "response", entry.section, entry.index)
        own = child(item, entry.action)
        return own if own is not None and isinstance(own[0], dict) else item

    def remark(
        self,
        code: str,
        message: str,
        location: Location,
        *,
        help: str = "",
        fix: Fix | None = None,
    ) -> Remark:
        """Return a finding about the word at a location."""
        start = self.documents.offset(location)
        return Remark(code, message, start, self.documents.word(start), help, fix)


@dataclass(frozen=True, slots=True)
class Remark:
    """A finding of a rule: a ``Diagnostic`` with its place as offsets in the text."""

    code: str
    message: str
    start: int
    end: int
    help: str = ""
    fix: Fix | None = None


Rule: TypeAlias = Callable[[Subject], Iterator[Remark]]
