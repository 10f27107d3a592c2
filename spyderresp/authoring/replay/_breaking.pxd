# The guard's breakers, stepped by recorded kills in order of time.
# execution/guards/circuit_breakers.py is the rule; tests/replaying/test_equal.py holds this equal to it.

from libc.stdint cimport int32_t, int64_t

# One breaker.
cdef struct Gate:
    int32_t* targets      # the distinct ones of the window, the oldest first
    double* times         # when each was last allowed
    int32_t count
    int32_t room
    int32_t limit
    bint opened
    double last           # the latest attempt
    int32_t opening       # the latest; -1 where it never opened

cdef struct Opened:
    double time
    int32_t gate
    int32_t limit
    int64_t refused
