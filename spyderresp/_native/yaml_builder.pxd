# Turns the events of a YAML stream into cells, document by document, with a stack of its own.
#
# An anchor leads to a cell, and an alias is a cell that leads there. Keys are settled when their mapping ends: each
# gets its number, and what `<<` brings in is written behind them as further pairs, of a copy of the key and an alias.

from spyderresp._native.texts cimport Texts
from spyderresp._native.tree cimport Tree

cdef class YamlBuilder:
    cdef object next            # the next event
    cdef object document_start, stream_end, scalar, sequence_start, mapping_start, alias    # the classes of events
    cdef bint checked           # whether the parser has refused lone surrogates already
    cdef str source
    cdef Texts texts
    cdef Tree tree
    cdef dict anchors           # name to cell, or to -1 while its collection is open
    cdef dict sizes             # cell of an anchored collection to its values, counted as often as they are reached
    cdef int max_nodes
    cdef int max_aliased
    cdef int nodes
    cdef int aliased
    cdef int build(self) except -1
    cdef int count(self, Py_ssize_t start) except -1
    cdef int add_scalar(self, event) except -1
    cdef int add_alias(self, event) except -1
    cdef int settle(self, int mapping) except -1
    cdef int settle_key(self, int cell) except -1
    cdef int check_merge(self, int key) except -1
    cdef int merge_from(self, int source) except -1
