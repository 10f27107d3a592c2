# Batches of Arrow columns: columns to keys, keys to outcomes, outcomes to columns of actions, without the GIL.
#
# The parts, in the order of the data: the columns as memory; the cells of one row, for plans; BatchReader, which
# computes a key for each row; the columns of actions; BatchWorker, which decides keys; Batch, one call of
# evaluate_batch(). Each row has the same decision as evaluate() would make: tests/property/test_batch.py holds that.

from cpython.object cimport PyObject
from libc.stdint cimport int16_t, int32_t, int64_t, int8_t, uint16_t, uint32_t, uint64_t, uint8_t

from spyderresp.decision._globs cimport Matches
from spyderresp.decision._hash_tables cimport Buffer, KeyMemo, RowTable, Text, TextMemo
from spyderresp.decision._index cimport DecisionIndex
from spyderresp.decision._plan cimport PlanBuilder, GroupScratch, PlanScratch, Group, PlanShape
from spyderresp.decision._program cimport Decision, Program
from spyderresp.decision._spec cimport Value

# --- Columns ---
#
# Arrow memory: columns of strings, plain or dictionary-encoded, under up to three validity bitmaps.
#
# Only the sizes of the buffers are trusted: offsets, indices and UTF-8 are checked as they are followed, and a fault
# names its row. Needs no GIL. The code that makes a column keeps its arrays alive.


cdef enum:
    LEVELS = 3            # a scope, its labels, the value itself
    PICKED = -16          # for a width: 64 bits, signed, and negative where absent; and from here down
    PICKED_OFTEN = -17    # the same, of texts that many rows share: they are a dictionary's
    WORD = 64             # rows that are looked at together

cdef enum Fault:
    FINE = 0
    BAD_OFFSETS = 1
    BAD_INDEX = 2
    BAD_TEXT = 3
    OUT_OF_MEMORY = 4

# A bitmap whose bit says that a row has a value; NULL where every row has.
cdef struct Validity:
    const uint8_t* bits
    Py_ssize_t first      # bit of row 0

# An array of texts.
cdef struct Texts:
    const void* offsets   # NULL where there are none: all absent
    bint large            # offsets of 64 bits
    const uint8_t* data
    Py_ssize_t size       # bytes of data
    Py_ssize_t first      # offset of text 0
    Py_ssize_t count
    Validity valid

cdef struct Column:
    Texts texts
    int levels
    Validity[LEVELS] valid
    const void* indices   # into the texts, by row; NULL where row r's text is text r
    int width             # bytes of an index, negative where signed
    Py_ssize_t first      # index of row 0

cdef int fill_column(Column* column, tuple said) except -1
cdef Fault text_at(const Texts* texts, int64_t place, Text* text, Buffer* buffer) noexcept nogil
# The classes of rows, `stride` numbers apart, by their places in a dictionary; the others stay as they are. Rows are
# those of the word's bits, `resolved` has one number more than `count`. Returns the row whose index leads out, or -1;
# `least` becomes negative where a class is.
cdef int gather_classes(
    const void* indices, int width, Py_ssize_t first, int64_t count, const int32_t* resolved, uint64_t here,
    int32_t* classes, int stride, int32_t* least
) noexcept nogil


cdef inline bint is_valid(const Validity* valid, Py_ssize_t row) noexcept nogil:
    cdef Py_ssize_t bit = valid.first + row
    return valid.bits is NULL or valid.bits[bit >> 3] >> (bit & 7) & 1


cdef inline uint64_t valid_word(const Validity* valid, Py_ssize_t row, int count) noexcept nogil:
    """Return the bits of up to 64 rows, from this one on; those behind are 0."""
    cdef uint64_t word = 0, all_ = <uint64_t>-1 >> (WORD - count)
    cdef Py_ssize_t bit = valid.first + row
    cdef const uint8_t* bytes
    cdef int shift, need, i
    if valid.bits is NULL:
        return all_
    bytes = valid.bits + (bit >> 3)
    shift = bit & 7
    need = (shift + count + 7) >> 3
    for i in range(min(need, 8)):
        word |= <uint64_t>bytes[i] << 8 * i
    word >>= shift
    if need > 8:
        word |= <uint64_t>bytes[8] << (WORD - shift)
    return word & all_


cdef inline bint span_at(const Texts* texts, int64_t place, const char** data, Py_ssize_t* size) noexcept nogil:
    """Find where a text lies; False where its offsets lead out of the data."""
    cdef int64_t start, stop
    if texts.large:
        start = (<const int64_t*>texts.offsets)[texts.first + place]
        stop = (<const int64_t*>texts.offsets)[texts.first + place + 1]
    else:
        start = (<const int32_t*>texts.offsets)[texts.first + place]
        stop = (<const int32_t*>texts.offsets)[texts.first + place + 1]
    if not 0 <= start <= stop <= texts.size:
        return False
    data[0] = <const char*>texts.data + start
    size[0] = stop - start
    return True


cdef inline int64_t index_at(const Column* column, Py_ssize_t row) noexcept nogil:
    """Return which text is a row's, unchecked."""
    cdef Py_ssize_t at = column.first + row
    if column.indices is NULL:
        return row
    if column.width == -4:
        return (<const int32_t*>column.indices)[at]
    if column.width == -8 or column.width <= PICKED:
        return (<const int64_t*>column.indices)[at]
    if column.width == 4:
        return (<const uint32_t*>column.indices)[at]
    if column.width == -2:
        return (<const int16_t*>column.indices)[at]
    if column.width == 2:
        return (<const uint16_t*>column.indices)[at]
    if column.width == -1:
        return (<const int8_t*>column.indices)[at]
    if column.width == 1:
        return (<const uint8_t*>column.indices)[at]
    return <int64_t>(<const uint64_t*>column.indices)[at]

