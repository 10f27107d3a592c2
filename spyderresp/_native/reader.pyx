from collections.abc import Mapping

from cpython.dict cimport PyDict_CheckExact
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF
from cpython.unicode cimport PyUnicode_CheckExact
from libc.stdlib cimport calloc, free

from spyderresp.errors import EventError

cdef extern from "Python.h":
    PyObject* PyDict_GetItemWithError(object mapping, object key) except? NULL
    int PyUnicode_Check(object value) noexcept
    PyObject* PyUnicode_FromObject(object value) except NULL
    PyObject* Py_NewRef(object value) noexcept

FIELD = AttributeKind.READ_FIELD
LABEL = AttributeKind.READ_LABEL
NAMESPACE_NAME = AttributeKind.READ_NAMESPACE_NAME

cdef object _Mapping = Mapping
cdef str _LABELS = "labels"
cdef str _NAME = "name"
cdef str _POLICY_UID = "policy_uid"
cdef str _POLICY_NAME = "policy_name"


cdef object lookup(object mapping, object key):
    cdef PyObject* found
    if PyDict_CheckExact(mapping):
        found = PyDict_GetItemWithError(mapping, key)
        return <object>found if found is not NULL else None
    return mapping.get(key)


cdef bint is_mapping(object value) except -1:
    return PyDict_CheckExact(value) or isinstance(value, _Mapping)


cdef object _mapping(object holder, str key, str scope):
    """Return the mapping under a key of a scope (None: of the event), or None where it is absent."""
    cdef object value = lookup(holder, key)
    if value is None or is_mapping(value):
        return value
    raise EventError(key if scope is None else f"{scope}.{key}", "must be a mapping or null")


cdef int _text(object value, PyObject** slot, str scope, str between, object key) except -1:
    """Store a new reference to a text, exactly a str; leave NULL where it is absent."""
    if value is None:
        return 0
    if PyUnicode_CheckExact(value):
        slot[0] = Py_NewRef(value)
        return 0
    if PyUnicode_Check(value):
        # A subclass may hash and compare as it likes; its text may not.
        slot[0] = PyUnicode_FromObject(value)
        return 0
    raise EventError(f"{scope}{between}{key}", "must be a text or null")


cdef class EventReader:
    def __cinit__(self, tuple scopes not None, tuple attributes not None):
        cdef int i, scope
        self.scopes = scopes
        self.attributes = attributes
        self.count = len(attributes)
        self.slots = self.count + 2
        self.implied = -1
        self.table = <Attribute*>calloc(self.count + 1, sizeof(Attribute))
        self.first = <int*>calloc(len(scopes) + 1, sizeof(int))
        self.checked = <int*>calloc(len(scopes) + 1, sizeof(int))
        if not self.table or not self.first or not self.checked:
            raise MemoryError
        for i, (scope, key, kind) in enumerate(attributes):
            self.table[i].scope = scope
            self.table[i].kind = kind
            self.table[i].key = <PyObject*>key
            if kind == AttributeKind.READ_NAMESPACE_NAME:
                self.implied = i
            self.checked[scope] = True
            self.first[scope + 1] = i + 1
        for i, name in enumerate(scopes):
            # Scopes without attributes end where the one before them does.
            self.first[i + 1] = max(self.first[i], self.first[i + 1])
            if name in ("process", "pod"):
                self.checked[i] = True

    def __dealloc__(self):
        free(self.table)
        free(self.first)
        free(self.checked)

    cdef int read(self, object event, PyObject** values, unsigned int* present) except -1:
        cdef int scope, i
        cdef object held, labels, value
        cdef PyObject* implied
        cdef const Attribute* attribute
        present[0] = 0
        if not is_mapping(event):
            raise EventError("", "an event must be a mapping")
        _text(lookup(event, _POLICY_UID), &values[self.count], "", "", _POLICY_UID)
        _text(lookup(event, _POLICY_NAME), &values[self.count + 1], "", "", _POLICY_NAME)
        for scope in range(len(self.scopes)):
            if not self.checked[scope]:
                continue
            name = <str>self.scopes[scope]
            held = _mapping(event, name, None)
            if held is None:
                continue
            present[0] |= 1u << scope
            labels = None
            implied = NULL
            if self.first[scope] <= self.implied < self.first[scope + 1]:
                _text(lookup(held, _NAME), &implied, name, ".", _NAME)
            try:
                for i in range(self.first[scope], self.first[scope + 1]):
                    attribute = &self.table[i]
                    if attribute.kind == AttributeKind.READ_FIELD:
                        _text(lookup(held, <object>attribute.key), &values[i], name, ".", <object>attribute.key)
                        continue
                    if i == self.first[scope]:
                        labels = _mapping(held, _LABELS, name)
                    if labels is not None:
                        value = lookup(labels, <object>attribute.key)
                        _text(value, &values[i], name, ".labels.", <object>attribute.key)
                    if i == self.implied and values[i] is NULL:
                        # The label was not given: the namespace's name implies it.
                        values[i] = implied
                        implied = NULL
            finally:
                Py_XDECREF(implied)
        return 0

    cdef void release(self, PyObject** values) noexcept:
        cdef int i
        for i in range(self.slots):
            Py_XDECREF(values[i])
            values[i] = NULL

    def values(self, event):
        cdef unsigned int present = 0
        cdef PyObject** values = <PyObject**>calloc(self.slots, sizeof(PyObject*))
        if not values:
            raise MemoryError
        try:
            self.read(event, values, &present)
            texts = tuple([<object>values[i] if values[i] is not NULL else None for i in range(self.slots)])
        finally:
            self.release(values)
            free(values)
        return texts, frozenset([name for i, name in enumerate(self.scopes) if present >> i & 1])
