from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memset

from spyderresp._native.classes cimport ABSENT, FIRST, NO_CLASS, OTHER, class_value, number_class
from spyderresp._native.columns cimport FINE, OUT_OF_MEMORY, fill_column, is_valid, place_of, text_at
from spyderresp._native.globset cimport GlobSet, release
from spyderresp._native.program cimport NO_GROUP, UNKNOWN_GROUP, Probe, free_decision
from spyderresp._native.numbers cimport FIRST_HASH, hash_number
from spyderresp._native.rowtable cimport empty_rows, free_rows, tell_row
from spyderresp._native.text cimport Entry, TextTable, find_entry, hash_bytes

from spyderresp._native.columns import FAULTS as _FAULTS

cdef enum:
    PENDING = -3          # for a key: not yet looked up
    UID = 0               # behind the attributes
    NAME = 1
    OWN = 2

cdef class Batch:
    def __cinit__(self, DecisionIndex index not None):
        cdef int i
        cdef Source* source
        self.index = index
        self.count = index.count
        self.sources = <Source*>calloc(self.count + OWN, sizeof(Source))
        self.scopes = <Validity*>calloc(index.program.scope_count, sizeof(Validity))
        self.scope_told = <uint8_t*>calloc(index.program.scope_count, sizeof(uint8_t))
        self.values = <Value*>calloc(self.count + 1, sizeof(Value))
        self.key = <int32_t*>calloc(self.count + 2, sizeof(int32_t))
        self.mixed = <uint64_t*>malloc(BLOCK * sizeof(uint64_t))
        if (
            not self.sources or not self.scopes or not self.scope_told or not self.values or not self.key
            or not self.mixed or not index.program.prepare(&self.decision)
        ):
            raise MemoryError
        for i in range(self.count + OWN):
            source = &self.sources[i]
            source.table = <void*>(
                index.tables[i] if i < self.count else index.program.uids if i == self.count + UID
                else index.program.names
            )
            source.keys = <int32_t*>malloc(BLOCK * sizeof(int32_t))
            if not source.keys:
                raise MemoryError
            if i < self.count and index.globs[i] is not None:
                source.globs = <void*>index.globs[i]
                source.cached = <Cached*>calloc(CACHED, sizeof(Cached))
                if not source.cached or not (<GlobSet>source.globs).prepare(&source.matches):
                    raise MemoryError

    def __dealloc__(self):
        cdef int i
        if self.sources:
            for i in range(self.count + OWN):
                release(&self.sources[i].matches)
                free_rows(&self.sources[i].classes)
                free(self.sources[i].resolved)
                free(self.sources[i].cached)
                free(self.sources[i].keys)
        free(self.sources)
        free(self.scopes)
        free(self.scope_told)
        free(self.buffer.bytes)
        free_decision(&self.decision)
        free(self.values)
        free(self.key)
        free(self.mixed)
        free_rows(&self.memo)
        free_rows(&self.decided)
        free(self.outcomes)

    def add(self, Py_ssize_t rows, list columns not None, list scopes not None):
        cdef int i
        cdef Py_ssize_t place
        cdef Source* source
        cdef Fault fault
        cdef int32_t* outcomes
        if len(columns) != self.count + OWN or len(scopes) != self.index.program.scope_count:
            raise ValueError("a batch of another shape")
        if self.rows + rows > self.room:
            outcomes = <int32_t*>realloc(self.outcomes, (self.rows + rows) * sizeof(int32_t))
            if not outcomes:
                raise MemoryError
            self.outcomes = outcomes
            self.room = self.rows + rows
        for i, told in enumerate(scopes):
            self.scope_told[i] = told is not None
            self.scopes[i].bits = <const uint8_t*><uintptr_t>(told[0] if told is not None else 0)
            self.scopes[i].first = told[1] if told is not None else 0
        for i in range(self.count + OWN):
            source = &self.sources[i]
            fill_column(&source.column, columns[i][0])
            fill_column(&source.second, columns[i][1] if len(columns[i]) > 1 else (None, (), None))
            if source.cached is not NULL:
                # The texts of the last batch may be gone.
                memset(source.cached, 0, CACHED * sizeof(Cached))
            if source.column.indices is not NULL:
                # Anew for each batch: by address alone one dictionary cannot be told from the next.
                free(source.resolved)
                source.resolved = <int32_t*>malloc((source.column.texts.count + 1) * sizeof(int32_t))
                if not source.resolved:
                    raise MemoryError
                for place in range(source.column.texts.count):
                    source.resolved[place] = PENDING
        with nogil:
            fault = self.run(rows)
        if fault == OUT_OF_MEMORY:
            raise MemoryError
        if fault != FINE:
            return self.fault_source, self.fault_row, _FAULTS[fault]
        self.rows += rows
        return None

    cdef Fault run(self, Py_ssize_t rows) noexcept nogil:
        cdef Py_ssize_t first = 0, size
        cdef Fault fault
        while first < rows:
            size = min(rows - first, BLOCK)
            fault = self.run_block(first, size)
            if fault != FINE:
                return fault
            first += size
        return FINE

    cdef Fault look_up(self, Source* source, const Text* text, uint64_t mixed, int32_t* key) noexcept nogil:
        """Find the key of a text of an attribute with globs."""
        cdef Entry* entry = find_entry(<TextTable>source.table, text.bytes, text.size, mixed)
        cdef int32_t number = entry.place if entry is not NULL else OTHER
        (<GlobSet>source.globs).match(text, &source.matches)
        number = number_class(&source.classes, number, &source.matches)
        key[0] = NO_CLASS if number == NO_CLASS else FIRST + number
        return FINE

    cdef Fault resolve(self, Source* source, const Texts* texts, int64_t place, int32_t* key) noexcept nogil:
        """Find the key of one text of a column."""
        cdef Text text
        cdef Entry* entry
        cdef uint64_t mixed
        cdef Cached* cached
        cdef Fault fault = text_at(texts, place, &text, &self.buffer)
        if fault != FINE:
            return fault
        mixed = hash_bytes(text.bytes, text.size)
        if source.globs is NULL:
            entry = find_entry(<TextTable>source.table, text.bytes, text.size, mixed)
            key[0] = entry.place if entry is not NULL else OTHER
            return FINE
        cached = &source.cached[mixed & CACHED - 1]
        if (
            cached.mixed == mixed and cached.size == text.size and cached.bytes is not NULL
            and memcmp(cached.bytes, text.bytes, text.size) == 0
        ):
            key[0] = cached.key
            return FINE
        fault = self.look_up(source, &text, mixed, key)
        cached.bytes = text.bytes
        cached.size = text.size
        cached.mixed = mixed
        cached.key = key[0]
        return fault

    cdef Fault fill(self, Source* source, const Column* column, Py_ssize_t first, Py_ssize_t rows) noexcept nogil:
        """Set the keys of a block's rows that are ABSENT so far."""
        cdef Py_ssize_t row
        cdef int64_t place
        cdef Fault fault = FINE
        cdef bint shared = column.indices is not NULL and column == &source.column
        for row in range(rows):
            if source.keys[row] != ABSENT:
                continue
            place = place_of(column, first + row, &fault)
            if fault != FINE:
                self.fault_row = self.rows + first + row
                return fault
            if place < 0:
                continue
            if shared and source.resolved[place] != PENDING:
                source.keys[row] = source.resolved[place]
                continue
            fault = self.resolve(source, &column.texts, place, &source.keys[row])
            if fault != FINE:
                self.fault_row = self.rows + first + row
                return fault
            if shared:
                source.resolved[place] = source.keys[row]
        return FINE

    cdef Fault run_block(self, Py_ssize_t first, Py_ssize_t rows) noexcept nogil:
        cdef int i
        cdef Py_ssize_t row, place
        cdef Source* source
        cdef Fault fault
        cdef int32_t outcome
        cdef uint32_t present
        cdef int32_t group
        cdef bint known
        for row in range(rows):
            self.mixed[row] = FIRST_HASH
        for i in range(self.count + OWN):
            source = &self.sources[i]
            memset(source.keys, 0, rows * sizeof(int32_t))
            self.fault_source = i
            fault = self.fill(source, &source.column, first, rows)
            if fault == FINE and source.second.texts.offsets is not NULL:
                fault = self.fill(source, &source.second, first, rows)
            if fault != FINE:
                return fault
            if i < self.count:
                for row in range(rows):
                    self.mixed[row] = hash_number(self.mixed[row], source.keys[row])
        for row in range(rows):
            known = True
            for i in range(self.count):
                self.key[i] = self.sources[i].keys[row]
                known &= self.key[i] != NO_CLASS
            group = self.group(&self.sources[self.count + UID], row)
            if group == NO_GROUP:
                group = self.group(&self.sources[self.count + NAME], row)
            present = 0
            for i in range(<int>self.index.program.scope_count):
                if self.scope_told[i] and is_valid(&self.scopes[i], first + row):
                    present |= 1u << i
            self.key[self.count] = group
            self.key[self.count + 1] = present
            if not known:
                fault = self.decide(first + row, &outcome)
                if fault != FINE:
                    return fault
                self.outcomes[self.rows + first + row] = outcome
                continue
            if self.memo.count >= MOST_KEYS:
                empty_rows(&self.memo)
            place = tell_row(
                &self.memo, self.key, self.count + 2,
                hash_number(hash_number(self.mixed[row], group), present), False
            )
            if place < 0:
                return OUT_OF_MEMORY
            if self.memo.notes[place] < 0:
                fault = self.decide(first + row, &outcome)
                if fault != FINE:
                    return fault
                self.memo.notes[place] = outcome
            self.outcomes[self.rows + first + row] = self.memo.notes[place]
        return FINE

    cdef int32_t group(self, const Source* source, Py_ssize_t row) noexcept nogil:
        """Return the group that a row names, from the key of a uid or name: see the places of Program's tables."""
        cdef int32_t key = source.keys[row]
        return NO_GROUP if key == ABSENT else UNKNOWN_GROUP if key == OTHER else key - FIRST

    cdef Fault rematch(self, Source* source, Py_ssize_t row, Value* value) noexcept nogil:
        """Match a text whose class has no number again, for this one decision."""
        cdef Text text
        cdef Entry* entry
        cdef Fault fault = FINE
        cdef const Column* column = &source.column
        cdef int64_t place = place_of(column, row, &fault)
        if place < 0:
            column = &source.second
            place = place_of(column, row, &fault)
        if fault == FINE:
            fault = text_at(&column.texts, place, &text, &self.buffer)
        if fault != FINE:
            return fault
        entry = find_entry(<TextTable>source.table, text.bytes, text.size, hash_bytes(text.bytes, text.size))
        (<GlobSet>source.globs).match(&text, &source.matches)
        value.text = entry.place if entry is not NULL else OTHER
        value.globs = source.matches.globs
        value.count = source.matches.count
        return FINE

    cdef Fault decide(self, Py_ssize_t row, int32_t* outcome) noexcept nogil:
        """Decide the row whose key is at hand, and number what it comes to."""
        cdef Probe probe
        cdef int i
        cdef Fault fault
        cdef uint64_t mixed
        cdef Py_ssize_t size
        cdef int32_t* found = self.decision.found
        for i in range(self.count):
            if self.key[i] == NO_CLASS:
                fault = self.rematch(&self.sources[i], row, &self.values[i])
                if fault != FINE:
                    return fault
            elif self.key[i] >= FIRST and self.sources[i].globs is not NULL:
                class_value(&self.sources[i].classes, self.key[i] - FIRST, &self.values[i])
            else:
                self.values[i].text = self.key[i]
                self.values[i].count = 0
        probe.values = self.values
        probe.group = self.key[self.count]
        probe.present = self.key[self.count + 1]
        self.index.program.decide(&probe, &self.decision)
        size = self.decision.in_scope + self.decision.fired
        mixed = hash_number(FIRST_HASH, self.decision.in_scope)
        # Behind what was found there is room for these three.
        found[size] = self.decision.in_scope
        found[size + 1] = probe.present >> self.index.pod & 1 | (probe.present >> self.index.process & 1) << 1
        found[size + 2] = probe.group
        for i in range(<int>size + 3):
            mixed = hash_number(mixed, found[i])
        outcome[0] = tell_row(&self.decided, found, size + 3, mixed, False)
        return FINE if outcome[0] >= 0 else OUT_OF_MEMORY

    @property
    def outcome_count(self):
        return self.decided.count

    def shape(self, int32_t outcome):
        """Return the shape of an outcome, and the group its rows were attributed to."""
        cdef const int32_t* numbers
        cdef Py_ssize_t size
        cdef int32_t in_scope
        if not 0 <= outcome < self.decided.count:
            raise IndexError(outcome)
        numbers = self.decided.numbers + self.decided.starts[outcome]
        size = self.decided.starts[outcome + 1] - self.decided.starts[outcome] - 3
        in_scope = numbers[size]
        shape = self.index.arranger.shape(
            numbers, in_scope, numbers + in_scope, size - in_scope, numbers[size + 1] & 1, numbers[size + 1] >> 1
        )
        return shape, numbers[size + 2]

    def outcome(self, Py_ssize_t row):
        if not 0 <= row < self.rows:
            raise IndexError(row)
        return self.outcomes[row]

    def expand(self, const int64_t[::1] starts not None, const int32_t[::1] actions not None):
        cdef Py_ssize_t row, at = 0, i, total = 0
        cdef const int64_t* start = &starts[0]
        cdef const int32_t* action = &actions[0] if actions.shape[0] else NULL
        cdef int32_t outcome
        cdef bytes rows, found
        cdef int64_t* row_of
        cdef int32_t* action_of
        if starts.shape[0] != self.decided.count + 1:
            raise ValueError("an outcome each, and one more")
        for row in range(starts.shape[0] - 1):
            if starts[row] < 0 or starts[row + 1] < starts[row] or starts[row + 1] > actions.shape[0]:
                raise ValueError("starts must ascend within the actions")
        with nogil:
            for row in range(self.rows):
                total += start[self.outcomes[row] + 1] - start[self.outcomes[row]]
        rows = PyBytes_FromStringAndSize(NULL, total * sizeof(int64_t))
        found = PyBytes_FromStringAndSize(NULL, total * sizeof(int32_t))
        row_of = <int64_t*>PyBytes_AS_STRING(rows)
        action_of = <int32_t*>PyBytes_AS_STRING(found)
        with nogil:
            for row in range(self.rows):
                outcome = self.outcomes[row]
                for i in range(start[outcome], start[outcome + 1]):
                    row_of[at] = row
                    action_of[at] = action[i]
                    at += 1
        return rows, found
