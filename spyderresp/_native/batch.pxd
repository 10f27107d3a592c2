# What one call of evaluate_batch() decided: an outcome a row, the outcomes, and the columns of their actions.

from libc.stdint cimport int32_t

from spyderresp._native.index cimport DecisionIndex
from spyderresp._native.plan cimport PlanShape
from spyderresp._native.worker cimport Decisions, Worker

cdef class Batch:
    cdef readonly DecisionIndex index
    cdef list idle            # workers that nobody uses
    cdef Worker worker        # while rows are added
    cdef Decisions decisions
    cdef list shapes          # of the outcomes that plans were asked of, or None
    cdef PlanShape shape(self, int32_t outcome)
    cdef int32_t group(self, int32_t outcome) noexcept
    cdef int32_t outcome(self, Py_ssize_t row) except -1
