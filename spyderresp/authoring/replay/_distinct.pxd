# Numbers what batches of one index come to, whoever asked, so that Python looks at each distinct outcome once and not
# once a batch. Two numbers of its table may say the same by other entries; whoever tells it the numbers may merge them.

from libc.stdint cimport int32_t

from spyderresp.decision._batch cimport Batch
from spyderresp.decision._hash_tables cimport RowTable
from spyderresp.decision._index cimport DecisionIndex

cdef class Distinct:
    cdef DecisionIndex index    # whose outcomes are known
    cdef RowTable table         # policies and entries of an outcome; its note is its number
