# The plan of an event, and how it is made from the entries that fired.
#
# Source, Target, ActionShape, PlannedAction, PlanShape and ActionPlan are the values that callers see. PlanBuilder
# merges, orders and marks the fired entries (semantics, section 5).

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int8_t, uint8_t

from spyderresp.decision._event_reader cimport IDENTITIES

# --- Plans ---
#
# A plan is a view of a shape that many events share, and of the values of its own event.
#
# A shape is built once for each set of fired entries and never changes. A plan is one small object: its shape, the
# event's id and time, its attribution, and the identity of its target, read when the event was decided. Actions and
# targets are created on request. No object here can be part of a cycle, so the garbage collector tracks none of them;
# tests/native/test_boundary.py holds the conditions for that.


cdef class Source:
    cdef readonly str policy
    cdef readonly str uid
    cdef readonly str section
    cdef readonly Py_ssize_t index
    cdef readonly object location
    cdef tuple identity(self)

cdef class Target:
    cdef tuple values     # in the order of reader.IDENTITY

# An action without its target.
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
    cdef Py_ssize_t weight

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

# A plan that holds what a row of cells says (_event_reader.pxd), behind its attributes; its shape is to be set.
cdef ActionPlan new_plan(PyObject** cells, str digest)
# The same with a shape: the target is kept only where something is planned.
cdef ActionPlan new_plan_of(PyObject** cells, str digest, PlanShape shape)
cdef void set_shape(ActionPlan plan, PlanShape shape) noexcept
cdef ActionShape new_action(str name, tuple items, str disposition, tuple sources, object by, object reason)
cdef Source new_source(str policy, str uid, str section, Py_ssize_t index, object location)
cdef PlanShape new_shape(tuple policies, tuple actions)

# --- Plan builder ---
#
# From the fired entries to a plan's shape: merge, order, dispositions (semantics, section 5).
#
# Entries are the enabled entries of all enabled policies, policy by policy, so that their numbers ascend in source
# order. Agent actions with equal parameters share a representative: the first such entry of all; flags share one within
# their policy. Entries with one representative become one action.
#
# spyderresp/decision/reference.py is a second implementation; tests/property/test_index.py holds the two equal.


cdef enum:
    NO_PLACE = -1

# One action that is being made.
cdef struct Group:
    int32_t first         # entry
    int32_t count         # of its sources
    int32_t link          # its first source, into what fired; each links to the next
    int32_t tail          # its last source
    int32_t by            # place in the plan of what supersedes it, or NO_PLACE
    uint8_t stage
    uint8_t disposition   # into DISPOSITIONS
    bint aside
    bint live
    bint enforced
    bint applicable

# The actions of one plan. All zeros at first; filled again for each plan, freed by free_plan_scratch().
cdef struct PlanScratch:
    Group* groups
    int32_t* links
    int32_t* order        # of the groups, in the plan
    int32_t* aside        # of what fired
    int32_t count         # of groups
    Py_ssize_t room

# One user's scratch, freed by free_group_scratch().
cdef struct GroupScratch:
    int32_t* latest       # by representative, live and aside: its group in the plan being made,
    int32_t* epochs       # and the plan that was
    int32_t epoch

cdef enum Disposition:
    EXECUTE
    AUDIT
    SUPERSEDED
    NOT_APPLICABLE

cdef void free_plan_scratch(PlanScratch* plan_scratch) noexcept nogil
cdef void free_group_scratch(GroupScratch* group_scratch) noexcept nogil

cdef class PlanBuilder:
    cdef list policies            # the enabled ones
    cdef list entries             # theirs, the enabled ones
    cdef bint overriding, audit
    cdef Py_ssize_t entry_count
    cdef int32_t* policy_of       # of each entry
    cdef uint8_t* action_of
    cdef bint* enforces           # of each policy
    cdef int32_t* twin            # the entry's representative
    cdef uint8_t* overrules       # whether the entry stands under `actions`
    cdef int8_t* priority         # of the entry, where it has one
    cdef GroupScratch group_scratch                # of shape()
    cdef PyObject** singles       # of an entry, audited and executed: the ActionShape of it alone, owned, or NULL
    cdef Py_ssize_t singles_made
    cdef int find_twins(self, int32_t first, int32_t stop) except -1
    cdef Source source(self, int32_t entry)
    cdef ActionShape action(self, const Group* group, const int32_t* fired, const PlanScratch* plan_scratch)
    cdef bint prepare(self, GroupScratch* group_scratch) noexcept nogil
    cdef bint begin(self, PlanScratch* plan_scratch, Py_ssize_t fired_count) noexcept nogil
    cdef void superseder(self, Group* group, const PlanScratch* plan_scratch) noexcept nogil
    cdef void overrider(self, Group* group, const int32_t* fired, const PlanScratch* plan_scratch) noexcept nogil
    # Merge, order and disposition of what fired; `fired` ascends. False without memory.
    cdef bint arrange(
        self, const int32_t* fired, Py_ssize_t fired_count, bint pod, bint process, GroupScratch* group_scratch,
        PlanScratch* plan_scratch
    ) noexcept nogil
    # Give back the actions that are kept.
    cdef int forget(self) except -1
    # The names of policies.
    cdef tuple names(self, const int32_t* policies, Py_ssize_t count)
    # `fired` ascends. `pod` and `process`: whether the event has one.
    cdef PlanShape shape(
        self, const int32_t* in_scope, Py_ssize_t scope_count, const int32_t* fired, Py_ssize_t fired_count,
        bint pod, bint process
    )
    # The same, with the names of the policies in scope.
    cdef PlanShape named(self, tuple names, const int32_t* fired, Py_ssize_t fired_count, bint pod, bint process)
