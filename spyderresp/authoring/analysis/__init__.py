"""What can be said of a policy set for certain: each answer with its entries and, where there is one, a showing event.

Answers are about events that are not attributed to a policy, except where they say so: for an attributed event only its
own policy counts, and what the policy's own selectors name may be missing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from spyderresp.authoring.analysis.automata import UndecidedError, is_literal
from spyderresp.authoring.analysis.regions import EntryLocation, EventRegion, Scope, places, texts_of
from spyderresp.errors import Location
from spyderresp.policies.diagnostics import quoted, suggestion
from spyderresp.policies.policy_set import PolicySet

Kind = Literal[
    "never-in-scope",
    "never-fires",
    "attributed-only",
    "covered",
    "always-superseded",
    "contradictory",
    "equivalent-policies",
    "reaches",
    "equivalent",
    "implied",
    "implies",
    "overlapping",
    "disjoint",
    "not-decided",
]
#: How many other entries one may be held against before the answer is "not decided".
MAX_CANDIDATES: Final = 2_000
#: How many pairs of one policy's entries may be looked at for contradictions.
MAX_PAIRS: Final = 50_000
_Need = tuple[str, str, str]
_SAME_PROCESS: Final = frozenset({"agentKillProcess", "agentKillProcessGroup", "agentKillProcessTree"})
_WIDER: Final = frozenset({"agentKillProcessGroup", "agentKillProcessTree"})
_RENICE: Final = "agentReniceProcess"
_PROCESS: Final = EventRegion({"process": Scope(False, True)})


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


class AnswerBuffer:
    """Entries, and which need a text exactly: as sets of bits, so that those that could meet are found at once."""

    def __init__(self) -> None:
        self.places: list[EntryLocation] = []
        self._needing: dict[_Need, int] = {}
        self._choosy: dict[tuple[str, str], int] = {}

    def sort(self) -> None:
        """Make it ready, when every entry is in it."""
        for i, place in enumerate(self.places):
            for field, texts in _needs(place.box).items():
                self._choosy[field] = self._choosy.get(field, 0) | 1 << i
                for text in texts:
                    need = (*field, text)
                    self._needing[need] = self._needing.get(need, 0) | 1 << i

    def fired_by(self, event: Mapping[str, Any]) -> Iterator[EntryLocation]:
        """Yield the entries that an event fires, in order."""
        texts = {(scope, key): text for scope, key, text in texts_of(event)}
        fields = {field: (texts[field],) if field in texts else () for field in self._choosy}
        yield from (place for place in self._among(fields) if place.box.holds(event))

    def meeting(self, box: EventRegion) -> Iterator[EntryLocation]:
        """Yield every entry that may fire for an event of a box, in order."""
        return self._among(_needs(box))

    def _among(self, fields: Mapping[tuple[str, str], Iterable[str]]) -> Iterator[EntryLocation]:
        """Yield the entries that need none but these texts of these fields, if they need any of them."""
        left = (1 << len(self.places)) - 1
        for field, texts in fields.items():
            choosy = self._choosy.get(field, 0)
            fitting = 0
            for text in texts:
                fitting |= self._needing.get((*field, text), 0)
            left &= ~choosy | fitting
        while left:
            lowest = left & -left
            yield self.places[lowest.bit_length() - 1]
            left ^= lowest


def _needs(box: EventRegion) -> dict[tuple[str, str], frozenset[str]]:
    """Return the fields that must have one of a few texts, and which: the fewest that are asked for."""
    needs: dict[tuple[str, str], frozenset[str]] = {}
    for name, scope in box.scopes.items():
        if scope.lacking:
            continue
        for key, values in scope.fields.items():
            exact = [group for group in values.any_of if all(map(is_literal, group))]
            if exact and not values.absent:
                needs[name, key] = min(exact, key=lambda group: (len(group), sorted(group)))
    return needs


def at_odds(places: Sequence[EntryLocation]) -> Iterator[tuple[EntryLocation, EntryLocation]]:
    """Yield pairs of one policy's entries, in order, that may meet in one process and do not go together there.

    A renice does not go with a kill, nor with a renice to another priority.

    Raises:
        UndecidedError: there are more than ``MAX_PAIRS``.
    """
    shelf = AnswerBuffer()
    shelf.places = [place for place in places if place.entry.action == _RENICE or place.entry.action in _SAME_PROCESS]
    if not any(place.entry.action == _RENICE for place in shelf.places):
        return
    shelf.sort()
    order = {id(place): i for i, place in enumerate(shelf.places)}
    seen = 0
    for i, place in enumerate(shelf.places):
        for other in shelf.meeting(place.box):
            seen += 1
            if seen > MAX_PAIRS:
                raise UndecidedError(f"more than {MAX_PAIRS:,} pairs of entries")
            pair = {place.entry.action, other.entry.action}
            same = pair == {_RENICE} and place.entry.parameters == other.entry.parameters
            if order[id(other)] > i and _RENICE in pair and not same:
                yield place, other


class Analysis:
    """Answers about one policy set.

    Args:
        policies: the set.
        not_in: the engine's option of that name.
    """

    def __init__(self, policies: PolicySet, *, not_in: Literal["kubernetes", "documented"] = "kubernetes") -> None:
        self._policies = policies
        self._places = list(places(policies, not_in_takes_absent=not_in == "kubernetes"))
        self._shelves: dict[tuple[str, Any], AnswerBuffer] = defaultdict(AnswerBuffer)
        for place in self._places:
            self._shelves[self._pile(place)].places.append(place)
        for shelf in self._shelves.values():
            shelf.sort()

    @staticmethod
    def _pile(place: EntryLocation) -> tuple[str, Any]:
        """Return what entries must share for one to make another needless."""
        return place.entry.action, place.entry.parameters

    def answers(self) -> Iterator[Answer]:
        """Yield everything that is certain about the set, policy by policy."""
        yield from self._policies_that_are_equal()
        dead: set[int] = set()
        yield from self._idle(dead)
        yield from self._contradictions([place for place in self._places if id(place) not in dead])

    def idle(self) -> Iterator[Answer]:
        """Yield the entries that never fire, and those that others make needless."""
        return self._idle(set())

    def _idle(self, dead: set[int]) -> Iterator[Answer]:
        """Yield them, and put those that never fire among the dead."""
        for place in self._places:
            try:
                answer = self._fires(place)
            except UndecidedError as error:
                yield _undecided(place, "whether it can fire", error)
                dead.add(id(place))
                continue
            if answer is not None:
                dead.add(id(place))
                yield answer
        live = [place for place in self._places if id(place) not in dead]
        for place in live:
            yield from self._needless(place, dead)

    def _fires(self, place: EntryLocation) -> Answer | None:
        if not place.box.empty:
            return None
        if not place.attributed.empty:
            # Only where the policy's own selectors contradict each other: an entry's own need what they name.
            message = (
                "the policy's own selectors contradict each other: it fires only for events attributed to the policy "
                "that lack what these name"
            )
            event = {**place.attribution(), **place.attributed.example(place.needs)}
            return _answer("attributed-only", message, place, event=event)
        if place.scope.empty:
            message = "no event can match it: the policy's own selectors contradict each other"
            return _answer("never-in-scope", message, place)
        return _answer("never-fires", "no event can match both its selectors and the policy's", place)

    def _needless(self, place: EntryLocation, dead: set[int]) -> Iterator[Answer]:
        """Yield what makes an entry needless: entries that do the same, or more, whenever it fires."""
        yield from self._covered(place, dead)
        if place.entry.action == "agentKillProcess":
            try:
                yield from self._superseded(place, dead)
            except UndecidedError as error:
                yield _undecided(place, "whether it is always superseded", error)

    def _covered(self, place: EntryLocation, dead: set[int]) -> Iterator[Answer]:
        flag = place.entry.action.startswith("make")
        later: set[int] = set()

        def counts(other: EntryLocation) -> bool:
            return (
                other is not place
                and id(other) not in later
                and id(other) not in dead
                # Flags merge within one policy only, so another policy's does not stand for this one.
                and (other.policy is place.policy or not flag)
                and (other.live == "execute" or place.live == "audit")
            )

        shelf = self._shelves[self._pile(place)]
        used = self._covering(place, [shelf], counts, "whether others cover it")
        behind = self._behind(used, place)
        if behind is not None:
            # Of two that cover each other the later is the needless one; what covers both may stand behind it.
            later |= {id(behind), *(id(other) for other in shelf.meeting(place.box) if other.box == place.box)}
            used = self._covering(place, [shelf], counts, "whether others cover it")
            if self._behind(used, place) is not None:
                return
        if isinstance(used, Answer):
            yield used
        elif used:
            names = tuple(other.name for other in used)
            message = f"whenever it fires, so does {_listed(names)}, which asks for the same"
            yield _answer("covered", message, place, others=names, event=place.box.example(place.needs))

    @staticmethod
    def _behind(used: list[EntryLocation] | Answer, place: EntryLocation) -> EntryLocation | None:
        """Return the one that covers a place, if it stands behind it and is covered by it in turn."""
        if isinstance(used, Answer) or len(used) != 1 or _order(used[0]) < _order(place):
            return None
        return used[0] if used[0].box.within([place.box]) is None else None

    def _superseded(self, place: EntryLocation, dead: set[int]) -> Iterator[Answer]:
        # Without a process neither applies, and nothing is superseded.
        held = replace(place, box=place.box & _PROCESS)
        if held.box.empty:
            return
        wider = [self._shelves[action, ()] for action in sorted(_WIDER) if (action, ()) in self._shelves]
        event = held.box.example(place.needs)
        if not any(True for shelf in wider for _ in shelf.fired_by(event)):
            return
        mine = self._shelves[self._pile(place)]
        enforced = place.live == "execute" or any(
            other.live == "execute" and id(other) not in dead and not (other.box & held.box).empty
            for other in mine.meeting(held.box)
        )

        def counts(other: EntryLocation) -> bool:
            # An audit action never supersedes one that is executed, and equal actions merge into one.
            return id(other) not in dead and (other.live == "execute" or not enforced)

        used = self._covering(held, wider, counts, "whether it is always superseded")
        if isinstance(used, Answer):
            yield used
        elif used:
            names = tuple(other.name for other in used)
            message = f"whenever it fires for a process, {_listed(names)} kills that too and supersedes it"
            yield _answer("always-superseded", message, place, others=names, event=event)

    def _covering(
        self,
        place: EntryLocation,
        shelves: Sequence[AnswerBuffer],
        counts: Callable[[EntryLocation], bool],
        question: str,
    ) -> list[EntryLocation] | Answer:
        """Return few entries of which one fires whenever the place does; none where there are no such entries."""
        try:
            # Most are shown not to be covered by the first event that comes to mind.
            event = place.box.example(place.needs)
            firing = [other for shelf in shelves for other in shelf.fired_by(event) if counts(other)]
            # Where there is an answer it most often is one that holds it all.
            for other in firing:
                if place.box.within([other.box]) is None:
                    return [other]
            if not firing:
                return []
            candidates = [other for shelf in shelves for other in shelf.meeting(place.box) if counts(other)]
            if len(candidates) > MAX_CANDIDATES:
                raise UndecidedError(f"{len(candidates):,} entries to hold it against")
            candidates = [other for other in candidates if not (other.box & place.box).empty]
            if place.box.within([other.box for other in candidates]) is not None:
                return []
            return _needed_of(place, candidates)
        except UndecidedError as error:
            return _undecided(place, question, error)

    def _contradictions(self, live: list[EntryLocation]) -> Iterator[Answer]:
        """Yield pairs of one policy that ask for a renice and a kill, or for two priorities, of one process."""
        by_policy: dict[int, list[EntryLocation]] = defaultdict(list)
        for place in live:
            by_policy[place.order].append(place)
        for group in by_policy.values():
            yield from self._contradictions_of(group)

    def _contradictions_of(self, group: list[EntryLocation]) -> Iterator[Answer]:
        try:
            for place, other in at_odds(group):
                yield from self._contradiction(place, other)
        except UndecidedError as error:
            yield _undecided(group[0], "what else of its policy contradicts", error)

    @staticmethod
    def _contradiction(place: EntryLocation, other: EntryLocation) -> Iterator[Answer]:
        try:
            both = place.box & other.box
            if both.empty:
                return
        except UndecidedError as error:
            yield _undecided(other, f"whether it can fire together with {place.name}", error)
            return
        what = "two priorities" if place.entry.action == other.entry.action else "a renice and a kill"
        message = f"together with {place.name} it asks for {what} of the same process"
        yield _answer("contradictory", message, other, others=(place.name,), event=both.example(("process",)))

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

    def reaching(self, question: EventRegion, actions: Iterable[str]) -> Iterator[Answer]:
        """Yield every entry with one of these actions that can fire for an event of a question, with such an event.

        Attributed events count: a detector may hand in anything.
        """
        wanted = frozenset(actions)
        for place in self._places:
            if place.entry.action not in wanted:
                continue
            have = EventRegion({scope: Scope(False, True) for scope in place.needs})
            try:
                for box, attribution in ((place.box, {}), (place.attributed, place.attribution())):
                    both = box & question & have
                    if not both.empty:
                        event = {**attribution, **both.example(place.needs)}
                        how = " when attributed to its policy" if attribution else ""
                        message = f"it can fire for such an event{how}; its policy is in mode `{place.policy.mode}`"
                        yield _answer("reaches", message, place, event=event)
                        break
            except UndecidedError as error:
                yield _undecided(place, "whether it can fire for such an event", error)


def _needed_of(place: EntryLocation, candidates: list[EntryLocation]) -> list[EntryLocation]:
    """Return the candidates that still hold the place, without those that can be spared."""
    used = candidates
    for other in candidates:
        fewer = [item for item in used if item is not other]
        if place.box.within([item.box for item in fewer]) is None:
            used = fewer
    return used


def _order(place: EntryLocation) -> tuple[int, bool, int]:
    return place.order, place.entry.section != "default", place.entry.index


def _selectors_meaning(selectors: Iterable[Any]) -> frozenset[Any]:
    return frozenset(
        (selector.scope, clause.key, clause.operator, frozenset(clause.values))
        for selector in selectors
        for clause in selector.clauses
    )


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"one of {'; '.join(names)}"


def _answer(
    kind: Kind,
    message: str,
    place: EntryLocation,
    *,
    others: tuple[str, ...] = (),
    event: Mapping[str, Any] | None = None,
) -> Answer:
    subject = f"{place.entry.section}[{place.entry.index}] {place.entry.action}"
    return Answer(kind, message, place.policy.name, subject, place.location, others, event)


def _undecided(place: EntryLocation, question: str, error: UndecidedError) -> Answer:
    return _answer("not-decided", f"not decided {question}: {error}", place)


# How two policies, or two entries, stand to each other: equivalent, implied, disjoint, overlapping.
#
# An entry is held against another by the events for which it fires; a policy by what it asks for, entry by entry: an
# action with its parameters, in force or in audit. About events that name no policy, like other answers.

_ENTRY: Final = re.compile(r"(?P<policy>.*): (?P<section>default|actions)\[(?P<index>\d+)\](?: \w+)?", re.DOTALL)
_HELD: Final[dict[tuple[bool, bool], Kind]] = {
    (True, True): "equivalent",
    (True, False): "implied",
    (False, True): "implies",
    (False, False): "overlapping",
}


def relation(policies: PolicySet, first: str, second: str, *, not_in_takes_absent: bool = True) -> Answer:
    """Return how two of a set stand to each other.

    Args:
        policies: the set.
        first: a policy's name; or an entry, such as ``web-containers: actions[0]``.
        second: another one.
        not_in_takes_absent: the engine's ``not_in="kubernetes"``.

    Raises:
        ValueError: one of them is not there, or is disabled, or several bear the name.
    """
    every = list(places(policies, not_in_takes_absent=not_in_takes_absent))
    mine, theirs = _named(policies, every, first), _named(policies, every, second)
    entries = all(map(_ENTRY.fullmatch, (first, second)))
    try:
        kind, event = _related(mine, theirs, entries=entries)
    except UndecidedError as error:
        kind, event = "not-decided", None
        message = f"not decided how it stands to {second}: {error}"
    else:
        message = (_OF_ENTRIES if entries else _OF_POLICIES)[kind].format(second)
    place = mine[0]
    subject = f"{place.entry.section}[{place.entry.index}] {place.entry.action}" if _ENTRY.fullmatch(first) else ""
    location = place.location if subject else place.policy.location
    return Answer(kind, message, place.policy.name, subject, location, (second,), event)


_OF_ENTRIES: Final[dict[str, str]] = {
    "equivalent": "it fires for the same events as {}",
    "implied": "whenever it fires, so does {}, which fires for other events, too",
    "implies": "whenever {} fires, so does it, and it fires for other events, too",
    "overlapping": "it and {} fire together for some events, and each fires for others",
    "disjoint": "no event fires both it and {}",
}
_OF_POLICIES: Final[dict[str, str]] = {
    "equivalent": "it asks for the same of the same events as {}",
    "implied": "whatever it asks for, so does {}, which asks for more",
    "implies": "whatever {} asks for, so does it, and it asks for more",
    "overlapping": "it and {} ask for something of the same events, and each for what the other does not",
    "disjoint": "no event makes both it and {} ask for anything",
}


def _named(policies: PolicySet, every: Iterable[EntryLocation], name: str) -> list[EntryLocation]:
    match = _ENTRY.fullmatch(name)
    policy = match["policy"] if match else name
    bearers = [item for item in policies if item.name == policy]
    if len(bearers) != 1:
        why = f"{len(bearers)} policies are named" if bearers else "there is no policy"
        hint = "" if bearers else f"; {suggestion(policy, [item.name for item in policies])}"
        raise ValueError(f"{why} {quoted(policy)}{hint}")
    found = [place for place in every if place.policy is bearers[0]]
    if match:
        found = [p for p in found if (p.entry.section, p.entry.index) == (match["section"], int(match["index"]))]
    if not found:
        raise ValueError(f"{quoted(name)} has no entry that is enabled")
    return found


def _related(
    mine: Sequence[EntryLocation], theirs: Sequence[EntryLocation], *, entries: bool
) -> tuple[Kind, Mapping[str, Any] | None]:
    both = next((box for a in mine for b in theirs if not (box := a.box & b.box).empty), None)
    if both is None:
        return "disjoint", None
    only_mine, only_theirs = _beyond(mine, theirs, entries), _beyond(theirs, mine, entries)
    kind = _HELD[only_mine is None, only_theirs is None]
    shown = {"implied": only_theirs, "implies": only_mine}.get(kind) or both
    needs = {need for place in (*mine, *theirs) for need in place.needs}
    return kind, shown.example(needs)


def _beyond(mine: Iterable[EntryLocation], theirs: Iterable[EntryLocation], entries: bool) -> EventRegion | None:
    """Return events for which one of these fires and none of those that do for it; None where there are none."""
    for place in mine:
        held = [other.box for other in theirs if entries or _does_for(other, place)]
        left = place.box.within(held)
        if left is not None:
            return left
    return None


def _does_for(other: EntryLocation, place: EntryLocation) -> bool:
    same = (other.entry.action, other.entry.parameters) == (place.entry.action, place.entry.parameters)
    return same and (other.live == "execute" or place.live == "audit")
