"""Proves that the compiled index of one policy set decides as the specification does (``decision/reference.py``).

1. *Values.* The policies divide the values of a field into a finite number of classes: absent, each text that they
   name, and each combination of globs that other texts match. For one value of each class, the index and the
   specification evaluate every clause equally.
2. *Policies.* The clauses of one policy divide each field into few classes. The index and the specification decide
   every combination of these classes, and of absent scopes, equally: as it is, and attributed to the policy. If there
   are too many combinations, one field at a time is varied in an event that fires. For an attributed event, the
   actions, parameters and dispositions of the plan are compared too.
3. *Events.* If the product of all classes of all fields is small enough, both plan every combination equally.

A part that would take too long is "not decided".
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

_Key = tuple[Any, ...]


class PlanCheck:
    """Checks a plan: the specification must plan the same actions if exactly the sources of the plan fire.

    Attributes:
        shared_names: the names that several policies have. In ``plan.policies`` these policies look equal.
    """

    def __init__(self, policies: Iterable[Policy], options: reference.Options) -> None:
        self._options = options
        self._entries: dict[_Key, tuple[int, Policy, Entry]] = {}
        # The keys that several entries have. In the sources of a plan these entries look equal.
        self._ambiguous: set[_Key] = set()
        self.shared_names: set[str] = set()
        seen: set[str] = set()
        for order, policy in enumerate(policies):
            (self.shared_names if policy.name in seen else seen).add(policy.name)
            if policy.enabled:
                for entry in policy.entries:
                    key = (policy.name, policy.uid, entry.section, entry.index, entry.location)
                    if key in self._entries:
                        self._ambiguous.add(key)
                    if entry.enabled:
                        self._entries[key] = (order, policy, entry)

    def agrees(self, plan: Any, event: Mapping[str, Any]) -> bool:
        """Return whether the specification plans the actions of a plan, or a source of the plan is ambiguous."""
        keys = [
            (source.policy, source.uid, source.section, source.index, source.location)
            for action in plan
            for source in action.sources
        ]
        if any(key in self._ambiguous for key in keys):
            return True
        if any(key not in self._entries for key in keys):
            return False
        entries = [self._entries[key] for key in keys]
        overridden = set()
        if self._options.defaults == "unless-overridden":
            overridden = {(order, entry.action) for order, _, entry in entries if entry.section == "actions"}
        fired = [
            reference.Fired(order, policy, entry, entry.section == "default" and (order, entry.action) in overridden)
            for order, policy, entry in entries
        ]
        return actions_json(plan) == reference.plan(fired, event, self._options)


def actions_json(plan: Any) -> list[dict[str, Any]]:
    """Return the actions of a plan in the form that the specification uses."""
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
#: The most classes of values of one field.
MAX_CLASSES: Final = 2_000
#: The most combinations of the classes of one policy; with more, one field at a time is varied.
MAX_POLICY_EVENTS: Final = 1_000
#: The most combinations of all classes, multiplied by the number of policies.
MAX_WORK: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Statement:
    """One part of the proof.

    Attributes:
        about: ``values of SCOPE.FIELD``, ``policy NAME`` or ``events``.
        verdict: ``proven``; ``refuted``: the index is wrong; ``not-decided``.
        how: what was compared, for people.
        checked: the number of comparisons.
        event: if it is refuted, an event that the index and the specification decide differently.
    """

    about: str
    verdict: Verdict
    how: str
    checked: int
    event: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the statement as JSON data."""
        return {
            "about": self.about,
            "verdict": self.verdict,
            "how": self.how,
            "checked": self.checked,
            "event": self.event,
        }


