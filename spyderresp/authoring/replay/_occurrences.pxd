# How often each distinct outcome was met, altogether and over time: a row costs no Python object.
#
# Time is cut into buckets of one width. Where there would be too many they become longer, and which width that comes to
# does not depend on the order of events: counts of parts can be added. tests/replaying/test_equal.py holds all of it
# equal to counting one by one.

from libc.stdint cimport int32_t, int64_t, uint32_t

# How often a number was met in a bucket.
cdef struct Met:
    int64_t start         # second at which the bucket begins
    int64_t count         # 0 where the place is empty
    int32_t number

cdef class Occurrences:
    cdef tuple widths
    cdef int step                 # into widths
    cdef int most                 # buckets
    cdef set starts               # of the buckets
    cdef readonly int64_t width   # seconds of a bucket
    cdef readonly int64_t events
    cdef readonly int64_t timeless
    cdef int64_t* totals          # of each number
    cdef int32_t room
    cdef int32_t count            # of numbers
    cdef Met* table
    cdef uint32_t mask
    cdef uint32_t used
    cdef double first             # the bucket that was met last, and where it ends
    cdef double end
    cdef int reach(self, int32_t number) except -1
    cdef int64_t bucket(self, double second) except? -1
    cdef int put(self, int64_t start, int32_t number, int64_t count) except -1
    cdef int grow(self, uint32_t size) except -1
    cdef int coarsen(self) except -1
