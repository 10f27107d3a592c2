# The digest of a policy set, over its meaning and order. What is hashed is the JSON text, without spaces, that the
# standard library makes of that meaning; it is written here piece by piece.

from spyderresp._native.policy cimport Policy

cdef class MeaningWriter:
    cdef list pieces
    cdef dict texts    # as they are written; a memory of those met lately
    cdef str text(self, str text)
    cdef int policy(self, Policy policy) except -1
    cdef int parameters(self, tuple parameters) except -1
    # Selectors, their clauses and the values of these stand in an order of their own: each of them is a set.
    cdef int selectors(self, tuple selectors) except -1
    cdef int clauses(self, list clauses) except -1
