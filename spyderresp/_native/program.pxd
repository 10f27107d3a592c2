# The decision: which policies are in scope of an event, and which of their entries fire.
#
# An event looks at the postings of its values (assembly.pxd), so it sees too many policies but never too few; each
# seen policy is then verified whole. tests/property/test_index.py holds both: equality with reference.py, and one
# policy set for each kind of pivot.
#
# Deciding needs no GIL, and writes to the caller's Decision alone.

from libc.stdint cimport int32_t, uint32_t, uint64_t

from spyderresp._native.assembly cimport Assembly, Rows
from spyderresp._native.classes cimport Value

cdef enum:
    NO_GROUP = -1
    UNKNOWN_GROUP = -2
    SPARE = 4             # numbers of a decision's room that are its owner's

# One event, read and looked up.
cdef struct Probe:
    const Value* values       # of each attribute
    uint32_t present          # bits of scopes
    int32_t group             # of policies, to which it is attributed, or NO_GROUP, or UNKNOWN_GROUP

# What was decided: policies in scope, ascending, then entries fired, ascending. Freed by free_decision().
cdef struct Decision:
    int32_t* found
    int32_t in_scope
    int32_t fired
    uint64_t looked           # policies verified, since it was made

cdef class Program(Assembly):
    cdef bint predicate(self, int32_t place, const Value* values) noexcept nogil
    cdef bint selector(self, int32_t place, const Probe* probe) noexcept nogil
    cdef bint prepare(self, Decision* decision) noexcept nogil
    cdef const int32_t* clause(self, const int32_t* code, const Value* values, bint* verdict) noexcept nogil
    cdef bint applies(self, const int32_t* code, const Probe* probe) noexcept nogil
    cdef void look(self, const Rows* rows, int32_t row, const Probe* probe, Decision* decision) noexcept nogil
    cdef void decide(self, const Probe* probe, Decision* decision) noexcept nogil

cdef void free_decision(Decision* decision) noexcept nogil
