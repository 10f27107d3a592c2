# Texts as the index compares them, whatever holds them: a Python str, or bytes of an Arrow column.
#
# Two texts are equal just if their UTF-8 is (a lone surrogate encoded as if it were a character, so that every str has
# one). ASCII, which is nearly all there is, is looked at where it lies; anything else is encoded into a buffer, and
# keeps its code points for globs. Nothing here needs the GIL or runs Python code.
#
# tests/native/test_text.py holds: equality of texts and of table entries, for every kind of str.

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text) noexcept
    void* PyUnicode_DATA(object text) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept

cdef struct Text:
    const uint8_t* bytes    # UTF-8
    Py_ssize_t size         # bytes
    const void* units       # code points, `kind` bytes each
    Py_ssize_t length       # code points
    int kind                # 1, 2 or 4

# A buffer that grows, for what is encoded. Freed by its owner.
cdef struct Buffer:
    uint8_t* bytes
    Py_ssize_t capacity

# An entry of a table lies in its arena, its text behind it.
cdef struct Entry:
    int32_t place           # what the text was added as
    int32_t note            # free for the table's owner; NO_NOTE at first
    uint32_t size

cdef struct Slot:
    uint32_t tag
    uint32_t offset         # into the arena, in units of 4 bytes; 0 where the slot is empty

cdef enum:
    NO_NOTE = -1

cdef extern from *:
    """
    /* An exact str, or one that may be: its ASCII lies behind its head. */
    #define spyderresp_is_ascii(value) PyUnicode_IS_COMPACT_ASCII(value)
    #define spyderresp_ascii_of(value) ((const uint8_t*)((PyASCIIObject*)(value) + 1))
    #define spyderresp_ascii_size(value) (((PyASCIIObject*)(value))->length)
    """
    bint is_ascii "spyderresp_is_ascii"(PyObject* value) noexcept nogil
    const uint8_t* ascii_of "spyderresp_ascii_of"(PyObject* value) noexcept nogil
    Py_ssize_t ascii_size "spyderresp_ascii_size"(PyObject* value) noexcept nogil


cdef inline void ascii_text(PyObject* value, Text* text) noexcept nogil:
    text.units = text.bytes = ascii_of(value)
    text.length = text.size = ascii_size(value)
    text.kind = 1


# The rest of str_text(), for what is not ASCII.
cdef bint encode(object value, Text* text, Buffer* buffer) noexcept
# Lead into a str, which must stay alive, or into the buffer. False without memory.
cdef inline bint str_text(object value, Text* text, Buffer* buffer) noexcept:
    text.units = PyUnicode_DATA(value)
    text.length = PyUnicode_GET_LENGTH(value)
    if not PyUnicode_IS_COMPACT_ASCII(value):
        return encode(value, text, buffer)
    text.kind = 1
    text.bytes = <const uint8_t*>text.units
    text.size = text.length
    return True


# The same from bytes; where they are not ASCII the code points go into the buffer. False without memory, and where the
# bytes are not UTF-8.
cdef bint utf8_text(const uint8_t* data, Py_ssize_t size, Text* text, Buffer* buffer) noexcept nogil
cdef class TextTable:
    # Texts to places. Never changed once built, but for the notes.
    cdef Slot* slots
    cdef uint8_t* arena
    cdef uint32_t mask
    cdef readonly Py_ssize_t count
    cdef readonly Py_ssize_t memory    # bytes


cdef inline uint64_t hash_bytes(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    # Not seeded: a table holds a policy set's own texts, and an event's text only ever looks into it.
    cdef uint64_t mixed = <uint64_t>size * 0x9E3779B97F4A7C15ull, word
    cdef uint32_t low, high
    cdef Py_ssize_t i = 0
    while i + 8 < size:
        memcpy(&word, data + i, 8)
        mixed = (mixed ^ word) * 0xD6E8FEB86659FD93ull
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
    mixed = (mixed ^ word) * 0xD6E8FEB86659FD93ull
    # A product's low bits know nothing of its factors' high ones, which hold a text's last characters.
    mixed = (mixed ^ mixed >> 32) * 0xD6E8FEB86659FD93ull
    return mixed ^ mixed >> 32


cdef inline Entry* find_in(
    const Slot* slots, uint8_t* arena, uint32_t mask, const uint8_t* data, Py_ssize_t size, uint64_t mixed
) noexcept nogil:
    """Return the entry of a text with this hash in a table whose parts these are, or NULL."""
    cdef uint32_t i = mixed & mask, tag = mixed >> 32
    cdef Entry* entry
    while slots[i].offset:
        if slots[i].tag == tag:
            entry = <Entry*>(arena + (<Py_ssize_t>slots[i].offset << 2))
            if entry.size == size and memcmp(<uint8_t*>entry + sizeof(Entry), data, size) == 0:
                return entry
        i = i + 1 & mask
    return NULL


cdef inline Entry* find_entry(TextTable table, const uint8_t* data, Py_ssize_t size, uint64_t mixed) noexcept nogil:
    return find_in(table.slots, table.arena, table.mask, data, size, mixed)
