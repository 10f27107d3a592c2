# Recognises JSON records in the normal form by their bytes, without decoding them.
# Compiled, because replay and diff call it for every line: 0.1 us a record. Six substring searches in Python: 4.7 us.
# tests/replaying/test_lines.py holds the rule: no record of another form may pass.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memchr, memcmp


cdef bint _ends(const char* data, const char* at, const char* text, Py_ssize_t size) noexcept nogil:
    """Return whether the bytes before ``at`` end with ``text``."""
    return at - data >= size and memcmp(at - size, text, size) == 0


cdef bint _begins(const char* at, const char* end, const char* text, Py_ssize_t size) noexcept nogil:
    """Return whether the bytes from ``at`` on begin with ``text``."""
    return end - at >= size and memcmp(at, text, size) == 0


def has_other_form(bytes data not None):
    """Return whether a JSON record may be in another form than the normal one.

    Every other form has one of these keys or values, perhaps with a Unicode escape in it.
    """
    cdef const char* start = PyBytes_AS_STRING(data)
    cdef const char* end = start + PyBytes_GET_SIZE(data)
    cdef const char* at = start
    while True:
        at = <const char*>memchr(at, c"\\", end - at)
        if at is NULL:
            break
        if _begins(at, end, b"\\u", 2):
            return True
        # The escaped character may be a backslash itself.
        at += 2
        if at >= end:
            break
    at = start
    while True:
        at = <const char*>memchr(at, c"_", end - at)
        if at is NULL:
            break
        if _ends(start, at, b"process", 7) or _ends(start, at, b"output", 6) or _ends(start, at, b"rate", 4):
            return True
        at += 1
    at = start
    while True:
        at = <const char*>memchr(at, c"G", end - at)
        if at is NULL:
            break
        if _begins(at, end, b"Guardian", 8):
            return True
        at += 1
    at = start
    while True:
        at = <const char*>memchr(at, c"h", end - at)
        if at is NULL:
            break
        if _ends(start, at, b"sc", 2) and _begins(at, end, b"hema", 4):
            return True
        at += 1
    return False
