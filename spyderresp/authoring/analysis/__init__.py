"""Exact answers about a policy set, each with its entries and, if there is one, an example event.

An answer concerns events that are not attributed to a policy, unless it says otherwise. For an attributed event only
its own policy counts, and the event may lack the scopes that the policy selects by.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from spyderresp.authoring.analysis.automata import UndecidedError, is_literal
from spyderresp.authoring.analysis.regions import EntryRegions, EventRegion, Scope, entries_of, texts_of
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
#: The most entries to compare one entry with; with more, the answer is "not decided".
MAX_CANDIDATES: Final = 2_000
#: The most pairs of entries of one policy to check for contradictions.
MAX_PAIRS: Final = 50_000
# A scope, a field or label of it, and a text that it must have.
_Need = tuple[str, str, str]
_KILLS_OF_PROCESSES: Final = frozenset({"agentKillProcess", "agentKillProcessGroup", "agentKillProcessTree"})
_SUPERSEDING: Final = frozenset({"agentKillProcessGroup", "agentKillProcessTree"})
_RENICE: Final = "agentReniceProcess"
_WITH_PROCESS: Final = EventRegion({"process": Scope(False, True)})


@dataclass(frozen=True)
class Answer:
    """One answer: a fact, or a question that could not be decided.

    Attributes:
        kind: the kind of fact.
        message: the fact, for people.
        policy: the name of the policy that it is about.
        subject: the entry, such as ``actions[0] agentKillPod``; empty: the whole policy.
        location: the location of the entry or policy.
        others: the other entries or policies that the fact concerns.
        event: an example event; None: there is none.
    """

    kind: Kind
    message: str
    policy: str
    subject: str
    location: Location
    others: tuple[str, ...] = ()
    event: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON data."""
        return {
            "kind": self.kind,
            "message": self.message,
            "policy": self.policy,
            "subject": self.subject or None,
            "location": str(self.location),
            "others": list(self.others),
            "event": self.event,
        }


class EntryIndex:
    """Finds the entries that may fire for an event or a region, by the texts that entries require exactly.

    Each set of entries is an int; bit ``i`` stands for entry ``i``.
    """

    def __init__(self) -> None:
        self.entries: list[EntryRegions] = []
        # The entries that require a text; the entries that require any text of a field.
        self._requiring: dict[_Need, int] = {}
        self._requiring_field: dict[tuple[str, str], int] = {}

    def build(self) -> None:
        """Build the index; all entries have been added."""
        for i, entry in enumerate(self.entries):
            for field, texts in _required_texts(entry.region).items():
                self._requiring_field[field] = self._requiring_field.get(field, 0) | 1 << i
                for text in texts:
                    need = (*field, text)
                    self._requiring[need] = self._requiring.get(need, 0) | 1 << i

    def fired_by(self, event: Mapping[str, Any]) -> Iterator[EntryRegions]:
        """Yield the entries that fire for an event, in order."""
        texts = {(scope, key): text for scope, key, text in texts_of(event)}
        fields = {field: (texts[field],) if field in texts else () for field in self._requiring_field}
        yield from (entry for entry in self._satisfied_by(fields) if entry.region.contains(event))

    def meeting(self, region: EventRegion) -> Iterator[EntryRegions]:
        """Yield every entry that may fire for an event of a region, in order."""
        return self._satisfied_by(_required_texts(region))

    def _satisfied_by(self, fields: Mapping[tuple[str, str], Iterable[str]]) -> Iterator[EntryRegions]:
        """Yield the entries that require no other texts of these fields than the given ones."""
        left = (1 << len(self.entries)) - 1
        for field, texts in fields.items():
            satisfied = 0
            for text in texts:
                satisfied |= self._requiring.get((*field, text), 0)
            left &= ~self._requiring_field.get(field, 0) | satisfied
        while left:
            lowest = left & -left
            yield self.entries[lowest.bit_length() - 1]
            left ^= lowest


def _required_texts(region: EventRegion) -> dict[tuple[str, str], frozenset[str]]:
    """Return the fields that must have one of a few texts, each with these texts."""
    required: dict[tuple[str, str], frozenset[str]] = {}
    for name, scope in region.scopes.items():
        if scope.absent:
            continue
        for key, values in scope.fields.items():
            exact = [group for group in values.any_of if all(map(is_literal, group))]
            if exact and not values.absent:
                required[name, key] = min(exact, key=lambda group: (len(group), sorted(group)))
    return required


