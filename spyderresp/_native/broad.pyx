cimport cython
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from spyderresp._native.assembly cimport COUNT
from spyderresp._native.classes cimport NO_CLASS
from spyderresp._native.numbers cimport FIRST_HASH, hash_number
from spyderresp._native.pauses cimport pause

cdef extern from "Python.h":
    PyObject* Py_NewRef(object value) noexcept
    void Py_XDECREF(PyObject* value) noexcept


cdef uint64_t _hash(const int32_t* numbers, Py_ssize_t count) noexcept:
    cdef uint64_t mixed = FIRST_HASH
    cdef Py_ssize_t i
    for i in range(count):
        mixed = hash_number(mixed, numbers[i])
    return mixed


@cython.no_gc
cdef class Broad:
    def __dealloc__(self):
        free(self.numbers)


cdef Broad new_broad(Program program, const int32_t* policies, int32_t count, tuple names, Py_ssize_t most):
    cdef Broad broad = Broad.__new__(Broad)
    cdef int32_t i, j, at = count, loose = 0
    cdef const int32_t* start = program.loose.start
    broad.names = names
    broad.shapes = FiredMemo(SHAPES, most)
    broad.mixed = _hash(policies, count)
    for i in range(count):
        loose += start[policies[i] + 1] - start[policies[i]]
        broad.scope.entries += program.code[program.code_of[policies[i]] + COUNT]
    broad.numbers = <int32_t*>malloc((count + loose + 1) * sizeof(int32_t))
    if not broad.numbers:
        raise MemoryError
    memcpy(broad.numbers, policies, count * sizeof(int32_t))
    for i in range(count):
        for j in range(start[policies[i]], start[policies[i] + 1]):
            broad.numbers[at] = program.loose.items[j]
            at += 1
    broad.scope.policies = broad.numbers
    broad.scope.count = count
    broad.scope.loose = broad.numbers + count
    broad.scope.loose_count = loose
    return broad


@cython.no_gc
cdef class BroadMemo:
    def __cinit__(self, Program program not None, Py_ssize_t most):
        cdef Py_ssize_t i
        self.most = most
        self.fields = <int32_t*>malloc((program.attribute_count + 2) * sizeof(int32_t))
        if not self.fields:
            raise MemoryError
        for i in range(program.attribute_count + 2):
            # Behind the classes: group and scopes present.
            if i >= program.attribute_count or program.scoping[i]:
                self.fields[self.size] = i
                self.size += 1

    def __dealloc__(self):
        cdef int i
        for i in range(self.used):
            self.drop(&self.places[i])
        free(self.fields)

    cdef uint64_t mix(self, const int32_t* classes) noexcept:
        cdef uint64_t mixed = FIRST_HASH
        cdef Py_ssize_t i
        for i in range(self.size):
            mixed = hash_number(mixed, classes[self.fields[i]])
        return mixed

    cdef Broad find(self, const int32_t* classes):
        cdef uint64_t mixed = self.mix(classes)
        cdef const Combination* place
        cdef Py_ssize_t i
        cdef int k
        for k in range(self.used):
            place = &self.places[k]
            if place.mixed != mixed:
                continue
            for i in range(self.size):
                if place.key[i] != classes[self.fields[i]]:
                    break
            else:
                return <Broad>place.broad
        return None

    cdef bint known(self, const int32_t* classes) noexcept:
        cdef Py_ssize_t i
        # A group may be numbered as no class is.
        for i in range(self.size - 2):
            if classes[self.fields[i]] == NO_CLASS:
                return False
        return True

    cdef Broad like(self, const int32_t* policies, int32_t count):
        cdef uint64_t mixed = _hash(policies, count)
        cdef Broad broad
        cdef int k
        for k in range(self.used):
            broad = <Broad>self.places[k].broad
            if (
                broad.mixed == mixed and broad.scope.count == count
                and memcmp(broad.scope.policies, policies, count * sizeof(int32_t)) == 0
            ):
                return broad
        return None

    cdef int keep(self, const int32_t* classes, Broad broad) except -1:
        cdef int32_t* key = <int32_t*>malloc(self.size * sizeof(int32_t))
        cdef Combination* place
        cdef Py_ssize_t i
        if not key:
            raise MemoryError
        for i in range(self.size):
            key[i] = classes[self.fields[i]]
        if self.used < BROADS:
            place = &self.places[self.used]
            self.used += 1
        else:
            place = &self.places[self.hand]
            self.hand = (self.hand + 1) % BROADS
            self.drop(place)
        place.mixed = self.mix(classes)
        place.key = key
        place.broad = Py_NewRef(broad)
        self.settle(broad)
        return 0

    cdef void settle(self, Broad broad) noexcept:
        cdef int i = 0
        cdef Py_ssize_t weight = self.weigh()
        while weight > self.most and i < self.used:
            if <Broad>self.places[i].broad is broad:
                i += 1
                continue
            self.drop(&self.places[i])
            self.used -= 1
            self.places[i] = self.places[self.used]
            memset(&self.places[self.used], 0, sizeof(Combination))
            weight = self.weigh()

    cdef Py_ssize_t weigh(self) noexcept:
        cdef Py_ssize_t weight = 0
        cdef Broad broad
        cdef int k
        self.epoch = (self.epoch + 1) & 0x3FFFFFFF
        for k in range(self.used):
            broad = <Broad>self.places[k].broad
            if broad.epoch != self.epoch:
                broad.epoch = self.epoch
                weight += broad.scope.count + broad.scope.loose_count + broad.shapes.weight
        return weight

    cdef void drop(self, Combination* place) noexcept:
        cdef PyObject* broad = place.broad
        free(place.key)
        place.key = NULL
        place.broad = NULL
        Py_XDECREF(broad)

    cdef int forget(self) except -1:
        cdef Broad broad
        while self.used:
            # Out of the table first: other threads may use it at each pause.
            self.used -= 1
            broad = <Broad>self.places[self.used].broad
            self.drop(&self.places[self.used])
            broad.shapes.forget()
            pause()
        return 0
