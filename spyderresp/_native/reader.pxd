# Reads the values that a policy set names out of an event, each exactly once, and refuses what is malformed.
#
# The values are held by strong references from then on, so nothing that the event does later can change a decision.
# Reading may run Python code (a host's own Mapping); nothing after it does. Held by tests/native/test_boundary.py.

from cpython.object cimport PyObject

cdef enum AttributeKind:
    READ_FIELD = 0
    READ_LABEL = 1
    READ_NAMESPACE_NAME = 2    # the label that a namespace's name implies

cdef struct Attribute:
    int scope             # into scopes
    int kind
    PyObject* key         # borrowed from attributes

cdef class EventReader:
    cdef readonly tuple scopes        # every scope of an event, in the order in which they are checked
    cdef readonly tuple attributes    # (scope index, key, kind), grouped by scope, in that order
    cdef Attribute* table
    cdef int count
    cdef int* first                   # attributes of scope s: first[s] to first[s + 1]
    cdef int* checked                 # whether scope s is looked at, at all
    cdef int implied                  # attribute of the label that a namespace's name implies, or -1
    cdef int slots                    # count, and two more: policy_uid, policy_name
    # Fills ``slots`` values, NULL where absent, and the bits of the scopes present. The caller starts with NULLs and
    # releases them, after an error too.
    cdef int read(self, object event, PyObject** values, unsigned int* present) except -1
    cdef void release(self, PyObject** values) noexcept

# A key of an exact dict, or of any other Mapping by its ``get``; None and missing are None.
cdef object lookup(object mapping, object key)
cdef bint is_mapping(object value) except -1
