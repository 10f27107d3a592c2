# Native code runs no bytecode, so the interpreter does not switch threads or see signals in it. Loops over a whole text
# pause now and then: about as often as the interpreter itself would.

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1

cdef inline int pause() except -1:
    """Let other threads run, and a signal's handler."""
    with nogil:
        pass
    PyErr_CheckSignals()
    return 0
