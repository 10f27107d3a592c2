# The decision: which policies are in scope of an event, and which of their entries fire.
#
# An event looks at the postings of its values (assembly.pxd), so it sees too many policies but never too few; each
# seen policy is then verified whole. Of the policies in scope every entry is asked, or, where these are many and fewer
# are posted under the event's values, only those. tests/property/test_index.py holds all of it: equality with
# reference.py, and one policy set for each kind of pivot.
#
# Deciding needs no GIL, and writes to the caller's Decision alone.

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from spyderresp._native.assembly cimport Assembly
from spyderresp._native.classes cimport Value
from spyderresp._native.postings cimport Rows

cdef enum:
    NO_GROUP = -1
    UNKNOWN_GROUP = -2
    SPARE = 4             # numbers of a decision's room that are its owner's

# One event, read and looked up.
cdef struct Probe:
    const Value* values       # of each attribute
    uint32_t present          # bits of scopes
    int32_t group             # of policies, to which it is attributed, or NO_GROUP, or UNKNOWN_GROUP

# Policies in scope.
cdef struct Scope:
    const int32_t* policies    # ascending
    int32_t count
    int64_t entries            # how many they have together
    const int32_t* loose       # their loose entries, where that is known, or NULL
    int32_t loose_count

# What was decided: policies in scope, ascending, then entries fired, ascending. Freed by free_decision().
cdef struct Decision:
    int32_t* found
    int32_t in_scope
    int32_t fired
    uint64_t looked           # policies verified, since it was made,
    uint64_t asked            # and entries

cdef class Program(Assembly):
    cdef bint predicate(self, int32_t place, const Value* values) noexcept nogil
    cdef bint selector(self, int32_t place, const Probe* probe) noexcept nogil
    cdef bint prepare(self, Decision* decision) noexcept nogil
    cdef const int32_t* clause(self, const int32_t* code, const Value* values, bint* verdict) noexcept nogil
    cdef bint applies(self, const int32_t* code, const Probe* probe) noexcept nogil
    cdef void look(self, const Rows* rows, int32_t row, const Probe* probe, Decision* decision) noexcept nogil
    cdef void find(self, const Probe* probe, Decision* decision) noexcept nogil
    cdef bint fires(self, const int32_t* at, const Probe* probe) noexcept nogil
    cdef void ask_all(self, const int32_t* code, const Probe* probe, Decision* decision) noexcept nogil
    cdef int64_t candidates(self, const Probe* probe) noexcept nogil
    cdef void ask(
        self, const int32_t* codes, int32_t count, const Scope* scope, const Probe* probe, Decision* decision
    ) noexcept nogil
    cdef void ask_posted(self, const Scope* scope, const Probe* probe, Decision* decision) noexcept nogil
    cdef int64_t loose_of(self, const Scope* scope) noexcept nogil
    # Which entries fire, given the policies in scope; what the decision held before is kept.
    cdef void fire(self, const Scope* scope, const Probe* probe, Decision* decision) noexcept nogil
    cdef void decide(self, const Probe* probe, Decision* decision) noexcept nogil

cdef void free_decision(Decision* decision) noexcept nogil
