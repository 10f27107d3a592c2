# The plan for one event: a view over a shape that many events share, and what is this event's own.
#
# A shape is built once for each set of fired entries (arrange.pyx) and never changed. A plan is one small object: its
# shape, the event's id and time, its attribution, and the identity of its target, taken when the event was decided.
# Actions and targets are made as they are asked for. No object here can be part of a cycle, so none of them is tracked
# by the garbage collector; tests/native/test_boundary.py holds what that rests on.

from cpython.object cimport PyObject

from spyderresp._native.reader cimport IDENTITIES

cdef class Source:
    cdef readonly str policy
    cdef readonly str uid
    cdef readonly str section
    cdef readonly Py_ssize_t index
    cdef readonly object location
    cdef tuple identity(self)

cdef class Target:
    cdef tuple values     # in the order of reader.IDENTITY

# What an action is, whoever it is aimed at.
cdef class ActionShape:
    cdef readonly str name
    cdef readonly tuple items             # (parameter, value) pairs
    cdef readonly str disposition
    cdef readonly tuple sources
    cdef readonly object superseded_by    # place in the plan, or None
    cdef readonly object reason           # text, or None
    cdef dict to_dict(self)
    cdef tuple identity(self)

cdef class PlannedAction:
    cdef ActionShape shape
    cdef object about            # the ActionPlan, or a Target, or None

cdef class PlanShape:
    cdef readonly tuple policies    # names
    cdef readonly tuple actions     # ActionShape
    cdef Py_ssize_t count           # of actions
    cdef readonly Py_ssize_t weight

cdef class ActionPlan:
    cdef PlanShape shape
    cdef object identifier    # the event's id; only ever handed out as a value of its own
    cdef readonly object time
    cdef readonly str policy_set
    cdef readonly tuple attribution    # (key, value, outcome), or None
    cdef bint aimed                    # whether there is a target: where anything is planned
    cdef PyObject* identity_values[IDENTITIES]    # owned; NULL where the event did not say
    cdef Target make_target(self)
    cdef tuple identity(self)

# A plan that holds what a row of cells says (reader.pxd), behind its attributes; its shape is to be set.
cdef ActionPlan new_plan(PyObject** cells, str digest)
# The same with a shape: the target is kept only where something is planned.
cdef ActionPlan new_plan_of(PyObject** cells, str digest, PlanShape shape)
cdef void settle(ActionPlan plan, PlanShape shape) noexcept
cdef ActionShape new_action(str name, tuple items, str disposition, tuple sources, object by, object reason)
cdef Source new_source(str policy, str uid, str section, Py_ssize_t index, object location)
cdef PlanShape new_shape(tuple policies, tuple actions)
