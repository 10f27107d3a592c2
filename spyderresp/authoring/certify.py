"""A proof for one policy set: that its index means what its policies say. Not a sample, and no more than it says.

1. *Values.* What an event gives for a field falls into finitely many classes that the policies can tell apart:
   absent, each text they name, each combination of globs that some other text realises. For one value of each, the
   index's verdict on every clause equals the specification's (``reference.holds``).
2. *Policies.* For each policy, its own clauses cut every field into few classes. Every combination of these, objects
   that are missing among them, is decided by the index as a whole and by the specification, by itself and attributed
   to the policy; where they are too many, each is varied around an event that fires, one field at a time. And the plan
   of an attributed event, which is the policy's own, is what the specification plans: actions, parameters,
   dispositions.
3. *Events.* Where the product of all classes of all fields is small enough, every whole event goes through both.

Beyond a budget a part is "not decided", and says so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from spyderresp.authoring.analysis.automata import UndecidedError, find, matches
from spyderresp.authoring.analysis.regions import of_selectors
from spyderresp.decision import reference
from spyderresp.decision.compiler import Compiled
from spyderresp.policies.policy_set import Clause, Entry, Policy, Selector
from spyderresp.policies.vocabulary import LABEL_SCOPES, NAMESPACE_NAME_LABEL, TARGET_SCOPE

# What the specification makes of the entries that a plan names: is it that plan?

_Key = tuple[Any, ...]


class Planned:
    """The enabled entries of a policy set, as a plan's sources name them.

    Attributes:
        names: names that several policies bear; a plan does not tell these apart.
    """

    def __init__(self, policies: Iterable[Policy], options: reference.Options) -> None:
        self._options = options
        self._entries: dict[_Key, tuple[int, Policy, Entry]] = {}
        self._twice: set[_Key] = set()
        self.names: set[str] = set()
        seen: set[str] = set()
        for order, policy in enumerate(policies):
            (self.names if policy.name in seen else seen).add(policy.name)
            if policy.enabled:
                for entry in policy.entries:
                    key = (policy.name, policy.uid, entry.section, entry.index, entry.location)
                    if key in self._entries:
                        self._twice.add(key)
                    if entry.enabled:
                        self._entries[key] = (order, policy, entry)

    def agrees(self, plan: Any, event: Mapping[str, Any]) -> bool:
        """Tell whether a plan is what the specification plans where exactly the plan's sources fire: no policy is read.

        Where two policies cannot be told apart nothing is said against it.
        """
        keys = [
            (source.policy, source.uid, source.section, source.index, source.location)
            for action in plan
            for source in action.sources
        ]
        if any(key in self._twice for key in keys):
            return True
        if any(key not in self._entries for key in keys):
            return False
        found = [self._entries[key] for key in keys]
        overridden = set()
        if self._options.defaults == "unless-overridden":
            overridden = {(order, entry.action) for order, _, entry in found if entry.section == "actions"}
        fired = [
            reference.Fired(order, policy, entry, entry.section == "default" and (order, entry.action) in overridden)
            for order, policy, entry in found
        ]
        return said(plan) == reference.plan(fired, event, self._options)


def said(plan: Any) -> list[dict[str, Any]]:
    """Return what a plan says of its actions, as far as the specification says it."""
    return [
        {
            "action": action.name,
            "parameters": action.parameters,
            "disposition": action.disposition,
            "sources": [
                {"policy": source.policy, "section": source.section, "index": source.index} for source in action.sources
            ],
        }
        for action in plan
    ]


Verdict = Literal["proven", "refuted", "not-decided"]
Field = tuple[str, str]
#: How many classes the globs of one field may make.
MAX_CLASSES: Final = 2_000
#: How many events each policy's own classes may make before they are varied one field at a time.
MAX_POLICY_EVENTS: Final = 1_000
#: How many events, times policies, the product of all classes may make.
MAX_WORK: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Statement:
    """One part of the proof.

    Attributes:
        about: ``values of SCOPE.FIELD``, ``policy NAME`` or ``events``.
        verdict: ``proven``; ``refuted``: the index is wrong, and ``event`` shows it; ``not-decided``.
        how: what was looked at, for people.
        checked: how many verdicts or events were compared.
        event: where it is refuted, an event that both decide differently.
    """

    about: str
    verdict: Verdict
    how: str
    checked: int
    event: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {
            "about": self.about,
            "verdict": self.verdict,
            "how": self.how,
            "checked": self.checked,
            "event": self.event,
        }


def certify(compiled: Compiled, options: reference.Options) -> Iterator[Statement]:
    """Yield the parts of the proof that an index decides as the specification does, with these options."""
    policies = list(compiled.policy_set)
    clauses = _clauses(policies)
    classes: dict[Field, tuple[str | None, ...]] = {}
    given_up: dict[Field, str] = {}
    for field in compiled.attributes:
        held = [clause for _, clause in clauses.get(field, ())]
        try:
            classes[field] = (None, *values_of(held))
        except UndecidedError as error:
            given_up[field] = str(error)
            # Then at least every clause on what it can tell apart itself.
            classes[field] = tuple(dict.fromkeys(value for clause in held for value in (None, *_values_alone(clause))))
    yield from _values(compiled, options, clauses, classes, given_up)
    planned = Planned(policies, options)
    for policy in policies:
        if policy.enabled:
            yield _policy(compiled, options, policy, planned)
    yield _events(compiled, options, classes, given_up)


def _clauses(policies: Iterable[Policy]) -> dict[Field, list[tuple[Selector, Clause]]]:
    """Return the clauses of enabled policies and entries, by field."""
    found: dict[Field, list[tuple[Selector, Clause]]] = {}
    for policy in policies:
        if policy.enabled:
            for selector in _selectors(policy):
                for clause in selector.clauses:
                    found.setdefault((selector.scope, clause.key), []).append((selector, clause))
    return found


def _selectors(policy: Policy) -> Iterator[Selector]:
    yield from policy.selectors
    for entry in policy.entries:
        if entry.enabled:
            yield from entry.selectors


def values_of(clauses: Iterable[Clause]) -> list[str]:
    """Return one text of each class that these clauses of one field can tell apart, absence left out.

    Raises:
        UndecidedError: they make more than ``MAX_CLASSES``, or a class could not be told to be empty.
    """
    patterns = sorted({pattern for clause in clauses for pattern in clause.values})
    texts = {text for pattern in patterns if (text := _only_text(pattern)) is not None}
    globs = [pattern for pattern in patterns if _only_text(pattern) is None]
    apart = frozenset(_exactly(text) for text in texts)
    # Each class so far: the globs that take it, those that do not, and a text of it.
    classes: list[tuple[tuple[str, ...], frozenset[str], str]] = []
    first = find((), apart)
    if first is not None:
        classes.append(((), apart, first))
    for glob in globs:
        split = []
        for taken, refused, text in classes:
            inside, outside = (*taken, glob), refused | {glob}
            known = matches(text, glob)
            other = find([frozenset({item}) for item in (taken if known else inside)], outside if known else refused)
            if known or other is not None:
                split.append((inside, refused, text if known else str(other)))
            if not known or other is not None:
                split.append((taken, outside, str(other) if known else text))
        classes = split
        if len(classes) > MAX_CLASSES:
            raise UndecidedError(f"more than {MAX_CLASSES:,} combinations of {len(globs):,} globs")
    return [*sorted(texts), *(text for _, _, text in classes)]


def _values_alone(clause: Clause) -> list[str]:
    """Return one text of each class that a clause can tell apart; where these are too many, one of each pattern."""
    try:
        return values_of([clause])
    except UndecidedError:
        texts = (find([frozenset({pattern})], frozenset()) for pattern in clause.values)
        return [text for text in texts if text is not None]


def _only_text(pattern: str) -> str | None:
    """Return the one text that a pattern takes, where it is certain that there is one only."""
    plain = all(character not in pattern for character in "*?[")
    return pattern if plain else None


def _exactly(text: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in text)


def _values(
    compiled: Compiled,
    options: reference.Options,
    clauses: Mapping[Field, Sequence[tuple[Selector, Clause]]],
    classes: Mapping[Field, Sequence[str | None]],
    given_up: Mapping[Field, str],
) -> Iterator[Statement]:
    try:
        numbers = _predicates(compiled)
    except IndexError:
        yield Statement("values", "refuted", "the index holds other clauses than the policies", 0)
        return
    checked = dict.fromkeys(classes, 0)
    wrong: dict[Field, Mapping[str, Any]] = {}
    unique = {
        field: {(numbers[id(clause)], clause.operator, clause.values): clause for _, clause in clauses[field]}
        for field in classes
    }
    for i in range(max(map(len, classes.values()), default=0)):
        # One event asks about one value of every field: no clause looks at two fields.
        chosen = {field: values[i] for field, values in classes.items() if i < len(values)}
        event = event_of(chosen, {scope for scope, _ in classes})
        trace = compiled.index.trace(event)
        for field, value in chosen.items():
            for (number, _, _), clause in unique[field].items():
                checked[field] += 1
                if trace.predicates[number] != reference.holds(clause, value, options):
                    wrong.setdefault(field, event)
    for field, values in classes.items():
        name = f"values of {'.'.join(field)}"
        how = f"{len(unique[field]):,} clauses on {len(values):,} classes of values"
        if field in wrong:
            yield Statement(name, "refuted", how, checked[field], wrong[field])
        elif field in given_up:
            how += f", those of each clause alone; all together not decided: {given_up[field]}"
            yield Statement(name, "not-decided", how, checked[field])
        else:
            yield Statement(name, "proven", how, checked[field])


def _predicates(compiled: Compiled) -> dict[int, int]:
    """Return, by the identity of each clause, the number of the predicate that the index has for it."""
    program = compiled.index.program
    numbers: dict[int, int] = {}
    place = entry_place = 0
    for policy in compiled.policy_set:
        if not policy.enabled:
            continue
        for i, selector in enumerate(policy.selectors):
            held = program.policy_selector(place, i)
            numbers.update(
                {id(clause): program.selector_predicate(held, j) for j, clause in enumerate(selector.clauses)}
            )
        place += 1
        for entry in policy.entries:
            if entry.enabled:
                for i, selector in enumerate(entry.selectors):
                    held = program.entry_selector(entry_place, i)
                    numbers.update(
                        {id(clause): program.selector_predicate(held, j) for j, clause in enumerate(selector.clauses)}
                    )
                entry_place += 1
    return numbers


def _policy(compiled: Compiled, options: reference.Options, policy: Policy, planned: Planned) -> Statement:
    name = f"policy {policy.name}"
    own: dict[Field, list[Clause]] = {}
    for selector in _selectors(policy):
        for clause in selector.clauses:
            own.setdefault((selector.scope, clause.key), []).append(clause)
    try:
        classes = {field: (None, *values_of(clauses)) for field, clauses in own.items()}
        events, how = _events_of(policy, classes, options)
        checked = 0
        for event in events:
            checked += 1
            if not _agree(compiled, options, policy, event, planned):
                return Statement(name, "refuted", how, checked, event)
    except UndecidedError as error:
        return Statement(name, "not-decided", str(error), 0)
    return Statement(name, "proven", how, checked)


def _events_of(
    policy: Policy, classes: Mapping[Field, Sequence[str | None]], options: reference.Options
) -> tuple[Iterator[dict[str, Any]], str]:
    """Return the events that prove a policy, and what they are."""
    targets = _targets([policy])
    attribution = {"policy_name": policy.name} if policy.uid is None else {"policy_uid": policy.uid}
    # What others ask for is met where it is not attributed; there what the policy's actions act on is always at hand.
    present: dict[str, Any] = {scope: {} for scope in targets}
    if product_size(classes, targets) <= MAX_POLICY_EVENTS:
        free, bound = product(classes), product(classes, targets)
        how = "every combination of the classes of values that its clauses tell apart"
    else:
        free, bound = (_around(policy, classes, options, targets) for _ in range(2))
        how = "each class of values of each of its fields, one at a time, around an event for which each entry fires"
    events = itertools.chain(({**present, **event} for event in free), ({**attribution, **event} for event in bound))
    return events, f"{how}, by itself and attributed to it"


def _targets(policies: Iterable[Policy]) -> frozenset[str]:
    """Return the objects that enabled entries act on."""
    return frozenset(
        TARGET_SCOPE[entry.action]
        for policy in policies
        if policy.enabled
        for entry in policy.entries
        if entry.enabled and entry.action in TARGET_SCOPE
    )


def _around(
    policy: Policy,
    classes: Mapping[Field, Sequence[str | None]],
    options: reference.Options,
    targets: frozenset[str],
) -> Iterator[dict[str, Any]]:
    absent = options.not_in == "kubernetes"
    scope = of_selectors(policy.selectors, not_in_takes_absent=absent)
    excused = of_selectors(policy.selectors, not_in_takes_absent=absent, excused=True)
    own = [of_selectors(entry.selectors, not_in_takes_absent=absent) for entry in policy.entries if entry.enabled]
    # Of a policy with nothing in its scope an entry may fire for what is attributed to it.
    boxes = [scope, *(scope & box for box in own), *(excused & box for box in own if (scope & box).empty)]
    for box in boxes:
        if box.empty:
            continue
        base = box.example(targets)
        yield base
        for lacking in base:
            yield {key: value for key, value in base.items() if key != lacking}
        for field, values in classes.items():
            yield from (_changed(base, field, value) for value in values)


def _changed(event: Mapping[str, Any], field: Field, value: str | None) -> dict[str, Any]:
    scope, key = field
    if scope not in LABEL_SCOPES:
        held = {name: text for name, text in (event.get(scope) or {}).items() if name != key}
        return {**event, scope: held if value is None else {**held, key: value}}
    said = dict(event.get(scope) or {})
    labels = {name: text for name, text in (said.get("labels") or {}).items() if name != key}
    if scope == "namespace" and key == NAMESPACE_NAME_LABEL:
        said.pop("name", None)
    said["labels"] = labels if value is None else {**labels, key: value}
    return {**event, scope: said}


def _agree(
    compiled: Compiled, options: reference.Options, policy: Policy, event: Mapping[str, Any], planned: Planned
) -> bool:
    """Tell whether index and specification agree on one policy: is it in scope, which entries fire, what is planned."""
    plan = compiled.index.evaluate(event)
    mine = reference.applies(policy, event, options)
    fired = reference.fire(0, policy, event, options) if mine else []
    expected = {(item.entry.section, item.entry.index) for item in fired}
    found = {
        (source.section, source.index)
        for action in plan
        for source in action.sources
        if (source.policy, source.uid) == (policy.name, policy.uid) and _within(source.location, policy)
    }
    in_scope = policy.name in planned.names or (policy.name in plan.policies) == mine
    # Of an attributed event the plan is the policy's own, and small; what others add is asked of whole events only.
    bound = "policy_uid" in event or "policy_name" in event
    return found == expected and in_scope and (not bound or planned.agrees(plan, event))


def _within(location: Any, policy: Policy) -> bool:
    return any(entry.location == location for entry in policy.entries)


def _events(
    compiled: Compiled,
    options: reference.Options,
    classes: Mapping[Field, Sequence[str | None]],
    given_up: Mapping[Field, str],
) -> Statement:
    policies = list(compiled.policy_set)
    if given_up:
        how = f"not every class of {', '.join('.'.join(field) for field in given_up)} is known"
        return Statement("events", "not-decided", how, 0)
    targets = _targets(policies)
    size = product_size(classes, targets)
    if size * max(1, len(policies)) > MAX_WORK:
        how = f"the product of all classes is {_large(size)} events for {len(policies):,} policies"
        return Statement("events", "not-decided", how, 0)
    checked = 0
    how = "every combination of the classes of values that the policies tell apart"
    for event in product(classes, targets):
        checked += 1
        plan = compiled.index.evaluate(event)
        expected = reference.evaluate(policies, event, options)
        if (list(plan.policies), said(plan)) != (expected["policies"], expected["actions"]):
            return Statement("events", "refuted", how, checked, event)
    return Statement("events", "proven", how, checked)


def _large(size: int) -> str:
    return f"{size:,}" if size < 10**12 else f"about 10^{math.floor(math.log10(size))}"


def product_size(classes: Mapping[Field, Sequence[str | None]], scopes_too: Iterable[str] = ()) -> int:
    """Return how many events ``product`` makes."""
    scopes = dict.fromkeys(scopes_too, 1)
    for (scope, _), values in classes.items():
        scopes[scope] = scopes.get(scope, 1) * len(values)
    return math.prod(size + 1 for size in scopes.values())


def product(classes: Mapping[Field, Sequence[str | None]], scopes_too: Iterable[str] = ()) -> Iterator[dict[str, Any]]:
    """Yield an event for every combination of classes, and of objects that are missing, ``scopes_too`` among them."""
    by_scope: dict[str, dict[Field, Sequence[str | None]]] = {scope: {} for scope in scopes_too}
    for field, values in classes.items():
        by_scope.setdefault(field[0], {})[field] = values
    choices: list[list[dict[Field, str | None] | None]] = []
    for fields in by_scope.values():
        whole = (dict(zip(fields, chosen, strict=True)) for chosen in itertools.product(*fields.values()))
        choices.append([None, *whole])
    for combination in itertools.product(*choices):
        said = {name: value for held in combination if held is not None for name, value in held.items()}
        present = {scope for scope, held in zip(by_scope, combination, strict=True) if held is not None}
        yield event_of(said, present)


def event_of(values: Mapping[Field, str | None], present: Iterable[str]) -> dict[str, Any]:
    """Return the event with these objects and values."""
    event: dict[str, Any] = {scope: {} for scope in sorted(present)}
    for (scope, key), value in values.items():
        if value is not None:
            held = event[scope].setdefault("labels", {}) if scope in LABEL_SCOPES else event[scope]
            held[key] = value
    return event


# A proof for one policy set, that its index means what its policies say.

__all__ = ["Statement", "certify"]
