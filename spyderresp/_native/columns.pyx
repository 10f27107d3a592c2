from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int8_t, int16_t, uint16_t, uint32_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from spyderresp._native.text cimport Entry, TextTable, find_entry, hash_bytes, utf8_text

FAULTS = {
    BAD_OFFSETS: "its offsets lead out of its data",
    BAD_INDEX: "a dictionary index leads out of its dictionary",
    BAD_TEXT: "a text is not valid UTF-8",
}


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


def gather(const int32_t[::1] places not None, const int32_t[::1] numbers not None, bint narrow):
    """Return ``numbers[place]`` of each place, as int32 or int8, and the bitmap of those that are not negative."""
    cdef Py_ssize_t i, count = places.shape[0]
    cdef int32_t bound = numbers.shape[0]
    cdef const int32_t* place = &places[0] if count else NULL
    cdef const int32_t* held = &numbers[0] if bound else NULL
    cdef bytes made = PyBytes_FromStringAndSize(NULL, count * (1 if narrow else 4))
    cdef int32_t* wide_ = <int32_t*>PyBytes_AS_STRING(made)
    cdef int8_t* narrow_ = <int8_t*>PyBytes_AS_STRING(made)
    cdef bytes valid = None
    cdef uint8_t* bits = NULL
    for i in range(bound):
        if held[i] < 0:
            valid = bytes((count + 7) // 8)
            bits = <uint8_t*>PyBytes_AS_STRING(valid)
            break
    cdef bint good = True
    with nogil:
        for i in range(count):
            good &= 0 <= place[i] < bound
        if good and narrow:
            for i in range(count):
                narrow_[i] = <int8_t>held[place[i]]
        elif good:
            for i in range(count):
                wide_[i] = held[place[i]]
        if good and bits is not NULL:
            for i in range(count):
                bits[i >> 3] |= (held[place[i]] >= 0) << (i & 7)
    if not good:
        raise IndexError("a place out of bounds")
    return made, valid


def pick(Py_ssize_t rows, tuple offsets not None, tuple valid not None, tuple keys not None, TextTable wanted not None):
    """Find, in a column of maps, the item of each wanted key: an array of int64 by row, negative where absent.

    ``offsets`` is (address, first), of int32; ``keys`` as the texts of a column. The last of equal keys counts.
    """
    cdef Column column
    cdef const int32_t* starts = <const int32_t*><uintptr_t>offsets[0]
    cdef Validity validity
    cdef Buffer buffer
    cdef Text text
    cdef Entry* entry
    cdef int64_t** picks
    cdef Py_ssize_t row, count = wanted.count
    cdef int64_t place
    cdef Fault fault = FINE
    cdef list made = [PyBytes_FromStringAndSize(NULL, rows * sizeof(int64_t)) for _ in range(count)]
    fill_column(&column, (keys, (), None))
    validity.bits = <const uint8_t*><uintptr_t>valid[0]
    validity.first = valid[1]
    memset(&buffer, 0, sizeof(Buffer))
    picks = <int64_t**>malloc((count + 1) * sizeof(int64_t*))
    if not picks:
        raise MemoryError
    try:
        for row in range(count):
            picks[row] = <int64_t*>PyBytes_AS_STRING(<bytes>made[row])
            memset(picks[row], 0xFF, rows * sizeof(int64_t))
        starts += <Py_ssize_t>offsets[1]
        with nogil:
            for row in range(rows):
                if not is_valid(&validity, row):
                    continue
                if starts[row] < 0 or starts[row + 1] > column.texts.count:
                    fault = BAD_OFFSETS
                    break
                for place in range(starts[row], starts[row + 1]):
                    fault = text_at(&column.texts, place, &text, &buffer)
                    if fault != FINE:
                        break
                    entry = find_entry(wanted, text.bytes, text.size, hash_bytes(text.bytes, text.size))
                    if entry is not NULL:
                        picks[entry.place][row] = place
                if fault != FINE:
                    break
    finally:
        free(picks)
        free(buffer.bytes)
    return made, row if fault != FINE else -1, FAULTS.get(fault, "")
