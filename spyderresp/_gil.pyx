
# Interpreted, and not native as a lambda written here would be: at its start the interpreter looks for what is due.
cdef object _pause = eval("lambda: None")


cdef int pause() except -1:
    _pause()
    return 0
