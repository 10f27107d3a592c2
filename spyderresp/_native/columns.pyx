from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from spyderresp._native.text cimport Entry, TextTable, find_entry, hash_bytes, utf8_text

cdef enum:
    UNASKED = -2              # for a key of a dictionary
    UNWANTED = -1


FAULTS = {
    BAD_OFFSETS: "its offsets lead out of its data",
    BAD_INDEX: "a dictionary index leads out of its dictionary",
    BAD_TEXT: "a text is not valid UTF-8",
}


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


ctypedef fused Index:
    int8_t
    uint8_t
    int16_t
    uint16_t
    int32_t
    uint32_t
    int64_t
    uint64_t


cdef int _gather(
    const Index* indices, uint64_t count, const int32_t* resolved, uint64_t here, int32_t* classes, int stride,
    int32_t* least
) noexcept nogil:
    cdef int row = 0
    cdef uint64_t place, mask
    cdef int32_t found
    if here == <uint64_t>-1:
        for row in range(WORD):
            place = <uint64_t><int64_t>indices[row]
            if place >= count:
                return row
            found = resolved[place]
            classes[row * stride] = found
            least[0] |= found
        return -1
    while here:
        # Without a branch for each row: which ones are absent cannot be foretold. Under an absent one may lie anything.
        mask = -(here & 1)
        place = <uint64_t><int64_t>indices[row] & mask
        if place >= count and mask:
            return row
        found = resolved[place] & <int32_t>mask
        classes[row * stride] |= found
        least[0] |= found
        here >>= 1
        row += 1
    return -1


cdef int gather_classes(
    const void* indices, int width, Py_ssize_t first, int64_t count, const int32_t* resolved, uint64_t here,
    int32_t* classes, int stride, int32_t* least
) noexcept nogil:
    if width == -4:
        return _gather(<const int32_t*>indices + first, count, resolved, here, classes, stride, least)
    if width == -1:
        return _gather(<const int8_t*>indices + first, count, resolved, here, classes, stride, least)
    if width == 1:
        return _gather(<const uint8_t*>indices + first, count, resolved, here, classes, stride, least)
    if width == -2:
        return _gather(<const int16_t*>indices + first, count, resolved, here, classes, stride, least)
    if width == 2:
        return _gather(<const uint16_t*>indices + first, count, resolved, here, classes, stride, least)
    if width == 4:
        return _gather(<const uint32_t*>indices + first, count, resolved, here, classes, stride, least)
    if width == -8:
        return _gather(<const int64_t*>indices + first, count, resolved, here, classes, stride, least)
    return _gather(<const uint64_t*>indices + first, count, resolved, here, classes, stride, least)


cdef Fault text_at(const Texts* texts, int64_t place, Text* text, Buffer* buffer) noexcept nogil:
    cdef const char* data
    cdef Py_ssize_t size
    if not span_at(texts, place, &data, &size):
        return BAD_OFFSETS
    return FINE if utf8_text(<const uint8_t*>data, size, text, buffer) else BAD_TEXT


cdef Fault _meet_key(
    const Column* keys, int64_t place, TextTable wanted, int32_t* known, Buffer* buffer, int32_t* found
) noexcept nogil:
    """Find which of the wanted keys an item's is, or UNWANTED. What is known to be wanted is UTF-8."""
    cdef const char* data
    cdef Py_ssize_t size
    cdef Text text
    cdef Entry* entry
    cdef int64_t at = place
    cdef int i
    found[0] = UNWANTED
    if keys.indices is not NULL:
        for i in range(keys.levels):
            if not is_valid(&keys.valid[i], place):
                return FINE
        at = index_at(keys, place)
        if not 0 <= at < keys.texts.count:
            return BAD_INDEX
        if known[at] != UNASKED:
            found[0] = known[at]
            return FINE
    if not span_at(&keys.texts, at, &data, &size):
        return BAD_OFFSETS
    entry = find_entry(wanted, <const uint8_t*>data, size, hash_bytes(<const uint8_t*>data, size))
    if entry is not NULL:
        found[0] = entry.place
    elif not utf8_text(<const uint8_t*>data, size, &text, buffer):
        return BAD_TEXT
    if keys.indices is not NULL:
        known[at] = found[0]
    return FINE


cdef Fault _meet_item(const Column* items, int64_t place, int64_t* found) noexcept nogil:
    """Find which of the items' texts an item is, negative where it is null."""
    cdef int i
    found[0] = place
    if items.indices is NULL:
        return FINE
    for i in range(items.levels):
        if not is_valid(&items.valid[i], place):
            found[0] = -1
            return FINE
    found[0] = index_at(items, place)
    return FINE if 0 <= found[0] < items.texts.count else BAD_INDEX


def pick(
    Py_ssize_t rows, tuple offsets not None, tuple valid not None, tuple keys not None, tuple items not None,
    Py_ssize_t entries, TextTable wanted not None
):
    cdef Column key, item
    cdef const int32_t* starts = <const int32_t*><uintptr_t>offsets[0]
    cdef Validity validity
    cdef Buffer buffer
    cdef int64_t** picks
    cdef int32_t* known
    cdef Py_ssize_t row, count = wanted.count
    cdef int64_t place
    cdef int32_t found
    cdef Fault fault = FINE
    cdef list made = [PyBytes_FromStringAndSize(NULL, rows * sizeof(int64_t)) for _ in range(count)]
    fill_column(&key, keys)
    fill_column(&item, items)
    validity.bits = <const uint8_t*><uintptr_t>valid[0]
    validity.first = valid[1]
    memset(&buffer, 0, sizeof(Buffer))
    picks = <int64_t**>malloc((count + 1) * sizeof(int64_t*))
    known = <int32_t*>malloc((key.texts.count if key.indices is not NULL else 0) * sizeof(int32_t) + 1)
    try:
        if not picks or not known:
            raise MemoryError
        for row in range(key.texts.count if key.indices is not NULL else 0):
            known[row] = UNASKED
        for row in range(count):
            picks[row] = <int64_t*>PyBytes_AS_STRING(<bytes>made[row])
            memset(picks[row], 0xFF, rows * sizeof(int64_t))
        starts += <Py_ssize_t>offsets[1]
        with nogil:
            for row in range(rows):
                if not is_valid(&validity, row):
                    continue
                if starts[row] < 0 or starts[row + 1] > entries:
                    fault = BAD_OFFSETS
                    break
                for place in range(starts[row], starts[row + 1]):
                    fault = _meet_key(&key, place, wanted, known, &buffer, &found)
                    if fault == FINE and found != UNWANTED:
                        fault = _meet_item(&item, place, &picks[found][row])
                    if fault != FINE:
                        break
                if fault != FINE:
                    break
    finally:
        free(picks)
        free(known)
        free(buffer.bytes)
    return made, row if fault != FINE else -1, FAULTS.get(fault, "")