# --- Cells of a row ---
#
# The values of one row as Python objects: the target's identity, id, time, and attribution. They are read when a plan
# is requested; the checks are those of the columns.


cdef enum CellKind:
    TEXT_CELL = 1
    INTEGER_CELL = 2      # any width, as the indices of a dictionary are
    FLOAT_CELL = 3
    DOUBLE_CELL = 4

# Where a cell is read; a column that is absent has no kind.
cdef struct Cell:
    int kind
    Column column         # of a number: its values lie where a dictionary's indices would

cdef class TargetColumns:
    cdef Cell* cells      # of a target's identity, id, time, policy_uid and policy_name: as in _event_reader.pxd
    cdef Cell name        # the label that implies a namespace's name
    cdef object kept      # what the columns lead to
    # Fill cells `first` to `stop` of a row, and keep what they are in the list.
    cdef int read(self, Py_ssize_t row, int first, int stop, list held) except -1
    cdef object value(self, const Cell* cell, Py_ssize_t row)

# --- Columns to keys ---
#
# The key of a row is one class number for each attribute, then group and scopes present.
#
# Rows are read in blocks, and each column in words of 64 rows. Each string of a dictionary is looked up once. All table
# entries of a word are prefetched before the first is read. The caches of strings are bounded.


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

cdef class BatchReader:
    cdef Program program
    cdef tuple tables, globs
    cdef int count            # of attributes
    cdef int width            # of a key: classes, group, presence
    cdef Source* sources      # of attributes, then uid, then name
    cdef Validity* scopes
    cdef uint8_t* scope_columns  # whether the scope has a column
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

# --- Columns of actions ---
#
# The columns of planned actions: the values of every entry, as integers, and the same written for the rows of a batch.
#
# A string is its position among the strings of its column, which are the same for every batch of an index. A null has
# position 0, so that the position is valid without the bitmap.


# One action of a plan.
cdef struct Action:
    int32_t policy        # of the first source
    int32_t index
    int32_t sources       # how many
    int32_t impact
    int32_t content
    int32_t description
    int8_t action
    int8_t severity
    int8_t priority       # a nice value
    int8_t section
    int8_t disposition
    uint8_t valid_bits    # bit k: NULLABLE column k has a value

cdef enum:
    NULLABLES = 5

# Where a table's columns are written; NULL where one is not wanted.
cdef struct Sink:
    int64_t* row
    int32_t* policy
    int32_t* index
    int32_t* sources
    int32_t* impact
    int32_t* content
    int32_t* description
    int8_t* action
    int8_t* severity
    int8_t* priority
    int8_t* section
    int8_t* disposition
    uint8_t* valid[NULLABLES]

cdef class ActionColumns:
    cdef readonly dict words      # texts of each column of texts, by its name
    cdef Action* entries          # what each entry says alone
    cdef Py_ssize_t entry_count
    cdef readonly Py_ssize_t memory    # bytes
    cdef inline void tell(self, const Group* group, Action* action) noexcept nogil:
        """Say what a group comes to."""
        action[0] = self.entries[group.first]
        action.sources = group.count
        action.disposition = group.disposition

# Write the actions of each row's outcome; outcome i has those from starts[i] on.
cdef void write_actions(
    const Sink* sink, const int32_t* outcomes, Py_ssize_t rows, const int64_t* starts, const Action* actions
) noexcept nogil

# --- Keys to outcomes ---
#
# Decides the rows of columns with the classes and the program that events use, without a Python object for each row.
#
# Each row's key is looked up in a cache, or decided. The result is one number for each row: which set of policies and
# entries it is; each set is stored once, with its actions. This needs no GIL and writes to nothing that the index
# changes, so that several threads can decide with one index at once, each with its own worker.
#
# A worker is reused from one call to the next: its caches are bounded, and may be emptied between two rows without
# changing a decision.


cdef enum:
    TRAILING = 3                  # numbers behind those of an outcome: count of its policies, presence, group

# What a call has decided so far: an outcome a row, and each outcome once. All zeros at first.
cdef struct Decisions:
    int32_t* outcomes         # of each row
    Py_ssize_t rows
    Py_ssize_t row_room
    int32_t count             # of outcomes
    Py_ssize_t room
    int64_t* starts           # of outcome i's numbers: policies, entries, and TRAILING more
    int64_t* spans            # of its actions
    int32_t* numbers
    Py_ssize_t number_room
    Action* actions
    Py_ssize_t action_room

cdef class BatchWorker(BatchReader):
    cdef PlanBuilder plan_builder
    cdef ActionColumns columns
    cdef int pod, process     # bits of scopes
    cdef Decision decision
    cdef GroupScratch group_scratch
    cdef PlanScratch plan_scratch
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

# --- Batch ---
#
# What one call of evaluate_batch() decided: an outcome for each row, the outcomes, and the columns of their actions.


cdef class Batch:
    cdef readonly DecisionIndex index
    cdef list idle            # workers that are not in use
    cdef BatchWorker worker        # while rows are added
    cdef Decisions decisions
    cdef list shapes          # of the outcomes that plans were asked of, or None
    cdef PlanShape shape(self, int32_t outcome)
    cdef int32_t group(self, int32_t outcome) noexcept
    cdef int32_t outcome(self, Py_ssize_t row) except -1
