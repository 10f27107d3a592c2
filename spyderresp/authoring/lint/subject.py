"""What a rule is given, and what it says."""

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
    """A policy and the text that it stands in."""

    policy: Policy
    documents: Documents

    @cached_property
    def document(self) -> Node | None:
        """The policy as it was typed; None where it is not found."""
        return self.documents.at(self.policy.location)

    def body(self, entry: Entry) -> Node | None:
        """Return what holds the keys of an entry: its action's value, or the item where they stand beside it."""
        item = child(self.document, "spec", "response", entry.section, entry.index)
        own = child(item, entry.action)
        return own if own is not None and isinstance(own[0], dict) else item

    def say(
        self,
        code: str,
        message: str,
        location: Location,
        *,
        help: str = "",
        fix: Fix | None = None,
    ) -> Remark:
        """Say something of the word at a place."""
        start = self.documents.offset(location)
        return Remark(code, message, start, self.documents.word(start), help, fix)


@dataclass(frozen=True, slots=True)
class Remark:
    """What a rule says: see ``Diagnostic``. The place is in characters of the text."""

    code: str
    message: str
    start: int
    end: int
    help: str = ""
    fix: Fix | None = None


Rule: TypeAlias = Callable[[Subject], Iterator[Remark]]
