from collections.abc import Mapping
from typing import Any, final

from spyderresp.errors import Location
from spyderresp.policies.vocabulary import Mode, Operator, Section

@final
class Clause:
    """One condition of a selector."""

    __match_args__ = ("key", "operator", "values", "primitive", "location")

    def __init__(
        self, key: str, operator: Operator, values: tuple[str, ...], primitive: str, location: Location
    ) -> None: ...
    @property
    def key(self) -> str:
        """A field (``exe``) or a label key."""
    @property
    def operator(self) -> Operator:
        """``matchFields`` and ``matchLabels`` are ``In``."""
    @property
    def values(self) -> tuple[str, ...]:
        """Globs or exact texts, any of which satisfies ``In``; empty for the presence operators."""
    @property
    def primitive(self) -> str:
        """The word under which it stands, such as ``matchExpressions``.

        The selector's own key where a field stands directly under it.
        """
    @property
    def location(self) -> Location:
        """Where it stands."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Selector:
    """All clauses on one scope; every one must hold, and the event must have the scope."""

    __match_args__ = ("scope", "clauses", "location")

    def __init__(self, scope: str, clauses: tuple[Clause, ...], location: Location) -> None: ...
    @property
    def scope(self) -> str:
        """Such as ``process``."""
    @property
    def clauses(self) -> tuple[Clause, ...]:
        """The conditions, in the author's order."""
    @property
    def location(self) -> Location:
        """Where it stands."""
    @property
    def key(self) -> str:
        """The word in the policy, such as ``processSelector``."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Entry:
    """One item of ``response.default`` or ``response.actions``."""

    __match_args__ = ("action", "parameters", "selectors", "enabled", "section", "index", "location")

    def __init__(
        self,
        action: str,
        parameters: tuple[tuple[str, str | int], ...],
        selectors: tuple[Selector, ...],
        enabled: bool,
        section: Section,
        index: int,
        location: Location,
    ) -> None: ...
    @property
    def action(self) -> str:
        """Such as ``agentKillProcess``."""
    @property
    def parameters(self) -> tuple[tuple[str, str | int], ...]:
        """The action's own fields, in a fixed order; ``priority`` is an int, everything else a text."""
    @property
    def selectors(self) -> tuple[Selector, ...]:
        """All must match; empty in ``default``."""
    @property
    def enabled(self) -> bool:
        """Whether the entry takes part."""
    @property
    def section(self) -> Section:
        """The list it stands in."""
    @property
    def index(self) -> int:
        """Its place in that list, from 0, disabled entries counted."""
    @property
    def location(self) -> Location:
        """Where its action stands."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Policy:
    """One response policy. Immutable, but for what a host does to ``metadata``."""

    __match_args__ = (
        "name",
        "uid",
        "type",
        "enabled",
        "mode",
        "selectors",
        "entries",
        "metadata",
        "location",
    )

    def __init__(
        self,
        name: str,
        uid: str | None,
        type: str,
        enabled: bool,
        mode: Mode,
        selectors: tuple[Selector, ...],
        entries: tuple[Entry, ...],
        metadata: Mapping[str, Any],
        location: Location,
    ) -> None: ...
    @property
    def name(self) -> str:
        """``metadata.name``."""
    @property
    def uid(self) -> str | None:
        """``metadata.uid``, or None."""
    @property
    def type(self) -> str:
        """``cluster``, ``container`` or ``linux-service``."""
    @property
    def enabled(self) -> bool:
        """``spec.enabled``."""
    @property
    def mode(self) -> Mode:
        """``audit`` or ``enforce``."""
    @property
    def selectors(self) -> tuple[Selector, ...]:
        """The policy's scope; all must match."""
    @property
    def entries(self) -> tuple[Entry, ...]:
        """``response.default``, then ``response.actions``, in order."""
    @property
    def metadata(self) -> Mapping[str, Any]:
        """Everything under ``metadata``, as plain data, every scalar a text."""
    @property
    def location(self) -> Location:
        """Where the document begins."""
    @property
    def default(self) -> tuple[Entry, ...]:
        """The entries of ``response.default``."""
    @property
    def actions(self) -> tuple[Entry, ...]:
        """The entries of ``response.actions``."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class CanonicalEncoder:
    """Writes policies as the JSON text of their meaning."""

    def __new__(cls) -> CanonicalEncoder: ...

def digest(policies: tuple[Policy, ...]) -> str:
    """Return ``sha256:`` and 64 hexadecimal digits over the policies' meaning and order."""