def certify(compiled: Compiled, options: reference.Options) -> Iterator[Statement]:
    """Yield the parts of the proof that a compiled index decides as the specification does, with these options."""
    policies = list(compiled.policy_set)
    clauses = _clauses(policies)
    classes: dict[Field, tuple[str | None, ...]] = {}
    undecided: dict[Field, str] = {}
    for field in compiled.attributes:
        own = [clause for _, clause in clauses.get(field, ())]
        try:
            classes[field] = (None, *values_of(own))
        except UndecidedError as error:
            undecided[field] = str(error)
            # Check each clause at least with its own classes.
            classes[field] = tuple(dict.fromkeys(value for clause in own for value in (None, *_own_values(clause))))
    yield from _values(compiled, options, clauses, classes, undecided)
    check = PlanCheck(policies, options)
    for policy in policies:
        if policy.enabled:
            yield _policy(compiled, options, policy, check)
    yield _events(compiled, options, classes, undecided)


def _clauses(policies: Iterable[Policy]) -> dict[Field, list[tuple[Selector, Clause]]]:
    """Return the clauses of enabled policies and entries, by field."""
    clauses: dict[Field, list[tuple[Selector, Clause]]] = {}
    for policy in policies:
        if policy.enabled:
            for selector in _selectors(policy):
                for clause in selector.clauses:
                    clauses.setdefault((selector.scope, clause.key), []).append((selector, clause))
    return clauses


def _selectors(policy: Policy) -> Iterator[Selector]:
    yield from policy.selectors
    for entry in policy.entries:
        if entry.enabled:
            yield from entry.selectors


def values_of(clauses: Iterable[Clause]) -> list[str]:
    """Return one text of each class into which these clauses divide the values of a field, without absence.

    Raises:
        UndecidedError: there are more than ``MAX_CLASSES``, or it is not decided whether a class is empty.
    """
    patterns = sorted({pattern for clause in clauses for pattern in clause.values})
    texts = {text for pattern in patterns if (text := _only_text(pattern)) is not None}
    globs = [pattern for pattern in patterns if _only_text(pattern) is None]
    exact = frozenset(_escaped(text) for text in texts)
    # Each class so far: the globs that match it, the globs that do not, and one of its texts.
    classes: list[tuple[tuple[str, ...], frozenset[str], str]] = []
    first = find((), exact)
    if first is not None:
        classes.append(((), exact, first))
    for glob in globs:
        split = []
        for matching, other_globs, text in classes:
            # Divide the class by the glob. `text` is in one half; search for a text in the other half.
            inside, outside = (*matching, glob), other_globs | {glob}
            is_inside = matches(text, glob)
            required = [frozenset({item}) for item in (matching if is_inside else inside)]
            other = find(required, outside if is_inside else other_globs)
            if is_inside or other is not None:
                split.append((inside, other_globs, text if is_inside else str(other)))
            if not is_inside or other is not None:
                split.append((matching, outside, str(other) if is_inside else text))
        classes = split
        if len(classes) > MAX_CLASSES:
            raise UndecidedError(f"more than {MAX_CLASSES:,} combinations of {len(globs):,} globs")
    return [*sorted(texts), *(text for _, _, text in classes)]


def _own_values(clause: Clause) -> list[str]:
    """Return one text of each class of values of one clause; if they are too many, one text of each pattern."""
    try:
        return values_of([clause])
    except UndecidedError:
        texts = (find([frozenset({pattern})], frozenset()) for pattern in clause.values)
        return [text for text in texts if text is not None]


def _only_text(pattern: str) -> str | None:
    """Return the only text that a pattern matches; None if it has wildcards or brackets."""
    plain = all(character not in pattern for character in "*?[")
    return pattern if plain else None


def _escaped(text: str) -> str:
    """Return the glob that matches exactly a text."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in text)


def _values(
    compiled: Compiled,
    options: reference.Options,
    clauses: Mapping[Field, Sequence[tuple[Selector, Clause]]],
    classes: Mapping[Field, Sequence[str | None]],
    undecided: Mapping[Field, str],
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
        # One event tests one value of every field, because no clause compares two fields.
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
        elif field in undecided:
            how += f", those of each clause alone; all together not decided: {undecided[field]}"
            yield Statement(name, "not-decided", how, checked[field])
        else:
            yield Statement(name, "proven", how, checked[field])


def _predicates(compiled: Compiled) -> dict[int, int]:
    """Return the number of the index's predicate for each clause, by the ``id`` of the clause."""
    program = compiled.index.program
    numbers: dict[int, int] = {}
    policy_index = entry_index = 0
    for policy in compiled.policy_set:
        if not policy.enabled:
            continue
        for i, selector in enumerate(policy.selectors):
            number = program.policy_selector(policy_index, i)
            numbers.update(
                {id(clause): program.selector_predicate(number, j) for j, clause in enumerate(selector.clauses)}
            )
        policy_index += 1
        for entry in policy.entries:
            if entry.enabled:
                for i, selector in enumerate(entry.selectors):
                    number = program.entry_selector(entry_index, i)
                    numbers.update(
                        {id(clause): program.selector_predicate(number, j) for j, clause in enumerate(selector.clauses)}
                    )
                entry_index += 1
    return numbers


