# What one value is to the predicates of its attribute: the exact text that it is, if any names it, and the globs that
# match it. Equal ones are one class, and classes are numbered, so that events can be told apart by numbers alone.
#
# Without globs the exact text's number is the class. With globs, classes are numbered as they are met, up to a bound;
# what comes after is judged alike, but has no number and is not remembered.

from libc.stdint cimport int32_t, uint64_t

from spyderresp._native.globset cimport Matches
from spyderresp._native.numbers cimport hash_number
from spyderresp._native.rowtable cimport RowTable, tell_row

cdef enum:
    ABSENT = 0
    OTHER = 1             # a text that no predicate names
    FIRST = 2             # the text of place 0, and so on
    NO_CLASS = -1
    MAX_CLASSES = 4096    # of one attribute
    MAX_POOL = 1 << 20    # numbers of all classes of one attribute together

cdef struct Value:
    int32_t text              # ABSENT, OTHER, or FIRST and the text's place
    int32_t count             # of globs
    const int32_t* globs      # that match, ascending


cdef inline int32_t number_class(RowTable* classes, int32_t text, Matches* matches) noexcept nogil:
    """Return the number of a class, or NO_CLASS where there are too many."""
    cdef int32_t i, size = matches.count + 1
    cdef uint64_t mixed = size
    matches.row[0] = text
    for i in range(size):
        mixed = hash_number(mixed, matches.row[i])
    return tell_row(
        classes, matches.row, size, mixed, classes.count >= MAX_CLASSES or classes.used + size > MAX_POOL
    )


cdef inline void class_value(const RowTable* classes, int32_t number, Value* value) noexcept nogil:
    cdef const int32_t* row = classes.numbers + classes.starts[number]
    value.text = row[0]
    value.globs = row + 1
    value.count = classes.starts[number + 1] - classes.starts[number] - 1
