# Texts as the index compares them, whatever holds them: a Python str, or bytes of an Arrow column.
#
# Two texts are equal just if their UTF-8 is (a lone surrogate encoded as if it were a character, so that every str has
# one). ASCII, which is nearly all there is, is looked at where it lies; anything else is encoded into a buffer, and
# keeps its code points for globs. Nothing here needs the GIL or runs Python code.
#
# tests/native/test_text.py holds: equality of texts and of table entries, for every kind of str.

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

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

# Lead into a str, which must stay alive, or into the buffer. False without memory.
cdef bint str_text(object value, Text* text, Buffer* buffer) noexcept
# The same from UTF-8 known to be valid; the code points go into the buffer where it is not ASCII.
cdef bint utf8_text(const uint8_t* data, Py_ssize_t size, Text* text, Buffer* buffer) noexcept nogil
cdef uint64_t hash_bytes(const uint8_t* data, Py_ssize_t size) noexcept nogil

cdef class TextTable:
    # Texts to places. Never changed once built, but for the notes.
    cdef Slot* slots
    cdef uint8_t* arena
    cdef uint32_t mask
    cdef readonly Py_ssize_t count
    cdef readonly Py_ssize_t memory    # bytes
    cdef Entry* find(self, const uint8_t* data, Py_ssize_t size, uint64_t mixed) noexcept nogil
    cdef const Slot* slot(self, uint64_t mixed) noexcept nogil
