from libc.stdint cimport int8_t, int16_t, uint16_t, uint32_t, uintptr_t
from libc.string cimport memset

from spyderresp._native.text cimport utf8_text


cdef bint is_valid(const Validity* valid, Py_ssize_t row) noexcept nogil:
    cdef Py_ssize_t bit = valid.first + row
    return valid.bits is NULL or valid.bits[bit >> 3] >> (bit & 7) & 1


cdef int _fill_validity(Validity* valid, tuple said) except -1:
    valid.bits = <const uint8_t*><uintptr_t>said[0]
    valid.first = said[1]
    return 0


cdef int fill_column(Column* column, tuple said) except -1:
    """Set a column from numbers: ``(texts, validities, indices)``, as columns.pyi says."""
    cdef tuple texts = said[0], indices = said[2]
    cdef int i
    memset(column, 0, sizeof(Column))
    if texts is not None:
        offsets, large, data, size, first, count, valid = texts
        column.texts.offsets = <const void*><uintptr_t>offsets
        column.texts.large = large
        column.texts.data = <const uint8_t*><uintptr_t>data
        column.texts.size = size
        column.texts.first = first
        column.texts.count = count
        _fill_validity(&column.texts.valid, valid)
    column.levels = len(said[1])
    if column.levels > LEVELS:
        raise ValueError("too many levels")
    for i in range(column.levels):
        _fill_validity(&column.valid[i], said[1][i])
    if indices is not None:
        address, column.width, column.first = indices
        column.indices = <const void*><uintptr_t>address
    return 0


cdef int64_t place_of(const Column* column, Py_ssize_t row, Fault* fault) noexcept nogil:
    cdef int i
    cdef Py_ssize_t at = column.first + row
    cdef int64_t place
    if column.texts.offsets is NULL:
        return -1
    for i in range(column.levels):
        if not is_valid(&column.valid[i], row):
            return -1
    if column.indices is NULL:
        place = row
    elif column.width == -4:
        place = (<const int32_t*>column.indices)[at]
    elif column.width == -1:
        place = (<const int8_t*>column.indices)[at]
    elif column.width == 1:
        place = (<const uint8_t*>column.indices)[at]
    elif column.width == -2:
        place = (<const int16_t*>column.indices)[at]
    elif column.width == 2:
        place = (<const uint16_t*>column.indices)[at]
    elif column.width == 4:
        place = (<const uint32_t*>column.indices)[at]
    elif column.width == PICKED:
        place = (<const int64_t*>column.indices)[at]
        if place < 0:
            return -1
    elif column.width == -8:
        place = (<const int64_t*>column.indices)[at]
    else:
        place = <int64_t>(<const uint64_t*>column.indices)[at]
    if place < 0 or place >= column.texts.count:
        fault[0] = BAD_INDEX
        return -1
    return place if is_valid(&column.texts.valid, place) else -1


cdef Fault text_at(const Texts* texts, int64_t place, Text* text, Buffer* buffer) noexcept nogil:
    cdef int64_t start, stop
    if texts.large:
        start = (<const int64_t*>texts.offsets)[texts.first + place]
        stop = (<const int64_t*>texts.offsets)[texts.first + place + 1]
    else:
        start = (<const int32_t*>texts.offsets)[texts.first + place]
        stop = (<const int32_t*>texts.offsets)[texts.first + place + 1]
    if start < 0 or stop < start or stop > texts.size:
        return BAD_OFFSETS
    return FINE if utf8_text(texts.data + start, stop - start, text, buffer) else BAD_TEXT
