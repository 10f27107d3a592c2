# What is done with rows of numbers in more than one place.

from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memset

cdef enum:
    FIRST_HASH = 0x3E3779B9

cdef inline uint64_t hash_number(uint64_t mixed, uint32_t number) noexcept nogil:
    """Mix one more number into a hash."""
    mixed = (mixed ^ number) * 0xD6E8FEB86659FD93ull
    return mixed ^ mixed >> 32


# For qsort.
cdef inline int ascending(const void* left, const void* right) noexcept nogil:
    cdef int32_t a = (<const int32_t*>left)[0], b = (<const int32_t*>right)[0]
    return (a > b) - (a < b)


# Numbers, one after the other, with room for more. All zeros is empty.
cdef struct Column:
    int32_t* items
    Py_ssize_t count
    Py_ssize_t capacity


cdef inline int push(Column* column, int32_t number) except -1:
    cdef Py_ssize_t capacity
    cdef int32_t* grown
    if column.count == column.capacity:
        capacity = 2 * column.capacity + 64
        grown = <int32_t*>realloc(column.items, capacity * sizeof(int32_t))
        if not grown:
            raise MemoryError
        column.items = grown
        column.capacity = capacity
    column.items[column.count] = number
    column.count += 1
    return 0


cdef inline int32_t* taken(Column* column) noexcept:
    """Give what a column holds away."""
    cdef int32_t* items = column.items
    cdef void* shrunk = realloc(items, (column.count + 1) * sizeof(int32_t))
    memset(column, 0, sizeof(Column))
    return <int32_t*>shrunk if shrunk else items
