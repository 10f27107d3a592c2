from collections.abc import Iterable, Iterator, Sequence
from typing import Any, final, overload

from spyderresp.errors import Location
from spyderresp.policies.policy_set import Policy
from spyderresp.policies.vocabulary import Disposition, Outcome, Section

@final
class Source:
    """One entry that asked for an action."""

    def __init__(self, policy: str, uid: str | None, section: Section, index: int, location: Location) -> None: ...
    @property
    def policy(self) -> str:
        """The policy's name."""
    @property
    def uid(self) -> str | None:
        """The policy's uid."""
    @property
    def section(self) -> Section:
        """The list under ``response``."""
    @property
    def index(self) -> int:
        """The place in that list, from 0."""
    @property
    def location(self) -> Location:
        """Where the action stands in its policy text."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Target:
    """Who an event is about: what executors need to find the process or pod again, and nothing else.

    Taken from the event when it was decided; a later change of the event alters nothing here.
    """

    def __init__(self, values: Iterable[str | int | float | bool | None]) -> None: ...
    def __getitem__(self, path: str, /) -> str | int | float | bool | None:
        """Return the value at a path such as ``process.pid``; None where the event did not give it."""
    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return what the event gave, by scope."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class PlannedAction:
    """One action of a plan. Immutable."""

    def __init__(
        self,
        name: str,
        items: tuple[tuple[str, str | int], ...],
        disposition: Disposition,
        sources: tuple[Source, ...],
        superseded_by: int | None = None,
        reason: str | None = None,
        target: Target | None = None,
    ) -> None: ...
    @property
    def name(self) -> str:
        """Such as ``agentKillProcess``."""
    @property
    def items(self) -> tuple[tuple[str, str | int], ...]:
        """The parameters as pairs."""
    @property
    def parameters(self) -> dict[str, str | int]:
        """The action's own fields, as a new dict: texts, and ``priority`` as an int."""
    @property
    def disposition(self) -> Disposition:
        """Whether to carry it out."""
    @property
    def sources(self) -> tuple[Source, ...]:
        """Every entry that asked for it, in source order."""
    @property
    def superseded_by(self) -> int | None:
        """The place in the plan of the action that makes this one pointless."""
    @property
    def reason(self) -> str | None:
        """Why it is not carried out, where that is not the policies' mode."""
    @property
    def target(self) -> Target | None:
        """Who the event is about."""
    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class ActionShape:
    """An action without its target: see PlannedAction."""

    @property
    def name(self) -> str: ...
    @property
    def items(self) -> tuple[tuple[str, str | int], ...]: ...
    @property
    def disposition(self) -> Disposition: ...
    @property
    def sources(self) -> tuple[Source, ...]: ...
    @property
    def superseded_by(self) -> int | None: ...
    @property
    def reason(self) -> str | None: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class PlanShape:
    """What plans with the same fired entries share."""

    @property
    def policies(self) -> tuple[str, ...]: ...
    @property
    def actions(self) -> tuple[ActionShape, ...]: ...

@final
class ActionPlan(Sequence[PlannedAction]):
    """What to do about one event, in order. Immutable; pickles; equal to a plan that says the same."""

    @property
    def event(self) -> Any:
        """The event's ``id``, or None."""
    @property
    def time(self) -> str | int | float | None:
        """The event's ``time``: RFC 3339 text or epoch seconds, or None."""
    @property
    def policy_set(self) -> str:
        """The digest of the policies that decided."""
    @property
    def policies(self) -> tuple[str, ...]:
        """Names of the policies in scope, in order, those without a firing entry among them."""
    @property
    def outcome(self) -> PlanShape:
        """What this plan shares with others: policies and actions without targets. Often the same object."""
    @property
    def attribution(self) -> tuple[str, str, Outcome] | None:
        """The key and value by which the event names a policy, and whether there is one; None without."""
    @property
    def target(self) -> Target | None:
        """Who the event is about; None where nothing is planned."""
    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, version 1."""
    def to_json(self) -> str:
        """Return the JSON form as ASCII-safe JSON on one line; equal plans give equal text."""
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int, /) -> PlannedAction: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[PlannedAction]: ...
    def __iter__(self) -> Iterator[PlannedAction]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

DISPOSITIONS: tuple[str, ...]

@final
class PlanBuilder:
    """Builds plan shapes for one policy set and its options.

    Made from all its policies, the disabled ones among them.
    """

    def __new__(cls, policies: tuple[Policy, ...], defaults: str, audit: bool) -> PlanBuilder: ...
