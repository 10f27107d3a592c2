# Policies as numbers: everything that an index is made of. Equal predicates and selectors are stored once.
#
# The enabled policies are numbered in order, and their enabled entries, policy by policy. The selectors of each, and
# the predicates of a selector, stand in their author's order. A text is named by its place among its attribute's
# `texts`, plus FIRST; a glob by its place among its `globs`. A group is the enabled policies that bear one uid or one
# name; it may be empty, where all that bear it are disabled.
#
# For no policy is anything made that the garbage collector tracks: a collection would keep every thread waiting.
# tests/native/test_threads.py holds that.

from libc.stdint cimport int32_t

from spyderresp._native.numbers cimport Column
from spyderresp._native.policy cimport Clause, Policy, Selector
from spyderresp._native.rowtable cimport RowTable

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
