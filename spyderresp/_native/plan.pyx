import json
import sys
from collections.abc import Sequence

cimport cython
from cpython.object cimport PyObject

from spyderresp._native.prefetch cimport prefetch
from spyderresp._native.reader cimport ID, IDENTITIES, TIME, is_scalar, scalar

from spyderresp._native.reader import IDENTITY as _IDENTITY

cdef extern from "Python.h":
    PyObject* Py_NewRef(object value) noexcept
    void Py_XDECREF(PyObject* value) noexcept

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
    def __init__(self, str policy not None, str uid, str section not None, Py_ssize_t index, location):
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
    def __init__(self, values):
        self.values = tuple([scalar(value) for value in values])
        if len(self.values) != len(PATHS):
            raise ValueError("a target is made from an event only")

    def __getitem__(self, str path not None):
        return self.values[PLACES[path]]

    def to_dict(self):
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
        self.shape = new_action(name, items, disposition, sources, superseded_by, reason)
        self.about = target

    @property
    def name(self):
        return self.shape.name

    @property
    def items(self):
        return self.shape.items

    @property
    def parameters(self):
        return dict(self.shape.items)

    @property
    def disposition(self):
        return self.shape.disposition

    @property
    def sources(self):
        return self.shape.sources

    @property
    def superseded_by(self):
        return self.shape.superseded_by

    @property
    def reason(self):
        return self.shape.reason

    @property
    def target(self):
        return (<ActionPlan>self.about).make_target() if isinstance(self.about, ActionPlan) else self.about

    def to_dict(self):
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
        # Whoever asked will walk the actions next.
        prefetch(<PyObject*>shape.actions)
        _aim(plan, cells)
        for i in range(min(shape.count, AHEAD)):
            prefetch(<PyObject*>shape.actions[i])
    return plan


cdef void settle(ActionPlan plan, PlanShape shape) noexcept:
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
        # An id that is a list or mapping can be changed by whoever holds it; a plan can not.
        if isinstance(self.identifier, (list, dict)):
            return json.loads(json.dumps(self.identifier))
        return self.identifier

    @property
    def policies(self):
        return self.shape.policies

    @property
    def outcome(self):
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
