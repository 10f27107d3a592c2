import json
import sys
from collections.abc import Sequence

cimport cython
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memset

from spyderresp._gil cimport pause
from spyderresp.decision._event_reader cimport ID, TIME, is_scalar, scalar
from spyderresp.decision._hash_tables cimport prefetch
from spyderresp.policies._model cimport Entry, Policy

from spyderresp.policies import vocabulary as _words
from spyderresp.decision._event_reader import IDENTITY as _IDENTITY

cdef extern from "Python.h":
    PyObject* Py_NewRef(object value) noexcept
    void Py_XDECREF(PyObject* value) noexcept


# --- Plans ---

cdef enum:
    AHEAD = 16    # actions that are fetched before they are asked for

cdef tuple IDENTITY = _IDENTITY
cdef tuple PATHS = tuple([f"{scope}.{key}" for scope, keys in _IDENTITY for key in keys])
cdef dict PLACES = {path: place for place, path in enumerate(PATHS)}
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
if len(PATHS) != IDENTITIES:
    raise SystemError("a target has another number of values")


@cython.no_gc
cdef class Source:
    """One entry that asked for an action.

    Attributes:
        policy: the policy's name.
        uid: the policy's uid.
        section: the list under ``response``.
        index: the place in that list, from 0.
        location: where the action stands in its policy text.
    """

    def __init__(self, str policy not None, str uid, str section not None, Py_ssize_t index, location):
        if self.policy is not None:
            raise TypeError("a Source cannot be changed")
        self.policy = policy
        self.uid = uid
        self.section = section
        self.index = index
        self.location = location

    cdef tuple identity(self):
        return self.policy, self.uid, self.section, self.index

    def __eq__(self, other):
        return isinstance(other, Source) and self.identity() == (<Source>other).identity()

    def __hash__(self):
        return hash(self.identity())

    def __repr__(self):
        return f"Source({self.policy!r}, {self.section}[{self.index}])"

    def __reduce__(self):
        return Source, (self.policy, self.uid, self.section, self.index, self.location)


cdef Source new_source(str policy, str uid, str section, Py_ssize_t index, object location):
    cdef Source source = Source.__new__(Source)
    source.policy = policy
    source.uid = uid
    source.section = section
    source.index = index
    source.location = location
    return source


@cython.no_gc
cdef class Target:
    """Who an event is about: what executors need to find the process or pod again, and nothing else.

    Taken from the event when it was decided; a later change of the event alters nothing here.
    """

    def __init__(self, values):
        if self.values is not None:
            raise TypeError("a Target cannot be changed")
        self.values = tuple([scalar(value) for value in values])
        if len(self.values) != len(PATHS):
            raise ValueError("a target is made from an event only")

    def __getitem__(self, str path not None):
        """Return the value at a path such as ``process.pid``; None where the event did not give it."""
        return self.values[PLACES[path]]

    def to_dict(self):
        """Return what the event gave, by scope."""
        cdef Py_ssize_t place = 0
        result = {}
        for scope, keys in IDENTITY:
            held = {}
            for key in keys:
                if self.values[place] is not None:
                    held[key] = self.values[place]
                place += 1
            if held:
                result[scope] = held
        return result

    def __eq__(self, other):
        return isinstance(other, Target) and self.values == (<Target>other).values

    def __hash__(self):
        return hash(self.values)

    def __repr__(self):
        return f"Target({self.to_dict()!r})"

    def __reduce__(self):
        return Target, (self.values,)


@cython.no_gc
cdef class ActionShape:
    """An action without its target: see PlannedAction."""

    cdef dict to_dict(self):
        cdef Source source
        sources = []
        for source in self.sources:
            said = {"policy": source.policy, "section": source.section, "index": source.index}
            if source.uid is not None:
                said["uid"] = source.uid
            sources.append(said)
        result = {
            "action": self.name,
            "parameters": dict(self.items),
            "disposition": self.disposition,
            "sources": sources,
        }
        if self.superseded_by is not None:
            result["superseded_by"] = self.superseded_by
        if self.reason is not None:
            result["reason"] = self.reason
        return result

    cdef tuple identity(self):
        return self.name, self.items, self.disposition, self.sources, self.superseded_by, self.reason

    def __eq__(self, other):
        return isinstance(other, ActionShape) and self.identity() == (<ActionShape>other).identity()

    def __hash__(self):
        return hash(self.identity())

    def __reduce__(self):
        return _restore_action, self.identity()


