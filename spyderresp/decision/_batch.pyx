cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport INT32_MAX, uintptr_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from spyderresp._gil cimport pause
from spyderresp.decision._event_reader cimport IDENTITIES, POLICY_NAME, POLICY_UID, READ
from spyderresp.decision._globs cimport GlobSet, release
from spyderresp.decision._hash_tables cimport (
    SECRETS, Known, TableEntry, TextTable, add_key, empty_keys, empty_memo, empty_rows, find_entry, find_key,
    find_known, free_keys, free_memo, free_rows, hash_bytes, hash_key, hash_number, prefetch, remember, intern_row,
    utf8_text,
)
from spyderresp.decision._plan cimport ActionPlan, free_group_scratch, free_plan_scratch, new_plan_of
from spyderresp.decision._program cimport NO_GROUP, UNKNOWN_GROUP, Probe, free_decision
from spyderresp.decision._spec cimport ABSENT, FIRST, MAX_CLASSES, MAX_POOL, NO_CLASS, OTHER, class_value, number_class
from spyderresp.policies._model cimport Entry, Policy

from spyderresp.policies import vocabulary as _words
from spyderresp.decision._event_reader import IDENTITY as _IDENTITY
from spyderresp.decision._plan import DISPOSITIONS as _DISPOSITIONS


# --- Columns ---

cdef enum:
    UNASKED = -2              # for a key of a dictionary
    UNWANTED = -1


FAULTS = {
    BAD_OFFSETS: "its offsets lead out of its data",
    BAD_INDEX: "a dictionary index leads out of its dictionary",
    BAD_TEXT: "a text is not valid UTF-8",
}


cdef int _fill_validity(Validity* valid, tuple said) except -1:
    valid.bits = <const uint8_t*><uintptr_t>said[0]
    valid.first = said[1]
    return 0


cdef int fill_column(Column* column, tuple said) except -1:
    """Set a column from numbers: ``(texts, validities, indices)``, as the head of _batch.pyi says."""
    cdef tuple texts = said[0], indices = said[2]
    cdef int i
    memset(column, 0, sizeof(Column))
    if texts is not None:
        offsets, large, data, size, first, count, valid = texts
        column.texts.offsets = <const void*><uintptr_t>offsets
        column.texts.large = large
        column.texts.data = <const uint8_t*><uintptr_t>data
        column.texts.size = size
        column.texts.first = first
        column.texts.count = count
        _fill_validity(&column.texts.valid, valid)
    column.levels = len(said[1])
    if column.levels > LEVELS:
        raise ValueError("too many levels")
    for i in range(column.levels):
        _fill_validity(&column.valid[i], said[1][i])
    if indices is not None:
        address, column.width, column.first = indices
        column.indices = <const void*><uintptr_t>address
    return 0


ctypedef fused Index:
    int8_t
    uint8_t
    int16_t
    uint16_t
    int32_t
    uint32_t
    int64_t
    uint64_t


cdef int _gather(
    const Index* indices, uint64_t count, const int32_t* resolved, uint64_t here, int32_t* classes, int stride,
    int32_t* least
) noexcept nogil:
    cdef int row = 0
    cdef uint64_t place, mask
    cdef int32_t found
    if here == <uint64_t>-1:
        for row in range(WORD):
            place = <uint64_t><int64_t>indices[row]
            if place >= count:
                return row
            found = resolved[place]
            classes[row * stride] = found
            least[0] |= found
        return -1
    while here:
        # Without a branch for each row: which ones are absent cannot be foretold. Under an absent one may lie anything.
        mask = -(here & 1)
        place = <uint64_t><int64_t>indices[row] & mask
        if place >= count and mask:
            return row
        found = resolved[place] & <int32_t>mask
        classes[row * stride] |= found
        least[0] |= found
        here >>= 1
        row += 1
    return -1


cdef int gather_classes(
    const void* indices, int width, Py_ssize_t first, int64_t count, const int32_t* resolved, uint64_t here,
    int32_t* classes, int stride, int32_t* least
) noexcept nogil:
    if width == -4:
        return _gather(<const int32_t*>indices + first, count, resolved, here, classes, stride, least)
    if width == -1:
        return _gather(<const int8_t*>indices + first, count, resolved, here, classes, stride, least)
    if width == 1:
        return _gather(<const uint8_t*>indices + first, count, resolved, here, classes, stride, least)
    if width == -2:
        return _gather(<const int16_t*>indices + first, count, resolved, here, classes, stride, least)
    if width == 2:
        return _gather(<const uint16_t*>indices + first, count, resolved, here, classes, stride, least)
    if width == 4:
        return _gather(<const uint32_t*>indices + first, count, resolved, here, classes, stride, least)
    if width == -8:
        return _gather(<const int64_t*>indices + first, count, resolved, here, classes, stride, least)
    return _gather(<const uint64_t*>indices + first, count, resolved, here, classes, stride, least)


cdef Fault text_at(const Texts* texts, int64_t place, Text* text, Buffer* buffer) noexcept nogil:
    cdef const char* data
    cdef Py_ssize_t size
    if not span_at(texts, place, &data, &size):
        return BAD_OFFSETS
    return FINE if utf8_text(<const uint8_t*>data, size, text, buffer) else BAD_TEXT


cdef Fault _meet_key(
    const Column* keys, int64_t place, TextTable wanted, int32_t* known, Buffer* buffer, int32_t* found
) noexcept nogil:
    """Find which of the wanted keys an item's is, or UNWANTED. What is known to be wanted is UTF-8."""
    cdef const char* data
    cdef Py_ssize_t size
    cdef Text text
    cdef TableEntry* entry
    cdef int64_t at = place
    cdef int i
    found[0] = UNWANTED
    if keys.indices is not NULL:
        for i in range(keys.levels):
            if not is_valid(&keys.valid[i], place):
                return FINE
        at = index_at(keys, place)
        if not 0 <= at < keys.texts.count:
            return BAD_INDEX
        if known[at] != UNASKED:
            found[0] = known[at]
            return FINE
    if not span_at(&keys.texts, at, &data, &size):
        return BAD_OFFSETS
    entry = find_entry(wanted, <const uint8_t*>data, size, hash_bytes(<const uint8_t*>data, size))
    if entry is not NULL:
        found[0] = entry.place
    elif not utf8_text(<const uint8_t*>data, size, &text, buffer):
        return BAD_TEXT
    if keys.indices is not NULL:
        known[at] = found[0]
    return FINE


