# Selector nodes to Selectors: primitives, fields, labels, expressions, and their lenient repair.

from spyderresp._native.checking cimport Checker
from spyderresp._native.policy cimport Selector
from spyderresp._native.tree cimport Tree

cdef class SelectorReader:
    cdef Checker check
    cdef Tree tree
    # The selector in hand.
    cdef int key          # its key
    cdef str name         # the text of that
    cdef str scope
    cdef bint labels      # it selects by label
    cdef list clauses
    # The selector under a key, or None after recording at least one error.
    cdef Selector read(self, int key, int node, str scope)
    cdef int empty(self) except -1
    cdef int entry(self, int key, int value) except -1
    cdef int bare_field(self, int key, int value) except -1
    cdef int bare_label(self, int key, int value) except -1
    cdef bint label_shaped(self, int value) noexcept
    cdef int matches(self, str primitive, int value) except -1
    cdef int expressions(self, str primitive, int value) except -1
    cdef str primitive_help(self)
    cdef bint known_field(self, int cell, str field) except -1
    cdef int match(self, str primitive, int key, str field, int value) except -1
    cdef tuple values(self, int sequence, str what)
    cdef int expression(self, str primitive, int mapping) except -1
    cdef tuple operands(self, int mapping, str operator)

# The scope that a selector's key is about, or None.
cdef str scope_of(int number)
