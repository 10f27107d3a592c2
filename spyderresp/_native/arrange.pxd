# What fired, to a plan's shape: merge, order, dispositions (semantics, section 5).
#
# Entries are the enabled entries of all enabled policies, policy by policy, so that their numbers ascend in source
# order. Agent actions with equal parameters share a representative: the first such entry of all; flags share one
# within their policy. Entries with one representative become one action.
#
# spyderresp/reference.py says the same in another way; tests/property/test_index.py holds the two equal.

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, uint8_t

from spyderresp._native.plan cimport ActionShape, PlanShape, Source

cdef enum:
    NOBODY = -1

# One action that is being made.
cdef struct Group:
    int32_t first         # entry
    int32_t count         # of its sources
    int32_t link          # its first source, into what fired; each links to the next
    int32_t tail          # its last source
    uint8_t stage
    bint aside
    bint live
    bint enforced
    bint applicable

cdef class Arranger:
    cdef list policies            # the enabled ones
    cdef list entries             # theirs, the enabled ones
    cdef bint overriding, audit
    cdef Py_ssize_t entry_count
    cdef int32_t* policy_of       # of each entry
    cdef uint8_t* action_of
    cdef bint* enforces           # of each policy
    cdef int32_t* twin            # the entry's representative
    cdef int32_t* latest          # by representative, live and aside: its group in the plan being made,
    cdef int32_t* epochs          # and the plan that was
    cdef int32_t epoch
    cdef PyObject** singles       # of an entry, audited and executed: the ActionShape of it alone, owned, or NULL
    cdef Py_ssize_t singles_made
    cdef int find_twins(self, int32_t first, int32_t stop) except -1
    cdef Source source(self, int32_t entry)
    cdef ActionShape action(
        self, const Group* group, const int32_t* fired, const int32_t* links, const Group* groups,
        const int32_t* order, int32_t count
    )
    cdef int32_t superseder(
        self, const Group* group, const Group* groups, const int32_t* order, int32_t count
    ) except? -1
    cdef int32_t overrider(
        self, const Group* group, const int32_t* fired, const int32_t* links, const Group* groups,
        const int32_t* order, int32_t count
    ) except? -1
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
