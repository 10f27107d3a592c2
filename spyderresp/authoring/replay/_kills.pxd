# Kills of recorded events: their targets, how often, and when one would be carried out. A row costs no Python object.
#
# A string identifies the target: kills.py of this package says which fields it is made of. All rows of a batch are read
# before any is counted, so that a batch with a fault counts for nothing.
# tests/replaying/test_equal.py holds the counts equal to counting one by one.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from spyderresp.authoring.replay._textpool cimport TextPool
from spyderresp.decision._batch cimport Cell, TargetColumns
from spyderresp.decision._hash_tables cimport Buffer
from spyderresp.decision._plan cimport ActionPlan

cdef enum:
    NOTHING = -1          # for a text: there is none
    PARTS = 8             # values that a text is joined of
    SPOTS = 32            # rows that are read together
    RECENT = 256

# A kill that an outcome has.
cdef struct Kind:
    int32_t what          # action and policies
    bint pod
    bint executed

# One pod or process; texts by number.
cdef struct Struck:
    int32_t key
    int32_t name
    int32_t namespace
    bint pod
    int64_t executed
    int64_t audited

# A kill to be carried out.
cdef struct Attempt:
    double time
    int32_t what
    int32_t target
    int32_t namespace
    int32_t spare         # 0: what is written has no byte of chance

# What a row says of whom it is about.
cdef struct Said:
    Py_ssize_t row
    int32_t number
    int32_t namespace
    int32_t[2] keys       # of its process, of its pod
    int32_t[2] names
    bint[2] wanted        # whether a process is killed, whether a pod is

# A text that is being looked up; of size -1 where none is.
cdef struct Spot:
    const uint8_t* data
    Py_ssize_t size
    uint64_t mixed

# A text of a dictionary, as it was looked up last.
cdef struct Recent:
    const uint8_t* data
    Py_ssize_t size
    int32_t number

# Values of which a text is joined.
cdef struct Joined:
    int[PARTS] cells
    int count

cdef class Kills:
    cdef TextPool texts
    cdef int32_t* struck_by       # of text i as a process's: struck_by[2 * i]; as a pod's: the next
    cdef Py_ssize_t struck_by_room
    cdef Struck* struck
    cdef int32_t struck_count
    cdef int32_t struck_room
    cdef Attempt* attempts
    cdef int32_t attempt_count
    cdef int32_t attempt_room
    cdef readonly int64_t unknown    # kills of what nothing tells from others
    cdef readonly list whats      # (action, policies) of each
    cdef dict known               # their places
    cdef Kind* kinds
    cdef int32_t* spans           # kinds of outcome n: spans[n] to spans[n + 1]
    cdef int32_t kind_room
    cdef int32_t outcomes
    cdef int32_t outcome_room
    cdef Said* said               # of the batch at hand
    cdef Py_ssize_t said_room
    cdef Recent[RECENT] recent
    cdef int32_t empty            # the empty text
    cdef Joined pod
    cdef Joined process
    cdef Buffer joined            # the text at hand
    cdef Py_ssize_t size
    cdef Buffer points
    cdef char[24] digits
    cdef bytes held               # a number's text
    cdef int32_t tell(self, const uint8_t* data, Py_ssize_t size) except -2
    cdef int32_t tell_mixed(self, const uint8_t* data, Py_ssize_t size, uint64_t mixed) except -2
    cdef int32_t tell_str(self, text) except -2
    cdef int32_t what(self, tuple what) except -1
    cdef int value(self, const Cell* cell, Py_ssize_t row, const uint8_t** data, Py_ssize_t* size) except -1
    cdef int append(self, const uint8_t* data, Py_ssize_t size) except -1
    cdef int read(self, TargetColumns cells, Said* said, int count) except -1
    cdef bint meet(self, const Cell* cell, Py_ssize_t row, Spot* spot, int32_t* number) except -1
    cdef int settle(self, const Spot* spot, int32_t* number) except -1
    cdef int32_t joined_key(self, TargetColumns cells, bint pod, Py_ssize_t row) except -2
    cdef Struck* struck_of(self, int32_t key, bint pod, int32_t name, int32_t namespace) except NULL
    cdef int count(self, const Said* said, double second) except -1
    cdef str key_of(self, ActionPlan plan, bint pod)
    cdef str text(self, int32_t number)
    cdef bint ahead(self, const Struck* one, const Struck* other) noexcept
    cdef int compare(self, int32_t one, int32_t other) noexcept
    cdef int attempt(self, double second, int32_t what, int32_t target, int32_t namespace) except -1
