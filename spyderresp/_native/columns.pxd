# Arrow memory, as a batch is read from it: texts, plain or dictionary-encoded, under up to three validity bitmaps.
#
# Nothing here trusts what it is given beyond the sizes of the buffers: offsets, indices and UTF-8 are checked as they
# are followed, and a fault names its row. Needs no GIL. The arrays are kept alive by whoever made the column.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from spyderresp._native.text cimport Buffer, Text

cdef enum:
    LEVELS = 3            # a scope, its labels, the value itself
    PICKED = -16          # for a width: 64 bits, signed, and negative where absent

cdef enum Fault:
    FINE = 0
    BAD_OFFSETS = 1
    BAD_INDEX = 2
    BAD_TEXT = 3
    OUT_OF_MEMORY = 4

# A bitmap whose bit says that a row has a value; NULL where every row has.
cdef struct Validity:
    const uint8_t* bits
    Py_ssize_t first      # bit of row 0

# An array of texts.
cdef struct Texts:
    const void* offsets   # NULL where there are none: all absent
    bint large            # offsets of 64 bits
    const uint8_t* data
    Py_ssize_t size       # bytes of data
    Py_ssize_t first      # offset of text 0
    Py_ssize_t count
    Validity valid

cdef struct Column:
    Texts texts
    int levels
    Validity[LEVELS] valid
    const void* indices   # into the texts, by row; NULL where row r's text is text r
    int width             # bytes of an index, negative where signed
    Py_ssize_t first      # index of row 0

cdef int fill_column(Column* column, tuple said) except -1
# Which of a column's texts is row r's, or -1 where it is absent.
cdef int64_t place_of(const Column* column, Py_ssize_t row, Fault* fault) noexcept nogil
cdef Fault text_at(const Texts* texts, int64_t place, Text* text, Buffer* buffer) noexcept nogil
cdef bint is_valid(const Validity* valid, Py_ssize_t row) noexcept nogil