cdef Fault _meet_item(const Column* items, int64_t place, int64_t* found) noexcept nogil:
    """Find which of the items' texts an item is, negative where it is null."""
    cdef int i
    found[0] = place
    if items.indices is NULL:
        return FINE
    for i in range(items.levels):
        if not is_valid(&items.valid[i], place):
            found[0] = -1
            return FINE
    found[0] = index_at(items, place)
    return FINE if 0 <= found[0] < items.texts.count else BAD_INDEX


def pick(
    Py_ssize_t rows, tuple offsets not None, tuple valid not None, tuple keys not None, tuple items not None,
    Py_ssize_t entries, TextTable wanted not None
):
    """Find, in a column of maps, the item of each wanted key. The last of equal keys counts.

    Args:
        rows: how many.
        offsets: (address, first) of the maps' offsets, of int32.
        valid: which maps are not null.
        keys: the column of all keys.
        items: the column of all items.
        entries: how many these are.
        wanted: the keys, with their numbers from 0.

    Returns:
        For each key an array of int64 by row: the place among the items' texts, negative where absent; then the row in
        which something is wrong, or -1, and what it is.
    """
    cdef Column key, item
    cdef const int32_t* starts = <const int32_t*><uintptr_t>offsets[0]
    cdef Validity validity
    cdef Buffer buffer
    cdef int64_t** picks
    cdef int32_t* known
    cdef Py_ssize_t row, count = wanted.count
    cdef int64_t place
    cdef int32_t found
    cdef Fault fault = FINE
    cdef list made = [PyBytes_FromStringAndSize(NULL, rows * sizeof(int64_t)) for _ in range(count)]
    fill_column(&key, keys)
    fill_column(&item, items)
    validity.bits = <const uint8_t*><uintptr_t>valid[0]
    validity.first = valid[1]
    memset(&buffer, 0, sizeof(Buffer))
    picks = <int64_t**>malloc((count + 1) * sizeof(int64_t*))
    known = <int32_t*>malloc((key.texts.count if key.indices is not NULL else 0) * sizeof(int32_t) + 1)
    try:
        if not picks or not known:
            raise MemoryError
        for row in range(key.texts.count if key.indices is not NULL else 0):
            known[row] = UNASKED
        for row in range(count):
            picks[row] = <int64_t*>PyBytes_AS_STRING(<bytes>made[row])
            memset(picks[row], 0xFF, rows * sizeof(int64_t))
        starts += <Py_ssize_t>offsets[1]
        with nogil:
            for row in range(rows):
                if not is_valid(&validity, row):
                    continue
                if starts[row] < 0 or starts[row + 1] > entries:
                    fault = BAD_OFFSETS
                    break
                for place in range(starts[row], starts[row + 1]):
                    fault = _meet_key(&key, place, wanted, known, &buffer, &found)
                    if fault == FINE and found != UNWANTED:
                        fault = _meet_item(&item, place, &picks[found][row])
                    if fault != FINE:
                        break
                if fault != FINE:
                    break
    finally:
        free(picks)
        free(known)
        free(buffer.bytes)
    return made, row if fault != FINE else -1, FAULTS.get(fault, "")


# --- Cells of a row ---

TEXT = CellKind.TEXT_CELL
INTEGER = CellKind.INTEGER_CELL
FLOAT = CellKind.FLOAT_CELL
DOUBLE = CellKind.DOUBLE_CELL
cdef int _NAME = [(scope, key) for scope, keys in _IDENTITY for key in keys].index(("namespace", "name"))


cdef class TargetColumns:
    """What the rows of one record batch say of their events.

    Made from the cells of a target's identity, id, time, policy_uid and policy_name, each its kind and its column, or
    None where all are absent; the label that implies a namespace's name; and what keeps the columns alive. A column is
    described at the head of this stub; the values of one of numbers lie where a dictionary's indices would.
    """

    def __cinit__(self, list cells not None, tuple name, kept):
        cdef int i
        if len(cells) != READ:
            raise ValueError("a row has another number of cells")
        self.cells = <Cell*>calloc(READ, sizeof(Cell))
        if not self.cells:
            raise MemoryError
        self.kept = kept
        for i in range(READ):
            _fill(&self.cells[i], cells[i])
        _fill(&self.name, name)

    def __dealloc__(self):
        free(self.cells)

    cdef int read(self, Py_ssize_t row, int first, int stop, list held) except -1:
        cdef int i
        for i in range(first, stop):
            value = self.value(&self.cells[i], row)
            if i == _NAME and value is None:
                value = self.value(&self.name, row)
            held[i] = value
        return 0

    cdef object value(self, const Cell* cell, Py_ssize_t row):
        cdef const Column* column = &cell.column
        cdef const char* data
        cdef Py_ssize_t size
        cdef int64_t place
        cdef int i
        if not cell.kind or (cell.kind == CellKind.TEXT_CELL and column.texts.offsets is NULL):
            return None
        for i in range(column.levels):
            if not is_valid(&column.valid[i], row):
                return None
        if cell.kind == CellKind.DOUBLE_CELL:
            return (<const double*>column.indices)[column.first + row]
        if cell.kind == CellKind.FLOAT_CELL:
            return <double>(<const float*>column.indices)[column.first + row]
        place = index_at(column, row)
        if cell.kind == CellKind.INTEGER_CELL:
            return <uint64_t>place if column.width == 8 else place
        if place < 0 and column.width <= PICKED and column.indices is not NULL:
            return None
        if place < 0 or place >= column.texts.count:
            raise ValueError(f"row {row}: a dictionary index leads out of its dictionary")
        if not is_valid(&column.texts.valid, place):
            return None
        if not span_at(&column.texts, place, &data, &size):
            raise ValueError(f"row {row}: offsets lead out of their data")
        return PyUnicode_DecodeUTF8(data, size, NULL)


cdef int _fill(Cell* cell, tuple described) except -1:
    """Set a cell from ``(kind, column)``, or None where it is absent."""
    if described is not None:
        cell.kind = described[0]
        fill_column(&cell.column, described[1])
    return 0


# --- Columns to keys ---

cdef enum:
    PENDING = -3              # for a class: not yet looked up