def conflicting_pairs(entries: Sequence[EntryRegions]) -> Iterator[tuple[EntryRegions, EntryRegions]]:
    """Yield the pairs of one policy's entries, in order, that conflict and may fire for the same process.

    A renice conflicts with a kill, and with a renice to another priority.

    Raises:
        UndecidedError: there are more than ``MAX_PAIRS`` pairs.
    """
    index = EntryIndex()
    index.entries = [entry for entry in entries if entry.action == _RENICE or entry.action in _KILLS_OF_PROCESSES]
    if not any(entry.action == _RENICE for entry in index.entries):
        return
    index.build()
    order = {id(entry): i for i, entry in enumerate(index.entries)}
    checked = 0
    for i, entry in enumerate(index.entries):
        for other in index.meeting(entry.region):
            checked += 1
            if checked > MAX_PAIRS:
                raise UndecidedError(f"more than {MAX_PAIRS:,} pairs of entries")
            actions = {entry.action, other.action}
            same = actions == {_RENICE} and entry.entry.parameters == other.entry.parameters
            if order[id(other)] > i and _RENICE in actions and not same:
                yield entry, other


class Analysis:
    """Answers about one policy set.

    Args:
        policies: the set.
        not_in: the engine's option of that name.
    """

    def __init__(self, policies: PolicySet, *, not_in: Literal["kubernetes", "documented"] = "kubernetes") -> None:
        self._policies = policies
        self._entries = list(entries_of(policies, not_in_takes_absent=not_in == "kubernetes"))
        # The entries that plan the same action with the same parameters.
        self._indexes: dict[tuple[str, Any], EntryIndex] = defaultdict(EntryIndex)
        for entry in self._entries:
            self._indexes[_planned(entry)].entries.append(entry)
        for index in self._indexes.values():
            index.build()

    def answers(self) -> Iterator[Answer]:
        """Yield all answers about the set."""
        yield from self._equivalent_policies()
        silent: set[int] = set()
        yield from self._useless(silent)
        yield from self._contradictions([entry for entry in self._entries if id(entry) not in silent])

    def useless(self) -> Iterator[Answer]:
        """Yield the entries that never fire, and those that other entries make redundant."""
        return self._useless(set())

    def _useless(self, silent: set[int]) -> Iterator[Answer]:
        """Yield these entries; add the ``id`` of each entry that never fires to ``silent``."""
        for entry in self._entries:
            try:
                answer = self._never_fires(entry)
            except UndecidedError as error:
                yield _undecided(entry, "whether it can fire", error)
                silent.add(id(entry))
                continue
            if answer is not None:
                silent.add(id(entry))
                yield answer
        for entry in [entry for entry in self._entries if id(entry) not in silent]:
            yield from self._redundant(entry, silent)

    def _never_fires(self, entry: EntryRegions) -> Answer | None:
        if not entry.region.empty:
            return None
        if not entry.attributed.empty:
            # The policy's own selectors contradict each other. An attributed event that lacks their scopes passes them.
            message = (
                "the policy's own selectors contradict each other: it fires only for events that are attributed to the "
                "policy and lack what these selectors name"
            )
            event = {**entry.attribution(), **entry.attributed.example(entry.target_scopes)}
            return _answer("attributed-only", message, entry, event=event)
        if entry.scope.empty:
            message = "no event can match it: the policy's own selectors contradict each other"
            return _answer("never-in-scope", message, entry)
        return _answer("never-fires", "no event can match both its selectors and the policy's", entry)

    def _redundant(self, entry: EntryRegions, silent: set[int]) -> Iterator[Answer]:
        """Yield why an entry is redundant: whenever it fires, other entries plan the same action, or supersede it."""
        yield from self._covered(entry, silent)
        if entry.action == "agentKillProcess":
            try:
                yield from self._superseded(entry, silent)
            except UndecidedError as error:
                yield _undecided(entry, "whether it is always superseded", error)

    def _covered(self, entry: EntryRegions, silent: set[int]) -> Iterator[Answer]:
        is_flag = entry.action.startswith("make")
        later: set[int] = set()

        def eligible(other: EntryRegions) -> bool:
            return (
                other is not entry
                and id(other) not in later
                and id(other) not in silent
                # Flags merge within one policy only, so a flag of another policy does not replace this one.
                and (other.policy is entry.policy or not is_flag)
                and (other.enforced or not entry.enforced)
            )

        index = self._indexes[_planned(entry)]
        covering = self._covering(entry, [index], eligible, "whether others cover it")
        equal = self._later_equal(covering, entry)
        if equal is not None:
            # Of two entries that cover each other, the later one is redundant. Search again without the later ones:
            # another entry may cover both.
            later |= {id(equal), *(id(other) for other in index.meeting(entry.region) if other.region == entry.region)}
            covering = self._covering(entry, [index], eligible, "whether others cover it")
            if self._later_equal(covering, entry) is not None:
                return
        if isinstance(covering, Answer):
            yield covering
        elif covering:
            names = tuple(other.name for other in covering)
            message = f"whenever it fires, {_listed(names)} fires too and plans the same action"
            yield _answer("covered", message, entry, others=names, event=entry.region.example(entry.target_scopes))

    @staticmethod
    def _later_equal(covering: list[EntryRegions] | Answer, entry: EntryRegions) -> EntryRegions | None:
        """Return the one entry that covers ``entry``, if it comes later and ``entry`` covers it too."""
        if isinstance(covering, Answer) or len(covering) != 1 or _order(covering[0]) < _order(entry):
            return None
        return covering[0] if covering[0].region.within([entry.region]) is None else None

    def _superseded(self, entry: EntryRegions, silent: set[int]) -> Iterator[Answer]:
        # Without a process, none of these actions applies and nothing is superseded.
        entry_with_process = replace(entry, region=entry.region & _WITH_PROCESS)
        region = entry_with_process.region
        if region.empty:
            return
        indexes = [self._indexes[action, ()] for action in sorted(_SUPERSEDING) if (action, ()) in self._indexes]
        event = region.example(entry.target_scopes)
        if not any(True for index in indexes for _ in index.fired_by(event)):
            return
        # Equal actions merge into one, which is executed if one of its entries is enforced.
        executed = entry.enforced or any(
            other.enforced and id(other) not in silent and not (other.region & region).empty
            for other in self._indexes[_planned(entry)].meeting(region)
        )

        def eligible(other: EntryRegions) -> bool:
            # An audited action never supersedes an executed one.
            return id(other) not in silent and (other.enforced or not executed)

        covering = self._covering(entry_with_process, indexes, eligible, "whether it is always superseded")
        if isinstance(covering, Answer):
            yield covering
        elif covering:
            names = tuple(other.name for other in covering)
            message = f"whenever it fires for a process, {_listed(names)} kills the process too and supersedes it"
            yield _answer("always-superseded", message, entry, others=names, event=event)

    def _covering(
        self,
        entry: EntryRegions,
        indexes: Sequence[EntryIndex],
        eligible: Callable[[EntryRegions], bool],
        question: str,
    ) -> list[EntryRegions] | Answer:
        """Return a few eligible entries of which one fires whenever ``entry`` does; an empty list if there are none.

        Return an answer of the kind ``not-decided`` if the question takes too long.
        """
        try:
            # For most entries, the first example shows that nothing covers them.
            event = entry.region.example(entry.target_scopes)
            firing = [other for index in indexes for other in index.fired_by(event) if eligible(other)]
            # For most others, one entry alone covers them.
            for other in firing:
                if entry.region.within([other.region]) is None:
                    return [other]
            if not firing:
                return []
            candidates = [other for index in indexes for other in index.meeting(entry.region) if eligible(other)]
            if len(candidates) > MAX_CANDIDATES:
                raise UndecidedError(f"{len(candidates):,} entries to compare it with")
            candidates = [other for other in candidates if not (other.region & entry.region).empty]
            if entry.region.within([other.region for other in candidates]) is not None:
                return []
            return _necessary(entry, candidates)
        except UndecidedError as error:
            return _undecided(entry, question, error)

    def _contradictions(self, entries: list[EntryRegions]) -> Iterator[Answer]:
        """Yield the pairs of one policy that plan a renice and a kill, or two priorities, for one process."""
        by_policy: dict[int, list[EntryRegions]] = defaultdict(list)
        for entry in entries:
            by_policy[entry.order].append(entry)
        for group in by_policy.values():
            yield from self._contradictions_of(group)

    def _contradictions_of(self, group: list[EntryRegions]) -> Iterator[Answer]:
        try:
            for entry, other in conflicting_pairs(group):
                yield from self._contradiction(entry, other)
        except UndecidedError as error:
            yield _undecided(group[0], "what else of its policy contradicts", error)

    @staticmethod
    def _contradiction(entry: EntryRegions, other: EntryRegions) -> Iterator[Answer]:
        try:
            both = entry.region & other.region
            if both.empty:
                return
        except UndecidedError as error:
            yield _undecided(other, f"whether it can fire together with {entry.name}", error)
            return
        what = "two priorities" if entry.action == other.action else "a renice and a kill"
        message = f"together with {entry.name} it plans {what} for the same process"
        yield _answer("contradictory", message, other, others=(entry.name,), event=both.example(("process",)))

    def _equivalent_policies(self) -> Iterator[Answer]:
        """Yield policies whose enabled entries are written like those of an earlier policy."""
        seen: dict[Any, str] = {}
        for policy in self._policies:
            if not policy.enabled or not any(entry.enabled for entry in policy.entries):
                continue
            content = (
                policy.mode,
                _selectors_meaning(policy.selectors),
                tuple(
                    (entry.section, entry.action, entry.parameters, _selectors_meaning(entry.selectors))
                    for entry in policy.entries
                    if entry.enabled
                ),
            )
            first = seen.setdefault(content, policy.name)
            if first != policy.name:
                message = f"it plans the same actions for the same events as policy {first}"
                yield Answer("equivalent-policies", message, policy.name, "", policy.location, (first,))

    def reaching(self, question: EventRegion, actions: Iterable[str]) -> Iterator[Answer]:
        """Yield every entry with one of these actions that can fire for an event of a region, with an example.

        Attributed events count too, because a detector may attribute any event.
        """
        chosen = frozenset(actions)
        for entry in self._entries:
            if entry.action not in chosen:
                continue
            with_target = EventRegion({scope: Scope(False, True) for scope in entry.target_scopes})
            try:
                for region, attribution in ((entry.region, {}), (entry.attributed, entry.attribution())):
                    both = region & question & with_target
                    if not both.empty:
                        event = {**attribution, **both.example(entry.target_scopes)}
                        how = " when attributed to its policy" if attribution else ""
                        message = f"it can fire for such an event{how}; its policy is in mode `{entry.policy.mode}`"
                        yield _answer("reaches", message, entry, event=event)
                        break
            except UndecidedError as error:
                yield _undecided(entry, "whether it can fire for such an event", error)


