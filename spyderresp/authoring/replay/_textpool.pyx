from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memset

cdef enum:
    FIRST_TEXTS = 256
    MOST_TEXTS = 1 << 30


cdef bint _grow(TextPool* pool) noexcept nogil:
    """Make room for twice as many texts; False without memory."""
    cdef int32_t capacity = max(2 * pool.capacity, <int32_t>FIRST_TEXTS), i
    cdef uint32_t mask = 2 * <uint32_t>capacity - 1, at
    cdef PoolSlot* slots
    cdef void* grown
    if capacity > MOST_TEXTS:
        return False
    grown = realloc(pool.starts, (<Py_ssize_t>capacity + 1) * sizeof(int64_t))
    if not grown:
        return False
    pool.starts = <int64_t*>grown
    if not pool.count:
        pool.starts[0] = 0
    grown = realloc(pool.mixed, <Py_ssize_t>capacity * sizeof(uint64_t))
    if not grown:
        return False
    pool.mixed = <uint64_t*>grown
    slots = <PoolSlot*>calloc(<Py_ssize_t>mask + 1, sizeof(PoolSlot))
    if not slots:
        return False
    for i in range(pool.count):
        at = pool.mixed[i] & mask
        while slots[at].number:
            at = at + 1 & mask
        slots[at].tag = pool.mixed[i] >> 32
        slots[at].number = i + 1
    free(pool.slots)
    pool.slots = slots
    pool.mask = mask
    pool.capacity = capacity
    return True


cdef int32_t tell_text(TextPool* pool, const uint8_t* data, Py_ssize_t size, uint64_t mixed) noexcept nogil:
    cdef uint32_t at, tag = mixed >> 32
    cdef int32_t i
    cdef int64_t room, used
    cdef void* grown
    if pool.count == pool.capacity and not _grow(pool):
        return -1
    at = mixed & pool.mask
    while pool.slots[at].number:
        if pool.slots[at].tag == tag:
            i = pool.slots[at].number - 1
            if (
                pool.starts[i + 1] - pool.starts[i] == size
                and (not size or memcmp(pool.bytes + pool.starts[i], data, size) == 0)
            ):
                return i
        at = at + 1 & pool.mask
    used = pool.starts[pool.count]
    if used + size >= pool.room:
        room = 2 * pool.room + size + 4096
        grown = realloc(pool.bytes, room)
        if not grown:
            return -1
        pool.bytes = <uint8_t*>grown
        pool.room = room
    if size:
        memcpy(pool.bytes + used, data, size)
    pool.slots[at].tag = tag
    pool.slots[at].number = pool.count + 1
    pool.mixed[pool.count] = mixed
    pool.count += 1
    pool.starts[pool.count] = used + size
    return pool.count - 1


cdef void free_pool(TextPool* pool) noexcept nogil:
    free(pool.bytes)
    free(pool.starts)
    free(pool.mixed)
    free(pool.slots)
    memset(pool, 0, sizeof(TextPool))
