# Reads an event once: the values that a policy set names, and whom the event is about.
#
# Everything read is put into one row of cells, as borrowed references: the named values (attributes), then the target's
# identity, then id, time, policy_uid and policy_name. A cell is NULL or None where the event says nothing.
#
# Two ways, of one meaning. quick() takes the events that decoders make, exact dicts, strs and numbers throughout: it
# walks each dict in its own order and runs no Python code, so the cells stay valid until something does. Where
# anything is other than that, or is to be refused, it gives up, and slow() reads from the start, key by key, into a
# list that holds what it read. tests/property/test_reader.py holds them equal, tests/native/test_boundary.py the rest.

from cpython.object cimport PyObject

cdef enum AttributeKind:
    READ_FIELD = 0
    READ_LABEL = 1
    READ_NAMESPACE_NAME = 2    # the label that a namespace's name implies

cdef enum:
    IDENTITIES = 20       # cells of a target: see IDENTITY in reader.pyx
    SCOPES = 7
    LONGEST = 64          # entries of a dict that quick() walks
    # Cells behind the attributes' and the identity's.
    ID = IDENTITIES
    TIME = IDENTITIES + 1
    POLICY_UID = IDENTITIES + 2
    POLICY_NAME = IDENTITIES + 3
    READ = IDENTITIES + 4             # what slow() fills, apart from the attributes
    HELD = READ                       # of quick() alone: each scope,
    LABELS = READ + SCOPES            # the labels of each,
    NAME_LABEL = READ + 2 * SCOPES    # the namespace's name as a label,
    NOWHERE = NAME_LABEL + 1          # and what nobody asked for
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
    Key keys[LONGEST]
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
    cdef tuple wanted                 # of the event, each scope, each scope's labels: {key: (cell, cell)}
    cdef Layout* layouts              # of the same
    # A row that holds nothing is filled; false where slow() must read instead.
    cdef bint quick(self, object event, PyObject** row, unsigned int* present) noexcept
    cdef bint walk(self, PyObject* mapping, int kind, PyObject** row) noexcept
    # The row's first cells hold what the returned list holds.
    cdef list slow(self, object event, PyObject** row, unsigned int* present)
    cdef int read_scope(self, object event, int scope, unsigned int* present, list kept) except -1

# A key of an exact dict, or of any other Mapping by its ``get``; None and missing are None.
cdef object lookup(object mapping, object key)
cdef bint is_mapping(object value) except -1
# A value of an event as a plan may keep it. Runs no Python code.
cdef object scalar(object value)

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define spyderresp_prefetch(address) __builtin_prefetch((const char*)(address))
    #else
    #define spyderresp_prefetch(address)
    #endif
    """
    void prefetch "spyderresp_prefetch"(const void* address) noexcept nogil