cdef ActionShape new_action(str name, tuple items, str disposition, tuple sources, object by, object reason):
    cdef ActionShape shape = ActionShape.__new__(ActionShape)
    shape.name = name
    shape.items = items
    shape.disposition = disposition
    shape.sources = sources
    shape.superseded_by = by
    shape.reason = reason
    return shape


def _restore_action(
    str name not None, tuple items not None, str disposition not None, tuple sources not None, by, reason
):
    return new_action(name, items, disposition, sources, by, reason)


cdef ActionShape _EMPTY = new_action("", (), "", (), None, None)


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class PlannedAction:
    """One action of a plan. Immutable."""

    def __cinit__(self):
        # However an action comes about, there is a shape to look at.
        self.shape = _EMPTY

    def __init__(
        self,
        str name not None,
        tuple items not None,
        str disposition not None,
        tuple sources not None,
        superseded_by=None,
        reason=None,
        Target target=None,
    ):
        if self.shape is not _EMPTY:
            raise TypeError("a PlannedAction cannot be changed")
        self.shape = new_action(name, items, disposition, sources, superseded_by, reason)
        self.about = target

    @property
    def name(self):
        """Such as ``agentKillProcess``."""
        return self.shape.name

    @property
    def items(self):
        """The parameters as pairs."""
        return self.shape.items

    @property
    def parameters(self):
        """The action's own fields, as a new dict: texts, and ``priority`` as an int."""
        return dict(self.shape.items)

    @property
    def disposition(self):
        """Whether to carry it out."""
        return self.shape.disposition

    @property
    def sources(self):
        """Every entry that asked for it, in source order."""
        return self.shape.sources

    @property
    def superseded_by(self):
        """The place in the plan of the action that makes this one pointless."""
        return self.shape.superseded_by

    @property
    def reason(self):
        """Why it is not carried out, where that is not the policies' mode."""
        return self.shape.reason

    @property
    def target(self):
        """Who the event is about."""
        return (<ActionPlan>self.about).make_target() if isinstance(self.about, ActionPlan) else self.about

    def to_dict(self):
        """Return the JSON form."""
        return self.shape.to_dict()

    def __eq__(self, other):
        return (
            isinstance(other, PlannedAction) and self.shape == (<PlannedAction>other).shape
            and self.target == other.target
        )

    def __hash__(self):
        return hash((self.shape, self.target))

    def __repr__(self):
        return f"PlannedAction({self.shape.name!r}, {dict(self.shape.items)!r}, {self.shape.disposition!r})"

    def __reduce__(self):
        return PlannedAction, (*self.shape.identity(), self.target)


cdef PlannedAction _aimed(ActionShape shape, object about):
    cdef PlannedAction action = PlannedAction.__new__(PlannedAction)
    action.shape = shape
    action.about = about
    return action


@cython.no_gc
cdef class PlanShape:
    """What plans with the same fired entries share."""

    def __reduce__(self):
        return _restore_shape, (self.policies, self.actions)


cdef PlanShape new_shape(tuple policies, tuple actions):
    cdef PlanShape shape = PlanShape.__new__(PlanShape)
    cdef ActionShape action
    shape.policies = policies
    shape.actions = actions
    shape.count = len(actions)
    shape.weight = 1 + len(policies)
    for action in actions:
        shape.weight += 1 + len(action.sources)
    return shape


def _restore_shape(tuple policies not None, tuple actions not None):
    return new_shape(policies, actions)


cdef PlanShape _NOTHING = new_shape((), ())


cdef inline ActionPlan _bare(PyObject** cells, str digest):
    cdef ActionPlan plan = ActionPlan.__new__(ActionPlan)
    plan.policy_set = digest
    # The reader lets no other id through.
    plan.identifier = <object>cells[ID] if cells[ID] is not NULL else None
    plan.time = scalar(<object>cells[TIME]) if cells[TIME] is not NULL else None
    return plan


