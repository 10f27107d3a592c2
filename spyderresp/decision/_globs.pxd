# Globs, with the meaning of fnmatch.fnmatchcase: one compiled glob, and a set of globs that is tried at once.

from libc.stdint cimport int32_t, uint32_t, uint64_t

from spyderresp.decision._hash_tables cimport Text, TextTable

# --- One glob ---
#
# A pattern is a row of tokens, each of which matches one code point. Its stars cut it into a head (anchored at the
# start), a tail (anchored at the end) and the segments between, each of which is searched leftmost. So a match costs at
# most pattern length times value length, and allocates nothing.
#
# tests/property/test_glob.py holds the equality with fnmatch; tests/unit/test_glob.py the bound.


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

# --- Set of globs ---
#
# Many globs of one attribute, tried at once.
#
# Every glob has an anchor: a literal string that each of its matches contains at the start, at the end, or anywhere
# (three ASCII characters). A value looks up its own starts, ends and triples; only globs with one of these anchors are
# tried, each of them whole. Of the possible anchors of a glob, the one that the fewest globs share is used. A glob
# without any is always tried. So too many globs may be tried, never too few.
#
# tests/property/test_globset.py holds the equality with fnmatch for each kind of anchor. tests/unit/test_globset.py
# holds that each glob is tried at most once, also where the value repeats itself.


# One user's scratch, freed by release().
cdef struct Matches:
    int32_t* row        # one number that is free for the user, then the globs that match, ascending
    int32_t* globs
    int32_t count
    uint32_t* seen      # epoch in which a row of triples was last looked at
    uint32_t epoch
    uint64_t tried      # globs tried one by one, since the scratch was made

# Globs that share an anchor: row r of a table is globs[start[r]:start[r + 1]].
cdef struct Anchored:
    int32_t* start
    int32_t* globs
    Py_ssize_t* lengths     # of the anchors, in bytes, ascending, each once
    int32_t length_count

cdef enum:
    START
    END
    ANYWHERE

# Some of a glob's tokens, literal ones, by which it could be found.
cdef struct Anchor:
    int kind
    Py_ssize_t first
    Py_ssize_t length

cdef class GlobSet:
    cdef readonly tuple globs
    cdef void** patterns               # the Glob of each, borrowed from globs
    cdef unsigned char* whole          # whether having its anchor is all that a glob asks
    cdef TextTable starts, ends, triples
    cdef Anchored by_start, by_end, by_triple
    cdef uint64_t* filter              # triples that some glob has, by hash, 8,192 bits; NULL without triples
    cdef int32_t* always
    cdef int32_t always_count
    cdef bint prepare(self, Matches* matches) noexcept
    cdef void match(self, const Text* text, Matches* matches) noexcept nogil
    cdef void attempt(self, const Anchored* anchored, int32_t row, const Text* text, Matches* matches) noexcept nogil

cdef void release(Matches* matches) noexcept nogil
