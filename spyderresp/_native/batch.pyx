from libc.stdint cimport int8_t, int64_t, uint8_t, uintptr_t
from libc.stdlib cimport free, realloc

from spyderresp._native.actions cimport ActionColumns, Sink, spread
from spyderresp._native.columns cimport FINE, OUT_OF_MEMORY, Fault
from spyderresp._native.worker cimport TOLD

from spyderresp._native.columns import FAULTS as _FAULTS

cdef enum:
    MOST_IDLE = 2             # workers that are kept for the next call


cdef class Batch:
    def __cinit__(self, DecisionIndex index not None, ActionColumns columns not None, list idle not None):
        self.index = index
        self.idle = idle
        try:
            self.worker = idle.pop()
        except IndexError:
            self.worker = Worker(index, columns)
        self.worker.begin()

    def __dealloc__(self):
        free(self.decisions.outcomes)
        free(self.decisions.starts)
        free(self.decisions.spans)
        free(self.decisions.numbers)
        free(self.decisions.actions)

    def add(self, Py_ssize_t rows, list columns not None, list scopes not None):
        cdef Worker worker = self.worker
        cdef Decisions* decisions = &self.decisions
        cdef Py_ssize_t room = decisions.rows + rows, done = decisions.rows
        cdef Fault fault
        cdef void* grown
        if worker is None:
            raise ValueError("this batch is complete")
        worker.take(columns, scopes)
        # Whoever else has this batch finds it complete meanwhile.
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
            return worker.fault_source, done + worker.fault_row, _FAULTS[fault]
        return None

    def complete(self):
        worker, self.worker = self.worker, None
        if worker is not None and len(self.idle) < MOST_IDLE:
            self.idle.append(worker)

    @property
    def rows(self):
        return self.decisions.rows

    @property
    def outcome_count(self):
        return self.decisions.count

    def shape(self, int32_t outcome):
        """Return the shape of an outcome, and the group its rows were attributed to."""
        cdef const int32_t* numbers
        cdef int64_t size
        cdef int32_t in_scope
        if not 0 <= outcome < self.decisions.count:
            raise IndexError(outcome)
        numbers = self.decisions.numbers + self.decisions.starts[outcome]
        size = self.decisions.starts[outcome + 1] - self.decisions.starts[outcome] - TOLD
        in_scope = numbers[size]
        shape = self.index.arranger.shape(
            numbers, in_scope, numbers + in_scope, size - in_scope, numbers[size + 1] & 1, numbers[size + 1] >> 1
        )
        return shape, numbers[size + 2]

    def outcome(self, Py_ssize_t row):
        if not 0 <= row < self.decisions.rows:
            raise IndexError(row)
        return self.decisions.outcomes[row]

    def count_actions(self):
        cdef Py_ssize_t row, total = 0
        cdef const Decisions* decisions = &self.decisions
        with nogil:
            for row in range(decisions.rows):
                total += (
                    decisions.spans[decisions.outcomes[row] + 1] - decisions.spans[decisions.outcomes[row]]
                )
        return total

    def write_actions(self, dict where not None):
        cdef Sink sink
        cdef int column
        cdef const Decisions* decisions = &self.decisions
        sink.row = <int64_t*><uintptr_t>where["row"]
        sink.policy = <int32_t*><uintptr_t>where["policy"]
        sink.index = <int32_t*><uintptr_t>where["index"]
        sink.sources = <int32_t*><uintptr_t>where["sources"]
        sink.impact = <int32_t*><uintptr_t>where["impact"]
        sink.content = <int32_t*><uintptr_t>where["content"]
        sink.description = <int32_t*><uintptr_t>where["description"]
        sink.action = <int8_t*><uintptr_t>where["action"]
        sink.severity = <int8_t*><uintptr_t>where["severity"]
        sink.priority = <int8_t*><uintptr_t>where["priority"]
        sink.section = <int8_t*><uintptr_t>where["section"]
        sink.disposition = <int8_t*><uintptr_t>where["disposition"]
        sink.told = <uint8_t*><uintptr_t>where["told"]
        for column, name in enumerate(("severity", "impact", "content", "description", "priority")):
            sink.valid[column] = <uint8_t*><uintptr_t>where["valid"].get(name, 0)
        with nogil:
            spread(&sink, decisions.outcomes, decisions.rows, decisions.spans, decisions.actions)
