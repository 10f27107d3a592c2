from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from spyderresp._native.arrange cimport free_desk, free_draft
from spyderresp._native.classes cimport FIRST, NO_CLASS, class_value
from spyderresp._native.columns cimport FINE, OUT_OF_MEMORY
from spyderresp._native.index cimport DecisionIndex
from spyderresp._native.keymemo cimport add_key, empty_keys, find_key, free_keys, hash_key
from spyderresp._native.numbers cimport FIRST_HASH, hash_number
from spyderresp._native.prefetch cimport prefetch
from spyderresp._native.program cimport Probe, free_decision
from spyderresp._native.rowtable cimport empty_rows, free_rows, tell_row

cdef enum:
    MEMO_NUMBERS = 1 << 20    # in all keys of the memo
    MOST_DECIDED = 1 << 20    # numbers of all outcomes
    MOST_ACTIONS = 1 << 16    # of all outcomes before the last


cdef class Worker(Scanner):
    def __cinit__(self, DecisionIndex index not None, ActionColumns columns not None):
        cdef int i
        cdef uint64_t factor = FIRST_HASH
        self.arranger = index.arranger
        self.columns = columns
        self.pod, self.process = index.pod, index.process
        self.memo.length = self.width
        self.values = <Value*>calloc(self.count + 1, sizeof(Value))
        self.mixed = <uint64_t*>malloc(BLOCK * sizeof(uint64_t))
        self.factors = <uint64_t*>malloc(self.width * sizeof(uint64_t))
        if (
            not self.values or not self.mixed or not self.factors or not self.program.prepare(&self.decision)
            or not self.arranger.prepare(&self.desk)
        ):
            raise MemoryError
        for i in range(self.width):
            factor = hash_number(factor, i)
            self.factors[i] = factor | 1

    def __dealloc__(self):
        free_decision(&self.decision)
        free_desk(&self.desk)
        free_draft(&self.draft)
        free(self.values)
        free(self.mixed)
        free(self.factors)
        free_keys(&self.memo)
        free_rows(&self.decided)
        free(self.actions)
        free(self.local)

    @property
    def memory(self):
        cdef Py_ssize_t numbers = max(self.program.post_count, self.program.policy_count) + self.program.entry_count
        return (
            self.scan_memory()
            + (numbers + 4 * self.arranger.entry_count + self.local_room + self.decided.capacity) * sizeof(int32_t)
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
        mixed = FIRST_HASH
        for i in range(size + TOLD):
            mixed = hash_number(mixed, found[i])
        end = self.decided.notes[self.decided.count - 1] if self.decided.count else 0
        if self.decided.used > MOST_DECIDED or end > MOST_ACTIONS:
            self.forget()
            end = 0
        at = tell_row(&self.decided, found, size + TOLD, mixed, False)
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
        if not self.arranger.arrange(
            found + self.decision.in_scope, self.decision.fired, found[size + 1] & 1, found[size + 1] >> 1, &self.desk,
            &self.draft
        ):
            return OUT_OF_MEMORY
        if end + self.draft.count > self.action_room:
            room = 2 * self.action_room + self.draft.count + 256
            grown = realloc(self.actions, room * sizeof(Action))
            if not grown:
                return OUT_OF_MEMORY
            self.actions = <Action*>grown
            self.action_room = room
        for i in range(self.draft.count):
            self.columns.tell(&self.draft.groups[self.draft.order[i]], &self.actions[end + i])
        self.decided.notes[at] = <int32_t>end + self.draft.count
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
