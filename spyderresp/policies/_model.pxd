# Policies as immutable values, and the digest of a policy set.

# --- Values ---
#
# Each value keeps its position as a line and a column and the path that all values of one text share; it creates a
# Location on request.
#
# Clause, Selector and Entry are not tracked by the garbage collector: their constructors accept nothing that could
# refer to them, so they are in no cycle, and a collection skips the hundreds of thousands of them in a large set. A
# Policy is tracked, because its metadata is a dict that its owner may change.

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

# --- Digest ---
#
# The digest covers the meaning and order of a policy set. The hashed bytes are the JSON text, without spaces, that the
# standard library writes of that meaning; CanonicalEncoder writes it piece by piece.


cdef class CanonicalEncoder:
    cdef object hashed
    cdef char* bytes       # what is still to be hashed
    cdef Py_ssize_t size, capacity
    cdef int room(self, Py_ssize_t size) except -1
    cdef int raw(self, const char* text, Py_ssize_t size) except -1
    # What stands between texts.
    cdef int mark(self, const char* text) except -1
    # A text in quotes.
    cdef int text(self, str text) except -1
    cdef int flush(self) except -1
    cdef int policy(self, Policy policy) except -1
    cdef int parameters(self, tuple parameters) except -1
    # Selectors, their clauses and the values of these stand in an order of their own: each of them is a set.
    cdef int selectors(self, tuple selectors) except -1
    cdef int clauses(self, tuple clauses) except -1
    cdef int clause(self, str key, str operator, tuple values) except -1
