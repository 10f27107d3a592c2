# Arrow memory, as a batch is read from it: texts, plain or dictionary-encoded, under up to three validity bitmaps.
#
# Nothing here trusts what it is given beyond the sizes of the buffers: offsets, indices and UTF-8 are checked as they
# are followed, and a fault names its row. Needs no GIL. The arrays are kept alive by whoever made the column.

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from spyderresp._native.text cimport Buffer, Text

cdef enum:
    LEVELS = 3            # a scope, its labels, the value itself
    PICKED = -16          # for a width: 64 bits, signed, and negative where absent; and from here down
    PICKED_OFTEN = -17    # the same, of texts that many rows share: they are a dictionary's
    WORD = 64             # rows that are looked at together

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
cdef Fault text_at(const Texts* texts, int64_t place, Text* text, Buffer* buffer) noexcept nogil
# The classes of rows, `stride` numbers apart, by their places in a dictionary; the others stay as they are. Rows are
# those of the word's bits, `resolved` has one number more than `count`. Returns the row whose index leads out, or -1;
# `least` becomes negative where a class is.
cdef int gather_classes(
    const void* indices, int width, Py_ssize_t first, int64_t count, const int32_t* resolved, uint64_t here,
    int32_t* classes, int stride, int32_t* least
) noexcept nogil


cdef inline bint is_valid(const Validity* valid, Py_ssize_t row) noexcept nogil:
    cdef Py_ssize_t bit = valid.first + row
    return valid.bits is NULL or valid.bits[bit >> 3] >> (bit & 7) & 1


cdef inline uint64_t valid_word(const Validity* valid, Py_ssize_t row, int count) noexcept nogil:
    """Return the bits of up to 64 rows, from this one on; those behind are 0."""
    cdef uint64_t word = 0, all_ = <uint64_t>-1 >> (WORD - count)
    cdef Py_ssize_t bit = valid.first + row
    cdef const uint8_t* bytes
    cdef int shift, need, i
    if valid.bits is NULL:
        return all_
    bytes = valid.bits + (bit >> 3)
    shift = bit & 7
    need = (shift + count + 7) >> 3
    for i in range(min(need, 8)):
        word |= <uint64_t>bytes[i] << 8 * i
    word >>= shift
    if need > 8:
        word |= <uint64_t>bytes[8] << (WORD - shift)
    return word & all_


cdef inline bint span_at(const Texts* texts, int64_t place, const char** data, Py_ssize_t* size) noexcept nogil:
    """Find where a text lies; False where its offsets lead out of the data."""
    cdef int64_t start, stop
    if texts.large:
        start = (<const int64_t*>texts.offsets)[texts.first + place]
        stop = (<const int64_t*>texts.offsets)[texts.first + place + 1]
    else:
        start = (<const int32_t*>texts.offsets)[texts.first + place]
        stop = (<const int32_t*>texts.offsets)[texts.first + place + 1]
    data[0] = <const char*>texts.data + start
    size[0] = stop - start
    return 0 <= start <= stop <= texts.size


cdef inline int64_t index_at(const Column* column, Py_ssize_t row) noexcept nogil:
    """Return which text is a row's, unchecked."""
    cdef Py_ssize_t at = column.first + row
    if column.indices is NULL:
        return row
    if column.width == -4:
        return (<const int32_t*>column.indices)[at]
    if column.width == -8 or column.width <= PICKED:
        return (<const int64_t*>column.indices)[at]
    if column.width == 4:
        return (<const uint32_t*>column.indices)[at]
    if column.width == -2:
        return (<const int16_t*>column.indices)[at]
    if column.width == 2:
        return (<const uint16_t*>column.indices)[at]
    if column.width == -1:
        return (<const int8_t*>column.indices)[at]
    if column.width == 1:
        return (<const uint8_t*>column.indices)[at]
    return <int64_t>(<const uint64_t*>column.indices)[at]
