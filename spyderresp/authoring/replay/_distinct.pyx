cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint64_t

from spyderresp.decision._hash_tables cimport FIRST_HASH, empty_rows, free_rows, hash_number, intern_row

cdef enum:
    MOST_KNOWN = 1 << 24      # numbers in the table


@cython.final
cdef class Distinct:
    """Knows outcomes again from one batch to the next, as long as one index decides."""

    def __dealloc__(self):
        free_rows(&self.table)

    def numbers(self, Batch batch not None, told):
        """Return the number of each of a batch's outcomes, as int32.

        ``told`` numbers an outcome that was not met before.
        """
        cdef int32_t count = batch.decisions.count, outcome, at
        cdef bytes made = PyBytes_FromStringAndSize(NULL, count * sizeof(int32_t))
        cdef int32_t* numbers = <int32_t*>PyBytes_AS_STRING(made)
        cdef const int32_t* said
        cdef int64_t size, i
        cdef uint64_t mixed
        if batch.index is not self.index or self.table.used > MOST_KNOWN:
            empty_rows(&self.table)
            self.index = batch.index
        for outcome in range(count):
            said = batch.decisions.numbers + batch.decisions.starts[outcome]
            # The last number is whom rows are attributed to, which no shape says.
            size = batch.decisions.starts[outcome + 1] - batch.decisions.starts[outcome] - 1
            mixed = FIRST_HASH
            for i in range(size):
                mixed = hash_number(mixed, said[i])
            at = intern_row(&self.table, said, size, mixed, False)
            if at < 0:
                raise MemoryError
            if self.table.notes[at] < 0:
                self.table.notes[at] = told(batch.shape(outcome))
            numbers[outcome] = self.table.notes[at]
        return made