def _planned(entry: EntryRegions) -> tuple[str, Any]:
    """Return the action of an entry with its parameters."""
    return entry.action, entry.entry.parameters


def _necessary(entry: EntryRegions, candidates: list[EntryRegions]) -> list[EntryRegions]:
    """Return the candidates, which cover an entry together, without those that are not needed for that."""
    necessary = candidates
    for other in candidates:
        fewer = [item for item in necessary if item is not other]
        if entry.region.within([item.region for item in fewer]) is None:
            necessary = fewer
    return necessary


def _order(entry: EntryRegions) -> tuple[int, bool, int]:
    return entry.order, entry.entry.section != "default", entry.entry.index


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
    entry: EntryRegions,
    *,
    others: tuple[str, ...] = (),
    event: Mapping[str, Any] | None = None,
) -> Answer:
    return Answer(kind, message, entry.policy.name, entry.label, entry.location, others, event)


def _undecided(entry: EntryRegions, question: str, error: UndecidedError) -> Answer:
    return _answer("not-decided", f"not decided {question}: {error}", entry)


# The relation of two policies, or of two entries: equivalent, implied, disjoint or overlapping.
#
# Two entries are compared by the events for which they fire; two policies by the actions that they plan, with their
# parameters, executed or audited. Like other answers, this one concerns events that are not attributed to a policy.

