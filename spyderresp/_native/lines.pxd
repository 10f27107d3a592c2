# Where the lines of a text begin, so that an offset becomes a line and a column without any Python code.
#
# Breaks are those that YAML 1.1 counts, so that lines here are the lines of the parser's marks.

cdef class LineTable:
    cdef Py_ssize_t* starts    # of each line, ascending; the first is 0
    cdef Py_ssize_t count
    cdef Py_ssize_t room
    cdef Py_ssize_t length     # of the text
    cdef Py_ssize_t last       # the row last asked for: the next question is mostly about the same or the next one
    cdef int begin(self, Py_ssize_t offset) except -1
    # The line that holds an offset, from 0.
    cdef Py_ssize_t row(self, Py_ssize_t offset) noexcept
