# The columns of a batch's actions with every text written out, for readers that take no dictionaries.
#
# Column by column: what an outcome's actions say is found once, and copied for each of its rows.
# tests/integrations/test_batches.py holds the rows equal to evaluate()'s plans.

from libc.stdint cimport int32_t, uint8_t

from spyderresp.decision._batch cimport Batch

cdef enum:
    TEXTS = 8
    NUMBERS = 3
    COPIED = 32               # bytes that are copied of a short text, whatever its size

# A text. COPIED bytes from its first on can be read.
cdef struct Piece:
    const uint8_t* bytes
    Py_ssize_t size

cdef class PlainWords:
    cdef uint8_t* bytes
    cdef Piece* pieces[TEXTS]     # of each column; behind the last an empty one, for null
    cdef int32_t counts[TEXTS]
    cdef int valid_bit[TEXTS]     # the bit of an action that is set where it has this text; -1 where it always has one
    cdef readonly Py_ssize_t memory    # bytes

cdef class PlainActions:
    cdef Batch batch
    cdef PlainWords words
    cdef Piece* pieces            # scratch: what each action of an outcome says in the column at hand
    cdef readonly Py_ssize_t count
    cdef readonly dict sizes
