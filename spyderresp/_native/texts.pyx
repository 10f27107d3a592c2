from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ, PyUnicode_Substring
cdef extern from "Python.h":
    int PyUnicode_IS_ASCII(object text) noexcept

from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp

from spyderresp._native.chars cimport Char, UCS1, UCS2, UCS4

from spyderresp import vocabulary

cdef tuple WORDS = tuple(
    dict.fromkeys(
        [
            *vocabulary.TOP_KEYS,
            *vocabulary.LIST_KEYS,
            *vocabulary.SPEC_KEYS,
            *vocabulary.PRIMITIVES,
            *vocabulary.EXPRESSION_KEYS,
            *vocabulary.ACTION_FIELDS,
            *[field for fields in vocabulary.ACTION_FIELDS.values() for field in fields],
            *("name", "type", "uid", "default", "actions"),
        ]
    )
)
cdef dict NUMBERS = {word: number for number, word in enumerate(WORDS)}

# Texts longer than this are not likely to come again.
cdef Py_ssize_t SHARED_LENGTH = 64
cdef unsigned int FEWEST_SLOTS = 256
cdef unsigned int MOST_SLOTS = 16384
cdef Py_ssize_t MOST_KEYS = 50_000
cdef Py_ssize_t MOST_TUPLES = 4_000


cdef int known(str word) except -1:
    return NUMBERS[word]


cdef bytes words(valid):
    if not NUMBERS.keys() >= set(valid):
        raise KeyError("a word that has no number of its own")
    return bytes([word in valid for word in WORDS])


cdef unsigned int _hash(const Char* text, Py_ssize_t length) noexcept:
    """FNV-1a over the characters, so that the width in which they are kept does not matter."""
    cdef unsigned int value = 2166136261
    cdef Py_ssize_t i
    for i in range(length):
        value = (value ^ text[i]) * 16777619
    return value ^ (value >> 15)


cdef bint _equal(str text, str source, Py_ssize_t start, Py_ssize_t length) noexcept:
    cdef int kind = PyUnicode_KIND(source), width = PyUnicode_KIND(text)
    cdef void* left = PyUnicode_DATA(text)
    cdef void* right = PyUnicode_DATA(source)
    cdef Py_ssize_t i
    if PyUnicode_GET_LENGTH(text) != length:
        return False
    if kind == width:
        return memcmp(left, <char*>right + start * kind, length * kind) == 0
    for i in range(length):
        if PyUnicode_READ(width, left, i) != PyUnicode_READ(kind, right, start + i):
            return False
    return True


cdef bint has_surrogate(str text) noexcept:
    cdef Py_UCS4 char
    if PyUnicode_IS_ASCII(text):
        return False
    for char in text:
        if 0xD800 <= char <= 0xDFFF:
            return True
    return False


cdef class Texts:
    def __cinit__(self):
        self.numbers = NUMBERS.copy()
        self.keys = list(WORDS)
        self.tuples = {}
        self.mask = FEWEST_SLOTS - 1
        self.slots = <Slot*>calloc(FEWEST_SLOTS, sizeof(Slot))
        if not self.slots:
            raise MemoryError

    def __dealloc__(self):
        self.clear_slots()
        free(self.slots)
        free(self.stamps)

    cdef void clear_slots(self) noexcept:
        cdef unsigned int i
        if self.slots:
            for i in range(self.mask + 1):
                if self.slots[i].text:
                    Py_DECREF(<object>self.slots[i].text)
                    self.slots[i].text = NULL

    cdef int number(self, str key) except -1:
        found = self.numbers.get(key)
        if found is not None:
            return found
        cdef int number = len(self.keys)
        self.keys.append(key)
        self.numbers[key] = number
        return number

    cdef int number_of_span(self, str source, Py_ssize_t start, Py_ssize_t end) except -1:
        cdef Slot* slot
        if end - start > SHARED_LENGTH:
            return self.number(PyUnicode_Substring(source, start, end))
        slot = self.find(source, start, end)
        if slot.number < 0:
            slot.number = self.number(<str>slot.text)
        return slot.number

    cdef str span(self, str source, Py_ssize_t start, Py_ssize_t end):
        if end - start > SHARED_LENGTH:
            return PyUnicode_Substring(source, start, end)
        return <str>self.find(source, start, end).text

    cdef str share(self, str text):
        cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text)
        if length > SHARED_LENGTH:
            return text
        return <str>self.find(text, 0, length).text

    cdef tuple share_tuple(self, tuple values):
        if len(self.tuples) >= MOST_TUPLES:
            self.tuples.clear()
        return self.tuples.setdefault(values, values)

    cdef int begin_mapping(self) except -1:
        self.mapping += 1
        return 0

    cdef int again(self, int number) except -1:
        cdef Py_ssize_t room
        cdef long long* grown
        if number >= self.stamped:
            room = 2 * len(self.keys)
            grown = <long long*>realloc(self.stamps, room * sizeof(long long))
            if not grown:
                raise MemoryError
            self.stamps = grown
            while self.stamped < room:
                grown[self.stamped] = 0
                self.stamped += 1
        if self.stamps[number] == self.mapping:
            return True
        self.stamps[number] = self.mapping
        return False

    cdef Slot* find(self, str source, Py_ssize_t start, Py_ssize_t end) except NULL:
        cdef int kind = PyUnicode_KIND(source)
        cdef void* data = PyUnicode_DATA(source)
        cdef unsigned int hash
        cdef Slot* slot
        if kind == 1:
            hash = _hash[UCS1](<const UCS1*>data + start, end - start)
        elif kind == 2:
            hash = _hash[UCS2](<const UCS2*>data + start, end - start)
        else:
            hash = _hash[UCS4](<const UCS4*>data + start, end - start)
        slot = &self.slots[hash & self.mask]
        if slot.text and slot.hash == hash and _equal(<str>slot.text, source, start, end - start):
            return slot
        if self.misses > 2 * self.mask and self.mask + 1 < MOST_SLOTS:
            self.grow()
            slot = &self.slots[hash & self.mask]
        self.misses += 1
        text = source if start == 0 and end == PyUnicode_GET_LENGTH(source) else PyUnicode_Substring(source, start, end)
        Py_INCREF(text)
        if slot.text:
            Py_DECREF(<object>slot.text)
        slot.text = <void*>text
        slot.hash = hash
        slot.number = -1
        return slot

    cdef int grow(self) except -1:
        cdef unsigned int count = (self.mask + 1) * 4
        cdef Slot* grown = <Slot*>calloc(count, sizeof(Slot))
        if not grown:
            raise MemoryError
        self.clear_slots()
        free(self.slots)
        self.slots = grown
        self.mask = count - 1
        self.misses = 0
        return 0

    def forget(self):
        if len(self.keys) > MOST_KEYS:
            self.numbers = NUMBERS.copy()
            self.keys = list(WORDS)
            self.clear_slots()
        return 0
