# Broad scopes: more policies at once than a shape that is remembered by classes may name.
#
# What many policies are in scope is found once for each combination of what policies, and not only their entries, ask
# for. It is kept under that, with the names that every plan lists, the loose entries, and the shapes by what fired. So
# an event costs what its candidates among the entries do, however many policies are in scope.
#
# Bounded by number and by weight (policies, and what the shapes weigh without them). Whatever gives way goes whole, so
# that no plan's names are held by what was dropped.

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, uint64_t

from spyderresp._native.fired cimport FiredMemo
from spyderresp._native.program cimport Program, Scope

cdef enum:
    BROADS = 64
    SHAPES = 1024    # of each

cdef class Broad:
    cdef Scope scope
    cdef int32_t* numbers     # what the scope leads to: policies, then loose entries
    cdef uint64_t mixed       # hash of the policies
    cdef readonly tuple names
    cdef FiredMemo shapes
    cdef int epoch            # in which it was last counted

# A combination, and what it leads to.
cdef struct Combination:
    uint64_t mixed
    int32_t* key              # owned
    PyObject* broad           # owned; several may lead to one

cdef class BroadMemo:
    cdef Combination[BROADS] places
    cdef readonly int used
    cdef int hand, epoch
    cdef Py_ssize_t most      # weight of all together
    cdef int32_t* fields      # the attributes that policies ask for; then group and scopes present
    cdef Py_ssize_t size      # of a key
    # The broad scope of an event's classes, or None.
    cdef Broad find(self, const int32_t* classes)
    # Whether it could be kept: every class has a number.
    cdef bint known(self, const int32_t* classes) noexcept
    # One that leads to the same policies, or None.
    cdef Broad like(self, const int32_t* policies, int32_t count)
    cdef int keep(self, const int32_t* classes, Broad broad) except -1
    # Make room for what a broad scope has come to weigh.
    cdef uint64_t mix(self, const int32_t* classes) noexcept
    cdef void settle(self, Broad broad) noexcept
    cdef Py_ssize_t weigh(self) noexcept
    cdef void drop(self, Combination* place) noexcept
    cdef int forget(self) except -1

cdef Broad new_broad(Program program, const int32_t* policies, int32_t count, tuple names, Py_ssize_t most)
