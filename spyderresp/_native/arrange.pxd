# What fired, to a plan's shape: merge, order, dispositions (semantics, section 5).
#
# Entries are the enabled entries of all enabled policies, policy by policy, so that their numbers ascend in source
# order. Agent actions with equal parameters share a representative: the first such entry of all; flags share one
# within their policy. Entries with one representative become one action.
#
# spyderresp/reference.py says the same in another way; tests/property/test_index.py holds the two equal.

from cpython.object cimport PyObject
from libc.stdint cimport int8_t, int32_t, uint8_t

from spyderresp._native.plan cimport ActionShape, PlanShape, Source

cdef enum:
    NOBODY = -1

# One action that is being made.
cdef struct Group:
    int32_t first         # entry
    int32_t count         # of its sources
    int32_t link          # its first source, into what fired; each links to the next
    int32_t tail          # its last source
    int32_t by            # place in the plan of what supersedes it, or NOBODY
    uint8_t stage
    uint8_t disposition   # into DISPOSITIONS
    bint aside
    bint live
    bint enforced
    bint applicable

# The actions of one plan. All zeros at first; made anew each time, freed by free_draft().
cdef struct Draft:
    Group* groups
    int32_t* links
    int32_t* order        # of the groups, in the plan
    int32_t* aside        # of what fired
    int32_t count         # of groups
    Py_ssize_t room

# One user's scratch, freed by free_desk().
cdef struct Desk:
    int32_t* latest       # by representative, live and aside: its group in the plan being made,
    int32_t* epochs       # and the plan that was
    int32_t epoch

cdef enum Disposition:
    EXECUTE
    AUDIT
    SUPERSEDED
    NOT_APPLICABLE

cdef void free_draft(Draft* draft) noexcept nogil
cdef void free_desk(Desk* desk) noexcept nogil

cdef class Arranger:
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
    cdef Desk desk                # of shape()
    cdef PyObject** singles       # of an entry, audited and executed: the ActionShape of it alone, owned, or NULL
    cdef Py_ssize_t singles_made
    cdef int find_twins(self, int32_t first, int32_t stop) except -1
    cdef Source source(self, int32_t entry)
    cdef ActionShape action(self, const Group* group, const int32_t* fired, const Draft* draft)
    cdef bint prepare(self, Desk* desk) noexcept nogil
    cdef bint begin(self, Draft* draft, Py_ssize_t fired_count) noexcept nogil
    cdef void superseder(self, Group* group, const Draft* draft) noexcept nogil
    cdef void overrider(self, Group* group, const int32_t* fired, const Draft* draft) noexcept nogil
    # Merge, order and disposition of what fired; `fired` ascends. False without memory.
    cdef bint arrange(
        self, const int32_t* fired, Py_ssize_t fired_count, bint pod, bint process, Desk* desk, Draft* draft
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
