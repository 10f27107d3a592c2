# Times of events as epoch seconds, a column at once. What `steps.epoch_seconds` says of a text is the measure: here is
# only the common form, and whatever is odd goes there. tests/replaying/test_equal.py holds the two equal.

from libc.stdint cimport uint8_t

# Whether a text is a time in the common form; sets its epoch seconds.
cdef bint read_moment(const uint8_t* text, Py_ssize_t size, double* seconds) noexcept nogil
