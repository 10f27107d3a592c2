from cpython.unicode cimport PyUnicode_READ
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy

from spyderresp._native.pauses cimport pause

cdef extern from "Python.h":
    int PyUnicode_KIND(object text) noexcept

cdef enum:
    KEEP = 1 << 16    # bytes of a buffer that are kept for the next text
    STEPS = 1024      # texts of a table between two pauses


cdef bint _room(Buffer* buffer, Py_ssize_t size) noexcept nogil:
    cdef uint8_t* bytes
    if size <= buffer.capacity and (buffer.capacity <= KEEP or size > KEEP):
        return True
    size = max(size, 256)
    bytes = <uint8_t*>realloc(buffer.bytes, size)
    if not bytes:
        return False
    buffer.bytes = bytes
    buffer.capacity = size
    return True


cdef bint encode(object value, Text* text, Buffer* buffer) noexcept:
    cdef Py_ssize_t i, at = 0
    cdef uint32_t code
    text.kind = PyUnicode_KIND(value)
    if not _room(buffer, 4 * text.length):
        return False
    for i in range(text.length):
        code = PyUnicode_READ(text.kind, <void*>text.units, i)
        if code < 0x80:
            buffer.bytes[at] = code
            at += 1
            continue
        if code < 0x800:
            buffer.bytes[at] = 0xC0 | code >> 6
            at += 1
        else:
            if code < 0x10000:
                buffer.bytes[at] = 0xE0 | code >> 12
                at += 1
            else:
                buffer.bytes[at] = 0xF0 | code >> 18
                buffer.bytes[at + 1] = 0x80 | (code >> 12 & 0x3F)
                at += 2
            buffer.bytes[at] = 0x80 | (code >> 6 & 0x3F)
            at += 1
        buffer.bytes[at] = 0x80 | (code & 0x3F)
        at += 1
    text.bytes = buffer.bytes
    text.size = at
    return True


cdef bint utf8_text(const uint8_t* data, Py_ssize_t size, Text* text, Buffer* buffer) noexcept nogil:
    cdef Py_ssize_t i = 0, at = 0, more
    cdef uint64_t word
    cdef uint32_t code, least
    cdef uint32_t* codes
    text.bytes = data
    text.size = size
    while i + 8 <= size:
        memcpy(&word, data + i, 8)
        if word & 0x8080808080808080ull:
            break
        i += 8
    while i < size and data[i] < 0x80:
        i += 1
    if i == size:
        text.kind = 1
        text.units = data
        text.length = size
        return True
    if not _room(buffer, 4 * size):
        return False
    codes = <uint32_t*>buffer.bytes
    i = 0
    while i < size:
        code = data[i]
        i += 1
        if code >= 0x80:
            if code < 0xC2 or code > 0xF4:
                return False
            more = 1 if code < 0xE0 else 2 if code < 0xF0 else 3
            least = 0x80 if more == 1 else 0x800 if more == 2 else 0x10000
            code &= 0x3Fu >> more
            if i + more > size:
                return False
            for _ in range(more):
                if data[i] & 0xC0 != 0x80:
                    return False
                code = code << 6 | (data[i] & 0x3Fu)
                i += 1
            if code < least or code > 0x10FFFF or 0xD800 <= code < 0xE000:
                return False
        codes[at] = code
        at += 1
    text.kind = 4
    text.units = codes
    text.length = at
    return True


cdef class TextTable:
    def __cinit__(self, texts, places):
        cdef Buffer buffer
        cdef Text text
        cdef Entry* entry
        cdef Py_ssize_t slots = 2, at = 4, size = 4, added = 0, i
        cdef uint64_t mixed
        cdef list held = list(texts)
        self.count = len(held)
        while slots < 2 * self.count:
            slots *= 2
        self.mask = slots - 1
        for value in held:
            size += sizeof(Entry) + 4 * len(<str>value) + 3 & ~3
        self.slots = <Slot*>calloc(slots, sizeof(Slot))
        self.arena = <uint8_t*>malloc(size)
        if not self.slots or not self.arena:
            raise MemoryError
        buffer.bytes = NULL
        buffer.capacity = 0
        try:
            for value, place in zip(held, places, strict=True):
                added += 1
                if added % STEPS == 0:
                    pause()
                if not str_text(value, &text, &buffer):
                    raise MemoryError
                mixed = hash_bytes(text.bytes, text.size)
                if find_entry(self, text.bytes, text.size, mixed) is not NULL:
                    raise ValueError("a text stands twice")
                entry = <Entry*>(self.arena + at)
                entry.place = place
                entry.note = NO_NOTE
                entry.size = text.size
                memcpy(<uint8_t*>entry + sizeof(Entry), text.bytes, text.size)
                i = mixed & self.mask
                while self.slots[i].offset:
                    i = i + 1 & self.mask
                if at >> 2 > 0xFFFFFFFFu:
                    raise MemoryError
                self.slots[i].tag = mixed >> 32
                self.slots[i].offset = at >> 2
                at += sizeof(Entry) + text.size + 3 & ~3
        finally:
            free(buffer.bytes)
        shrunk = realloc(self.arena, at)
        self.arena = <uint8_t*>shrunk if shrunk else self.arena
        self.memory = slots * sizeof(Slot) + at

    def __dealloc__(self):
        free(self.slots)
        free(self.arena)

    def get(self, str value not None):
        cdef Buffer buffer
        cdef Text text
        cdef Entry* entry
        buffer.bytes = NULL
        buffer.capacity = 0
        try:
            if not str_text(value, &text, &buffer):
                raise MemoryError
            entry = find_entry(self, text.bytes, text.size, hash_bytes(text.bytes, text.size))
            return entry.place if entry is not NULL else None
        finally:
            free(buffer.bytes)
