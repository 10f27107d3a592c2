# Arrow columns to keys: what each row says, as classes, one number an attribute.
#
# Rows go by in blocks, and column by column in words of 64. Texts of a dictionary are looked up once each; texts are
# asked for before the first answer is waited for. What is remembered of texts is bounded.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from spyderresp._native.classes cimport Value
from spyderresp._native.columns cimport Column, Fault, Texts, Validity
from spyderresp._native.globset cimport Matches
from spyderresp._native.index cimport DecisionIndex
from spyderresp._native.program cimport Program
from spyderresp._native.rowtable cimport RowTable
from spyderresp._native.text cimport Buffer
from spyderresp._native.textmemo cimport TextMemo

cdef enum:
    BLOCK = 256               # rows, a multiple of a word's
    UID = 0                   # sources behind the attributes
    NAME = 1
    OWN = 2

# A text that is being looked up.
cdef struct Spot:
    const uint8_t* bytes
    Py_ssize_t size
    uint64_t mixed
    int64_t place             # into its column's texts
    int row                   # of the word
    int32_t found

# An attribute, or what attributes a row, and where it is read.
cdef struct Source:
    void* table               # TextTable, borrowed
    void* globs               # GlobSet, borrowed, or NULL
    Column column
    Column second             # read where the first has nothing: the name that implies a label
    int32_t* resolved         # class of each text of a dictionary; PENDING where not yet looked up
    Py_ssize_t resolved_room
    # With globs alone:
    Matches matches
    RowTable classes
    int32_t* noted            # class of each text of the table, or 0
    TextMemo memo             # of the others

cdef class Scanner:
    cdef Program program
    cdef tuple tables, globs
    cdef int count            # of attributes
    cdef int width            # of a key: classes, group, presence
    cdef Source* sources      # of attributes, then uid, then name
    cdef Validity* scopes
    cdef uint8_t* scope_told  # whether the scope has a column
    cdef Buffer buffer
    cdef Spot* spots
    cdef int32_t* keys        # of the block's rows
    cdef bint unnumbered      # whether the block has a text whose class has no number
    cdef Py_ssize_t fault_row
    cdef int fault_source

    cdef int take(self, list columns, list scopes) except -1
    cdef Py_ssize_t scan_memory(self)
    cdef bint crowded(self) noexcept nogil
    cdef void forget_classes(self) noexcept nogil
    cdef bint resolve_all(self, Source* source, Py_ssize_t rows) noexcept nogil
    cdef Fault scan(self, Py_ssize_t first, int rows) noexcept nogil
    cdef Fault fill(
        self, Source* source, const Column* column, Py_ssize_t first, int count, int32_t* keys
    ) noexcept nogil
    cdef void complete(self, Py_ssize_t first, int rows) noexcept nogil
    cdef Fault meet(self, const Source* source, const Texts* texts, int64_t place, Spot* spot) noexcept nogil
    cdef void approach(self, const Source* source, int count) noexcept nogil
    cdef Fault find(self, Source* source, Spot* spot) noexcept nogil
    cdef int32_t classify(self, Source* source, const Spot* spot, int32_t text, Fault* fault) noexcept nogil
    cdef Fault rematch(self, Source* source, Py_ssize_t row, Value* value) noexcept nogil
