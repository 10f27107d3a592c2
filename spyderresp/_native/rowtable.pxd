# Rows of numbers, each told once, with one number of its own that goes with it. A table that is all zeros is empty.

from libc.stdint cimport int32_t, uint32_t, uint64_t

cdef struct RowTable:
    int32_t* numbers      # row i is numbers[starts[i]:starts[i + 1]]
    Py_ssize_t used
    Py_ssize_t capacity
    Py_ssize_t* starts
    uint64_t* mixed       # hash of each row
    int32_t* notes
    int32_t count
    int32_t room
    int32_t* slots        # a row, plus one; 0 where empty
    uint32_t mask

# The place of a row, added where it is new, its note then -1; or -1 where it is new and the table is full, or without
# memory.
cdef int32_t tell_row(
    RowTable* table, const int32_t* numbers, Py_ssize_t size, uint64_t mixed, bint full
) noexcept nogil
cdef void empty_rows(RowTable* table) noexcept nogil
cdef void free_rows(RowTable* table) noexcept nogil