cdef inline void _aim(ActionPlan plan, PyObject** cells) noexcept:
    cdef int i
    cdef PyObject* value
    cdef object plain
    plan.aimed = True
    for i in range(IDENTITIES):
        value = cells[i]
        if value is NULL or <object>value is None:
            continue
        if is_scalar(value):
            plan.identity_values[i] = Py_NewRef(<object>value)
        else:
            plain = scalar(<object>value)
            if plain is not None:
                plan.identity_values[i] = Py_NewRef(plain)


cdef ActionPlan new_plan(PyObject** cells, str digest):
    cdef ActionPlan plan = _bare(cells, digest)
    _aim(plan, cells)
    return plan


cdef ActionPlan new_plan_of(PyObject** cells, str digest, PlanShape shape):
    cdef ActionPlan plan = _bare(cells, digest)
    cdef Py_ssize_t i
    plan.shape = shape
    if shape.count:
        # The caller reads the actions next.
        prefetch(<PyObject*>shape.actions)
        _aim(plan, cells)
        for i in range(min(shape.count, AHEAD)):
            prefetch(<PyObject*>shape.actions[i])
    return plan


cdef void set_shape(ActionPlan plan, PlanShape shape) noexcept:
    """Give a plan its shape; where nothing is planned it needs no target."""
    plan.shape = shape
    if not shape.count:
        plan.aimed = False
        _disown(plan)


cdef void _disown(ActionPlan plan) noexcept:
    cdef int i
    for i in range(IDENTITIES):
        Py_XDECREF(plan.identity_values[i])
        plan.identity_values[i] = NULL


@cython.no_gc
@cython.freelist(16)
cdef class _Actions:
    cdef ActionPlan plan
    cdef Py_ssize_t at

    def __iter__(self):
        return self

    def __next__(self):
        cdef tuple actions = self.plan.shape.actions
        if self.at >= len(actions):
            raise StopIteration
        self.at += 1
        return _aimed(<ActionShape>actions[self.at - 1], self.plan)

    def __length_hint__(self):
        return len(self.plan.shape.actions) - self.at


@cython.final
@cython.no_gc
@cython.freelist(32)
cdef class ActionPlan:
    """What to do about one event, in order. Immutable; pickles; equal to a plan that says the same.

    Attributes:
        time: the event's ``time``: RFC 3339 text or epoch seconds, or None.
        policy_set: the digest of the policies that decided.
        attribution: the key and value by which the event names a policy, and whether there is one; None without.
    """

    def __cinit__(self):
        # However a plan comes about, there is a shape to look at.
        self.shape = _NOTHING
        self.policy_set = ""

    def __dealloc__(self):
        cdef int i
        for i in range(IDENTITIES):
            Py_XDECREF(self.identity_values[i])

    @property
    def event(self):
        """The event's ``id``, or None."""
        # An id that is a list or mapping can be changed by its owner; a plan cannot change.
        if isinstance(self.identifier, (list, dict)):
            return json.loads(json.dumps(self.identifier))
        return self.identifier

    @property
    def policies(self):
        """Names of the policies in scope, in order, those without a firing entry among them."""
        return self.shape.policies

    @property
    def outcome(self):
        """What this plan shares with others: policies and actions without targets. Often the same object."""
        return self.shape

    cdef Target make_target(self):
        cdef Target target
        cdef int i
        if not self.aimed:
            return None
        target = Target.__new__(Target)
        target.values = tuple([
            <object>self.identity_values[i] if self.identity_values[i] is not NULL else None for i in range(IDENTITIES)
        ])
        return target

    @property
    def target(self):
        """Who the event is about; None where nothing is planned."""
        return self.make_target()

    def __len__(self):
        return len(self.shape.actions)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [_aimed(<ActionShape>action, self) for action in self.shape.actions[index]]
        return _aimed(<ActionShape>self.shape.actions[index], self)

    def __iter__(self):
        cdef _Actions actions = _Actions.__new__(_Actions)
        actions.plan = self
        return actions

    def __reversed__(self):
        return iter(self[::-1])

    def __contains__(self, item):
        return any([action == item for action in self])

    def index(self, value, start=0, stop=sys.maxsize, /):
        return list(self).index(value, start, stop)

    def count(self, value, /):
        return list(self).count(value)

    def to_dict(self):
        """Return the JSON form, version 1."""
        result = {
            "version": 1,
            "event": self.event,
            "policy_set": self.policy_set,
            "policies": list(self.shape.policies),
            "actions": [(<ActionShape>action).to_dict() for action in self.shape.actions],
        }
        if self.aimed:
            result["target"] = self.make_target().to_dict()
        if self.attribution is not None:
            key, value, outcome = self.attribution
            result["attribution"] = {"key": key, "value": value, "outcome": outcome}
        return result

    def to_json(self):
        """Return the JSON form as ASCII-safe JSON on one line; equal plans give equal text."""
        return _encode(self.to_dict())

    cdef tuple identity(self):
        own = self.identifier, self.time, self.policy_set, self.attribution, self.target
        return own, self.policies, self.shape.actions

    def __eq__(self, other):
        return isinstance(other, ActionPlan) and self.identity() == (<ActionPlan>other).identity()

    def __hash__(self):
        return hash((self.policy_set, self.target, self.policies, self.shape.actions))

    def __repr__(self):
        names = ", ".join([f"{action.name}:{action.disposition}" for action in self.shape.actions])
        return f"ActionPlan({self.event!r}, [{names}])"

    def __reduce__(self):
        return _restore, (self.shape, self.identifier, self.time, self.policy_set, self.attribution, self.target)


