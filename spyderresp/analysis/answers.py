"""What can be said of a policy set for certain: each answer with its entries and, where there is one, a showing event.

Answers are about events that are not attributed to a policy, except where they say so: for an attributed event only its
own policy counts, and what the policy's own selectors name may be missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from spyderresp.analysis.boxes import Box, Scope
from spyderresp.analysis.entries import Place, places
from spyderresp.analysis.patterns import NotDecidedError, is_literal
from spyderresp.errors import Location
from spyderresp.policy import PolicySet

Kind = Literal[
    "never-in-scope",
    "never-fires",
    "attributed-only",
    "covered",
    "always-superseded",
    "contradictory",
    "equivalent-policies",
    "reaches",
    "not-decided",
]
#: How many other entries one may be held against before the answer is "not decided".
MAX_CANDIDATES: Final = 2_000
_SAME_PROCESS: Final = frozenset({"agentKillProcess", "agentKillProcessGroup", "agentKillProcessTree"})
_WIDER: Final = frozenset({"agentKillProcessGroup", "agentKillProcessTree"})
_RENICE: Final = "agentReniceProcess"
_PROCESS: Final = Box({"process": Scope(False, True)})


@dataclass(frozen=True)
class Answer:
    """One thing that is certain, or that could not be decided.

    Attributes:
        kind: what is said.
        message: for people.
        policy: the policy that it is about.
        subject: the entry, such as ``actions[0] agentKillPod``; empty for the policy as a whole.
        location: where that stands.
        others: the entries or policies that it is said with.
        event: an event that shows it, or None where there can be none.
    """

    kind: Kind
    message: str
    policy: str
    subject: str
    location: Location
    others: tuple[str, ...] = ()
    event: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {
            "kind": self.kind,
            "message": self.message,
            "policy": self.policy,
            "subject": self.subject or None,
            "location": str(self.location),
            "others": list(self.others),
            "event": self.event,
        }


@dataclass
class _Shelf:
    """Boxes by what they need exactly, so that only those that could hold another are looked at."""

    exact: dict[tuple[str, str, str], list[Place]] = field(default_factory=lambda: defaultdict(list))
    open: list[Place] = field(default_factory=list)

    def put(self, place: Place) -> None:
        needed = exact_needs(place.box)
        if needed is None:
            self.open.append(place)
            return
        scope, key, values = needed
        for value in values:
            self.exact[scope, key, value].append(place)

    def holding(self, box: Box) -> list[Place]:
        """Return every place whose box could hold an event of this one, in order; perhaps more."""
        found = {id(place): place for place in self.open}
        for name, scope in box.scopes.items():
            for key, values in scope.fields.items():
                for group in values.any_of:
                    for value in group:
                        for place in self.exact.get((name, key, value), ()):
                            found[id(place)] = place
        return sorted(
            found.values(), key=lambda place: (place.order, place.entry.section != "default", place.entry.index)
        )


def exact_needs(box: Box) -> tuple[str, str, frozenset[str]] | None:
    """Return a field that must have one of a few exact texts, the fewest there are; None where no field must."""
    best: tuple[str, str, frozenset[str]] | None = None
    for name in sorted(box.scopes):
        for key, values in sorted(box.scopes[name].fields.items()):
            for group in sorted(values.any_of, key=sorted):
                if all(map(is_literal, group)) and (best is None or len(group) < len(best[2])):
                    best = name, key, group
    return best


class Analysis:
    """Answers about one policy set.

    Args:
        policies: the set.
        not_in: the engine's option of that name.
    """

    def __init__(self, policies: PolicySet, *, not_in: Literal["kubernetes", "documented"] = "kubernetes") -> None:
        self._policies = policies
        self._places = list(places(policies, not_in_takes_absent=not_in == "kubernetes"))
        self._shelves: dict[tuple[str, Any], _Shelf] = defaultdict(_Shelf)
        for place in self._places:
            self._shelves[self._pile(place)].put(place)

    @staticmethod
    def _pile(place: Place) -> tuple[str, Any]:
        """Return what entries must share for one to make another needless."""
        return place.entry.action, place.entry.parameters

    def answers(self) -> Iterator[Answer]:
        """Yield everything that is certain about the set, policy by policy."""
        yield from self._policies_that_are_equal()
        dead: set[int] = set()
        for place in self._places:
            try:
                answer = self._fires(place)
            except NotDecidedError as error:
                yield _undecided(place, "whether it can fire", error)
                dead.add(id(place))
                continue
            if answer is not None:
                dead.add(id(place))
                yield answer
        live = [place for place in self._places if id(place) not in dead]
        for place in live:
            yield from self._needless(place, dead)
        yield from self._contradictions(live)

    def _fires(self, place: Place) -> Answer | None:
        if not place.box.empty:
            return None
        if place.scope.empty:
            message = "no event is in the policy's scope: its own selectors contradict each other"
            return _answer("never-in-scope", message, place)
        if place.attributed.empty:
            return _answer("never-fires", "no event can match both its selectors and the policy's", place)
        message = "it fires only for events attributed to its policy that lack what the policy's own selectors name"
        event = {**place.attribution(), **place.attributed.example(place.needs)}
        return _answer("attributed-only", message, place, event=event)

    def _needless(self, place: Place, dead: set[int]) -> Iterator[Answer]:
        """Yield what makes an entry needless: entries that do the same, or more, whenever it fires."""
        yield from self._covered(place, dead)
        if place.entry.action == "agentKillProcess":
            yield from self._superseded(place, dead)

    def _covered(self, place: Place, dead: set[int]) -> Iterator[Answer]:
        flag = place.entry.action.startswith("make")
        candidates = [
            other
            for other in self._shelves[self._pile(place)].holding(place.box)
            if other is not place
            and id(other) not in dead
            # Flags merge within one policy only, so another policy's does not stand for this one.
            and (other.policy is place.policy or not flag)
            and (other.live == "execute" or place.live == "audit")
        ]
        outside = self._outside(place, candidates, "whether others cover it")
        if isinstance(outside, Answer):
            yield outside
        elif outside is None and candidates:
            # Of two that cover each other the later is the needless one.
            used = _needed_of(place, candidates)
            if len(used) == 1 and _later(used[0], place) and used[0].box.within([place.box]) is None:
                return
            names = tuple(other.name for other in used)
            message = f"whenever it fires, so does {_listed(names)}, which asks for the same"
            yield _answer("covered", message, place, others=names, event=place.box.example(place.needs))

    def _superseded(self, place: Place, dead: set[int]) -> Iterator[Answer]:
        # Without a process neither applies, and nothing is superseded.
        held = replace(place, box=place.box & _PROCESS)
        enforced = place.live == "execute" or any(
            other.live == "execute" and not (other.box & held.box).empty
            for other in self._shelves[self._pile(place)].holding(held.box)
            if id(other) not in dead
        )
        candidates = [
            other
            for action in sorted(_WIDER)
            for other in self._shelves[action, ()].holding(held.box)
            # An audit action never supersedes one that is executed, and equal actions merge into one.
            if id(other) not in dead and (other.live == "execute" or not enforced)
        ]
        outside = self._outside(held, candidates, "whether it is always superseded")
        if isinstance(outside, Answer):
            yield outside
        elif outside is None and candidates:
            used = _needed_of(held, candidates)
            names = tuple(other.name for other in used)
            message = f"whenever it fires for a process, {_listed(names)} kills that too and supersedes it"
            yield _answer("always-superseded", message, place, others=names, event=held.box.example(place.needs))

    @staticmethod
    def _outside(place: Place, candidates: list[Place], question: str) -> Box | Answer | None:
        """Return a box of events for which the place fires and no candidate does; None where there is none."""
        if not candidates:
            return place.box
        if len(candidates) > MAX_CANDIDATES:
            return _undecided(place, question, NotDecidedError(f"{len(candidates):,} entries to hold it against"))
        try:
            # One that holds it all is the common case, and cheap to see.
            for other in candidates:
                if place.box.within([other.box]) is None:
                    return None
            return place.box.within([other.box for other in candidates])
        except NotDecidedError as error:
            return _undecided(place, question, error)

    def _contradictions(self, live: list[Place]) -> Iterator[Answer]:
        """Yield pairs of one policy that ask for a renice and a kill, or for two priorities, of one process."""
        by_policy: dict[int, list[Place]] = defaultdict(list)
        for place in live:
            if place.entry.action == _RENICE or place.entry.action in _SAME_PROCESS:
                by_policy[place.order].append(place)
        for group in by_policy.values():
            for i, place in enumerate(group):
                for other in group[i + 1 :]:
                    pair = {place.entry.action, other.entry.action}
                    if pair <= _SAME_PROCESS or (
                        pair == {_RENICE} and place.entry.parameters == other.entry.parameters
                    ):
                        continue
                    try:
                        both = place.box & other.box
                        if both.empty:
                            continue
                    except NotDecidedError as error:
                        yield _undecided(other, f"whether it can fire together with {place.name}", error)
                        continue
                    what = "two priorities" if pair == {_RENICE} else "a renice and a kill"
                    message = f"together with {place.name} it asks for {what} of the same process"
                    event = both.example(("process",))
                    yield _answer("contradictory", message, other, others=(place.name,), event=event)

    def _policies_that_are_equal(self) -> Iterator[Answer]:
        """Yield policies whose enabled entries ask for the same of the same events, as they are written."""
        seen: dict[Any, str] = {}
        for policy in self._policies:
            if not policy.enabled or not any(entry.enabled for entry in policy.entries):
                continue
            meaning = (
                policy.mode,
                _selectors_meaning(policy.selectors),
                tuple(
                    (entry.section, entry.action, entry.parameters, _selectors_meaning(entry.selectors))
                    for entry in policy.entries
                    if entry.enabled
                ),
            )
            first = seen.setdefault(meaning, policy.name)
            if first != policy.name:
                message = f"it asks for the same of the same events as policy {first}"
                yield Answer("equivalent-policies", message, policy.name, "", policy.location, (first,))

    def reaching(self, question: Box, actions: Iterable[str]) -> Iterator[Answer]:
        """Yield every entry with one of these actions that can fire for an event of a question, with such an event.

        Attributed events count: a detector may hand in anything.
        """
        wanted = frozenset(actions)
        for place in self._places:
            if place.entry.action not in wanted:
                continue
            have = Box({scope: Scope(False, True) for scope in place.needs})
            try:
                for box, attribution in ((place.box, {}), (place.attributed, place.attribution())):
                    both = box & question & have
                    if not both.empty:
                        event = {**attribution, **both.example(place.needs)}
                        how = " when attributed to its policy" if attribution else ""
                        message = f"it can fire for such an event{how}, and is then `{place.live}`"
                        yield _answer("reaches", message, place, event=event)
                        break
            except NotDecidedError as error:
                yield _undecided(place, "whether it can fire for such an event", error)


def _needed_of(place: Place, candidates: list[Place]) -> list[Place]:
    """Return few of the candidates that still hold the place: one if one does, else without what can be spared."""
    for other in candidates:
        if place.box.within([other.box]) is None:
            return [other]
    used = [other for other in candidates if not (place.box & other.box).empty]
    for other in list(used):
        fewer = [item for item in used if item is not other]
        if place.box.within([item.box for item in fewer]) is None:
            used = fewer
    return used


def _later(place: Place, other: Place) -> bool:
    return (place.order, place.entry.section != "default", place.entry.index) > (
        other.order,
        other.entry.section != "default",
        other.entry.index,
    )


def _selectors_meaning(selectors: Iterable[Any]) -> frozenset[Any]:
    return frozenset(
        (selector.scope, clause.key, clause.operator, frozenset(clause.values))
        for selector in selectors
        for clause in selector.clauses
    )


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"one of {'; '.join(names)}"


def _answer(
    kind: Kind, message: str, place: Place, *, others: tuple[str, ...] = (), event: Mapping[str, Any] | None = None
) -> Answer:
    subject = f"{place.entry.section}[{place.entry.index}] {place.entry.action}"
    return Answer(kind, message, place.policy.name, subject, place.location, others, event)


def _undecided(place: Place, question: str, error: NotDecidedError) -> Answer:
    return _answer("not-decided", f"not decided {question}: {error}", place)
