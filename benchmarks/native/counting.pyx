# Tells callgrind where to begin and end; without valgrind around it, nothing happens. Until it begins, a process under
# callgrind is ten times faster than after.

cdef extern from *:
    """
    #include <valgrind/callgrind.h>
    static void counting_begin(void) { CALLGRIND_START_INSTRUMENTATION; }
    static void counting_end(void) { CALLGRIND_STOP_INSTRUMENTATION; }
    """
    void counting_begin()
    void counting_end()


def begin():
    counting_begin()


def end():
    counting_end()
