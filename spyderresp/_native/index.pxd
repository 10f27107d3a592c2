# The decision index: which policies are in scope of an event, and which of their entries fire.
#
# Values of an attribute (a scope's field, or one label key) that some predicate names have small ids; an event's value
# becomes its id, or UNSEEN, or ABSENT, and the set of globs that match it. A predicate is decided from those alone.
# Equal predicates and equal selectors are stored once.
#
# The prefilter: each policy is posted under one predicate that must hold for it (its pivot): under an exact value or a
# glob of one attribute, or, where it has none such, under the presence of one scope. An event looks at the postings of
# its values, so it sees too many policies but never too few; each seen policy is then verified whole.
# tests/property/test_index.py holds both: equality with reference.py, and one policy set for each kind of pivot.
#
# Two bounded memos, for streams that repeat: from the event's value ids to the plan's shape, and from the fired
# entries to the shape. Both may be emptied at any time; neither can change a decision.
#
# Everything is read-only once built but for the memos and the scratch. All of it is used under the GIL, and between
# filling the scratch and copying it out no Python code can run: no object that the garbage collector tracks is made.

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t, uint8_t

from spyderresp._native.plan cimport ActionPlan, PlanShape
from spyderresp._native.reader cimport EventReader

cdef enum:
    ABSENT = -2
    UNSEEN = -1
    NO_GROUP = -1
    UNKNOWN_GROUP = -2

# A list of int32 rows: row i is items[start[i]:start[i + 1]].
cdef struct Rows:
    const int32_t* start
    const int32_t* items

# The verdict of a predicate on a value that matches, on any other value, and on absence.
cdef struct Verdicts:
    uint8_t match
    uint8_t other
    uint8_t absent

# What one event's value of one attribute is to the predicates.
cdef struct State:
    int32_t value             # id, UNSEEN or ABSENT
    int32_t globs             # id of the set of matching globs, or UNSEEN where it has none (then not memoised)
    const uint64_t* matched   # that set, a bit a glob of the attribute; NULL where the attribute has no globs

# An event, read and looked up.
cdef struct Probe:
    State* states
    uint32_t present          # bits of scopes
    int32_t group             # of policies, to which it is attributed, or NO_GROUP, or UNKNOWN_GROUP
    bint memoised             # whether the memos may be used

cdef class GlobField:
    # The globs of one attribute, and the sets of them that values were seen to match.
    cdef tuple globs
    cdef int32_t words        # of 64 bits, a set
    cdef int32_t* known       # set of each known value, UNSEEN where not yet worked out
    cdef dict unseen          # set of values not known, bounded
    cdef dict ids             # set, as bytes, to its id
    cdef list sets            # id to bytes; bounded
    cdef uint64_t* scratch    # a set that is not remembered
    cdef int resolve(self, object text, State* state) except -1
    cdef int32_t match(self, str text) except -2

cdef class DecisionIndex:
    cdef readonly EventReader reader
    cdef readonly object spec          # the IndexSpec, into whose arrays all pointers below lead
    cdef readonly str digest
    cdef object shapes                 # callable: bytes of policies and entries to a PlanShape
    cdef tuple tables                  # an attribute's dict from text to id
    cdef tuple globs                   # an attribute's GlobField, or None
    cdef int32_t policy_count, selector_count
    cdef const int32_t* predicate_attribute
    cdef const Verdicts* predicate_verdicts
    cdef Rows predicate_values, predicate_globs
    cdef const int32_t* selector_scope
    cdef Rows selector_predicates, policy_selectors, entry_selectors
    cdef const int32_t* first_entry    # entries of policy p: first_entry[p] to first_entry[p + 1]
    cdef Rows scope_posts, groups
    cdef Rows* value_posts             # an attribute each
    cdef Rows* glob_posts
    cdef dict group_of_uid, group_of_name
    # Scratch of one decision.
    cdef uint32_t epoch
    cdef uint32_t* verdicts            # a selector's verdict: twice the epoch it was reached in, plus the verdict
    cdef uint32_t* seen                # the epoch in which a policy was last looked at
    cdef int32_t* found                # policies in scope, ascending, then entries fired, ascending
    cdef int32_t in_scope_count, fired_count
    # Memos.
    cdef list slots                    # shape of each slot, or None
    cdef int64_t* keys                 # key of each slot
    cdef Py_ssize_t slot_mask, key_length
    cdef dict by_fired
    cdef Py_ssize_t weight
    cdef readonly uint64_t evaluated, memo_hits, fired_hits, unattributed

    cdef int prepare(self, object event, PyObject** values, Probe* probe) except -1
    cdef bint predicate(self, int32_t place, const Probe* probe) noexcept
    cdef bint selector(self, int32_t place, const Probe* probe) noexcept
    cdef bint in_scope(self, int32_t policy, const Probe* probe) noexcept
    cdef void post(self, Rows rows, int32_t row, const Probe* probe) noexcept
    cdef void decide(self, const Probe* probe) noexcept
    cdef PlanShape shape(self, const Probe* probe)
    cdef PlanShape remembered(self, const Probe* probe, int64_t* key)
    cdef tuple attribute(self, PyObject** values, const Probe* probe)
    cpdef ActionPlan evaluate(self, object event)
