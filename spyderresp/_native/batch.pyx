from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from libc.stdint cimport int8_t, int64_t, uint8_t, uintptr_t
from libc.stdlib cimport free, realloc

from spyderresp._native.actions cimport ActionColumns, Sink, spread
from spyderresp._native.cells cimport RowCells
from spyderresp._native.columns cimport FINE, OUT_OF_MEMORY, Fault
from spyderresp._native.plan cimport ActionPlan, new_plan_of
from spyderresp._native.program cimport NO_GROUP
from spyderresp._native.reader cimport IDENTITIES, POLICY_NAME, POLICY_UID, READ
from spyderresp._native.worker cimport TOLD

from spyderresp._native.actions import NULLABLE as _NULLABLE
from spyderresp._native.columns import FAULTS as _FAULTS

cdef enum:
    MOST_IDLE = 2             # workers that are kept for the next call


cdef inline void* _address(dict where, str name) except? NULL:
    return <void*><uintptr_t>where.get(name, 0)


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

    def outcomes(self):
        return PyBytes_FromStringAndSize(<const char*>self.decisions.outcomes, self.decisions.rows * sizeof(int32_t))

    def outcome_shape(self, int32_t outcome):
        if not 0 <= outcome < self.decisions.count:
            raise IndexError("outcome out of range")
        return self.shape(outcome)

    cdef int32_t outcome(self, Py_ssize_t row) except -1:
        if not 0 <= row < self.decisions.rows:
            raise IndexError("row out of range")
        return self.decisions.outcomes[row]

    cdef PlanShape shape(self, int32_t outcome):
        """Return the shape of an outcome's plans."""
        cdef const int32_t* numbers = self.decisions.numbers + self.decisions.starts[outcome]
        cdef int64_t size = self.decisions.starts[outcome + 1] - self.decisions.starts[outcome] - TOLD
        cdef int32_t in_scope = numbers[size]
        cdef PlanShape shape
        if self.shapes is None:
            self.shapes = [None] * self.decisions.count
        shape = self.shapes[outcome]
        if shape is None:
            shape = self.index.arranger.shape(
                numbers, in_scope, numbers + in_scope, size - in_scope, numbers[size + 1] & 1, numbers[size + 1] >> 1
            )
            self.shapes[outcome] = shape
        return shape

    cdef int32_t group(self, int32_t outcome) noexcept:
        """Return the group of policies to which an outcome's rows are attributed."""
        return self.decisions.numbers[self.decisions.starts[outcome + 1] - 1]

    def plan(self, Py_ssize_t row, RowCells cells not None, Py_ssize_t place):
        cdef int32_t outcome = self.outcome(row)
        cdef int32_t group = self.group(outcome)
        cdef PlanShape shape = self.shape(outcome)
        cdef PyObject* borrowed[READ]
        cdef list held = [None] * READ
        cdef ActionPlan plan
        cdef int i
        # Whom it is about is kept only where something is planned.
        cells.read(place, 0 if shape.count else IDENTITIES, READ, held)
        for i in range(READ):
            borrowed[i] = <PyObject*>held[i]
        plan = new_plan_of(borrowed, self.index.digest, shape)
        if group != NO_GROUP:
            plan.attribution = self.index.attribution(group, held[POLICY_UID], held[POLICY_NAME])
        return plan

    def plan_of(self, Py_ssize_t row, event):
        cdef int32_t outcome = self.outcome(row)
        return self.index.plan_of(event, self.shape(outcome), self.group(outcome))

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
        for column, name in enumerate(_NULLABLE):
            sink.valid[column] = <uint8_t*>_address(where, f"valid {name}")
        with nogil:
            spread(&sink, decisions.outcomes, decisions.rows, decisions.spans, decisions.actions)
