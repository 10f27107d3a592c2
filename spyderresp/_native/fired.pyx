cimport cython
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from spyderresp._native.numbers cimport FIRST_HASH, hash_number
from spyderresp._native.pauses cimport pause

cdef extern from "Python.h":
    PyObject* Py_NewRef(object value) noexcept
    void Py_XDECREF(PyObject* value) noexcept

cdef enum:
    STEPS = 512    # places that are emptied between two pauses


cdef int copy_numbers(Fired* fired) except -1:
    cdef int32_t* copy = <int32_t*>malloc((fired.size + 1) * sizeof(int32_t))
    if not copy:
        raise MemoryError
    memcpy(copy, fired.numbers, fired.size * sizeof(int32_t))
    fired.numbers = copy
    return 0


@cython.no_gc
cdef class FiredMemo:
    def __cinit__(self, Py_ssize_t places, Py_ssize_t most):
        """Make room for so many shapes, a power of two, of so much weight together."""
        self.mask = places - 1
        self.most = most
        self.places = <Fired*>calloc(places, sizeof(Fired))
        if not self.places:
            raise MemoryError

    def __dealloc__(self):
        cdef Py_ssize_t i
        # Not looked through where it is empty: that would take longer than all the rest.
        if self.used:
            for i in range(self.mask + 1):
                self.drop(&self.places[i])
        free(self.places)

    cdef PlanShape find(self, Fired* fired):
        cdef uint64_t mixed = hash_number(hash_number(FIRST_HASH, fired.present), fired.in_scope)
        cdef const Fired* place
        cdef int32_t i
        for i in range(fired.size):
            mixed = hash_number(mixed, fired.numbers[i])
        fired.mixed = mixed
        place = &self.places[mixed & self.mask]
        if (
            place.shape is not NULL and place.mixed == mixed and place.present == fired.present
            and place.in_scope == fired.in_scope and place.size == fired.size
            and memcmp(place.numbers, fired.numbers, fired.size * sizeof(int32_t)) == 0
        ):
            return <PlanShape>place.shape
        return None

    cdef void keep(self, Fired* fired, PlanShape shape, Py_ssize_t weight) noexcept:
        cdef Fired* place = &self.places[fired.mixed & self.mask]
        if weight > self.most // 4:
            free(fired.numbers)
            return
        self.drop(place)
        while self.weight + weight > self.most:
            self.drop(&self.places[self.hand])
            self.hand = (self.hand + 1) & self.mask
        place[0] = fired[0]
        place.shape = Py_NewRef(shape)
        place.weight = weight
        self.weight += weight
        self.used += 1

    cdef void drop(self, Fired* place) noexcept:
        cdef PyObject* shape = place.shape
        if shape is not NULL:
            self.weight -= place.weight
            self.used -= 1
            free(place.numbers)
            place.shape = NULL
            place.numbers = NULL
            Py_XDECREF(shape)

    cdef int forget(self) except -1:
        cdef Py_ssize_t i
        for i in range(self.mask + 1 if self.used else 0):
            if i % STEPS == 0:
                pause()
            self.drop(&self.places[i])
        return 0
