# Shapes that are remembered by what fired: bounded by number and by weight, with an eviction that goes round, because
# one may hold ten thousand actions.

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, uint32_t, uint64_t

from spyderresp._native.plan cimport PlanShape

# What fired, and the shape of it.
cdef struct Fired:
    PyObject* shape       # owned, or NULL
    int32_t* numbers      # policies in scope, then entries fired; owned
    int32_t in_scope
    int32_t size          # of the numbers
    uint32_t present      # whether there is a pod, and a process
    uint64_t mixed        # hash of all these
    Py_ssize_t weight

cdef class FiredMemo:
    cdef Fired* places
    cdef Py_ssize_t mask, hand         # where room is made next
    cdef Py_ssize_t most               # weight of all that is kept
    cdef readonly Py_ssize_t weight
    cdef readonly Py_ssize_t used
    # Look for what fired, its numbers borrowed; its hash is told. None where it is not known.
    cdef PlanShape find(self, Fired* fired)
    # Keep it, its numbers copied by copy_numbers() and from now on the memo's.
    cdef void keep(self, Fired* fired, PlanShape shape, Py_ssize_t weight) noexcept
    cdef void drop(self, Fired* place) noexcept
    cdef int forget(self) except -1

cdef int copy_numbers(Fired* fired) except -1
