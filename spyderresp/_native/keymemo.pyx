from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

cdef enum:
    FIRST_ROOM = 512


cdef bint _grow(KeyMemo* memo, const uint64_t* factors) noexcept nogil:
    """Make room for twice as many keys; False without memory."""
    cdef int32_t room = max(2 * memo.room, FIRST_ROOM), i
    cdef Py_ssize_t stride = memo.length + 1
    cdef uint32_t mask = 4 * <uint32_t>room - 1, at
    cdef uint64_t mixed
    cdef uint64_t* slots
    cdef void* grown = realloc(memo.rows, room * stride * sizeof(int32_t))
    if not grown:
        return False
    memo.rows = <int32_t*>grown
    slots = <uint64_t*>calloc(<Py_ssize_t>mask + 1, sizeof(uint64_t))
    if not slots:
        return False
    for i in range(memo.count):
        mixed = hash_key(memo.rows + i * stride + 1, memo.length, factors)
        at = mixed & mask
        while slots[at]:
            at = at + 1 & mask
        slots[at] = mixed >> 32 << 32 | <uint32_t>(i + 1)
    free(memo.slots)
    memo.slots = slots
    memo.mask = mask
    memo.room = room
    return True


cdef bint add_key(
    KeyMemo* memo, const int32_t* key, uint64_t mixed, int32_t number, const uint64_t* factors
) noexcept nogil:
    cdef uint32_t at
    cdef int32_t* row
    if memo.count == memo.room and not _grow(memo, factors):
        return False
    at = mixed & memo.mask
    while memo.slots[at]:
        at = at + 1 & memo.mask
    row = memo.rows + <Py_ssize_t>memo.count * (memo.length + 1)
    row[0] = number
    memcpy(row + 1, key, memo.length * sizeof(int32_t))
    memo.count += 1
    memo.slots[at] = mixed >> 32 << 32 | <uint32_t>memo.count
    return True


cdef void empty_keys(KeyMemo* memo) noexcept nogil:
    if memo.slots:
        memset(memo.slots, 0, (<Py_ssize_t>memo.mask + 1) * sizeof(uint64_t))
    memo.count = 0


cdef void free_keys(KeyMemo* memo) noexcept nogil:
    free(memo.rows)
    free(memo.slots)
    memo.rows = NULL
    memo.slots = NULL
    memo.mask = 0
    memo.count = 0
    memo.room = 0
