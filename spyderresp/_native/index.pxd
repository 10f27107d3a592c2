# The decision index: an event in, a plan out.
#
# Each value of an event becomes a class (classes.pxd) by one lookup in its attribute's table and, where the attribute
# has globs and no policy names the text, one pass over them. From the classes the program decides (program.pxd).
#
# Bounded memos, for streams that repeat: from an event's classes to the plan's shape, from what fired to the shape
# (fired.pxd), and to what many policies have in common (broad.pxd). All may be emptied at any time; none can change a
# decision.
#
# All of it is used under the GIL. From reading an event to the end of its decision no Python code runs and no object
# that the garbage collector tracks is made: the event's values are borrowed, and the scratch is shared.
# tests/native/test_boundary.py holds that.

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from spyderresp._native.arrange cimport Arranger
from spyderresp._native.broad cimport Broad, BroadMemo
from spyderresp._native.classes cimport Value
from spyderresp._native.fired cimport Fired, FiredMemo
from spyderresp._native.globset cimport Matches
from spyderresp._native.plan cimport ActionPlan, PlanShape
from spyderresp._native.program cimport Decision, Probe, Program
from spyderresp._native.reader cimport EventReader
from spyderresp._native.rowtable cimport RowTable
from spyderresp._native.text cimport Buffer, Entry, Slot as TableSlot, Text, TextTable

cdef enum:
    SPACE = 6144          # bytes for which an evaluation needs no heap

# One attribute: how its values are looked up.
cdef struct Field:
    const TableSlot* slots    # of its table
    uint8_t* arena
    uint32_t mask
    PyObject* globs       # GlobSet, borrowed; NULL where it has none
    Matches matches
    RowTable classes

cdef enum Outcome:
    DONE
    NOT_TEXT              # a value is no str
    NO_MEMORY

# A place of the memo by classes.
cdef struct Slot:
    PyObject* shape
    int32_t[2] key        # as long as it is

# One event's working space.
cdef struct Work:
    PyObject** row        # see reader.pxd
    int32_t* key          # classes; then group and scopes present
    uint64_t* mixed       # hashes of the texts, by attribute
    int32_t* asked        # attributes whose tables were asked for, and not yet looked into
    Value* values
    int32_t group
    bint known            # whether every value has a class, so that the key says all

cdef class DecisionIndex:
    cdef readonly EventReader reader
    cdef readonly Program program
    cdef readonly Arranger arranger
    cdef readonly str digest
    cdef public object batching        # what batches keep from one to the next, or None; theirs alone
    cdef tuple tables, globs           # of each attribute
    cdef Field* fields
    cdef int count                     # of attributes
    cdef int pod, process              # bits of scopes
    cdef readonly Py_ssize_t memory    # bytes that deciding needs, memos and caches apart
    cdef readonly Py_ssize_t text_count, glob_count
    # Scratch of one decision.
    cdef Decision decision
    cdef Buffer buffer
    # Memos.
    cdef char* slots                   # each a shape, owned, or NULL, and its key
    cdef Py_ssize_t slot_mask, slot_size, key_length
    cdef Py_ssize_t slots_used
    cdef FiredMemo fired
    cdef Py_ssize_t most_weight
    cdef BroadMemo broads
    cdef readonly uint64_t evaluated, memo_hits, fired_hits, broad_hits, unattributed

    cdef inline Slot* slot(self, Py_ssize_t place) noexcept
    cdef Py_ssize_t space(self) noexcept
    cdef void lay(self, Work* work, char* space) noexcept
    cdef void find_globs(self, Work* work, int i, const Text* value, Entry* entry) noexcept
    cdef inline void find(self, Work* work, int i, const Text* text, uint64_t mixed) noexcept
    cdef Outcome classify(self, Work* work, unsigned int present) noexcept
    cdef int32_t group_of(self, TextTable table, const Text* text) noexcept
    cdef void know(self, Work* work, Probe* probe) noexcept
    cdef void decide(self, Work* work) noexcept
    cdef PlanShape shape(self, Work* work)
    cdef PlanShape within(self, Work* work, Broad broad, Fired* fired)
    cdef PlanShape arranged(self, Broad broad, Fired* fired)
    cdef PlanShape widen(self, Work* work, Fired* fired)
    cdef void drop_slot(self, Slot* slot) noexcept
    cdef tuple attribution(self, int32_t group, object uid, object name)
    cdef ActionPlan answer(self, Work* work)
    cdef ActionPlan decided(self, object event, Work* work)
    cpdef ActionPlan evaluate(self, object event)
