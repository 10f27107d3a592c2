from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memchr, memcmp


cdef bint _ends(const char* data, const char* at, const char* text, Py_ssize_t size) noexcept nogil:
    """Whether what stands before a place ends with a text."""
    return at - data >= size and memcmp(at - size, text, size) == 0


cdef bint _begins(const char* at, const char* end, const char* text, Py_ssize_t size) noexcept nogil:
    """Whether what stands at a place begins with a text."""
    return end - at >= size and memcmp(at, text, size) == 0


def is_marked(bytes data not None):
    cdef const char* start = PyBytes_AS_STRING(data)
    cdef const char* end = start + PyBytes_GET_SIZE(data)
    cdef const char* at = start
    while True:
        at = <const char*>memchr(at, c"\\", end - at)
        if at is NULL:
            break
        if _begins(at, end, b"\\u", 2):
            return True
        # What is escaped may be a stroke itself.
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
