# Reads an event once: the values that a policy set names, and the identity of its target.
#
# All values go into one row of cells, as borrowed references: the named values (attributes), then the target's
# identity, then id, time, policy_uid and policy_name. A cell is NULL or None where the event has no value.
#
# There are two ways with one meaning. quick() reads the events that decoders make, exact dicts, strs and numbers
# throughout: it walks each dict in the dict's order and runs no Python code, so the cells stay valid until Python code
# runs. Where a value has another type, or is to be refused, quick() gives up, and slow() reads from the start, key by
# key, into a list that owns the values. tests/property/test_reader.py holds them equal, tests/native/test_boundary.py
# the rest.

from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_Check, PyUnicode_CheckExact, PyUnicode_FromObject
from libc.math cimport isfinite

cdef extern from "Python.h":
    bint PyLong_CheckExact(object value) noexcept
    bint PyBool_Check(object value) noexcept
    bint PyFloat_CheckExact(object value) noexcept
    double PyFloat_AS_DOUBLE(object number) noexcept

cdef enum AttributeKind:
    READ_FIELD = 0
    READ_LABEL = 1
    READ_NAMESPACE_NAME = 2    # the label that a namespace's name implies

cdef enum:
    IDENTITIES = 20       # cells of a target: see IDENTITY in _event_reader.pyx
    SCOPES = 7
    LONGEST = 256         # entries of a dict that quick() walks; of a longer one it looks up what is wanted
    # Cells behind the attributes' and the identity's.
    ID = IDENTITIES
    TIME = IDENTITIES + 1
    POLICY_UID = IDENTITIES + 2
    POLICY_NAME = IDENTITIES + 3
    READ = IDENTITIES + 4             # what slow() fills, apart from the attributes
    HELD = READ                       # of quick() alone: each scope,
    LABELS = READ + SCOPES            # the labels of each,
    NAME_LABEL = READ + 2 * SCOPES    # the namespace's name as a label,
    NOWHERE = NAME_LABEL + 1          # and values that are not wanted
    EXTRA = NOWHERE + 1

cdef struct Attribute:
    int scope             # into scopes
    int kind
    PyObject* key         # borrowed from attributes

# The keys of one kind of dict, as the last events had them: decoders give the same keys in the same order, often the
# very same objects. Each leads to the one or two cells of its value.
cdef struct Key:
    PyObject* text        # owned
    int first
    int second

cdef struct Layout:
    Key keys[LONGEST + 1]    # the last is never used
    int count

cdef class EventReader:
    cdef readonly tuple scopes        # every scope of an event, in the order in which they are checked
    cdef readonly tuple attributes    # (scope index, key, kind), grouped by scope, in that order
    cdef Attribute* table
    cdef int count                    # of attributes
    cdef int cells                    # of a row
    cdef int* first                   # attributes of scope s: first[s] to first[s + 1]
    cdef int* checked                 # whether scope s is looked at, at all
    cdef int implied                  # attribute of the label that a namespace's name implies, or -1
    cdef int namespace                # into scopes
    cdef int name_cell                # of the namespace's name
    cdef readonly tuple wanted        # of the event, each scope, each scope's labels: {key: (cell, cell)}
    cdef Layout* layouts              # of the same
    # Fills a row; false where slow() must read instead. It must also where an attribute's cell holds anything but a
    # str or None, which the caller finds as it looks them up.
    cdef bint quick(self, object event, PyObject** row, unsigned int* present) noexcept
    # The end of quick(), once all that is wanted is in its cells.
    cdef bint complete(self, PyObject** row) noexcept
    cdef Key* meet(self, int kind, int i, PyObject* key, Key* other) noexcept
    cdef bint walk(self, PyObject* mapping, int kind, PyObject** row) noexcept
    cdef bint pick(self, PyObject* mapping, int kind, PyObject** row) noexcept
    cdef bint walk_slowly(self, PyObject* mapping, int kind, PyObject** row) noexcept
    # The row's first cells hold what the returned list holds.
    cdef list slow(self, object event, PyObject** row, unsigned int* present)
    cdef int read_scope(self, object event, int scope, unsigned int* present, list kept) except -1

# A key of an exact dict, or of any other Mapping by its ``get``; None and missing are None.
cdef object lookup(object mapping, object key)
cdef bint is_mapping(object value) except -1

cdef inline bint is_scalar(PyObject* value) noexcept:
    """Whether a value cannot change and JSON has it, as it is."""
    return (
        PyUnicode_CheckExact(<object>value) or <object>value is None or PyLong_CheckExact(<object>value)
        or PyBool_Check(<object>value)
        or (PyFloat_CheckExact(<object>value) and isfinite(PyFloat_AS_DOUBLE(<object>value)))
    )


cdef inline object scalar(object value):
    """Return a value that cannot change and that JSON has: a text or number as it is, None for anything else.

    Runs no Python code, and makes nothing that the garbage collector tracks.
    """
    if is_scalar(<PyObject*>value):
        return value
    return PyUnicode_FromObject(value) if PyUnicode_Check(value) else None