def _policy(compiled: Compiled, options: reference.Options, policy: Policy, check: PlanCheck) -> Statement:
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
            if not _agree(compiled, options, policy, event, check):
                return Statement(name, "refuted", how, checked, event)
    except UndecidedError as error:
        return Statement(name, "not-decided", str(error), 0)
    return Statement(name, "proven", how, checked)


def _events_of(
    policy: Policy, classes: Mapping[Field, Sequence[str | None]], options: reference.Options
) -> tuple[Iterator[dict[str, Any]], str]:
    """Return the events that prove a policy, and a description of them."""
    targets = _targets([policy])
    attribution = {"policy_name": policy.name} if policy.uid is None else {"policy_uid": policy.uid}
    # Events that are not attributed always have the targets, because only which entries fire is compared for them.
    present: dict[str, Any] = {scope: {} for scope in targets}
    if product_size(classes, targets) <= MAX_POLICY_EVENTS:
        unattributed, attributed = product(classes), product(classes, targets)
        how = "every combination of the classes of values that its clauses distinguish"
    else:
        unattributed, attributed = (_variations(policy, classes, options, targets) for _ in range(2))
        how = "each class of values of each of its fields, one at a time, in an event for which each entry fires"
    events = itertools.chain(
        ({**present, **event} for event in unattributed), ({**attribution, **event} for event in attributed)
    )
    return events, f"{how}, as it is and attributed to the policy"


def _targets(policies: Iterable[Policy]) -> frozenset[str]:
    """Return the scopes that enabled entries act on."""
    return frozenset(
        TARGET_SCOPE[entry.action]
        for policy in policies
        if policy.enabled
        for entry in policy.entries
        if entry.enabled and entry.action in TARGET_SCOPE
    )


def _variations(
    policy: Policy,
    classes: Mapping[Field, Sequence[str | None]],
    options: reference.Options,
    targets: frozenset[str],
) -> Iterator[dict[str, Any]]:
    """Yield an event for which each entry fires; the same without each scope; and with each class of each field."""
    absent = options.not_in == "kubernetes"
    scope = of_selectors(policy.selectors, not_in_takes_absent=absent)
    excused = of_selectors(policy.selectors, not_in_takes_absent=absent, excused=True)
    own = [of_selectors(entry.selectors, not_in_takes_absent=absent) for entry in policy.entries if entry.enabled]
    # If no event is in the scope of the policy, an entry may still fire for an attributed event.
    regions = [scope, *(scope & region for region in own)]
    regions += [excused & region for region in own if (scope & region).empty]
    for region in regions:
        if region.empty:
            continue
        base = region.example(targets)
        yield base
        for dropped in base:
            yield {key: value for key, value in base.items() if key != dropped}
        for field, values in classes.items():
            yield from (_changed(base, field, value) for value in values)


def _changed(event: Mapping[str, Any], field: Field, value: str | None) -> dict[str, Any]:
    """Return an event with another value of a field; None: without the field."""
    scope, key = field
    changed = dict(event.get(scope) or {})
    if scope == "namespace" and key == NAMESPACE_NAME_LABEL:
        changed.pop("name", None)
    fields = changed if scope not in LABEL_SCOPES else dict(changed.get("labels") or {})
    fields.pop(key, None)
    if value is not None:
        fields[key] = value
    if scope in LABEL_SCOPES:
        changed["labels"] = fields
    return {**event, scope: changed}


