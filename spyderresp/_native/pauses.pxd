# Native code runs no bytecode, so the interpreter does not switch threads or see signals in it. Loops over much pause
# now and then, so that it can: far more often than its switch interval, for a thread that waits asks for its turn once
# the interval has passed, and has it at the next pause.
#
# To release the lock and take it again would be worse than nothing. Whoever waits is woken by it, finds the lock taken
# again, and begins its interval anew: it would wait for as long as pauses come often.
# tests/native/test_threads.py holds that a thread has its turn.

# Let other threads run, and a signal's handler, where they are due.
cdef int pause() except -1
