# The plan for one event: a view over a shape that many events share, and what is this event's own.
#
# A shape is built once for each set of fired entries (spyderresp/plan.py) and never changed. Only the event's id and
# time, its attribution and its target are kept with each plan, so a plan costs one small object.

cdef class Target:
    cdef tuple values     # in the order of FIELDS

cdef class PlannedAction:
    cdef readonly str name
    cdef readonly str disposition
    cdef readonly tuple sources
    cdef readonly object superseded_by    # place in the plan, or None
    cdef readonly object reason           # text, or None
    cdef readonly Target target
    cdef readonly tuple items             # (parameter, value) pairs
    cdef PlannedAction aimed(self, Target target)
    cdef tuple identity(self)

cdef class PlanShape:
    cdef readonly tuple policies    # names
    cdef readonly tuple actions     # PlannedAction, without target
    cdef readonly Py_ssize_t weight

cdef class ActionPlan:
    cdef PlanShape shape
    cdef object identifier    # the event's id; only ever handed out as a value of its own
    cdef readonly object time
    cdef readonly str policy_set
    cdef readonly tuple attribution    # (key, value, outcome), or None
    cdef readonly Target target
    cdef tuple identity(self)

cdef ActionPlan new_plan(PlanShape shape, object event, str digest, tuple attribution)