cdef class BatchReader:
    """Reads keys out of columns, for one index; made only as a BatchWorker."""

    def __cinit__(self, DecisionIndex index not None, columns):
        cdef int i
        cdef Source* source
        self.program = index.program
        self.tables, self.globs = index.tables, index.globs
        self.count = index.count
        self.width = self.count + 2
        self.sources = <Source*>calloc(self.count + OWN, sizeof(Source))
        self.scopes = <Validity*>calloc(self.program.scope_count, sizeof(Validity))
        self.scope_columns = <uint8_t*>calloc(self.program.scope_count, sizeof(uint8_t))
        self.spots = <Spot*>calloc(WORD, sizeof(Spot))
        self.keys = <int32_t*>malloc(BLOCK * self.width * sizeof(int32_t))
        if not self.sources or not self.scopes or not self.scope_columns or not self.spots or not self.keys:
            raise MemoryError
        for i in range(self.count + OWN):
            source = &self.sources[i]
            source.table = <void*>(
                self.tables[i] if i < self.count else self.program.uids if i == self.count + UID
                else self.program.names
            )
            if i < self.count and self.globs[i] is not None:
                source.globs = <void*>self.globs[i]
                source.noted = <int32_t*>calloc((<TextTable>source.table).count + 1, sizeof(int32_t))
                if not source.noted or not (<GlobSet>source.globs).prepare(&source.matches):
                    raise MemoryError

    def __dealloc__(self):
        cdef int i
        if self.sources:
            for i in range(self.count + OWN):
                release(&self.sources[i].matches)
                free_rows(&self.sources[i].classes)
                free_memo(&self.sources[i].memo)
                free(self.sources[i].noted)
                free(self.sources[i].resolved)
        free(self.sources)
        free(self.scopes)
        free(self.scope_columns)
        free(self.buffer.bytes)
        free(self.spots)
        free(self.keys)

    cdef int take(self, list columns, list scopes) except -1:
        """Take a batch's columns: they stay the caller's."""
        cdef int i
        cdef Source* source
        if len(columns) != self.count + OWN or len(scopes) != self.program.scope_count:
            raise ValueError("a batch of another shape")
        for i, validity in enumerate(scopes):
            self.scope_columns[i] = validity is not None
            self.scopes[i].bits = <const uint8_t*><uintptr_t>(validity[0] if validity is not None else 0)
            self.scopes[i].first = validity[1] if validity is not None else 0
        for i in range(self.count + OWN):
            source = &self.sources[i]
            fill_column(&source.column, columns[i][0])
            fill_column(&source.second, columns[i][1] if len(columns[i]) > 1 else (None, (), None))
        return 0

    cdef Py_ssize_t scan_memory(self):
        """Return the bytes of what is remembered of texts, and of the block at hand."""
        cdef Py_ssize_t size = BLOCK * self.width * sizeof(int32_t)
        cdef const Source* source
        cdef int i
        for i in range(self.count + OWN):
            source = &self.sources[i]
            size += (source.resolved_room + source.classes.capacity) * sizeof(int32_t) + source.classes.room * 20
            if source.globs is not NULL:
                size += (<TextTable>source.table).count * sizeof(int32_t) + (<Py_ssize_t>source.memo.room << 2)
                size += (<Py_ssize_t>source.memo.mask + 1) * sizeof(uint64_t)
        return size

    cdef bint crowded(self) noexcept nogil:
        """Whether classes that are met from now on may have no number because of what came long ago."""
        cdef int i
        for i in range(self.count):
            if self.sources[i].classes.count >= MAX_CLASSES or self.sources[i].classes.used > MAX_POOL // 2:
                return True
        return False

    cdef void forget_classes(self) noexcept nogil:
        """Restart the numbering of classes. Earlier keys are invalid after this."""
        cdef int i
        cdef Source* source
        for i in range(self.count):
            source = &self.sources[i]
            if source.globs is not NULL:
                empty_rows(&source.classes)
                empty_memo(&source.memo)
                memset(source.noted, 0, (<TextTable>source.table).count * sizeof(int32_t))

    cdef Fault scan(self, Py_ssize_t first, int rows) noexcept nogil:
        """Set the keys of a block's rows."""
        cdef int i, word, start
        cdef Source* source
        cdef Fault fault
        cdef int32_t* key
        self.unnumbered = False
        memset(self.keys, 0, rows * self.width * sizeof(int32_t))
        for i in range(self.count + OWN):
            source = &self.sources[i]
            self.fault_source = i
            for word in range((rows + WORD - 1) // WORD):
                start = word * WORD
                key = &self.keys[start * self.width + i]
                if source.column.texts.offsets is not NULL:
                    fault = self.fill(source, &source.column, first + start, min(rows - start, <int>WORD), key)
                    if fault != FINE:
                        return fault
                if source.second.texts.offsets is not NULL:
                    fault = self.fill(source, &source.second, first + start, min(rows - start, <int>WORD), key)
                    if fault != FINE:
                        return fault
        self.complete(first, rows)
        return FINE

    @cython.final
    cdef bint resolve_all(self, Source* source, Py_ssize_t rows) noexcept nogil:
        """Find the classes of a dictionary's texts. False without memory.

        PENDING are those that are faulty, and all of them where most would not be asked for.
        """
        cdef const Texts* texts = &source.column.texts
        cdef Py_ssize_t place
        cdef int count, i
        cdef void* grown
        # Reset for each batch: an address alone does not identify a dictionary.
        if source.column.indices is NULL or source.column.width == PICKED or texts.offsets is NULL:
            return True
        if texts.count + 1 > source.resolved_room:
            grown = realloc(source.resolved, (texts.count + 1) * sizeof(int32_t))
            if not grown:
                return False
            source.resolved = <int32_t*>grown
            source.resolved_room = texts.count + 1
        for place in range(texts.count + 1):
            source.resolved[place] = PENDING
        # Of labels in maps the others' values stand among them too.
        if texts.count > 2 * rows or source.column.width == PICKED_OFTEN:
            return True
        place = 0
        while place < texts.count:
            count = 0
            while place < texts.count and count < WORD:
                if not is_valid(&texts.valid, place):
                    source.resolved[place] = ABSENT
                elif self.meet(source, texts, place, &self.spots[count]) == FINE:
                    count += 1
                place += 1
            self.approach(source, count)
            for i in range(count):
                if self.find(source, &self.spots[i]) == FINE:
                    source.resolved[self.spots[i].place] = self.spots[i].found
        return True

    @cython.final
    cdef Fault meet(self, const Source* source, const Texts* texts, int64_t place, Spot* spot) noexcept nogil:
        """Go to a text, and ask for the memory where it would be found."""
        if not span_at(texts, place, <const char**>&spot.bytes, &spot.size):
            return BAD_OFFSETS
        spot.place = place
        spot.mixed = hash_bytes(spot.bytes, spot.size)
        prefetch(&(<TextTable>source.table).slots[spot.mixed & (<TextTable>source.table).mask])
        if source.memo.places is not NULL:
            prefetch(&source.memo.places[spot.mixed & source.memo.mask])
        return FINE

    @cython.final
    cdef void approach(self, const Source* source, int count) noexcept nogil:
        """Ask for where the texts themselves would lie, those that were met by now."""
        cdef int i
        cdef uint64_t mixed
        cdef uint32_t offset
        for i in range(count):
            mixed = self.spots[i].mixed
            offset = (<TextTable>source.table).slots[mixed & (<TextTable>source.table).mask].offset
            if offset:
                prefetch((<TextTable>source.table).arena + (<Py_ssize_t>offset << 2))
            if source.memo.places is not NULL:
                offset = source.memo.places[mixed & source.memo.mask].offset
                if offset:
                    prefetch(source.memo.arena + (<Py_ssize_t>offset << 2))

    @cython.final
    cdef Fault find(self, Source* source, Spot* spot) noexcept nogil:
        """Find the class of a text. A text that is known is UTF-8; any other is checked."""
        cdef const TableEntry* entry = find_entry(<TextTable>source.table, spot.bytes, spot.size, spot.mixed)
        cdef const Known* known
        cdef Text met
        cdef Fault fault = FINE
        if source.globs is NULL:
            spot.found = entry.place if entry is not NULL else OTHER
            if entry is NULL and not utf8_text(spot.bytes, spot.size, &met, &self.buffer):
                return BAD_TEXT
            return FINE
        if entry is not NULL:
            spot.found = source.noted[entry.place - FIRST]
            if not spot.found:
                spot.found = self.classify(source, spot, entry.place, &fault)
                if spot.found != NO_CLASS:
                    source.noted[entry.place - FIRST] = spot.found
            return fault
        known = find_known(&source.memo, spot.bytes, spot.size, spot.mixed)
        if known is not NULL:
            spot.found = known.number
            return FINE
        spot.found = self.classify(source, spot, OTHER, &fault)
        if spot.found != NO_CLASS:
            remember(&source.memo, spot.bytes, spot.size, spot.mixed, spot.found)
        return fault

    @cython.final
    cdef int32_t classify(self, Source* source, const Spot* spot, int32_t text, Fault* fault) noexcept nogil:
        """Number the class of a text of an attribute with globs."""
        cdef Text met
        cdef int32_t number
        if not utf8_text(spot.bytes, spot.size, &met, &self.buffer):
            fault[0] = BAD_TEXT
            return NO_CLASS
        (<GlobSet>source.globs).match(&met, &source.matches)
        if text == OTHER and not source.matches.count:
            # As for an event: a class that needs no number.
            return OTHER
        number = number_class(&source.classes, text, &source.matches)
        if number == NO_CLASS:
            self.unnumbered = True
            return NO_CLASS
        return FIRST + number

    @cython.final
    cdef Fault fill(
        self, Source* source, const Column* column, Py_ssize_t first, int count, int32_t* keys
    ) noexcept nogil:
        """Set the classes of a word's rows that are ABSENT so far."""
        cdef uint64_t here = <uint64_t>-1 >> (WORD - count)
        cdef bint shared = column.indices is not NULL and column.width != PICKED and column == &source.column
        cdef const Texts* texts = &column.texts
        cdef int32_t least = 0
        cdef int32_t* key
        cdef int64_t place
        cdef int i, row, met = 0
        cdef Fault fault
        for i in range(column.levels):
            here &= valid_word(&column.valid[i], first, count)
        if column.indices is NULL:
            here &= valid_word(&texts.valid, first, count)
        if column == &source.second:
            for row in range(count):
                here &= ~(<uint64_t>(keys[row * self.width] != ABSENT) << row)
        if shared and column.width == PICKED_OFTEN:
            for row in range(count):
                here &= ~(<uint64_t>(index_at(column, first + row) < 0) << row)
        if not here:
            return FINE
        if shared:
            row = gather_classes(
                column.indices, -8 if column.width == PICKED_OFTEN else column.width, column.first + first, texts.count,
                source.resolved, here, keys, self.width, &least
            )
            if row >= 0:
                self.fault_row = first + row
                return BAD_INDEX
            if least >= 0:
                return FINE
            here = 0
            for row in range(count):
                self.unnumbered |= keys[row * self.width] == NO_CLASS
                here |= <uint64_t>(keys[row * self.width] == PENDING) << row
        for row in range(count):
            if not here >> row & 1:
                continue
            place = index_at(column, first + row)
            if place < 0 and column.width <= PICKED and column.indices is not NULL:
                continue
            self.fault_row = first + row
            if place < 0 or place >= texts.count:
                return BAD_INDEX
            if column.indices is not NULL and not is_valid(&texts.valid, place):
                keys[row * self.width] = ABSENT
                continue
            self.spots[met].row = row
            fault = self.meet(source, texts, place, &self.spots[met])
            if fault != FINE:
                return fault
            met += 1
        self.approach(source, met)
        for i in range(met):
            fault = self.find(source, &self.spots[i])
            if fault != FINE:
                self.fault_row = first + self.spots[i].row
                return fault
            key = &keys[self.spots[i].row * self.width]
            key[0] = self.spots[i].found
            if shared:
                source.resolved[self.spots[i].place] = key[0]
        return FINE

    @cython.final
    cdef void complete(self, Py_ssize_t first, int rows) noexcept nogil:
        """Complete the keys of a block's rows by group and presence."""
        cdef uint64_t[32] words
        cdef uint32_t always = 0, present
        cdef int[32] partly
        cdef int scopes = 0, i, word, start, row, at
        cdef int32_t* key
        cdef int32_t named
        for i in range(<int>self.program.scope_count):
            if not self.scope_columns[i]:
                continue
            if self.scopes[i].bits is NULL:
                always |= 1u << i
            else:
                partly[scopes] = i
                scopes += 1
        for word in range((rows + WORD - 1) // WORD):
            start = word * WORD
            for i in range(scopes):
                words[i] = valid_word(&self.scopes[partly[i]], first + start, min(rows - start, <int>WORD))
            for row in range(min(rows - start, <int>WORD)):
                present = always
                for i in range(scopes):
                    present |= <uint32_t>(words[i] >> row & 1) << partly[i]
                at = start + row
                key = &self.keys[at * self.width]
                named = key[self.count + UID] if key[self.count + UID] != ABSENT else key[self.count + NAME]
                key[self.count] = NO_GROUP if named == ABSENT else UNKNOWN_GROUP if named == OTHER else named - FIRST
                key[self.count + 1] = present

    cdef Fault rematch(self, Source* source, Py_ssize_t row, Value* value) noexcept nogil:
        """Match a text whose class has no number again, for this one decision."""
        cdef Text text
        cdef const TableEntry* entry
        cdef const Column* column = &source.column
        cdef int64_t place = _place_of(column, row)
        cdef Fault fault
        if place < 0:
            column = &source.second
            place = _place_of(column, row)
        fault = text_at(&column.texts, place, &text, &self.buffer)
        if fault != FINE:
            return fault
        entry = find_entry(<TextTable>source.table, text.bytes, text.size, hash_bytes(text.bytes, text.size))
        (<GlobSet>source.globs).match(&text, &source.matches)
        value.text = entry.place if entry is not NULL else OTHER
        value.globs = source.matches.globs
        value.count = source.matches.count
        return FINE


cdef int64_t _place_of(const Column* column, Py_ssize_t row) noexcept nogil:
    """Return which of a column's texts is a row's, or -1 where it is absent. Its index is known to be good."""
    cdef int i
    cdef int64_t place
    if column.texts.offsets is NULL:
        return -1
    for i in range(column.levels):
        if not is_valid(&column.valid[i], row):
            return -1
    place = index_at(column, row)
    return place if place >= 0 and is_valid(&column.texts.valid, place) else -1


# --- Columns of actions ---

cdef enum:
    ENTRIES_PER_PAUSE = 256           # entries between two pauses


NULLABLE = ("severity", "impact", "content", "description", "priority")


cdef int32_t _place(dict words, object word) except -1:
    """Return a text's place among the words of its column, a new one where it is new; 0 for null."""
    return 0 if word is None else <int32_t>words.setdefault(word, len(words))


cdef class ActionColumns:
    """What every entry of a policy set says, as numbers: the columns of a batch's actions are made of it.

    Attributes:
        words: the texts of each column of texts, by its name.
        memory: bytes, the texts apart.
    """

    def __cinit__(self, PlanBuilder plan_builder not None):
        cdef Action* action
        cdef Entry entry
        cdef Policy policy
        cdef Py_ssize_t i
        cdef int k
        cdef dict said
        cdef dict names = {name: place for place, name in enumerate(_words.ACTIONS)}
        cdef dict severities = {name: place for place, name in enumerate(_words.SEVERITIES)}
        cdef dict impacts = {}, contents = {}, descriptions = {}, policies = {}
        self.entry_count = len(plan_builder.entries)
        self.memory = self.entry_count * sizeof(Action)
        self.entries = <Action*>calloc(self.entry_count + 1, sizeof(Action))
        if not self.entries:
            raise MemoryError
        for i in range(self.entry_count):
            if i % ENTRIES_PER_PAUSE == 0:
                pause()
            action = &self.entries[i]
            entry = plan_builder.entries[i]
            policy = plan_builder.policies[plan_builder.policy_of[i]]
            said = dict(entry.parameters)
            action.action = names[entry.action]
            action.policy = _place(policies, policy.name)
            action.section = plan_builder.overrules[i]
            action.index = entry.index
            action.severity = 0 if said.get("severity") is None else severities[said["severity"]]
            action.impact = _place(impacts, said.get("impact"))
            action.content = _place(contents, said.get("content"))
            action.description = _place(descriptions, said.get("description"))
            action.priority = said.get("priority", 0)
            for k in range(<int>NULLABLES):
                action.valid_bits |= (said.get(NULLABLE[k]) is not None) << k
        self.words = {
            "action": tuple(names),
            "severity": tuple(severities),
            "impact": tuple(impacts),
            "content": tuple(contents),
            "description": tuple(descriptions),
            "disposition": _DISPOSITIONS,
            "policy": tuple(policies),
            "section": ("default", "actions"),
        }

    def __dealloc__(self):
        free(self.entries)


cdef void write_actions(
    const Sink* sink, const int32_t* outcomes, Py_ssize_t rows, const int64_t* starts, const Action* actions
) noexcept nogil:
    cdef Py_ssize_t row, at = 0
    cdef const Action* action
    cdef const Action* stop
    cdef uint64_t[1 << NULLABLES] spaced
    cdef uint64_t bits = 0
    cdef int mask, column
    # Not looked at again for each action: for all that is known, what is written might be the sink itself.
    cdef Sink to = sink[0]
    # Which columns of one action have a value, a column's bit in a byte of its own.
    for mask in range(1 << NULLABLES):
        spaced[mask] = 0
        for column in range(<int>NULLABLES):
            spaced[mask] |= <uint64_t>(mask >> column & 1) << 8 * column
    for row in range(rows):
        action = actions + starts[outcomes[row]]
        stop = actions + starts[outcomes[row] + 1]
        while action < stop:
            to.row[at] = row
            to.policy[at] = action.policy
            to.index[at] = action.index
            to.sources[at] = action.sources
            to.action[at] = action.action
            to.severity[at] = action.severity
            to.priority[at] = action.priority
            to.section[at] = action.section
            to.disposition[at] = action.disposition
            if to.impact is not NULL:
                to.impact[at] = action.impact
            if to.content is not NULL:
                to.content[at] = action.content
            if to.description is not NULL:
                to.description[at] = action.description
            bits |= spaced[action.valid_bits] << (at & 7)
            at += 1
            action += 1
            if not at & 7:
                _write_bits(sink, bits, (at >> 3) - 1)
                bits = 0
    if at & 7:
        _write_bits(sink, bits, at >> 3)


cdef inline void _write_bits(const Sink* sink, uint64_t bits, Py_ssize_t at) noexcept nogil:
    """Write a byte of each bitmap that is wanted."""
    cdef int column
    for column in range(<int>NULLABLES):
        if sink.valid[column] is not NULL:
            sink.valid[column][at] = bits >> 8 * column & 0xFF


# --- Keys to outcomes ---

cdef enum:
    MEMO_NUMBERS = 1 << 20    # in all keys of the memo
    MOST_DECIDED = 1 << 20    # numbers of all outcomes
    MOST_ACTIONS = 1 << 16    # of all outcomes before the last


cdef class BatchWorker(BatchReader):
    """Decides rows of columns by one index, in one thread at a time, and remembers within bounds what it met."""

    def __cinit__(self, DecisionIndex index not None, ActionColumns columns not None):
        cdef int i
        cdef uint64_t factor = SECRETS.first
        self.plan_builder = index.plan_builder
        self.columns = columns
        self.pod, self.process = index.pod, index.process
        self.memo.length = self.width
        self.values = <Value*>calloc(self.count + 1, sizeof(Value))
        self.mixed = <uint64_t*>malloc(BLOCK * sizeof(uint64_t))
        self.factors = <uint64_t*>malloc(self.width * sizeof(uint64_t))
        if (
            not self.values or not self.mixed or not self.factors or not self.program.prepare(&self.decision)
            or not self.plan_builder.prepare(&self.group_scratch)
        ):
            raise MemoryError
        for i in range(self.width):
            factor = hash_number(factor, i)
            self.factors[i] = factor | 1

    def __dealloc__(self):
        free_decision(&self.decision)
        free_group_scratch(&self.group_scratch)
        free_plan_scratch(&self.plan_scratch)
        free(self.values)
        free(self.mixed)
        free(self.factors)
        free_keys(&self.memo)
        free_rows(&self.decided)
        free(self.actions)
        free(self.local)

    @property
    def memory(self):
        """Bytes of its memos and its scratch."""
        cdef Py_ssize_t numbers = max(self.program.post_count, self.program.policy_count) + self.program.entry_count
        return (
            self.scan_memory()
            + (numbers + 4 * self.plan_builder.entry_count + self.local_room + self.decided.capacity) * sizeof(int32_t)
            + (self.decided.mask + 1) * sizeof(int32_t) + self.decided.room * 20
            + self.memo.room * (self.memo.length + 1) * sizeof(int32_t) + (self.memo.mask + 1) * sizeof(uint64_t)
            + self.action_room * sizeof(Action)
        )

    cdef void begin(self) noexcept nogil:
        """Begin a call: no outcome has a number in it."""
        if self.crowded():
            self.forget_classes()
            self.forget()
        if self.local is not NULL:
            memset(self.local, 0xFF, self.local_room * sizeof(int32_t))

    cdef void forget(self) noexcept nogil:
        """Empty the memo, and forget the outcomes that it leads to."""
        empty_keys(&self.memo)
        empty_rows(&self.decided)
        memset(self.local, 0xFF, self.local_room * sizeof(int32_t))

    cdef Fault run(self, Py_ssize_t rows, Decisions* decisions) noexcept nogil:
        cdef Py_ssize_t first = 0, size
        cdef int i
        cdef Fault fault
        for i in range(self.count + OWN):
            if not self.resolve_all(&self.sources[i], rows):
                return OUT_OF_MEMORY
        while first < rows:
            size = min(rows - first, <Py_ssize_t>BLOCK)
            fault = self.run_block(first, <int>size, decisions)
            if fault != FINE:
                return fault
            first += size
        decisions.rows += rows
        return FINE

    cdef Fault run_block(self, Py_ssize_t first, int rows, Decisions* decisions) noexcept nogil:
        cdef int i, row
        cdef Fault fault
        cdef int32_t outcome
        cdef int32_t* key
        cdef int32_t* found
        cdef bint numbered
        fault = self.scan(first, rows)
        if fault != FINE:
            return fault
        for row in range(rows):
            self.mixed[row] = hash_key(&self.keys[row * self.width], self.width, self.factors)
            if self.memo.slots is not NULL:
                prefetch(&self.memo.slots[self.mixed[row] & self.memo.mask])
        for row in range(rows):
            key = &self.keys[row * self.width]
            numbered = True
            if self.unnumbered:
                for i in range(self.count):
                    numbered &= key[i] != NO_CLASS
            found = find_key(&self.memo, key, self.mixed[row]) if numbered else NULL
            if found is not NULL:
                outcome = found[0]
            else:
                if self.memo.count * <Py_ssize_t>self.width > MEMO_NUMBERS:
                    empty_keys(&self.memo)
                fault = self.decide(first + row, key, &outcome)
                if fault != FINE:
                    return fault
                if numbered and not add_key(&self.memo, key, self.mixed[row], outcome, self.factors):
                    return OUT_OF_MEMORY
            if self.local[outcome] < 0:
                self.local[outcome] = self.adopt(outcome, decisions)
                if self.local[outcome] < 0:
                    return OUT_OF_MEMORY
            decisions.outcomes[decisions.rows + first + row] = self.local[outcome]
        return FINE

    cdef Fault decide(self, Py_ssize_t row, const int32_t* key, int32_t* outcome) noexcept nogil:
        """Decide a row, and number what it comes to."""
        cdef Probe probe
        cdef int i
        cdef Fault fault
        cdef uint64_t mixed
        cdef int32_t size, at
        cdef Py_ssize_t end, room
        cdef int32_t* found = self.decision.found
        cdef void* grown
        for i in range(self.count):
            if key[i] == NO_CLASS:
                fault = self.rematch(&self.sources[i], row, &self.values[i])
                if fault != FINE:
                    return fault
            elif key[i] >= FIRST and self.sources[i].globs is not NULL:
                class_value(&self.sources[i].classes, key[i] - FIRST, &self.values[i])
            else:
                self.values[i].text = key[i]
                self.values[i].count = 0
        probe.values = self.values
        probe.group = key[self.count]
        probe.present = key[self.count + 1]
        self.program.decide(&probe, &self.decision)
        size = self.decision.in_scope + self.decision.fired
        # Behind what was found there is room for these three.
        found[size] = self.decision.in_scope
        found[size + 1] = probe.present >> self.pod & 1 | (probe.present >> self.process & 1) << 1
        found[size + 2] = probe.group
        mixed = SECRETS.first
        for i in range(size + TRAILING):
            mixed = hash_number(mixed, found[i])
        end = self.decided.notes[self.decided.count - 1] if self.decided.count else 0
        if self.decided.used > MOST_DECIDED or end > MOST_ACTIONS:
            self.forget()
            end = 0
        at = intern_row(&self.decided, found, size + TRAILING, mixed, False)
        if at < 0:
            return OUT_OF_MEMORY
        outcome[0] = at
        if self.decided.notes[at] >= 0:
            return FINE
        if self.decided.room > self.local_room:
            grown = realloc(self.local, self.decided.room * sizeof(int32_t))
            if not grown:
                return OUT_OF_MEMORY
            self.local = <int32_t*>grown
            memset(self.local + self.local_room, 0xFF, (self.decided.room - self.local_room) * sizeof(int32_t))
            self.local_room = self.decided.room
        if not self.plan_builder.arrange(
            found + self.decision.in_scope, self.decision.fired, found[size + 1] & 1, found[size + 1] >> 1,
            &self.group_scratch, &self.plan_scratch
        ):
            return OUT_OF_MEMORY
        if end + self.plan_scratch.count > self.action_room:
            room = 2 * self.action_room + self.plan_scratch.count + 256
            grown = realloc(self.actions, room * sizeof(Action))
            if not grown:
                return OUT_OF_MEMORY
            self.actions = <Action*>grown
            self.action_room = room
        for i in range(self.plan_scratch.count):
            self.columns.tell(&self.plan_scratch.groups[self.plan_scratch.order[i]], &self.actions[end + i])
        self.decided.notes[at] = <int32_t>end + self.plan_scratch.count
        return FINE

    cdef int32_t adopt(self, int32_t outcome, Decisions* decisions) noexcept nogil:
        """Tell a call's results of an outcome, and return its number there, or -1 without memory."""
        cdef int64_t first = self.decided.notes[outcome - 1] if outcome else 0
        cdef int64_t count = self.decided.notes[outcome] - first
        cdef int64_t size = self.decided.starts[outcome + 1] - self.decided.starts[outcome], number_at, action_at
        cdef Py_ssize_t room
        cdef void* grown
        if decisions.count >= decisions.room:
            room = 2 * decisions.room + 256
            grown = realloc(decisions.starts, (room + 1) * sizeof(int64_t))
            if not grown:
                return -1
            decisions.starts = <int64_t*>grown
            grown = realloc(decisions.spans, (room + 1) * sizeof(int64_t))
            if not grown:
                return -1
            decisions.spans = <int64_t*>grown
            if not decisions.room:
                decisions.starts[0] = 0
                decisions.spans[0] = 0
            decisions.room = room
        number_at = decisions.starts[decisions.count]
        if number_at + size > decisions.number_room:
            room = 2 * decisions.number_room + size + 1024
            grown = realloc(decisions.numbers, room * sizeof(int32_t))
            if not grown:
                return -1
            decisions.numbers = <int32_t*>grown
            decisions.number_room = room
        action_at = decisions.spans[decisions.count]
        if action_at + count > decisions.action_room:
            room = 2 * decisions.action_room + count + 256
            grown = realloc(decisions.actions, room * sizeof(Action))
            if not grown:
                return -1
            decisions.actions = <Action*>grown
            decisions.action_room = room
        memcpy(
            decisions.numbers + number_at, self.decided.numbers + self.decided.starts[outcome], size * sizeof(int32_t)
        )
        if count:
            memcpy(decisions.actions + action_at, self.actions + first, count * sizeof(Action))
        decisions.starts[decisions.count + 1] = number_at + size
        decisions.spans[decisions.count + 1] = action_at + count
        decisions.count += 1
        return decisions.count - 1


# --- Batch ---

cdef enum:
    MOST_IDLE = 2             # workers that are kept for the next call


cdef inline void* _address(dict where, str name) except? NULL:
    return <void*><uintptr_t>where.get(name, 0)


cdef class Batch:
    """Decides rows of columns by one index, however it is replaced meanwhile. The head of this stub describes columns.

    A worker is taken from those that are idle, or made; ``complete()`` gives it back, and rows can be added no more.
    """

    def __cinit__(self, DecisionIndex index not None, ActionColumns columns not None, list idle not None):
        self.index = index
        self.idle = idle
        try:
            self.worker = idle.pop()
        except IndexError:
            self.worker = BatchWorker(index, columns)
        self.worker.begin()

    def __dealloc__(self):
        free(self.decisions.outcomes)
        free(self.decisions.starts)
        free(self.decisions.spans)
        free(self.decisions.numbers)
        free(self.decisions.actions)

    def add(self, Py_ssize_t rows, list columns not None, list scopes not None):
        """Decide more rows.

        Args:
            rows: how many.
            columns: of each attribute, policy_uid and policy_name: the column, and one to read where it has nothing.
            scopes: validity of each; None where it has no column.

        Returns:
            What is wrong with the columns: the place of the column, the row, and what it is. Its rows are not decided.
        """
        cdef BatchWorker worker = self.worker
        cdef Decisions* decisions = &self.decisions
        cdef Py_ssize_t room = decisions.rows + rows, done = decisions.rows
        cdef Fault fault
        cdef void* grown
        if worker is None:
            raise ValueError("this batch is complete")
        worker.take(columns, scopes)
        # Another thread may complete this batch meanwhile.
        self.worker = None
        if room > decisions.row_room:
            room = max(room, 2 * decisions.row_room)
            grown = realloc(decisions.outcomes, room * sizeof(int32_t))
            if not grown:
                raise MemoryError
            decisions.outcomes = <int32_t*>grown
            decisions.row_room = room
        with nogil:
            fault = worker.run(rows, decisions)
        if fault == OUT_OF_MEMORY:
            raise MemoryError
        self.worker = worker
        if fault != FINE:
            return worker.fault_source, done + worker.fault_row, FAULTS[fault]
        return None

    def complete(self):
        worker, self.worker = self.worker, None
        if worker is not None and len(self.idle) < MOST_IDLE:
            self.idle.append(worker)

    @property
    def rows(self):
        """How many have been decided."""
        return self.decisions.rows

    @property
    def outcome_count(self):
        return self.decisions.count

    def outcomes(self):
        """Return the number of every row's outcome, each an int32."""
        return PyBytes_FromStringAndSize(<const char*>self.decisions.outcomes, self.decisions.rows * sizeof(int32_t))

    def outcome_shape(self, int32_t outcome):
        """Return what the plans of an outcome's rows share."""
        if not 0 <= outcome < self.decisions.count:
            raise IndexError("outcome out of range")
        return self.shape(outcome)

    def outcome_keys(self):
        """Return bytes for each outcome, equal where the plans of one index have the same shape."""
        cdef int32_t outcome
        cdef int64_t start, size
        cdef list keys = []
        for outcome in range(self.decisions.count):
            start = self.decisions.starts[outcome]
            # The last number is the attribution of the rows, which no shape names.
            size = self.decisions.starts[outcome + 1] - start - 1
            keys.append(
                PyBytes_FromStringAndSize(<const char*>(self.decisions.numbers + start), size * sizeof(int32_t))
            )
        return keys

    cdef int32_t outcome(self, Py_ssize_t row) except -1:
        if not 0 <= row < self.decisions.rows:
            raise IndexError("row out of range")
        return self.decisions.outcomes[row]

    cdef PlanShape shape(self, int32_t outcome):
        """Return the shape of an outcome's plans."""
        cdef const int32_t* numbers = self.decisions.numbers + self.decisions.starts[outcome]
        cdef int64_t size = self.decisions.starts[outcome + 1] - self.decisions.starts[outcome] - TRAILING
        cdef int32_t in_scope = numbers[size]
        cdef PlanShape shape
        if self.shapes is None:
            self.shapes = [None] * self.decisions.count
        shape = self.shapes[outcome]
        if shape is None:
            shape = self.index.plan_builder.shape(
                numbers, in_scope, numbers + in_scope, size - in_scope, numbers[size + 1] & 1, numbers[size + 1] >> 1
            )
            self.shapes[outcome] = shape
        return shape

    cdef int32_t group(self, int32_t outcome) noexcept:
        """Return the group of policies to which an outcome's rows are attributed."""
        return self.decisions.numbers[self.decisions.starts[outcome + 1] - 1]

    def plan(self, Py_ssize_t row, TargetColumns cells not None, Py_ssize_t place):
        """Return the plan of a row, which is one of the cells' rows."""
        cdef int32_t outcome = self.outcome(row)
        cdef int32_t group = self.group(outcome)
        cdef PlanShape shape = self.shape(outcome)
        cdef PyObject* borrowed[READ]
        cdef list held = [None] * READ
        cdef ActionPlan plan
        cdef int i
        # The target is kept only where an action is planned.
        cells.read(place, 0 if shape.count else IDENTITIES, READ, held)
        for i in range(READ):
            borrowed[i] = <PyObject*>held[i]
        plan = new_plan_of(borrowed, self.index.digest, shape)
        if group != NO_GROUP:
            plan.attribution = self.index.attribution(group, held[POLICY_UID], held[POLICY_NAME])
        return plan

    def plan_of(self, Py_ssize_t row, event):
        """Return the plan of a row, given its event.

        Raises:
            EventError: the event is malformed where it is checked.
        """
        cdef int32_t outcome = self.outcome(row)
        return self.index.plan_of(event, self.shape(outcome), self.group(outcome))

    def count_actions(self):
        """Return how many actions all rows have."""
        cdef Py_ssize_t row, total = 0
        cdef const Decisions* decisions = &self.decisions
        with nogil:
            for row in range(decisions.rows):
                total += (
                    decisions.spans[decisions.outcomes[row] + 1] - decisions.spans[decisions.outcomes[row]]
                )
        return total

    def action_places(self):
        """Return, as int32, where the actions of each row begin and the last end; and each action's place in its plan.

        Raises:
            OverflowError: there are more actions than int32 counts.
        """
        cdef const Decisions* decisions = &self.decisions
        cdef Py_ssize_t total = self.count_actions(), row
        cdef int32_t at = 0, i, count
        if total > INT32_MAX:
            raise OverflowError
        cdef bytes starts = PyBytes_FromStringAndSize(NULL, (decisions.rows + 1) * sizeof(int32_t))
        cdef bytes places = PyBytes_FromStringAndSize(NULL, total * sizeof(int32_t))
        cdef int32_t* start = <int32_t*>PyBytes_AS_STRING(starts)
        cdef int32_t* place = <int32_t*>PyBytes_AS_STRING(places)
        with nogil:
            for row in range(decisions.rows):
                start[row] = at
                count = decisions.spans[decisions.outcomes[row] + 1] - decisions.spans[decisions.outcomes[row]]
                for i in range(count):
                    place[at + i] = i
                at += count
            start[decisions.rows] = at
        return starts, places

    def write_actions(self, dict where not None):
        """Write the columns of all actions.

        Args:
            where: address of each column's first byte: of ``row`` as int64; of ``action``, ``severity``, ``section``,
                ``disposition`` and ``priority`` as int8, of the others as int32; and of the bitmap of each column that
                may be null, under ``valid`` and its name. Texts' columns and bitmaps may be missing.
        """
        cdef Sink sink
        cdef int column
        cdef const Decisions* decisions = &self.decisions
        sink.row = <int64_t*>_address(where, "row")
        sink.policy = <int32_t*>_address(where, "policy")
        sink.index = <int32_t*>_address(where, "index")
        sink.sources = <int32_t*>_address(where, "sources")
        sink.impact = <int32_t*>_address(where, "impact")
        sink.content = <int32_t*>_address(where, "content")
        sink.description = <int32_t*>_address(where, "description")
        sink.action = <int8_t*>_address(where, "action")
        sink.severity = <int8_t*>_address(where, "severity")
        sink.priority = <int8_t*>_address(where, "priority")
        sink.section = <int8_t*>_address(where, "section")
        sink.disposition = <int8_t*>_address(where, "disposition")
        for column, name in enumerate(NULLABLE):
            sink.valid[column] = <uint8_t*>_address(where, f"valid {name}")
        with nogil:
            write_actions(&sink, decisions.outcomes, decisions.rows, decisions.spans, decisions.actions)