def _agree(
    compiled: Compiled, options: reference.Options, policy: Policy, event: Mapping[str, Any], check: PlanCheck
) -> bool:
    """Return whether index and specification agree on one policy: whether it is in scope, and which entries fire."""
    plan = compiled.index.evaluate(event)
    applies = reference.applies(policy, event, options)
    expected_fired = reference.fire(0, policy, event, options) if applies else []
    expected = {(item.entry.section, item.entry.index) for item in expected_fired}
    fired = {
        (source.section, source.index)
        for action in plan
        for source in action.sources
        if (source.policy, source.uid) == (policy.name, policy.uid)
        and any(entry.location == source.location for entry in policy.entries)
    }
    scope_agrees = policy.name in check.shared_names or (policy.name in plan.policies) == applies
    # The plan of an attributed event holds the actions of this policy only, so it can be compared too.
    attributed = "policy_uid" in event or "policy_name" in event
    return fired == expected and scope_agrees and (not attributed or check.agrees(plan, event))


def _events(
    compiled: Compiled,
    options: reference.Options,
    classes: Mapping[Field, Sequence[str | None]],
    undecided: Mapping[Field, str],
) -> Statement:
    policies = list(compiled.policy_set)
    if undecided:
        how = f"not every class of {', '.join('.'.join(field) for field in undecided)} is known"
        return Statement("events", "not-decided", how, 0)
    targets = _targets(policies)
    size = product_size(classes, targets)
    if size * max(1, len(policies)) > MAX_WORK:
        how = f"the product of all classes is {_large(size)} events for {len(policies):,} policies"
        return Statement("events", "not-decided", how, 0)
    checked = 0
    how = "every combination of the classes of values that the policies distinguish"
    for event in product(classes, targets):
        checked += 1
        plan = compiled.index.evaluate(event)
        expected = reference.evaluate(policies, event, options)
        if (list(plan.policies), actions_json(plan)) != (expected["policies"], expected["actions"]):
            return Statement("events", "refuted", how, checked, event)
    return Statement("events", "proven", how, checked)


def _large(size: int) -> str:
    return f"{size:,}" if size < 10**12 else f"about 10^{math.floor(math.log10(size))}"


def product_size(classes: Mapping[Field, Sequence[str | None]], more_scopes: Iterable[str] = ()) -> int:
    """Return the number of events that ``product`` yields."""
    scopes = dict.fromkeys(more_scopes, 1)
    for (scope, _), values in classes.items():
        scopes[scope] = scopes.get(scope, 1) * len(values)
    return math.prod(size + 1 for size in scopes.values())


def product(classes: Mapping[Field, Sequence[str | None]], more_scopes: Iterable[str] = ()) -> Iterator[dict[str, Any]]:
    """Yield an event for every combination of classes and of absent scopes; ``more_scopes`` may be absent too."""
    by_scope: dict[str, dict[Field, Sequence[str | None]]] = {scope: {} for scope in more_scopes}
    for field, values in classes.items():
        by_scope.setdefault(field[0], {})[field] = values
    choices: list[list[dict[Field, str | None] | None]] = []
    for fields in by_scope.values():
        present_values = (dict(zip(fields, chosen, strict=True)) for chosen in itertools.product(*fields.values()))
        choices.append([None, *present_values])
    for combination in itertools.product(*choices):
        values_of_event = {field: value for part in combination if part is not None for field, value in part.items()}
        present = {scope for scope, part in zip(by_scope, combination, strict=True) if part is not None}
        yield event_of(values_of_event, present)


def event_of(values: Mapping[Field, str | None], present: Iterable[str]) -> dict[str, Any]:
    """Return the event with these scopes and values."""
    event: dict[str, Any] = {scope: {} for scope in sorted(present)}
    for (scope, key), value in values.items():
        if value is not None:
            fields = event[scope].setdefault("labels", {}) if scope in LABEL_SCOPES else event[scope]
            fields[key] = value
    return event