def _restore(PlanShape shape not None, event, time, str policy_set not None, attribution, Target target):
    cdef ActionPlan plan = ActionPlan.__new__(ActionPlan)
    cdef int i
    plan.shape = shape
    plan.identifier = event
    plan.time = time
    plan.policy_set = policy_set
    plan.attribution = attribution
    if target is not None:
        plan.aimed = True
        for i in range(IDENTITIES):
            if target.values[i] is not None:
                plan.identity_values[i] = Py_NewRef(target.values[i])
    return plan


Sequence.register(ActionPlan)


# --- Plan builder ---

cdef enum:
    STAGE_COUNT = 4
    FEW = 8            # flags of one policy that are compared pair by pair
    ENTRIES_PER_PAUSE = 256        # entries between two pauses
    MAX_EPOCH = 0x7FFFFFFF

cdef dict _CODES = {name: code for code, name in enumerate(_words.ACTIONS)}
cdef uint8_t _STAGE[16]
cdef bint _FLAG[16]
cdef bint _NEEDS_POD[16]
cdef bint _NEEDS_PROCESS[16]
for _name, _code in _CODES.items():
    _STAGE[_code] = _words.STAGES[_name]
    _FLAG[_code] = _name in _words.FLAGS
    _NEEDS_POD[_code] = _words.TARGET_SCOPE.get(_name) == "pod"
    _NEEDS_PROCESS[_code] = _words.TARGET_SCOPE.get(_name) == "process"
cdef uint8_t KILL = _CODES["agentKillProcess"]
cdef uint8_t KILL_GROUP = _CODES["agentKillProcessGroup"]
cdef uint8_t KILL_TREE = _CODES["agentKillProcessTree"]
cdef uint8_t RENICE = _CODES["agentReniceProcess"]
DISPOSITIONS = ("execute", "audit", "superseded", "not_applicable")


cdef void free_plan_scratch(PlanScratch* plan_scratch) noexcept nogil:
    free(plan_scratch.groups)
    free(plan_scratch.links)
    memset(plan_scratch, 0, sizeof(PlanScratch))


cdef void free_group_scratch(GroupScratch* group_scratch) noexcept nogil:
    free(group_scratch.latest)
    free(group_scratch.epochs)
    memset(group_scratch, 0, sizeof(GroupScratch))


