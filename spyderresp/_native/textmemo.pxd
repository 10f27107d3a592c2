# Texts that were met, each with a number of its owner's: a bounded memory that copies what it holds and starts again
# where it is full. A memo that is all zeros is empty.

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

cdef enum:
    LONGEST_KEPT = 512    # bytes of a text

cdef struct Known:
    int32_t number
    uint32_t size         # of the text, which lies behind

cdef struct Place:
    uint32_t tag
    uint32_t offset       # into the arena, in units of 4 bytes; 0 where the place is empty

cdef struct TextMemo:
    Place* places
    uint32_t mask
    uint8_t* arena
    uint32_t used         # units of 4 bytes
    uint32_t room
    int32_t count

cdef inline Known* find_known(
    const TextMemo* memo, const uint8_t* data, Py_ssize_t size, uint64_t mixed
) noexcept nogil:
    """Return what is known of a text with this hash, or NULL."""
    cdef uint32_t i = mixed & memo.mask, tag = mixed >> 32
    cdef Known* known
    if memo.places is NULL:
        return NULL
    while memo.places[i].offset:
        if memo.places[i].tag == tag:
            known = <Known*>(memo.arena + (<Py_ssize_t>memo.places[i].offset << 2))
            if known.size == size and memcmp(<uint8_t*>known + sizeof(Known), data, size) == 0:
                return known
        i = i + 1 & memo.mask
    return NULL

# Remember a text that is not known, or do not, where there is no memory or it is long.
cdef void remember(TextMemo* memo, const uint8_t* data, Py_ssize_t size, uint64_t mixed, int32_t number) noexcept nogil
cdef void empty_memo(TextMemo* memo) noexcept nogil
cdef void free_memo(TextMemo* memo) noexcept nogil
