# Reads a JSON text (RFC 8259) into cells, in one pass, with a stack of its own: depth costs nothing but the stack's
# fixed room. A string without escapes is only looked at; any other goes to the standard library's scanner, so that what
# is a string, and what is said of one that is not, is the same everywhere.

from spyderresp._native.tree cimport Tree

cdef class JsonReader:
    cdef Tree tree
    cdef str text
    cdef Py_ssize_t length
    cdef bint surrogates    # lone ones are accepted
    # A fault of a text that may not be JSON at all: it is raised once the whole is known to be JSON.
    cdef object fault       # DocumentError or None: the first by place
    cdef Py_ssize_t fault_at
    cdef int blame(self, Py_ssize_t start, object error) except -1
    cdef Py_ssize_t escaped(self, Py_ssize_t at, bint key) except -1
    cdef int close(self, int cell, Py_ssize_t end) except -1
