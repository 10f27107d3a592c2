# Policies as rows of integers, and the classes of event values.
#
# The index (_index.pxd) is made from an IndexSpec. Deciding compares only integers: a value of an event becomes a class
# number, and a predicate is a row of text and glob numbers.

from libc.stdint cimport int32_t, uint64_t

from spyderresp.decision._globs cimport Matches
from spyderresp.decision._hash_tables cimport SECRETS, Column, RowTable, hash_number, intern_row
from spyderresp.policies._model cimport Clause, Policy, Selector

# --- Classes of values ---
#
# The class of a value: which exact text of its attribute it equals, if any, and which globs match it. Events with equal
# classes are decided alike.
#
# Without globs the number of the exact text is the class. With globs, classes are numbered in the order in which they
# occur, up to a bound. A class beyond the bound is decided alike, but has no number and is not cached.


cdef enum:
    ABSENT = 0
    OTHER = 1             # a text that no predicate names
    FIRST = 2             # the text of place 0, and so on
    NO_CLASS = -1
    MAX_CLASSES = 4096    # of one attribute
    MAX_POOL = 1 << 20    # numbers of all classes of one attribute together

cdef struct Value:
    int32_t text              # ABSENT, OTHER, or FIRST and the text's place
    int32_t count             # of globs
    const int32_t* globs      # that match, ascending


cdef inline int32_t number_class(RowTable* classes, int32_t text, Matches* matches) noexcept nogil:
    """Return the number of a class, or NO_CLASS where there are too many."""
    cdef int32_t i, size = matches.count + 1
    cdef uint64_t mixed = SECRETS.first ^ <uint64_t>size
    matches.row[0] = text
    for i in range(size):
        mixed = hash_number(mixed, matches.row[i])
    return intern_row(
        classes, matches.row, size, mixed, classes.count >= MAX_CLASSES or classes.used + size > MAX_POOL
    )


cdef inline void class_value(const RowTable* classes, int32_t number, Value* value) noexcept nogil:
    cdef const int32_t* row = classes.numbers + classes.starts[number]
    value.text = row[0]
    value.globs = row + 1
    value.count = classes.starts[number + 1] - classes.starts[number] - 1

# --- Policies as integers ---
#
# Everything that an index is made of. Equal predicates and selectors are stored once.
#
# The enabled policies are numbered in order, and so are their enabled entries, policy by policy. The selectors of each,
# and the predicates of a selector, stand in their author's order. A text is its position among its attribute's `texts`,
# plus FIRST; a glob is its position among its `globs`. A group is the enabled policies with one uid or one name; it is
# empty where all policies of that name are disabled.
#
# Creates no object per policy that the garbage collector tracks, because a collection would block every thread.
# tests/native/test_threads.py holds that.


# The verdict of a predicate on a value that matches, on any other value, and on absence, as bits.
cdef enum:
    MATCH = 1
    OTHERWISE = 2
    MISSING = 4

# Rows of numbers: row i is items[start[i]:start[i + 1]].
cdef struct Table:
    Column start
    Column items

cdef class IndexSpec:
    cdef readonly tuple scopes
    cdef readonly tuple attributes     # (scope, key, kind), by scope, then by key
    cdef list texts, globs             # of each attribute
    cdef dict uids, names              # of policies, to FIRST and their group
    cdef Column predicate_attribute
    cdef Column predicate_verdicts     # MATCH, OTHERWISE and MISSING of each
    cdef Table predicate_texts, predicate_globs    # ascending
    cdef Column selector_scope
    cdef Table selector_predicates, policy_selectors, entry_selectors
    cdef Column first_entry            # entries of policy p: first_entry[p] to first_entry[p + 1]
    cdef Table groups
    # While numbering. Attributes go by the order in which they are met, until the end.
    cdef bint absent_is_outside
    cdef dict scope_places
    cdef list attribute_places         # of each scope, by key
    cdef list met                      # attributes, as (scope, key)
    cdef RowTable predicates           # attribute and verdicts; then texts, and globs with GLOB added, ascending
    cdef RowTable selectors            # scope; then predicates
    cdef Column predicate, selector    # the rows that are being numbered
    cdef Py_ssize_t steps

    cdef int step(self) except -1
    cdef int number_policy(self, Policy policy) except -1
    cdef int number_selectors(self, tuple selectors, Table* table) except -1
    cdef int32_t number_selector(self, Selector selector) except -1
    cdef int32_t number_predicate(self, int32_t scope, Clause clause) except -1
    cdef int32_t number_attribute(self, int32_t scope, str key) except -1
    cdef int add_operands(self, int32_t attribute, tuple patterns) except -1
    cdef int order_attributes(self) except -1
    cdef int lay_predicates(self, const int32_t* places) except -1
    cdef int lay_groups(self, tuple policies) except -1
    cdef int join(self, dict groups, str key, int32_t policy, Column* own) except -1
