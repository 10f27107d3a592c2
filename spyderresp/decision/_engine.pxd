# The base class of Engine, and the decision of JSON texts through a decoder that skips what no policy names.

from cpython.object cimport PyObject

from spyderresp.decision._event_reader cimport SCOPES
from spyderresp.decision._index cimport DecisionIndex
from spyderresp.decision._plan cimport ActionPlan

# --- JSON projection ---
#
# The decoder creates structs (narrow.py) with values in slots, so that reading a value needs no lookup. Texts that it
# and the standard decoder may treat differently go to the standard decoder. The skipping decoder refuses at least what
# the standard one refuses, with three exceptions, which are checked here before it is called: bytes that are not UTF-8
# and very long integers, where it skips them, and deep nesting. tests/property/test_event_json.py holds both ways
# equal.


cdef enum:
    KINDS = 1 + 2 * SCOPES     # of mappings: the event, each scope, each scope's labels
    DIGITS = 640               # of an integer that any interpreter takes
    DEPTH = 400                # brackets opened, and so levels, that any decoder takes

# Where a struct holds a value, and the one or two cells that it goes to.
cdef struct Place:
    Py_ssize_t offset
    int first
    int second

cdef struct Kind:
    PyObject* type        # of its structs, borrowed; NULL where they are dicts, and where nothing is read of them
    Place* places
    int count

cdef class JsonProjection:
    cdef readonly DecisionIndex index
    cdef bint prepared    # for the first text: making the decoder takes milliseconds, and importing its library more
    cdef object decode    # None where there is none
    cdef tuple types
    cdef Kind[KINDS] kinds
    cdef int prepare(self) except -1
    cdef bint fill(self, int kind, object type, dict wanted) except -1
    cdef bint take(self, PyObject* struct, int kind, PyObject** row) noexcept
    cdef bint read(self, PyObject* event, PyObject** row, unsigned int* present) noexcept
    # None where the standard way must say, which has the errors' words.
    cdef ActionPlan quick(self, object data)
    cpdef ActionPlan evaluate(self, object data)

# --- Base of the engine ---
#
# Engine is a subclass, so that a decision costs no Python call of its own.


cdef class EngineBase:
    cdef DecisionIndex index
    cdef JsonProjection narrow    # of the same index
    cdef DecisionIndex serving(self)
    cdef JsonProjection reading(self)
