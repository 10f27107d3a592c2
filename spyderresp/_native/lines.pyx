from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND
from libc.stdlib cimport free, realloc

from spyderresp._native.chars cimport Char, UCS1, UCS2, UCS4
from spyderresp._native.pauses cimport pause

cdef Py_ssize_t PAUSE = 5_000_000    # characters: some milliseconds


cdef int _fill(LineTable table, const Char* text) except -1:
    cdef Py_ssize_t at = 0, rest = PAUSE
    cdef Char char
    table.begin(0)
    while at < table.length:
        if at > rest:
            rest = at + PAUSE
            pause()
        char = text[at]
        at += 1
        # One comparison for nearly every character: every break that is not ASCII is above it.
        if char > 0x0D and char < 0x85:
            continue
        if char == 0x0D:
            if at < table.length and text[at] == 0x0A:
                at += 1
        elif char != 0x0A and char != 0x85:
            if Char is UCS1:
                continue
            elif char != 0x2028 and char != 0x2029:
                continue
        table.begin(at)
    return 0


cdef class LineTable:
    def __cinit__(self, str text not None):
        cdef int kind = PyUnicode_KIND(text)
        self.length = PyUnicode_GET_LENGTH(text)
        if kind == 1:
            _fill[UCS1](self, <const UCS1*>PyUnicode_DATA(text))
        elif kind == 2:
            _fill[UCS2](self, <const UCS2*>PyUnicode_DATA(text))
        else:
            _fill[UCS4](self, <const UCS4*>PyUnicode_DATA(text))

    def __dealloc__(self):
        free(self.starts)

    cdef int begin(self, Py_ssize_t offset) except -1:
        cdef Py_ssize_t* grown
        if self.count == self.room:
            self.room = self.room * 2 or 16
            grown = <Py_ssize_t*>realloc(self.starts, self.room * sizeof(Py_ssize_t))
            if not grown:
                raise MemoryError
            self.starts = grown
        self.starts[self.count] = offset
        self.count += 1
        return 0

    cdef Py_ssize_t row(self, Py_ssize_t offset) noexcept:
        cdef Py_ssize_t low = 0, high = self.count, middle
        if self.starts[self.last] <= offset:
            low = self.last
            if low + 1 == high or offset < self.starts[low + 1]:
                return low
        # starts[low] <= offset < starts[high], where there is such a row.
        while low + 1 < high:
            middle = (low + high) // 2
            if self.starts[middle] <= offset:
                low = middle
            else:
                high = middle
        self.last = low
        return low

    def position(self, Py_ssize_t offset):
        cdef Py_ssize_t row = self.row(offset)
        return row + 1, offset - self.starts[row] + 1

    def bounds(self, Py_ssize_t line):
        if line < 1 or line > self.count:
            raise IndexError("no such line")
        return self.starts[line - 1], self.starts[line] if line < self.count else self.length
