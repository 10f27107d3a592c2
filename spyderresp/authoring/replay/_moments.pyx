from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_CheckExact, PyUnicode_DecodeUTF8
from libc.math cimport NAN
from libc.stdint cimport int64_t

from spyderresp.decision._batch cimport Column, fill_column, index_at, is_valid, span_at

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text) noexcept
    void* PyUnicode_DATA(object text) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept

cdef enum:
    SHORTEST = 20             # 2026-11-24T01:02:03Z
    FRACTION = 6              # digits that count
    BAD = -1


cdef inline int _number(const uint8_t* text, int size) noexcept nogil:
    """Return a number of so many digits, or BAD."""
    cdef int number = 0, i
    for i in range(size):
        if not 0x30 <= text[i] <= 0x39:
            return BAD
        number = 10 * number + text[i] - 0x30
    return number


cdef inline int64_t _days(int64_t year, int month, int day) noexcept nogil:
    """Return days since 1970-01-01 of the Gregorian calendar, for years from 1 on."""
    # The year begins in March: its leap day is its last.
    year -= month <= 2
    return year * 365 + year // 4 - year // 100 + year // 400 + (153 * ((month + 9) % 12) + 2) // 5 + day - 719469


cdef inline int _length(int year, int month) noexcept nogil:
    """Return how many days a month has."""
    if month == 2:
        return 28 + (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
    return 30 + (month + month // 8) % 2


cdef bint read_moment(const uint8_t* text, Py_ssize_t size, double* seconds) noexcept nogil:
    cdef int year, month, day, hour, minute, second, hours, minutes, digits = 0
    cdef int64_t whole, fraction = 0, scale = 1
    cdef Py_ssize_t at = SHORTEST - 1
    if size < SHORTEST or text[4] != c"-" or text[7] != c"-" or text[13] != c":" or text[16] != c":":
        return False
    if text[10] != c"T" and text[10] != c"t" and text[10] != c" ":
        return False
    year, month, day = _number(text, 4), _number(text + 5, 2), _number(text + 8, 2)
    hour, minute, second = _number(text + 11, 2), _number(text + 14, 2), _number(text + 17, 2)
    # Not the first and last year of the calendar, which a zone leads out of.
    if not 1 < year < 9999 or not 1 <= month <= 12 or not 1 <= day <= _length(year, month):
        return False
    if not 0 <= hour < 24 or not 0 <= minute < 60 or not 0 <= second < 60:
        return False
    if text[at] == c".":
        at += 1
        while at < size and 0x30 <= text[at] <= 0x39:
            if digits < FRACTION:
                fraction = 10 * fraction + text[at] - 0x30
                scale *= 10
            digits += 1
            at += 1
        if not digits or at == size:
            return False
    whole = _days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
    if text[at] == c"Z" or text[at] == c"z":
        if at + 1 != size:
            return False
    elif text[at] == c"+" or text[at] == c"-":
        if at + 6 != size or text[at + 3] != c":":
            return False
        hours, minutes = _number(text + at + 1, 2), _number(text + at + 4, 2)
        if not 0 <= hours < 24 or not 0 <= minutes < 60:
            return False
        whole += (hours * 3600 + minutes * 60) * (-1 if text[at] == c"+" else 1)
    else:
        return False
    seconds[0] = <double>whole + <double>fraction / <double>scale
    return True


def second_of(moment, otherwise):
    """Return an event's time in epoch seconds, or None. ``otherwise`` reads what is no text in the common form."""
    cdef double seconds
    if PyUnicode_CheckExact(moment) and PyUnicode_IS_COMPACT_ASCII(moment):
        if read_moment(<const uint8_t*>PyUnicode_DATA(moment), PyUnicode_GET_LENGTH(moment), &seconds):
            return seconds
    return otherwise(moment)


def seconds_of_texts(tuple column not None, Py_ssize_t rows, otherwise):
    """Return the epoch seconds of a column of texts, as _batch.pyi describes it: doubles, NaN where there are none.

    ``otherwise`` reads a text that is not in the common form.

    Raises:
        ValueError: an index or offset leads out of its column.
    """
    cdef Column texts
    cdef bytes made = PyBytes_FromStringAndSize(NULL, rows * sizeof(double))
    cdef double* seconds = <double*>PyBytes_AS_STRING(made)
    cdef const char* data
    cdef Py_ssize_t size, row
    cdef int64_t place
    cdef int i
    cdef bint there
    fill_column(&texts, column)
    for row in range(rows):
        seconds[row] = NAN
        if texts.texts.offsets is NULL:
            continue
        there = True
        for i in range(texts.levels):
            there = there and is_valid(&texts.valid[i], row)
        if not there:
            continue
        place = index_at(&texts, row)
        if not 0 <= place < texts.texts.count:
            raise ValueError(f"row {row}: a dictionary index leads out of its dictionary")
        if not is_valid(&texts.texts.valid, place):
            continue
        if not span_at(&texts.texts, place, &data, &size):
            raise ValueError(f"row {row}: offsets lead out of their data")
        if not read_moment(<const uint8_t*>data, size, &seconds[row]):
            said = otherwise(PyUnicode_DecodeUTF8(data, size, "replace"))
            if said is not None:
                seconds[row] = said
    return made
