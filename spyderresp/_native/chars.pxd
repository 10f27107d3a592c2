# The three widths in which CPython keeps the characters of a text. Code that walks a text is compiled for each.

cdef extern from "Python.h":
    ctypedef unsigned char UCS1 "Py_UCS1"
    ctypedef unsigned short UCS2 "Py_UCS2"
    ctypedef unsigned int UCS4 "Py_UCS4"

ctypedef fused Char:
    UCS1
    UCS2
    UCS4
