from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy, memset


cdef bint _grow(RowTable* table) noexcept nogil:
    """Make room for twice as many rows; False without memory."""
    cdef int32_t room = max(2 * table.room, 256), i
    cdef uint32_t mask = 2 * <uint32_t>room - 1, at
    cdef int32_t* slots
    cdef void* grown = realloc(table.starts, (room + 1) * sizeof(Py_ssize_t))
    if not grown:
        return False
    table.starts = <Py_ssize_t*>grown
    if not table.count:
        table.starts[0] = 0
    grown = realloc(table.mixed, room * sizeof(uint64_t))
    if not grown:
        return False
    table.mixed = <uint64_t*>grown
    grown = realloc(table.notes, room * sizeof(int32_t))
    if not grown:
        return False
    table.notes = <int32_t*>grown
    slots = <int32_t*>calloc(mask + 1, sizeof(int32_t))
    if not slots:
        return False
    for i in range(table.count):
        at = table.mixed[i] & mask
        while slots[at]:
            at = at + 1 & mask
        slots[at] = i + 1
    free(table.slots)
    table.slots = slots
    table.mask = mask
    table.room = room
    return True


cdef int32_t tell_row(
    RowTable* table, const int32_t* numbers, Py_ssize_t size, uint64_t mixed, bint full
) noexcept nogil:
    cdef uint32_t at
    cdef int32_t i
    cdef Py_ssize_t capacity
    cdef int32_t* grown
    if not table.room and not _grow(table):
        return -1
    at = mixed & table.mask
    while table.slots[at]:
        i = table.slots[at] - 1
        if (
            table.mixed[i] == mixed and table.starts[i + 1] - table.starts[i] == size
            and memcmp(table.numbers + table.starts[i], numbers, size * sizeof(int32_t)) == 0
        ):
            return i
        at = at + 1 & table.mask
    if full:
        return -1
    if table.used + size >= table.capacity:
        capacity = 2 * table.capacity + size + 1024
        grown = <int32_t*>realloc(table.numbers, capacity * sizeof(int32_t))
        if not grown:
            return -1
        table.numbers = grown
        table.capacity = capacity
    if table.count == table.room:
        if table.room >= 1 << 29 or not _grow(table):
            return -1
        at = mixed & table.mask
        while table.slots[at]:
            at = at + 1 & table.mask
    memcpy(table.numbers + table.used, numbers, size * sizeof(int32_t))
    table.used += size
    table.mixed[table.count] = mixed
    table.notes[table.count] = -1
    table.count += 1
    table.starts[table.count] = table.used
    table.slots[at] = table.count
    return table.count - 1


cdef void empty_rows(RowTable* table) noexcept nogil:
    if table.slots:
        memset(table.slots, 0, (<Py_ssize_t>table.mask + 1) * sizeof(int32_t))
    table.used = 0
    table.count = 0


cdef void free_rows(RowTable* table) noexcept nogil:
    free(table.numbers)
    free(table.starts)
    free(table.mixed)
    free(table.notes)
    free(table.slots)
    memset(table, 0, sizeof(RowTable))
