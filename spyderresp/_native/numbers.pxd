# What is done with rows of numbers in more than one place.

from libc.stdint cimport int32_t, uint32_t, uint64_t

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
