# Many globs of one attribute, tried at once.
#
# Every glob has an anchor: a literal text that whatever it matches must hold, at the start, at the end, or anywhere
# (three ASCII characters). A value looks up its own starts, ends and triples; only globs whose anchor it has are
# tried, and each of those is tried whole. Of a glob's possible anchors the one that fewest globs share is taken. A
# glob without any is always tried. So too many globs may be tried, never too few.
#
# tests/property/test_globset.py holds: equality with fnmatch, for each kind of anchor. tests/unit/test_globset.py: each
# glob is tried once at most, whatever the value repeats.

from libc.stdint cimport int32_t, uint32_t, uint64_t

from spyderresp._native.glob cimport Glob
from spyderresp._native.text cimport Text, TextTable

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
