cimport cython
from libc.stdint cimport int64_t, uint32_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memset

from spyderresp._native.classes cimport ABSENT, FIRST, MAX_CLASSES, MAX_POOL, NO_CLASS, OTHER, number_class
from spyderresp._native.columns cimport (
    BAD_INDEX, BAD_OFFSETS, BAD_TEXT, FINE, PICKED, PICKED_OFTEN, WORD, fill_column, gather_classes,
    index_at, is_valid, span_at, text_at, valid_word
)
from spyderresp._native.globset cimport GlobSet, release
from spyderresp._native.prefetch cimport prefetch
from spyderresp._native.program cimport NO_GROUP, UNKNOWN_GROUP
from spyderresp._native.rowtable cimport empty_rows, free_rows
from spyderresp._native.text cimport Entry, Text, TextTable, find_entry, hash_bytes, utf8_text
from spyderresp._native.textmemo cimport Known, empty_memo, find_known, free_memo, remember

cdef enum:
    PENDING = -3              # for a class: not yet looked up


cdef class Scanner:
    def __cinit__(self, DecisionIndex index not None, columns):
        cdef int i
        cdef Source* source
        self.program = index.program
        self.tables, self.globs = index.tables, index.globs
        self.count = index.count
        self.width = self.count + 2
        self.sources = <Source*>calloc(self.count + OWN, sizeof(Source))
        self.scopes = <Validity*>calloc(self.program.scope_count, sizeof(Validity))
        self.scope_told = <uint8_t*>calloc(self.program.scope_count, sizeof(uint8_t))
        self.spots = <Spot*>calloc(WORD, sizeof(Spot))
        self.keys = <int32_t*>malloc(BLOCK * self.width * sizeof(int32_t))
        if not self.sources or not self.scopes or not self.scope_told or not self.spots or not self.keys:
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
        free(self.scope_told)
        free(self.buffer.bytes)
        free(self.spots)
        free(self.keys)

    cdef int take(self, list columns, list scopes) except -1:
        """Take a batch's columns: they stay the caller's."""
        cdef int i
        cdef Source* source
        if len(columns) != self.count + OWN or len(scopes) != self.program.scope_count:
            raise ValueError("a batch of another shape")
        for i, told in enumerate(scopes):
            self.scope_told[i] = told is not None
            self.scopes[i].bits = <const uint8_t*><uintptr_t>(told[0] if told is not None else 0)
            self.scopes[i].first = told[1] if told is not None else 0
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
        """Number classes anew. Keys of before mean nothing then."""
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
        # Anew for each batch: by address alone one dictionary cannot be told from the next.
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
        cdef const Entry* entry = find_entry(<TextTable>source.table, spot.bytes, spot.size, spot.mixed)
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
            if not self.scope_told[i]:
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
        cdef const Entry* entry
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
