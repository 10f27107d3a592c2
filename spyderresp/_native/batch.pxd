# Many events at once, out of Arrow columns: the same classes, the same program, without a Python object an event.
#
# Rows go by in blocks. In a block each attribute's column is turned into classes, texts of a dictionary once each; then
# each row's classes are looked up in the batch's own memo, or decided. What comes out is a number a row: which set of
# policies and entries it is, and those sets, each once. All of that needs no GIL and touches nothing of the index that
# changes, so that threads may decide with one index at once. tests/property/test_batch.py holds the plans equal to
# evaluate()'s.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from spyderresp._native.classes cimport Value
from spyderresp._native.columns cimport Column, Fault, Texts, Validity
from spyderresp._native.globset cimport Matches
from spyderresp._native.index cimport DecisionIndex
from spyderresp._native.program cimport Decision
from spyderresp._native.rowtable cimport RowTable
from spyderresp._native.text cimport Buffer, Text

cdef enum:
    BLOCK = 2048
    CACHED = 1024         # texts of an attribute with globs, a power of two
    MOST_KEYS = 1 << 18   # rows that the memo tells apart before it starts again

# A text of this batch whose class is known.
cdef struct Cached:
    const uint8_t* bytes
    Py_ssize_t size
    uint64_t mixed
    int32_t key

# An attribute, or what attributes a row, and where it is read.
cdef struct Source:
    void* table           # TextTable, borrowed
    void* globs           # GlobSet, borrowed, or NULL
    Column column
    Column second         # read where the first has nothing: the name that implies a label
    int32_t* resolved     # class of each text of a dictionary; PENDING where not yet looked up
    Matches matches
    RowTable classes
    Cached* cached
    int32_t* keys         # of the block's rows

cdef class Batch:
    cdef readonly DecisionIndex index
    cdef int count                 # of attributes
    cdef Source* sources           # of attributes, then uid, then name
    cdef Validity* scopes
    cdef uint8_t* scope_told       # whether the scope has a column
    cdef Buffer buffer
    cdef Decision decision
    cdef Value* values
    cdef int32_t* key
    cdef uint64_t* mixed           # hashes of the block's keys
    cdef RowTable memo             # keys; the note is into decided
    cdef RowTable decided          # present scopes that matter, count of policies, policies, entries
    cdef int32_t* outcomes         # of each row so far, into decided; owned
    cdef readonly Py_ssize_t rows
    cdef Py_ssize_t room
    cdef Py_ssize_t fault_row
    cdef int fault_source

    cdef Fault run(self, Py_ssize_t rows) noexcept nogil
    cdef Fault run_block(self, Py_ssize_t first, Py_ssize_t rows) noexcept nogil
    cdef Fault resolve(self, Source* source, const Texts* texts, int64_t place, int32_t* key) noexcept nogil
    cdef Fault look_up(self, Source* source, const Text* text, uint64_t mixed, int32_t* key) noexcept nogil
    cdef Fault fill(self, Source* source, const Column* column, Py_ssize_t first, Py_ssize_t rows) noexcept nogil
    cdef int32_t group(self, const Source* source, Py_ssize_t row) noexcept nogil
    cdef Fault decide(self, Py_ssize_t row, int32_t* outcome) noexcept nogil
    cdef Fault rematch(self, Source* source, Py_ssize_t row, Value* value) noexcept nogil
