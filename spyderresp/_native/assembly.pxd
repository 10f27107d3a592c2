# The compiled policies, as numbers (spec.pxd), and how they are laid out.
#
# A predicate is a condition on one attribute: its verdicts on a value that matches, on any other, and on absence. A
# selector is predicates on one scope, which must be present.
#
# For deciding, everything about one policy lies together, as a row of numbers (see Code below), so that looking at a
# policy costs a cache miss or two and not one a predicate.
#
# The prefilter: each policy is posted under its pivot (postings.pxd), or, where it has no predicate that could be one,
# under the presence of one scope. Entries are posted likewise, for where many are in question at once; those without a
# pivot are loose.
#
# Read-only once built.

from libc.stdint cimport int32_t, uint8_t

from spyderresp._native.postings cimport Postings, Posts, Rows
from spyderresp._native.spec cimport IndexSpec
from spyderresp._native.text cimport TextTable

# Code, in numbers of 32 bits.
#   policy:  POLICY (its number), MASK (of the scopes that it needs), CLAUSES, CHECKED (CLAUSES less the pivot),
#            ENTRIES (offset of the first entry from here), COUNT (of entries); then clauses, the pivot last; entries
#   entry:   ENTRY (its number), OF (its policy), NEEDS (a mask), ASKED (count of clauses), SIZE (of the clauses, in
#            numbers); then clauses
#   clause:  attribute; its verdicts and counts; then texts and globs, ascending,
#            or, where they are many, the predicate
cdef enum:
    POLICY = 0
    MASK = 1
    CLAUSES = 2
    CHECKED = 3
    ENTRIES = 4
    COUNT = 5
    HEADER = 6
    ENTRY = 0
    OF = 1
    NEEDS = 2
    ASKED = 3
    SIZE = 4
    ENTRY_HEADER = 5
    FEW = 8               # operands of each kind that a clause may hold itself

# The verdict of a predicate on a value that matches, on any other value, and on absence.
cdef struct Verdicts:
    uint8_t match
    uint8_t other
    uint8_t absent

# What the second number of a clause says, besides the verdicts (spec.pxd).
cdef enum:
    MANY = 8              # its operands are the predicate's
    TEXTS = 8             # bits by which the count of texts is shifted
    GLOBS = 16

cdef class Assembly:
    cdef readonly Py_ssize_t policy_count, entry_count, attribute_count, scope_count
    cdef readonly Py_ssize_t predicate_count, selector_count, post_count
    cdef int32_t* attribute_scope
    cdef int32_t* predicate_attribute
    cdef Verdicts* predicate_verdicts
    cdef Rows predicate_texts, predicate_globs
    cdef int32_t* selector_scope
    cdef Rows selector_predicates, policy_selectors, entry_selectors
    cdef int32_t* first_entry          # entries of policy p: first_entry[p] to first_entry[p + 1]
    cdef int32_t* code
    cdef Py_ssize_t code_length
    cdef int32_t* code_of              # where each policy's code begins
    # Where to look, by what an event has: offsets into the code, ascending in each row.
    cdef Postings policy_posts, entry_posts
    cdef Rows scope_posts              # policies that have no pivot
    cdef Rows loose                    # of each policy, the entries that have none
    cdef unsigned char* scoping        # whether a policy, and not only entries, asks for the attribute
    cdef TextTable uids, names         # of policies, to FIRST and their group
    cdef Rows groups                   # offsets into the code, of the enabled policies of each
    cdef readonly Py_ssize_t memory    # bytes, as counted here

    cdef int assemble(self) except -1
    cdef Py_ssize_t weigh(self, const Rows* selectors, Py_ssize_t row, Postings postings) noexcept
    cdef bint exact(self, int32_t predicate) noexcept
    cdef int32_t pivot(self, const Rows* selectors, Py_ssize_t row, Postings postings) noexcept
    cdef int post(self, Postings postings, int32_t pivot, int32_t code) except -1
    cdef int32_t write_policy(self, Py_ssize_t policy, int32_t pivot, int32_t at, Posts* loose) except -1
    cdef int32_t write_entry(self, Py_ssize_t policy, Py_ssize_t entry, int32_t at, Posts* loose) except -1
    cdef int32_t write_selector(
        self, int32_t selector, int32_t pivot, int32_t* mask, int32_t* count, int32_t at
    ) noexcept
    cdef int32_t write_clause(self, int32_t predicate, int32_t at) noexcept
