# Strings and rows of integers in hash tables that need no GIL and run no Python code.
#
# Two tables hold strings: TextTable, immutable, made from the strings that policies contain; and TextMemo, a bounded
# cache. Two tables hold integers: RowTable for rows of any length, and KeyMemo for keys of one length. A struct that is
# all zeros is empty. tests/property/test_globset.py holds the equality of strings and table entries, for every kind of
# str.

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, uint32_t, uint64_t, uint8_t
from libc.stdlib cimport realloc
from libc.string cimport memcmp, memcpy, memset

# --- Prefetch ---
#
# Requests memory that is read later, so that several cache misses overlap. Any address is allowed.

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define spyderresp_prefetch(address) __builtin_prefetch((const char*)(address))
    #else
    #define spyderresp_prefetch(address)
    #endif
    """
    void prefetch "spyderresp_prefetch"(const void* address) noexcept nogil

# --- Integers ---
#
# Hashes, comparisons and a growing array of int32.


# Random numbers of this process, which every hash depends on. So nobody can prepare an event whose texts, or
# combinations of texts, collide. tests/native/test_hashes.py holds that.
cdef struct Secrets:
    uint64_t first        # that every hash begins with
    uint64_t word         # mixed into each word of a text
    uint64_t state        # mixed into what the words before it came to

cdef Secrets SECRETS

cdef inline uint64_t hash_number(uint64_t mixed, uint32_t number) noexcept nogil:
    """Mix one more number into a hash."""
    mixed = (mixed ^ number) * 0xD6E8FEB86659FD93ull
    return mixed ^ mixed >> 32


# For qsort.
cdef inline int ascending(const void* left, const void* right) noexcept nogil:
    cdef int32_t a = (<const int32_t*>left)[0], b = (<const int32_t*>right)[0]
    return (a > b) - (a < b)


# Numbers, one after the other, with room for more. All zeros is empty.
cdef struct Column:
    int32_t* items
    Py_ssize_t count
    Py_ssize_t capacity


cdef inline int push(Column* column, int32_t number) except -1:
    cdef Py_ssize_t capacity
    cdef int32_t* grown
    if column.count == column.capacity:
        capacity = 2 * column.capacity + 64
        grown = <int32_t*>realloc(column.items, capacity * sizeof(int32_t))
        if not grown:
            raise MemoryError
        column.items = grown
        column.capacity = capacity
    column.items[column.count] = number
    column.count += 1
    return 0


cdef inline int32_t* taken(Column* column) noexcept:
    """Give what a column holds away."""
    cdef int32_t* items = column.items
    cdef void* shrunk = realloc(items, (column.count + 1) * sizeof(int32_t))
    memset(column, 0, sizeof(Column))
    return <int32_t*>shrunk if shrunk else items

# --- Text and its table ---
#
# Strings as the index compares them: from a Python str, or from bytes of an Arrow column.
#
# Two strings are equal if and only if their UTF-8 is (a lone surrogate is encoded like a character, so that every str
# has one). ASCII is read where it is stored; other strings are encoded into a buffer, which also keeps their code
# points for globs.


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
cdef struct TableEntry:
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


cdef extern from *:
    """
    #ifdef __SIZEOF_INT128__
    static inline uint64_t spyderresp_fold(uint64_t a, uint64_t b) {
        const __uint128_t product = (__uint128_t)a * b;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    #else
    static inline uint64_t spyderresp_fold(uint64_t a, uint64_t b) {
        const uint64_t low = (a & 0xFFFFFFFF) * (b & 0xFFFFFFFF), high = (a >> 32) * (b >> 32);
        const uint64_t one = (a >> 32) * (b & 0xFFFFFFFF) + (low >> 32);
        const uint64_t two = (a & 0xFFFFFFFF) * (b >> 32) + (one & 0xFFFFFFFF);
        return (two << 32 | (low & 0xFFFFFFFF)) ^ (high + (one >> 32) + (two >> 32));
    }
    #endif
    """
    # Both halves of the product, one over the other.
    uint64_t fold "spyderresp_fold"(uint64_t a, uint64_t b) noexcept nogil


cdef inline uint64_t hash_bytes(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    # A keyed hash of folded products, after wyhash.
    cdef uint64_t mixed = SECRETS.first ^ <uint64_t>size, word
    cdef uint32_t low, high
    cdef Py_ssize_t i = 0
    while i + 8 < size:
        memcpy(&word, data + i, 8)
        mixed = fold(word ^ SECRETS.word, mixed ^ SECRETS.state)
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
    mixed = fold(word ^ SECRETS.word, mixed ^ SECRETS.state)
    return fold(mixed ^ SECRETS.first, 0xD6E8FEB86659FD93ull)


cdef inline TableEntry* find_in(
    const Slot* slots, uint8_t* arena, uint32_t mask, const uint8_t* data, Py_ssize_t size, uint64_t mixed
) noexcept nogil:
    """Return the entry of a text with this hash in a table whose parts these are, or NULL."""
    cdef uint32_t i = mixed & mask, tag = mixed >> 32
    cdef TableEntry* entry
    while slots[i].offset:
        if slots[i].tag == tag:
            entry = <TableEntry*>(arena + (<Py_ssize_t>slots[i].offset << 2))
            if entry.size == size and memcmp(<uint8_t*>entry + sizeof(TableEntry), data, size) == 0:
                return entry
        i = i + 1 & mask
    return NULL


cdef inline TableEntry* find_entry(
    TextTable table, const uint8_t* data, Py_ssize_t size, uint64_t mixed
) noexcept nogil:
    return find_in(table.slots, table.arena, table.mask, data, size, mixed)

# --- Text memo ---
#
# A bounded cache from string bytes to an int32. Copies its keys; empties itself when full.


cdef enum:
    LONGEST_KEPT = 512    # bytes of a text

cdef struct Known:
    int32_t number
    uint32_t size         # of the text, which lies behind

cdef struct Place:
    uint32_t tag
    uint32_t offset       # into the arena, in units of 4 bytes; 0 where the place is empty

cdef struct TextMemo:
    Place* places
    uint32_t mask
    uint8_t* arena
    uint32_t used         # units of 4 bytes
    uint32_t room
    int32_t count

cdef inline Known* find_known(
    const TextMemo* memo, const uint8_t* data, Py_ssize_t size, uint64_t mixed
) noexcept nogil:
    """Return what is known of a text with this hash, or NULL."""
    cdef uint32_t i = mixed & memo.mask, tag = mixed >> 32
    cdef Known* known
    if memo.places is NULL:
        return NULL
    while memo.places[i].offset:
        if memo.places[i].tag == tag:
            known = <Known*>(memo.arena + (<Py_ssize_t>memo.places[i].offset << 2))
            if known.size == size and memcmp(<uint8_t*>known + sizeof(Known), data, size) == 0:
                return known
        i = i + 1 & memo.mask
    return NULL

# Remember a text that is not known, or do not, where there is no memory or it is long.
cdef void remember(TextMemo* memo, const uint8_t* data, Py_ssize_t size, uint64_t mixed, int32_t number) noexcept nogil
cdef void empty_memo(TextMemo* memo) noexcept nogil
cdef void free_memo(TextMemo* memo) noexcept nogil

# --- Row table ---
#
# Interns int32 rows: each distinct row gets an id and one int32 payload.


cdef struct RowTable:
    int32_t* numbers      # row i is numbers[starts[i]:starts[i + 1]]
    Py_ssize_t used
    Py_ssize_t capacity
    Py_ssize_t* starts
    uint64_t* mixed       # hash of each row
    int32_t* notes
    int32_t count
    int32_t room
    int32_t* slots        # a row, plus one; 0 where empty
    uint32_t mask

# The place of a row, added where it is new, its note then -1; or -1 where it is new and the table is full, or without
# memory.
cdef int32_t intern_row(
    RowTable* table, const int32_t* numbers, Py_ssize_t size, uint64_t mixed, bint full
) noexcept nogil
cdef void empty_rows(RowTable* table) noexcept nogil
cdef void free_rows(RowTable* table) noexcept nogil

# --- Key memo ---
#
# A map from int32 keys of one length to an int32. It is empty when all its fields except the length are zero.


cdef struct KeyMemo:
    int length            # of a key
    int32_t* rows         # each a number, and the key
    uint64_t* slots       # tag, and the row's place plus one; 0 where empty
    uint32_t mask
    int32_t count
    int32_t room

cdef inline int32_t* find_key(const KeyMemo* memo, const int32_t* key, uint64_t mixed) noexcept nogil:
    """Return the number of a key with this hash, or NULL."""
    cdef uint32_t at = mixed & memo.mask, tag = mixed >> 32
    cdef int32_t* row
    cdef int32_t other
    cdef int i
    if memo.slots is NULL:
        return NULL
    while memo.slots[at]:
        if memo.slots[at] >> 32 == tag:
            row = memo.rows + <Py_ssize_t>(<uint32_t>memo.slots[at] - 1) * (memo.length + 1)
            other = 0
            for i in range(memo.length):
                other |= row[i + 1] ^ key[i]
            if not other:
                return row
        at = at + 1 & memo.mask
    return NULL

# Add a key that is not there; False without memory. `factors` are those of hash_key().
cdef bint add_key(
    KeyMemo* memo, const int32_t* key, uint64_t mixed, int32_t number, const uint64_t* factors
) noexcept nogil
cdef void empty_keys(KeyMemo* memo) noexcept nogil
cdef void free_keys(KeyMemo* memo) noexcept nogil


cdef inline uint64_t hash_key(const int32_t* key, int length, const uint64_t* factors) noexcept nogil:
    """Hash a key, its numbers each by a factor of its own, so that none waits for the one before it."""
    cdef uint64_t mixed = 0
    cdef int i
    for i in range(length):
        mixed += (<uint32_t>key[i] + <uint64_t>1) * factors[i]
    mixed = (mixed ^ mixed >> 32) * 0xD6E8FEB86659FD93ull
    return mixed ^ mixed >> 32