_ENTRY: Final = re.compile(r"(?P<policy>.*): (?P<section>default|actions)\[(?P<index>\d+)\](?: \w+)?", re.DOTALL)
# By whether the second covers the first, and the first the second.
_KINDS: Final[dict[tuple[bool, bool], Kind]] = {
    (True, True): "equivalent",
    (True, False): "implied",
    (False, True): "implies",
    (False, False): "overlapping",
}
_OF_ENTRIES: Final[dict[str, str]] = {
    "equivalent": "it fires for the same events as {}",
    "implied": "whenever it fires, {} fires too; {} also fires for other events",
    "implies": "whenever {} fires, it fires too; it also fires for other events",
    "overlapping": "it and {} both fire for some events, and each of them also fires alone",
    "disjoint": "no event fires both it and {}",
}
_OF_POLICIES: Final[dict[str, str]] = {
    "equivalent": "it plans the same actions for the same events as {}",
    "implied": "whenever it plans an action, {} plans it too; {} also plans others",
    "implies": "whenever {} plans an action, it plans the action too; it also plans others",
    "overlapping": "it and {} both plan actions for some events, and each of them also plans actions alone",
    "disjoint": "there is no event for which both it and {} plan an action",
}


def relation(policies: PolicySet, first: str, second: str, *, not_in_takes_absent: bool = True) -> Answer:
    """Return the relation of two policies or two entries of a set.

    Args:
        policies: the set.
        first: the name of a policy; or an entry, such as ``web-containers: actions[0]``.
        second: another one.
        not_in_takes_absent: whether ``NotIn`` matches an absent key, as with the engine's ``not_in="kubernetes"``.

    Raises:
        ValueError: one of them does not exist or is disabled, or several policies have the name.
    """
    entries = list(entries_of(policies, not_in_takes_absent=not_in_takes_absent))
    mine, theirs = _named(policies, entries, first), _named(policies, entries, second)
    by_entries = all(map(_ENTRY.fullmatch, (first, second)))
    try:
        kind, event = _related(mine, theirs, by_entries=by_entries)
    except UndecidedError as error:
        kind, event = "not-decided", None
        message = f"not decided how it relates to {second}: {error}"
    else:
        message = (_OF_ENTRIES if by_entries else _OF_POLICIES)[kind].replace("{}", second)
    entry = mine[0]
    subject = entry.label if _ENTRY.fullmatch(first) else ""
    location = entry.location if subject else entry.policy.location
    return Answer(kind, message, entry.policy.name, subject, location, (second,), event)


