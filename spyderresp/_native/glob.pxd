# Globs, exactly as fnmatch.fnmatchcase reads them, compiled once.
#
# A pattern is a row of tokens, each of which takes one code point, cut at its stars into a head (anchored at the
# start), a tail (anchored at the end) and the segments between, each of which is sought leftmost. So matching costs
# at most pattern length times value length, and allocates nothing.
#
# Held by tests/property/test_glob.py (equality with fnmatch) and tests/unit/test_glob.py (the bound).

from libc.stdint cimport int32_t, uint32_t

cdef enum TokenKind:
    CHAR = 0
    ANY = 1
    CLASS = 2

cdef struct Token:
    int32_t kind
    uint32_t code     # CHAR: the code point. CLASS: index into classes.

cdef struct Class:
    int32_t first     # into ranges, two numbers (low, high) a range
    int32_t count
    bint negated

cdef struct Segment:
    int32_t first     # into tokens
    int32_t count

cdef class Glob:
    cdef readonly str pattern
    cdef Token* tokens
    cdef Class* classes
    cdef uint32_t* ranges
    cdef Segment* segments    # head, middle ones, tail; one alone where the pattern has no star
    cdef int32_t segment_count
    cdef Py_ssize_t least     # code points that any match has at least
    cdef int keep(self, list classes) except -1
    # Code points, `kind` bytes each. Runs no Python code.
    cdef bint test(self, int kind, const void* units, Py_ssize_t length) noexcept nogil


# The one text that a pattern matches, or None where it is a glob.
cpdef str literal(str pattern)


cdef inline bint plain(str pattern):
    """Whether a pattern is no more than its text, at a glance."""
    return "*" not in pattern and "?" not in pattern and "[" not in pattern
