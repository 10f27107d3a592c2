from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free

from spyderresp._native.columns cimport PICKED, fill_column, index_at, is_valid, span_at
from spyderresp._native.reader cimport READ

from spyderresp._native.reader import IDENTITY as _IDENTITY

TEXT = CellKind.TEXT_CELL
INTEGER = CellKind.INTEGER_CELL
FLOAT = CellKind.FLOAT_CELL
DOUBLE = CellKind.DOUBLE_CELL
cdef int _NAME = [(scope, key) for scope, keys in _IDENTITY for key in keys].index(("namespace", "name"))


cdef class RowCells:
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


cdef int _fill(Cell* cell, tuple told) except -1:
    """Set a cell from ``(kind, column)``, or None where it is absent."""
    if told is not None:
        cell.kind = told[0]
        fill_column(&cell.column, told[1])
    return 0
