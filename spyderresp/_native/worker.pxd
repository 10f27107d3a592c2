# Decides rows of Arrow columns: the same classes, the same program as for an event, without a Python object a row.
#
# Each row's key is looked up in a memo, or decided. What comes out is a number a row: which set of policies and entries
# it is, and those sets, each once, with their actions. All of that needs no GIL and touches nothing of the index that
# changes, so that threads may decide with one index at once, each with a worker of its own.
#
# A worker is used again, for one call after another: its memos are bounded, and may be emptied between two rows
# without changing a decision. tests/property/test_batch.py holds the plans equal to evaluate()'s.

from libc.stdint cimport int32_t, int64_t, uint64_t

from spyderresp._native.actions cimport Action, ActionColumns
from spyderresp._native.arrange cimport Arranger, Desk, Draft
from spyderresp._native.classes cimport Value
from spyderresp._native.columns cimport Fault
from spyderresp._native.keymemo cimport KeyMemo
from spyderresp._native.program cimport Decision
from spyderresp._native.rowtable cimport RowTable
from spyderresp._native.scanner cimport BLOCK, OWN, Scanner

cdef enum:
    TOLD = 3                  # numbers behind an outcome's policies and entries: how many policies, presence, group

# What a call has decided so far: an outcome a row, and each outcome once. All zeros at first.
cdef struct Decisions:
    int32_t* outcomes         # of each row
    Py_ssize_t rows
    Py_ssize_t row_room
    int32_t count             # of outcomes
    Py_ssize_t room
    int64_t* starts           # of outcome i's numbers: policies, entries, and TOLD more
    int64_t* spans            # of its actions
    int32_t* numbers
    Py_ssize_t number_room
    Action* actions
    Py_ssize_t action_room

cdef class Worker(Scanner):
    cdef Arranger arranger
    cdef ActionColumns columns
    cdef int pod, process     # bits of scopes
    cdef Decision decision
    cdef Desk desk
    cdef Draft draft
    cdef Value* values
    cdef uint64_t* mixed      # hashes of the block's keys
    cdef uint64_t* factors    # of those hashes
    cdef KeyMemo memo         # keys to outcomes
    cdef RowTable decided     # outcomes; the note is the action that comes behind its last one
    cdef Action* actions      # of the outcomes, one after another
    cdef Py_ssize_t action_room
    cdef int32_t* local       # an outcome's number in this call, or -1
    cdef Py_ssize_t local_room

    cdef void begin(self) noexcept nogil
    cdef void forget(self) noexcept nogil
    cdef Fault run(self, Py_ssize_t rows, Decisions* decisions) noexcept nogil
    cdef Fault run_block(self, Py_ssize_t first, int rows, Decisions* decisions) noexcept nogil
    cdef Fault decide(self, Py_ssize_t row, const int32_t* key, int32_t* outcome) noexcept nogil
    cdef int32_t adopt(self, int32_t outcome, Decisions* decisions) noexcept nogil
