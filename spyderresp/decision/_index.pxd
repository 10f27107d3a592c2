# The decision index: from an event to its plan, with the caches that make repeated events cheap.

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, uint32_t, uint64_t, uint8_t

from spyderresp.decision._event_reader cimport EventReader
from spyderresp.decision._globs cimport Matches
from spyderresp.decision._hash_tables cimport Buffer, RowTable, Slot as TableSlot, TableEntry, Text, TextTable
from spyderresp.decision._plan cimport ActionPlan, PlanBuilder, PlanShape
from spyderresp.decision._program cimport Decision, Probe, Program, Scope
from spyderresp.decision._spec cimport Value

# --- Shapes by what fired ---
#
# A cache from the fired entries to the plan's shape. It is bounded by number and by weight, because one shape may hold
# ten thousand actions; a hand that goes round evicts.


# What fired, and the shape of it.
cdef struct Fired:
    PyObject* shape       # owned, or NULL
    int32_t* numbers      # policies in scope, then entries fired; owned
    int32_t in_scope
    int32_t size          # of the numbers
    uint32_t present      # whether there is a pod, and a process
    uint64_t mixed        # hash of all these
    Py_ssize_t weight

cdef class ShapeCache:
    cdef Fired* places
    cdef Py_ssize_t mask, hand         # where room is made next
    cdef Py_ssize_t most               # weight of all that is kept
    cdef Py_ssize_t weight
    cdef Py_ssize_t used
    # Look up what fired, its numbers borrowed; sets its hash. None where it is not in the cache.
    cdef PlanShape find(self, Fired* fired)
    # Keep it; copy_numbers() has copied its numbers, which the cache owns from now on.
    cdef void keep(self, Fired* fired, PlanShape shape, Py_ssize_t weight) noexcept
    cdef void drop(self, Fired* place) noexcept
    cdef int forget(self) except -1

cdef int copy_numbers(Fired* fired) except -1

# --- Broad scopes ---
#
# A cache for events that have more policies in scope than a shape in the cache by classes may name.
#
# The set of policies in scope is computed once for each combination of the classes that policies, and not only their
# entries, ask for. It is kept under that combination, with the names that every plan lists, the loose entries, and the
# shapes by what fired. So an event costs only its candidates among the entries, whatever the number of policies in
# scope.
#
# Bounded by number and by weight (policies, and the weight of the shapes without them). A scope is always evicted
# whole, so that no plan keeps the names of an evicted scope alive.


cdef enum:
    BROADS = 64
    SHAPES = 1024    # of each

cdef class PolicyScope:
    cdef Scope scope
    cdef int32_t* numbers     # what the scope leads to: policies, then loose entries
    cdef uint64_t mixed       # hash of the policies
    cdef tuple names
    cdef ShapeCache shapes
    cdef int epoch            # in which it was last counted

# A combination, and what it leads to.
cdef struct Combination:
    uint64_t mixed
    int32_t* key              # owned
    PyObject* broad           # owned; several may lead to one

cdef class ScopeCache:
    cdef Combination[BROADS] places
    cdef int used
    cdef int hand, epoch
    cdef Py_ssize_t most      # weight of all together
    cdef int32_t* fields      # the attributes that policies ask for; then group and scopes present
    cdef Py_ssize_t size      # of a key
    # The broad scope of an event's classes, or None.
    cdef PolicyScope find(self, const int32_t* classes)
    # Whether it could be kept: every class has a number.
    cdef bint known(self, const int32_t* classes) noexcept
    # One that leads to the same policies, or None.
    cdef PolicyScope like(self, const int32_t* policies, int32_t count)
    cdef int keep(self, const int32_t* classes, PolicyScope broad) except -1
    # Make room for what a broad scope has come to weigh.
    cdef uint64_t mix(self, const int32_t* classes) noexcept
    cdef void make_room(self, PolicyScope broad) noexcept
    cdef Py_ssize_t weigh(self) noexcept
    cdef void drop(self, Combination* place) noexcept
    cdef int forget(self) except -1

cdef PolicyScope new_policy_scope(Program program, const int32_t* policies, int32_t count, tuple names, Py_ssize_t most)

# --- Index ---
#
# Each value of an event becomes a class (_spec.pxd) by one lookup in its attribute's table and, where the attribute has
# globs and no policy contains the text, one pass over the globs. From the classes the program decides (_program.pxd).
#
# Three bounded caches serve streams that repeat: from an event's classes to the plan's shape, from the fired entries to
# the shape, and from a combination of classes to the many policies in scope. Each can be emptied at any time; none can
# change a decision.
#
# All of it is used under the GIL. From reading an event to the end of its decision no Python code runs and no object
# that the garbage collector tracks is created: the event's values are borrowed, and the scratch memory is shared.
# tests/native/test_boundary.py holds that.


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
    cdef readonly PlanBuilder plan_builder
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
    cdef char* spare                   # working space of an event, or NULL while it is taken
    # Memos.
    cdef char* slots                   # each a shape, owned, or NULL, and its key
    cdef Py_ssize_t slot_mask, slot_size, key_length
    cdef Py_ssize_t slots_used
    cdef ShapeCache fired
    cdef Py_ssize_t most_weight
    cdef ScopeCache broads
    cdef readonly uint64_t evaluated, memo_hits, fired_hits, broad_hits, unattributed

    cdef inline Slot* slot(self, Py_ssize_t place) noexcept
    cdef Py_ssize_t space(self) noexcept
    cdef char* take_space(self) except NULL
    cdef void give_space(self, char* space) noexcept
    cdef void lay(self, Work* work, char* space) noexcept
    cdef void find_globs(self, Work* work, int i, const Text* value, TableEntry* entry) noexcept
    cdef inline void find(self, Work* work, int i, const Text* text, uint64_t mixed) noexcept
    cdef Outcome classify(self, Work* work, unsigned int present) noexcept
    cdef int32_t group_of(self, TextTable table, const Text* text) noexcept
    cdef void load_values(self, Work* work, Probe* probe) noexcept
    cdef void decide(self, Work* work) noexcept
    cdef PlanShape shape(self, Work* work)
    cdef PlanShape within(self, Work* work, PolicyScope broad, Fired* fired)
    cdef PlanShape arranged(self, PolicyScope broad, Fired* fired)
    cdef PlanShape widen(self, Work* work, Fired* fired)
    cdef void drop_slot(self, Slot* slot) noexcept
    cdef tuple attribution(self, int32_t group, object uid, object name)
    cdef ActionPlan answer(self, Work* work)
    cdef ActionPlan decided(self, object event, Work* work)
    cpdef ActionPlan evaluate(self, object event)
