# Writes a host's document as JSON text, as the standard library would with an indent of two, and checks it on the way.
# The stack is its own, as in reading. Each value is read once.

cdef class JsonWriter:
    cdef list pieces       # of the text
    cdef list open         # iterators over what the open collections hold, outermost first
    cdef list labels       # where each of them stands: its key or place in the one around it
    cdef list mappings     # whether each is a mapping
    cdef object label      # of the value in hand
    cdef dict keys         # keys as they are written
    cdef int count
    cdef int value(self, object value) except -1
    cdef int start_mapping(self, object value) except -1
    cdef int start(self, object iterator, bint mapping) except -1
    cdef str key(self, object key)
    cdef str where(self)
