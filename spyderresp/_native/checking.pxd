# Shape checks on the nodes of one document that every part of the schema shares. A failed check records a finding.
#
# What is fine is never turned into a Python object to be looked at, its texts apart.

from spyderresp._native.lines cimport LineTable
from spyderresp._native.policy cimport Clause
from spyderresp._native.tree cimport Tree

# What stands in the place of a cell where there is none.
cdef enum:
    MISSING = -1    # nothing is there, or null where that means nothing
    WRONG = -3      # what is there has been recorded as wrong

cdef class Checker:
    cdef Tree tree
    cdef object source
    cdef object path
    cdef LineTable lines
    cdef object findings
    cdef int errors    # of the whole load, so far
    cdef int error(self, str code, int cell, str message, str help=*) except -1
    cdef int place(self, int cell, int* line, int* column) except -1
    # The text of a scalar; null is an error. None where it is wrong.
    cdef str text(self, int cell, str what)
    # Whether it is a mapping; null is an error.
    cdef bint mapping(self, int cell, str what) except -1
    # The sequence, MISSING or WRONG; missing and null mean an empty list.
    cdef int items(self, int cell, str what) except -2
    # 1, 0, or WRONG: in any of YAML's spellings.
    cdef int boolean(self, int cell, str what) except -2
    # A text that is one of ``valid``, or None where it is wrong.
    cdef str choice(self, int cell, str what, tuple valid, str code)
    # Records an error for each key that is not one of ``valid``, whose flags are ``flags``.
    cdef int keys(self, int mapping, tuple valid, bytes flags, str code, str where) except -1
    cdef Clause clause(self, str key, str operator, tuple values, str primitive, int cell)
    cdef str shape(self, int cell)