def _named(policies: PolicySet, entries: Iterable[EntryRegions], name: str) -> list[EntryRegions]:
    """Return the enabled entries of a policy with this name, or the one entry."""
    match = _ENTRY.fullmatch(name)
    policy_name = match["policy"] if match else name
    matching = [policy for policy in policies if policy.name == policy_name]
    if len(matching) != 1:
        reason = f"{len(matching)} policies are named" if matching else "there is no policy"
        hint = "" if matching else f"; {suggestion(policy_name, [policy.name for policy in policies])}"
        raise ValueError(f"{reason} {quoted(policy_name)}{hint}")
    named = [entry for entry in entries if entry.policy is matching[0]]
    if match:
        place = match["section"], int(match["index"])
        named = [entry for entry in named if (entry.entry.section, entry.entry.index) == place]
    if not named:
        raise ValueError(f"{quoted(name)} has no entry that is enabled")
    return named


def _related(
    mine: Sequence[EntryRegions], theirs: Sequence[EntryRegions], *, by_entries: bool
) -> tuple[Kind, Mapping[str, Any] | None]:
    both = next((region for a in mine for b in theirs if not (region := a.region & b.region).empty), None)
    if both is None:
        return "disjoint", None
    only_mine, only_theirs = _not_covered(mine, theirs, by_entries), _not_covered(theirs, mine, by_entries)
    kind = _KINDS[only_mine is None, only_theirs is None]
    region = {"implied": only_theirs, "implies": only_mine}.get(kind) or both
    scopes = {scope for entry in (*mine, *theirs) for scope in entry.target_scopes}
    return kind, region.example(scopes)


def _not_covered(mine: Iterable[EntryRegions], theirs: Iterable[EntryRegions], by_entries: bool) -> EventRegion | None:
    """Return events for which an entry of ``mine`` fires, and none of ``theirs`` that could replace it; None: none."""
    for entry in mine:
        replacing = [other.region for other in theirs if by_entries or _replaces(other, entry)]
        left = entry.region.within(replacing)
        if left is not None:
            return left
    return None


def _replaces(other: EntryRegions, entry: EntryRegions) -> bool:
    return _planned(other) == _planned(entry) and (other.enforced or not entry.enforced)
