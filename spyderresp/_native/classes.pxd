# What one value is to the predicates of its attribute: the exact text that it is, if any names it, and the globs that
# match it. Equal ones are one class, and classes are numbered, so that events can be told apart by numbers alone.
#
# Without globs the exact text's number is the class. With globs, classes are numbered as they are met, up to a bound;
# what comes after is judged alike, but has no number and is not remembered.

from libc.stdint cimport int32_t, uint32_t

cdef enum:
    ABSENT = 0
    OTHER = 1             # a text that no predicate names
    FIRST = 2             # the text of place 0, and so on
    NO_CLASS = -1
    MAX_CLASSES = 4096    # of one attribute
    MAX_POOL = 1 << 20    # globs of all classes of one attribute together

cdef struct Value:
    int32_t text              # ABSENT, OTHER, or FIRST and the text's place
    int32_t count             # of globs
    const int32_t* globs      # that match, ascending

cdef struct Class:
    int32_t text
    int32_t count
    Py_ssize_t start          # into the pool

cdef struct ClassSet:
    Class* classes
    int32_t count
    int32_t capacity
    int32_t* pool
    Py_ssize_t pooled
    Py_ssize_t pool_capacity
    int32_t* slots            # a class, plus one; 0 where empty
    uint32_t mask

# A set that is all zeros is empty. NO_CLASS where it is full, or without memory.
cdef int32_t intern_class(ClassSet* set, int32_t text, const int32_t* globs, int32_t count) noexcept nogil
cdef void class_value(const ClassSet* set, int32_t number, Value* value) noexcept nogil
cdef void free_classes(ClassSet* set) noexcept nogil