cdef class PlanBuilder:
    """Builds plan shapes for one policy set and its options.

    Made from all its policies, the disabled ones among them.
    """

    def __cinit__(self, tuple policies not None, str defaults not None, bint audit):
        cdef Policy policy
        cdef Entry entry
        cdef int32_t at = 0, first, place
        cdef list twins = [{} for _ in _CODES]
        self.policies, self.entries = [], []
        for place in range(len(policies)):
            policy = policies[place]
            if policy.enabled:
                self.policies.append(policy)
                self.entry_count += len(policy.entries)
            if place % ENTRIES_PER_PAUSE == 0:
                pause()
        self.overriding = defaults != "always"
        self.audit = audit
        self.policy_of = <int32_t*>calloc(self.entry_count + 1, sizeof(int32_t))
        self.action_of = <uint8_t*>calloc(self.entry_count + 1, sizeof(uint8_t))
        self.enforces = <bint*>calloc(len(self.policies) + 1, sizeof(bint))
        self.twin = <int32_t*>calloc(self.entry_count + 1, sizeof(int32_t))
        self.overrules = <uint8_t*>calloc(self.entry_count + 1, 1)
        self.priority = <int8_t*>calloc(self.entry_count + 1, 1)
        self.singles = <PyObject**>calloc(2 * self.entry_count + 1, sizeof(PyObject*))
        if (
            not self.policy_of or not self.action_of or not self.enforces or not self.twin
            or not self.overrules or not self.priority or not self.singles or not self.prepare(&self.group_scratch)
        ):
            raise MemoryError
        for place in range(len(self.policies)):
            policy = self.policies[place]
            self.enforces[place] = policy.mode == "enforce"
            first = at
            for entry in policy.entries:
                if not entry.enabled:
                    continue
                self.entries.append(entry)
                self.policy_of[at] = place
                self.action_of[at] = _CODES[entry.action]
                self.overrules[at] = entry.section == "actions"
                if self.action_of[at] == RENICE:
                    self.priority[at] = entry.parameters[0][1]
                if not _FLAG[self.action_of[at]]:
                    self.twin[at] = (<dict>twins[self.action_of[at]]).setdefault(entry.parameters, at)
                at += 1
                if at % ENTRIES_PER_PAUSE == 0:
                    pause()
            self.find_twins(first, at)

    def __dealloc__(self):
        cdef Py_ssize_t i
        if self.singles_made:
            for i in range(2 * self.entry_count):
                Py_XDECREF(self.singles[i])
        free(self.singles)
        free(self.policy_of)
        free(self.action_of)
        free(self.enforces)
        free(self.twin)
        free(self.overrules)
        free(self.priority)
        free_group_scratch(&self.group_scratch)

    cdef int find_twins(self, int32_t first, int32_t stop) except -1:
        """Find the representatives of one policy's flags."""
        cdef dict twins = None
        cdef int32_t entry, other, flags = 0
        for entry in range(first, stop):
            if not _FLAG[self.action_of[entry]]:
                continue
            self.twin[entry] = entry
            flags += 1
            if flags <= FEW:
                for other in range(first, entry):
                    if self.action_of[other] == self.action_of[entry] and self.twin[other] == other:
                        if self.entries[other].parameters == self.entries[entry].parameters:
                            self.twin[entry] = other
                            break
                continue
            if twins is None:
                twins = {}
                for other in range(first, entry):
                    if _FLAG[self.action_of[other]]:
                        twins.setdefault((self.action_of[other], self.entries[other].parameters), other)
            self.twin[entry] = twins.setdefault((self.action_of[entry], self.entries[entry].parameters), entry)
        return 0

    cdef int forget(self) except -1:
        cdef Py_ssize_t i
        cdef PyObject* single
        for i in range(2 * self.entry_count if self.singles_made else 0):
            if i % ENTRIES_PER_PAUSE == 0:
                pause()
            single = self.singles[i]
            if single is not NULL:
                self.singles[i] = NULL
                self.singles_made -= 1
                Py_XDECREF(single)
        return 0

    cdef Source source(self, int32_t entry):
        cdef Policy policy = self.policies[self.policy_of[entry]]
        cdef Entry held = self.entries[entry]
        return new_source(policy.name, policy.uid, held.section, held.index, held.location)

    cdef bint prepare(self, GroupScratch* group_scratch) noexcept nogil:
        """Make the scratch; False without memory."""
        memset(group_scratch, 0, sizeof(GroupScratch))
        group_scratch.latest = <int32_t*>calloc(2 * self.entry_count + 1, sizeof(int32_t))
        group_scratch.epochs = <int32_t*>calloc(2 * self.entry_count + 1, sizeof(int32_t))
        return group_scratch.latest is not NULL and group_scratch.epochs is not NULL

    cdef bint begin(self, PlanScratch* plan_scratch, Py_ssize_t fired_count) noexcept nogil:
        """Make room for a plan; False without memory."""
        cdef void* grown
        plan_scratch.count = 0
        if fired_count <= plan_scratch.room:
            return True
        grown = realloc(plan_scratch.groups, fired_count * sizeof(Group))
        if not grown:
            return False
        plan_scratch.groups = <Group*>grown
        grown = realloc(plan_scratch.links, 3 * fired_count * sizeof(int32_t))
        if not grown:
            return False
        plan_scratch.links = <int32_t*>grown
        plan_scratch.order = plan_scratch.links + fired_count
        plan_scratch.aside = plan_scratch.order + fired_count
        plan_scratch.room = fired_count
        return True

    cdef bint arrange(
        self, const int32_t* fired, Py_ssize_t fired_count, bint pod, bint process, GroupScratch* group_scratch,
        PlanScratch* plan_scratch
    ) noexcept nogil:
        cdef Group* group
        cdef int32_t i, j, entry, place, at = 0
        cdef int32_t overruled
        cdef int stage
        if not self.begin(plan_scratch, fired_count):
            return False
        i = 0
        while i < fired_count:
            # Entries ascend policy by policy: those of one stand together.
            overruled = 0
            j = i
            while j < fired_count and self.policy_of[fired[j]] == self.policy_of[fired[i]]:
                if self.overriding and self.overrules[fired[j]]:
                    overruled |= 1 << self.action_of[fired[j]]
                j += 1
            while i < j:
                entry = fired[i]
                plan_scratch.aside[i] = not self.overrules[entry] and overruled >> self.action_of[entry] & 1
                i += 1
        group_scratch.epoch += 1
        if group_scratch.epoch == MAX_EPOCH:
            memset(group_scratch.epochs, 0, 2 * self.entry_count * sizeof(int32_t))
            group_scratch.epoch = 1
        for i in range(<int32_t>fired_count):
            entry = fired[i]
            place = 2 * self.twin[entry] + plan_scratch.aside[i]
            plan_scratch.links[i] = -1
            if group_scratch.epochs[place] != group_scratch.epoch:
                group_scratch.epochs[place] = group_scratch.epoch
                group_scratch.latest[place] = plan_scratch.count
                group = &plan_scratch.groups[plan_scratch.count]
                group.first = entry
                group.count = 0
                group.link = i
                group.by = NO_PLACE
                group.aside = plan_scratch.aside[i]
                group.enforced = False
                group.stage = _STAGE[self.action_of[entry]]
                group.applicable = (
                    (pod or not _NEEDS_POD[self.action_of[entry]])
                    and (process or not _NEEDS_PROCESS[self.action_of[entry]])
                )
                group.live = group.applicable and not group.aside
                plan_scratch.count += 1
            else:
                group = &plan_scratch.groups[group_scratch.latest[place]]
                plan_scratch.links[group.tail] = i
            group.tail = i
            group.count += 1
            if not self.audit and self.enforces[self.policy_of[entry]]:
                group.enforced = True
        # Groups stand in the order of their first sources; a plan's order is that, stage by stage.
        for stage in range(STAGE_COUNT):
            for i in range(plan_scratch.count):
                if plan_scratch.groups[i].stage == stage:
                    plan_scratch.order[at] = i
                    at += 1
        for i in range(plan_scratch.count):
            group = &plan_scratch.groups[i]
            group.disposition = Disposition.EXECUTE if group.enforced else Disposition.AUDIT
            if not group.applicable:
                group.disposition = Disposition.NOT_APPLICABLE
            elif group.aside:
                group.disposition = Disposition.SUPERSEDED
                self.overrider(group, fired, plan_scratch)
            elif self.action_of[group.first] == KILL or self.action_of[group.first] == RENICE:
                self.superseder(group, plan_scratch)
                if group.by != NO_PLACE:
                    group.disposition = Disposition.SUPERSEDED
        return True

    cdef tuple names(self, const int32_t* policies, Py_ssize_t count):
        cdef Py_ssize_t i
        return tuple([(<Policy>self.policies[policies[i]]).name for i in range(count)])

    cdef PlanShape shape(
        self, const int32_t* in_scope, Py_ssize_t scope_count, const int32_t* fired, Py_ssize_t fired_count,
        bint pod, bint process
    ):
        return self.named(self.names(in_scope, scope_count), fired, fired_count, pod, process)

    cdef PlanShape named(self, tuple names, const int32_t* fired, Py_ssize_t fired_count, bint pod, bint process):
        cdef PlanScratch plan_scratch
        cdef int32_t i
        cdef list actions = []
        # This one's own: whatever runs while actions are made may arrange another. The desk is used in between only.
        memset(&plan_scratch, 0, sizeof(PlanScratch))
        try:
            if not self.arrange(fired, fired_count, pod, process, &self.group_scratch, &plan_scratch):
                raise MemoryError
            for i in range(plan_scratch.count):
                actions.append(self.action(&plan_scratch.groups[plan_scratch.order[i]], fired, &plan_scratch))
        finally:
            free_plan_scratch(&plan_scratch)
        return new_shape(names, tuple(actions))

    cdef ActionShape action(self, const Group* group, const int32_t* fired, const PlanScratch* plan_scratch):
        cdef uint8_t code = self.action_of[group.first]
        cdef int32_t i
        cdef ActionShape single
        cdef PyObject** place
        cdef str disposition = DISPOSITIONS[group.disposition], reason = None
        entry = self.entries[group.first]
        if not group.applicable:
            reason = "the event has no pod" if _NEEDS_POD[code] else "the event has no process"
        elif group.aside:
            reason = "an entry of the same name fired under `actions`"
        elif group.by != NO_PLACE:
            other = self.entries[plan_scratch.groups[plan_scratch.order[group.by]].first].action
            reason = "a higher nice value stays" if code == RENICE else f"{other} kills the process too"
        elif group.count == 1:
            place = &self.singles[2 * <Py_ssize_t>group.first + group.enforced]
            if place[0] is NULL:
                sources = (self.source(group.first),)
                single = new_action(entry.action, entry.parameters, disposition, sources, None, None)
                if place[0] is NULL:
                    place[0] = Py_NewRef(single)
                    self.singles_made += 1
            return <ActionShape>place[0]
        sources = []
        i = group.link
        while i >= 0:
            sources.append(self.source(fired[i]))
            i = plan_scratch.links[i]
        return new_action(
            entry.action, entry.parameters, disposition, tuple(sources), None if group.by == NO_PLACE else group.by,
            reason
        )

    cdef void superseder(self, Group* group, const PlanScratch* plan_scratch) noexcept nogil:
        """Find the live action that makes this live one pointless; audit never does so to execute."""
        cdef uint8_t code = self.action_of[group.first], other
        cdef const Group* rival
        cdef int32_t i, highest = self.priority[group.first]
        for i in range(plan_scratch.count):
            rival = &plan_scratch.groups[plan_scratch.order[i]]
            other = self.action_of[rival.first]
            if not rival.live or (group.enforced and not rival.enforced):
                continue
            if code == KILL and (other == KILL_GROUP or other == KILL_TREE):
                group.by = i
                return
            if code == RENICE and other == RENICE and self.priority[rival.first] > highest:
                highest = self.priority[rival.first]
                group.by = i

    cdef void overrider(self, Group* group, const int32_t* fired, const PlanScratch* plan_scratch) noexcept nogil:
        """Find the first live action with a source, under ``actions``, that overrides one of these."""
        cdef uint8_t code = self.action_of[group.first]
        cdef const Group* rival
        cdef int32_t i, own, at, policy
        for i in range(plan_scratch.count):
            rival = &plan_scratch.groups[plan_scratch.order[i]]
            if rival.aside or self.action_of[rival.first] != code:
                continue
            # Sources ascend, and so do their policies.
            own = group.link
            at = rival.link
            while at >= 0 and own >= 0:
                policy = self.policy_of[fired[at]]
                if self.policy_of[fired[own]] < policy:
                    own = plan_scratch.links[own]
                    continue
                if self.policy_of[fired[own]] == policy and self.overrules[fired[at]]:
                    group.by = i
                    return
                at = plan_scratch.links[at]
