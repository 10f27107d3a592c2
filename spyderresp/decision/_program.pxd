# Which policies are in scope of an event, and which of their entries fire.
#
# Postings lead from the values of an event to the policies and entries that may match. ProgramBuilder lays policies and
# entries out as rows of integers (code). Program verifies the candidates against that code. All tables are read-only
# once they are built; deciding needs no GIL and writes only to the caller's Decision.

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t, uint8_t

from spyderresp.decision._hash_tables cimport TextTable
from spyderresp.decision._spec cimport IndexSpec, Value

# --- Postings ---
#
# From the texts and globs of an event's values to the policies or entries that may match.
#
# Each item is posted under one predicate that must hold for it (its pivot), under every text and glob of that
# predicate. The pivot is the rarest predicate: the one whose most common operand leads to the fewest items, where a
# shorter glob counts for more. So an event looks at too many items, never at too few.
#
# First all items are weighed, then posted, then laid out; after that nothing changes.


# A list of rows: row i is items[start[i]:start[i + 1]]. The struct or class that holds it frees it.
cdef struct Rows:
    int32_t* start
    int32_t* items

cdef struct Post:
    int32_t attribute
    int32_t key
    int32_t item

cdef struct Posts:
    Post* items
    Py_ssize_t count
    Py_ssize_t capacity

cdef class Postings:
    cdef Rows* texts                   # of each attribute: what is posted, in the order in which it was
    cdef Rows* globs
    cdef int32_t* attributes           # those that anything is posted under, ascending
    cdef Py_ssize_t attribute_count
    cdef Py_ssize_t count              # of posts
    cdef Py_ssize_t memory             # bytes
    cdef Py_ssize_t fields             # attributes, all of them
    cdef int32_t* text_counts          # of each attribute
    cdef int32_t* glob_counts
    # Until it is laid down.
    cdef int32_t** use                 # of each attribute: how many name each text; of each glob that, and its breadth
    cdef Posts gathered_texts, gathered_globs
    cdef void weigh(self, int32_t attribute, const Rows* texts, const Rows* globs, int32_t predicate) noexcept
    # For how many events too many a predicate would be looked at.
    cdef int64_t cost(self, int32_t attribute, const Rows* texts, const Rows* globs, int32_t predicate) noexcept
    cdef int post(
        self, int32_t attribute, const Rows* texts, const Rows* globs, int32_t predicate, int32_t item
    ) except -1
    cdef int lay(self) except -1
    cdef void free_gathered(self) noexcept
    cdef int32_t longest(self) noexcept

cdef int add_post(Posts* posts, int32_t attribute, int32_t key, int32_t item) except -1
# Lay the posts of one attribute out by key; the order in each row is that in which they were added.
cdef int lay_rows(const Posts* posts, Rows* rows, Py_ssize_t keys, Py_ssize_t* memory) except -1
cdef int32_t longest_row(const Rows* rows, Py_ssize_t count) noexcept
cdef void free_rows(Rows* rows) noexcept nogil

# --- Layout ---
#
# The policies of an IndexSpec, laid out for deciding.
#
# A predicate is a condition on one attribute: its verdicts on a value that matches, on any other, and on absence. A
# selector is predicates on one scope, which must be present. All numbers of one policy lie together, as a row (see Code
# below), so that a policy costs one or two cache misses instead of one for each predicate.
#
# Each policy is posted under its pivot or, where it has no predicate that could be one, under the presence of one
# scope. Entries are posted likewise, for events that have many entries in scope; entries without a pivot are loose.


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

cdef class ProgramBuilder:
    cdef readonly Py_ssize_t policy_count, entry_count, attribute_count
    cdef Py_ssize_t scope_count
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

# --- Decision ---
#
# An event looks at the postings of its values, so it finds too many policies but never too few; each policy found is
# then verified completely. Of the policies in scope every entry is tested or, where there are many and fewer are posted
# under the event's values, only those. tests/property/test_index.py holds the equality with reference.py, with one
# policy set for each kind of pivot.


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

cdef class Program(ProgramBuilder):
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
