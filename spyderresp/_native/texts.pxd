# The texts of one load, each kept once: keys under a number, so that they are compared as ints, and values that come
# again and again as one object.
#
# A key's number is exact: equal texts have one number. The slots before it are a memory only, and a direct-mapped one:
# a text that is not found there is made anew, so no choice of texts makes it slow or large.

cdef struct Slot:
    unsigned int hash
    int number          # of the text as a key, or -1 while it has none
    void* text          # a str, owned; NULL where the slot is free

cdef class Texts:
    cdef dict numbers           # key to number
    cdef list keys              # number to key
    cdef long long* stamps      # by number: the mapping that was last seen to hold the key
    cdef Py_ssize_t stamped     # how many stamps there is room for
    cdef long long mapping      # the mapping looked at now
    cdef Slot* slots
    cdef unsigned int mask
    cdef unsigned int misses
    cdef dict tuples
    # The number of a key.
    cdef int number(self, str key) except -1
    cdef int number_of_span(self, str source, Py_ssize_t start, Py_ssize_t end) except -1
    # The text itself, as the one object that stands for it where it was met lately.
    cdef str span(self, str source, Py_ssize_t start, Py_ssize_t end)
    cdef str share(self, str text)
    cdef tuple share_tuple(self, tuple values)
    cdef int begin_mapping(self) except -1
    # Tell whether the mapping begun last has a key already; and remember that it has.
    cdef int again(self, int number) except -1
    cdef Slot* find(self, str source, Py_ssize_t start, Py_ssize_t end) except NULL
    cdef int grow(self) except -1
    cdef void clear_slots(self) noexcept

cdef bint has_surrogate(str text) noexcept

# The number that a word of the policy language has in every load.
cdef int known(str word) except -1
# A set of such words, as flags by number; and whether a key is one of them.
cdef bytes words(valid)


cdef inline bint among(bytes valid, int number) noexcept:
    return number < len(valid) and (<const unsigned char*>valid)[number]
