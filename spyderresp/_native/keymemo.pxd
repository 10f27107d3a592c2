# Keys of one length, each with one number that goes with it. A memo that is all zeros, but for its length, is empty.

from libc.stdint cimport int32_t, uint32_t, uint64_t

cdef struct KeyMemo:
    int length            # of a key
    int32_t* rows         # each a number, and the key
    uint64_t* slots       # tag, and the row's place plus one; 0 where empty
    uint32_t mask
    int32_t count
    int32_t room

cdef inline int32_t* find_key(const KeyMemo* memo, const int32_t* key, uint64_t mixed) noexcept nogil:
    """Return the number of a key with this hash, or NULL."""
    cdef uint32_t at = mixed & memo.mask, tag = mixed >> 32
    cdef int32_t* row
    cdef int32_t other
    cdef int i
    if memo.slots is NULL:
        return NULL
    while memo.slots[at]:
        if memo.slots[at] >> 32 == tag:
            row = memo.rows + <Py_ssize_t>(<uint32_t>memo.slots[at] - 1) * (memo.length + 1)
            other = 0
            for i in range(memo.length):
                other |= row[i + 1] ^ key[i]
            if not other:
                return row
        at = at + 1 & memo.mask
    return NULL

# Add a key that is not there; False without memory. `factors` are those of hash_key().
cdef bint add_key(
    KeyMemo* memo, const int32_t* key, uint64_t mixed, int32_t number, const uint64_t* factors
) noexcept nogil
cdef void empty_keys(KeyMemo* memo) noexcept nogil
cdef void free_keys(KeyMemo* memo) noexcept nogil


cdef inline uint64_t hash_key(const int32_t* key, int length, const uint64_t* factors) noexcept nogil:
    """Hash a key, its numbers each by a factor of its own, so that none waits for the one before it."""
    cdef uint64_t mixed = 0
    cdef int i
    for i in range(length):
        mixed += (<uint32_t>key[i] + <uint64_t>1) * factors[i]
    mixed = (mixed ^ mixed >> 32) * 0xD6E8FEB86659FD93ull
    return mixed ^ mixed >> 32
