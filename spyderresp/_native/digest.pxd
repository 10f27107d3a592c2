# The digest of a policy set, over its meaning and order. What is hashed is the JSON text, without spaces, that the
# standard library makes of that meaning; it is written here piece by piece.

from spyderresp._native.policy cimport Policy

cdef class MeaningWriter:
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
