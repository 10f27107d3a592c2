from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy, memset

FIRST_TEXT = FIRST


cdef inline uint32_t _mixed(int32_t text, const int32_t* globs, int32_t count) noexcept nogil:
    cdef uint64_t mixed = <uint64_t>text * 0x9E3779B97F4A7C15ull
    cdef int32_t i
    for i in range(count):
        mixed = (mixed ^ <uint64_t>globs[i]) * 0xD6E8FEB86659FD93ull
        mixed ^= mixed >> 32
    return mixed >> 32


cdef bint _grow(ClassSet* set) noexcept nogil:
    """Make room for one more class; False without memory."""
    cdef int32_t capacity = max(2 * set.capacity, 16), i
    cdef uint32_t mask = 2 * <uint32_t>capacity - 1, at
    cdef Class* classes = <Class*>realloc(set.classes, capacity * sizeof(Class))
    cdef int32_t* slots
    if not classes:
        return False
    set.classes = classes
    slots = <int32_t*>calloc(mask + 1, sizeof(int32_t))
    if not slots:
        return False
    for i in range(set.count):
        at = _mixed(classes[i].text, set.pool + classes[i].start, classes[i].count) & mask
        while slots[at]:
            at = at + 1 & mask
        slots[at] = i + 1
    free(set.slots)
    set.slots = slots
    set.mask = mask
    set.capacity = capacity
    return True


cdef int32_t intern_class(ClassSet* set, int32_t text, const int32_t* globs, int32_t count) noexcept nogil:
    cdef uint32_t at
    cdef Class* known
    cdef int32_t* pool
    cdef Py_ssize_t capacity
    if not set.capacity and not _grow(set):
        return NO_CLASS
    at = _mixed(text, globs, count) & set.mask
    while set.slots[at]:
        known = &set.classes[set.slots[at] - 1]
        if (
            known.text == text and known.count == count
            and memcmp(set.pool + known.start, globs, count * sizeof(int32_t)) == 0
        ):
            return set.slots[at] - 1
        at = at + 1 & set.mask
    if set.count >= MAX_CLASSES or set.pooled + count > MAX_POOL:
        return NO_CLASS
    if set.pooled + count >= set.pool_capacity:
        capacity = max(2 * set.pool_capacity, set.pooled + count + 1, 64)
        pool = <int32_t*>realloc(set.pool, capacity * sizeof(int32_t))
        if not pool:
            return NO_CLASS
        set.pool = pool
        set.pool_capacity = capacity
    if set.count == set.capacity:
        if not _grow(set):
            return NO_CLASS
        at = _mixed(text, globs, count) & set.mask
        while set.slots[at]:
            at = at + 1 & set.mask
    known = &set.classes[set.count]
    known.text = text
    known.count = count
    known.start = set.pooled
    memcpy(set.pool + set.pooled, globs, count * sizeof(int32_t))
    set.pooled += count
    set.count += 1
    set.slots[at] = set.count
    return set.count - 1


cdef void class_value(const ClassSet* set, int32_t number, Value* value) noexcept nogil:
    value.text = set.classes[number].text
    value.count = set.classes[number].count
    value.globs = set.pool + set.classes[number].start


cdef void free_classes(ClassSet* set) noexcept nogil:
    free(set.classes)
    free(set.pool)
    free(set.slots)
    memset(set, 0, sizeof(ClassSet))
