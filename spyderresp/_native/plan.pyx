import json
import sys
from collections.abc import Sequence

from cpython.unicode cimport PyUnicode_CheckExact

from libc.math cimport isfinite

from spyderresp._native.reader cimport is_mapping, lookup

# What a target keeps, by scope: whatever finds the process, the pod, their host and their cluster again.
_IDENTITY = (
    ("cluster", ("name", "uid")),
    ("machine", ("hostname", "uid")),
    ("namespace", ("name",)),
    ("pod", ("name", "uid", "kuid")),
    ("container", ("containerName", "containerID", "image")),
    ("process", ("name", "exe", "euser", "pid", "ppid", "uid", "start_ticks", "boot_id", "start_time")),
)
cdef tuple IDENTITY = _IDENTITY
cdef tuple PATHS = tuple([f"{scope}.{key}" for scope, keys in _IDENTITY for key in keys])
cdef dict PLACES = {path: place for place, path in enumerate(PATHS)}
cdef str NAME_LABEL = "kubernetes.io/metadata.name"
cdef int NAMESPACE_NAME = PLACES["namespace.name"]
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


cdef object _scalar(object value):
    """Return a value that cannot change and that JSON has: a text or number as it is, None for anything else."""
    if value is None or PyUnicode_CheckExact(value) or type(value) is int or type(value) is bool:
        return value
    if type(value) is float:
        return value if isfinite(<double>value) else None
    if isinstance(value, str):
        return str.__str__(value)
    return None


cdef class Source:
    cdef readonly str policy
    cdef readonly object uid
    cdef readonly str section
    cdef readonly Py_ssize_t index
    cdef readonly object location

    def __init__(self, str policy not None, uid, str section not None, Py_ssize_t index, location):
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


cdef class Target:
    def __init__(self, values):
        self.values = tuple(values)
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


cdef Target _target(object event):
    """Take the target's identity out of an event. What no policy names was not checked, and may be of any type."""
    cdef list values = []
    for scope, keys in IDENTITY:
        held = lookup(event, scope)
        if held is None or not is_mapping(held):
            values.extend([None] * len(keys))
            continue
        for key in keys:
            values.append(_scalar(lookup(held, key)))
        if scope == "namespace" and values[NAMESPACE_NAME] is None:
            labels = lookup(held, "labels")
            if labels is not None and is_mapping(labels):
                values[NAMESPACE_NAME] = _scalar(lookup(labels, NAME_LABEL))
    cdef Target target = Target.__new__(Target)
    target.values = tuple(values)
    return target


cdef class PlannedAction:
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
        self.name = name
        self.items = items
        self.disposition = disposition
        self.sources = sources
        self.superseded_by = superseded_by
        self.reason = reason
        self.target = target

    cdef PlannedAction aimed(self, Target target):
        cdef PlannedAction action = PlannedAction.__new__(PlannedAction)
        action.name = self.name
        action.items = self.items
        action.disposition = self.disposition
        action.sources = self.sources
        action.superseded_by = self.superseded_by
        action.reason = self.reason
        action.target = target
        return action

    @property
    def parameters(self):
        return dict(self.items)

    def to_dict(self):
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
        return (
            self.name, self.items, self.disposition, self.sources, self.superseded_by, self.reason, self.target,
        )

    def __eq__(self, other):
        return isinstance(other, PlannedAction) and self.identity() == (<PlannedAction>other).identity()

    def __hash__(self):
        return hash(self.identity())

    def __repr__(self):
        return f"PlannedAction({self.name!r}, {dict(self.items)!r}, {self.disposition!r})"

    def __reduce__(self):
        return PlannedAction, (
            self.name, self.items, self.disposition, self.sources, self.superseded_by, self.reason, self.target,
        )


cdef class PlanShape:
    def __init__(self, tuple policies not None, tuple actions not None):
        cdef PlannedAction action
        self.policies = policies
        self.actions = actions
        self.weight = 1 + len(policies)
        for action in actions:
            self.weight += 1 + len(action.sources)

    def __reduce__(self):
        return PlanShape, (self.policies, self.actions)


cdef ActionPlan new_plan(PlanShape shape, object event, str digest, tuple attribution):
    cdef ActionPlan plan = ActionPlan.__new__(ActionPlan)
    plan.shape = shape
    plan.identifier = _identifier(lookup(event, "id"))
    plan.time = _scalar(lookup(event, "time"))
    plan.policy_set = digest
    plan.attribution = attribution
    plan.target = _target(event) if shape.actions else None
    return plan


cdef object _identifier(object value):
    """Return an event's id. It is not checked; an id that is no scalar is kept as a copy of its JSON value."""
    cdef object kept = _scalar(value)
    if kept is not None or value is None:
        return kept
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return None


cdef PlanShape _NOTHING = PlanShape((), ())


cdef class ActionPlan:
    def __cinit__(self):
        # However a plan comes about, there is a shape to look at.
        self.shape = _NOTHING
        self.policy_set = ""

    @property
    def event(self):
        # An id that is a list or mapping can be changed by whoever holds it; a plan can not.
        return _identifier(self.identifier)

    @property
    def policies(self):
        return self.shape.policies

    def __len__(self):
        return len(self.shape.actions)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [(<PlannedAction>action).aimed(self.target) for action in self.shape.actions[index]]
        return (<PlannedAction>self.shape.actions[index]).aimed(self.target)

    def __iter__(self):
        for action in self.shape.actions:
            yield (<PlannedAction>action).aimed(self.target)

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
            "actions": [(<PlannedAction>action).to_dict() for action in self.shape.actions],
        }
        if self.target is not None:
            result["target"] = self.target.to_dict()
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
    plan.shape = shape
    plan.identifier = event
    plan.time = time
    plan.policy_set = policy_set
    plan.attribution = attribution
    plan.target = target
    return plan


Sequence.register(ActionPlan)
