# The least that a decision can cost: read the values that a policy set names and the target's identity out of the
# event, each once; look each named value up once; return one small object. Nothing is checked and nothing is decided.

from cpython.dict cimport PyDict_GetItem
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject

import sys


cdef struct Read:
    PyObject* key        # borrowed from Floor.kept
    PyObject* table      # the values known under it; NULL where it is read for the target only

cdef struct Scope:
    PyObject* key
    int own, labels      # reads in the scope itself, then in its labels


cdef class Answer:
    cdef readonly object event
    cdef readonly Py_ssize_t read    # values found in the event
    cdef readonly Py_ssize_t known   # named values that the policies know


cdef class Floor:
    """The floor of one policy set.

    Args:
        plan: ``(scope, keys, label keys)`` rows; keys come with the dict of the values that policies name under them,
            or with None where they are read for the target only.
    """

    cdef list kept
    cdef Scope* scopes
    cdef Read* reads
    cdef int count

    def __cinit__(self, plan):
        cdef int scope_place = 0, place = 0
        self.kept = []
        self.count = len(plan)
        self.scopes = <Scope*>PyMem_Calloc(self.count + 1, sizeof(Scope))
        self.reads = <Read*>PyMem_Calloc(sum([len(own) + len(labels) for _, own, labels in plan]) + 1, sizeof(Read))
        if self.scopes == NULL or self.reads == NULL:
            raise MemoryError
        for scope, own, labels in plan:
            self.scopes[scope_place] = Scope(self.keep(sys.intern(scope)), len(own), len(labels))
            scope_place += 1
            for key, table in [*own, *labels]:
                self.reads[place].key = self.keep(sys.intern(key))
                self.reads[place].table = self.keep(table) if table is not None else NULL
                place += 1

    def __dealloc__(self):
        PyMem_Free(self.scopes)
        PyMem_Free(self.reads)

    cdef PyObject* keep(self, object thing):
        self.kept.append(thing)
        return <PyObject*>thing

    def evaluate(self, dict event):
        cdef Answer answer = Answer.__new__(Answer)
        cdef PyObject* found = PyDict_GetItem(event, "id")
        cdef Read* reads = self.reads
        cdef Scope* scope = self.scopes
        cdef Scope* end = scope + self.count
        answer.event = <object>found if found != NULL else None
        while scope < end:
            found = PyDict_GetItem(event, <object>scope.key)
            if found != NULL:
                _read(found, reads, scope.own, answer)
                if scope.labels:
                    found = PyDict_GetItem(<object>found, "labels")
                    if found != NULL:
                        _read(found, reads + scope.own, scope.labels, answer)
            reads += scope.own + scope.labels
            scope += 1
        return answer


cdef inline void _read(PyObject* mapping, Read* reads, int count, Answer answer):
    cdef int place
    cdef PyObject* value
    for place in range(count):
        value = PyDict_GetItem(<object>mapping, <object>reads[place].key)
        if value != NULL:
            answer.read += 1
            if reads[place].table != NULL and PyDict_GetItem(<object>reads[place].table, <object>value) != NULL:
                answer.known += 1
