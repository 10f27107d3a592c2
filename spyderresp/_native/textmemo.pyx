from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from spyderresp._native.text cimport hash_bytes

cdef enum:
    FIRST_PLACES = 1024
    MOST_PLACES = 32768
    FIRST_ROOM = 8192         # units of 4 bytes
    MOST_ROOM = 1 << 18


cdef bint _grow_places(TextMemo* memo) noexcept nogil:
    """Make room for twice as many texts; False without memory."""
    cdef uint32_t size = 2 * (memo.mask + 1) if memo.places is not NULL else FIRST_PLACES, at = 1, i
    cdef uint64_t mixed
    cdef const Known* known
    cdef Place* places = <Place*>calloc(size, sizeof(Place))
    if not places:
        return False
    while memo.count and at < memo.used:
        known = <const Known*>(memo.arena + (<Py_ssize_t>at << 2))
        mixed = hash_bytes(<const uint8_t*>known + sizeof(Known), known.size)
        i = mixed & (size - 1)
        while places[i].offset:
            i = i + 1 & (size - 1)
        places[i].tag = mixed >> 32
        places[i].offset = at
        at += (sizeof(Known) + known.size + 3) >> 2
    free(memo.places)
    memo.places = places
    memo.mask = size - 1
    return True


cdef void remember(TextMemo* memo, const uint8_t* data, Py_ssize_t size, uint64_t mixed, int32_t number) noexcept nogil:
    cdef uint32_t units, room, i
    cdef void* grown
    cdef Known* known
    if size > LONGEST_KEPT:
        return
    units = (sizeof(Known) + <uint32_t>size + 3) >> 2
    if memo.used + units > MOST_ROOM or memo.count >= MOST_PLACES // 2:
        empty_memo(memo)
    if memo.used + units > memo.room:
        room = max(2 * memo.room, FIRST_ROOM)
        grown = realloc(memo.arena, <Py_ssize_t>room << 2)
        if not grown:
            return
        memo.arena = <uint8_t*>grown
        memo.room = room
    # Offset 0 says that a place is empty.
    memo.used = max(memo.used, 1)
    if memo.places is NULL or 2 * <uint32_t>memo.count > memo.mask:
        if not _grow_places(memo):
            return
    i = mixed & memo.mask
    while memo.places[i].offset:
        i = i + 1 & memo.mask
    memo.places[i].tag = mixed >> 32
    memo.places[i].offset = memo.used
    known = <Known*>(memo.arena + (<Py_ssize_t>memo.used << 2))
    known.number = number
    known.size = <uint32_t>size
    memcpy(<uint8_t*>known + sizeof(Known), data, size)
    memo.used += units
    memo.count += 1


cdef void empty_memo(TextMemo* memo) noexcept nogil:
    if memo.places:
        memset(memo.places, 0, (<Py_ssize_t>memo.mask + 1) * sizeof(Place))
    memo.used = 0
    memo.count = 0


cdef void free_memo(TextMemo* memo) noexcept nogil:
    free(memo.places)
    free(memo.arena)
    memset(memo, 0, sizeof(TextMemo))
