# Texts, each once and for good, by number: what events say, as much of it as must be told again. All zeros but for its
# factor is empty. Events are anybody's, so that the factor is secret: else texts could be made that all fall together.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef struct PoolSlot:
    uint32_t tag
    int32_t number        # of a text, from 1; 0 where the slot is empty

cdef struct TextPool:
    uint8_t* bytes
    int64_t room
    int64_t* starts       # text i is bytes[starts[i]:starts[i + 1]]
    uint64_t* mixed       # hash of each text
    int32_t count
    int32_t capacity
    PoolSlot* slots
    uint32_t mask
    uint64_t factor       # odd

cdef inline uint64_t hash_text(const TextPool* pool, const uint8_t* data, Py_ssize_t size) noexcept nogil:
    cdef uint64_t mixed = (<uint64_t>size + 1) * pool.factor, word
    cdef uint32_t low, high
    cdef Py_ssize_t i = 0
    while i + 8 < size:
        memcpy(&word, data + i, 8)
        mixed = (mixed ^ word) * pool.factor
        mixed ^= mixed >> 32
        i += 8
    # What is left, or the last eight bytes whole, some of them for a second time.
    if size >= 8:
        memcpy(&word, data + size - 8, 8)
    elif size >= 4:
        memcpy(&low, data, 4)
        memcpy(&high, data + size - 4, 4)
        word = <uint64_t>high << 32 | low
    elif size:
        word = <uint64_t>data[0] << 16 | <uint64_t>data[size >> 1] << 8 | data[size - 1]
    else:
        word = 0
    mixed = (mixed ^ word) * pool.factor
    mixed = (mixed ^ mixed >> 32) * pool.factor
    return mixed ^ mixed >> 32

# The number of a text, added where it is new; or -1 without memory.
cdef int32_t tell_text(TextPool* pool, const uint8_t* data, Py_ssize_t size, uint64_t mixed) noexcept nogil
cdef void free_pool(TextPool* pool) noexcept nogil
