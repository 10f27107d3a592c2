# Lets other threads run during long native work.
#
# Native code runs no bytecode, so the interpreter neither switches threads nor handles signals in it. Long loops call
# pause() now and then, far more often than the switch interval: a waiting thread requests the GIL after one interval
# and gets it at the next pause.
#
# Releasing the GIL and taking it back at once would be worse than nothing: it wakes the waiting thread, which finds the
# GIL taken and starts its interval again. tests/native/test_threads.py holds that a waiting thread runs.

# Let other threads run, and a signal's handler, where they are due.
cdef int pause() except -1
