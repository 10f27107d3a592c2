# Policies as values that never change. Each keeps its place as a line and a column beside a path that all of one text
# share, and makes a Location when asked for one.
#
# Clause, Selector and Entry are outside the garbage collector's view: their constructors take nothing that could hold
# them again, so they are in no cycle, and a collection does not look at the hundreds of thousands of them that a large
# set has. A Policy is within it, because its metadata is a dict that its holder may change.

cdef class Clause:
    cdef readonly str key
    cdef readonly str operator
    cdef readonly tuple values         # of str
    cdef readonly str primitive
    cdef object path
    cdef int line
    cdef int column

cdef class Selector:
    cdef readonly str scope
    cdef readonly tuple clauses        # of Clause
    cdef object path
    cdef int line
    cdef int column

cdef class Entry:
    cdef readonly str action
    cdef readonly tuple parameters     # of (str, str or int)
    cdef readonly tuple selectors      # of Selector
    cdef readonly str section
    cdef object path
    cdef int line
    cdef int column
    cdef readonly int index
    cdef readonly bint enabled

cdef class Policy:
    cdef readonly str name
    cdef readonly object uid           # str or None
    cdef readonly str type
    cdef readonly str mode
    cdef readonly tuple selectors      # of Selector
    cdef readonly tuple entries        # of Entry
    cdef readonly object metadata
    cdef object path
    cdef int line
    cdef int column
    cdef readonly bint enabled
