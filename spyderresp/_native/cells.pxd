# What one row of Arrow columns says of its event, as Python objects: whom it is about, its id and time, and what
# attributes it. Read when a plan is asked for; the checks are those of columns.pxd.
#
# tests/property/test_batch.py holds the plans equal to evaluate()'s.

from cpython.object cimport PyObject

from spyderresp._native.columns cimport Column

cdef enum CellKind:
    TEXT_CELL = 1
    INTEGER_CELL = 2      # any width, as the indices of a dictionary are
    FLOAT_CELL = 3
    DOUBLE_CELL = 4

# Where a cell is read; a column that is absent has no kind.
cdef struct Cell:
    int kind
    Column column         # of a number: its values lie where a dictionary's indices would

cdef class RowCells:
    cdef Cell* cells      # of a target's identity, id, time, policy_uid and policy_name: as in reader.pxd
    cdef Cell name        # the label that implies a namespace's name
    cdef object kept      # what the columns lead to
    # Fill cells `first` to `stop` of a row, and keep what they are in the list.
    cdef int read(self, Py_ssize_t row, int first, int stop, list held) except -1
    cdef object value(self, const Cell* cell, Py_ssize_t row)
