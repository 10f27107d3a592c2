import os

from cpython.unicode cimport PyUnicode_READ
from libc.stdlib cimport calloc, free, malloc

from spyderresp._gil cimport pause

cdef extern from "Python.h":
    int PyUnicode_KIND(object text) noexcept


cdef uint64_t _secret() except? 0:
    return <uint64_t>int.from_bytes(os.urandom(8), "little") | 1


SECRETS.first, SECRETS.word, SECRETS.state = _secret(), _secret(), _secret()


def text_hash(bytes text not None):
    """Return the hash of a text. For tests."""
    return hash_bytes(text, len(text))


def numbers_hash(numbers):
    """Return the hash of numbers. For tests."""
    cdef uint64_t mixed = SECRETS.first
    for number in numbers:
        mixed = hash_number(mixed, number)
    return mixed


# --- Text and its table ---

cdef enum:
    KEEP = 1 << 16    # bytes of a buffer that are kept for the next text
    TEXTS_PER_PAUSE = 1024      # texts of a table between two pauses


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
    """Texts to numbers, for lookups without Python objects. Immutable.

    Attributes:
        count: number of texts.
        memory: bytes that the table takes.
    """

    def __cinit__(self, texts, places):
        cdef Buffer buffer
        cdef Text text
        cdef TableEntry* entry
        cdef Py_ssize_t slots = 2, at = 4, size = 4, added = 0, i
        cdef uint64_t mixed
        cdef list held = list(texts)
        self.count = len(held)
        while slots < 2 * self.count:
            slots *= 2
        self.mask = slots - 1
        for value in held:
            size += sizeof(TableEntry) + 4 * len(<str>value) + 3 & ~3
        self.slots = <Slot*>calloc(slots, sizeof(Slot))
        self.arena = <uint8_t*>malloc(size)
        if not self.slots or not self.arena:
            raise MemoryError
        buffer.bytes = NULL
        buffer.capacity = 0
        try:
            for value, place in zip(held, places, strict=True):
                added += 1
                if added % TEXTS_PER_PAUSE == 0:
                    pause()
                if not str_text(value, &text, &buffer):
                    raise MemoryError
                mixed = hash_bytes(text.bytes, text.size)
                if find_entry(self, text.bytes, text.size, mixed) is not NULL:
                    raise ValueError("a text stands twice")
                entry = <TableEntry*>(self.arena + at)
                entry.place = place
                entry.note = NO_NOTE
                entry.size = text.size
                memcpy(<uint8_t*>entry + sizeof(TableEntry), text.bytes, text.size)
                i = mixed & self.mask
                while self.slots[i].offset:
                    i = i + 1 & self.mask
                if at >> 2 > 0xFFFFFFFFu:
                    raise MemoryError
                self.slots[i].tag = mixed >> 32
                self.slots[i].offset = at >> 2
                at += sizeof(TableEntry) + text.size + 3 & ~3
        finally:
            free(buffer.bytes)
        shrunk = realloc(self.arena, at)
        self.arena = <uint8_t*>shrunk if shrunk else self.arena
        self.memory = slots * sizeof(Slot) + at

    def __dealloc__(self):
        free(self.slots)
        free(self.arena)

    def get(self, str value not None):
        """Return the place of a text, or None where it was not added."""
        cdef Buffer buffer
        cdef Text text
        cdef TableEntry* entry
        buffer.bytes = NULL
        buffer.capacity = 0
        try:
            if not str_text(value, &text, &buffer):
                raise MemoryError
            entry = find_entry(self, text.bytes, text.size, hash_bytes(text.bytes, text.size))
            return entry.place if entry is not NULL else None
        finally:
            free(buffer.bytes)


# --- Text memo ---

cdef enum:
    FIRST_PLACES = 1024
    MOST_PLACES = 32768
    FIRST_UNITS = 8192         # units of 4 bytes
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
        room = max(2 * memo.room, FIRST_UNITS)
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


# --- Row table ---

cdef bint _grow_rows(RowTable* table) noexcept nogil:
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


cdef int32_t intern_row(
    RowTable* table, const int32_t* numbers, Py_ssize_t size, uint64_t mixed, bint full
) noexcept nogil:
    cdef uint32_t at
    cdef int32_t i
    cdef Py_ssize_t capacity
    cdef int32_t* grown
    if not table.room and not _grow_rows(table):
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
        if table.room >= 1 << 29 or not _grow_rows(table):
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


# --- Key memo ---

cdef enum:
    FIRST_KEYS = 512


cdef bint _grow_keys(KeyMemo* memo, const uint64_t* factors) noexcept nogil:
    """Make room for twice as many keys; False without memory."""
    cdef int32_t room = max(2 * memo.room, FIRST_KEYS), i
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
    if memo.count == memo.room and not _grow_keys(memo, factors):
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
