# What an Engine is a subclass of, so that a decision costs no Python call of its own.

from spyderresp._native.index cimport DecisionIndex
from spyderresp._native.narrow cimport Narrow

cdef class Decider:
    cdef DecisionIndex index
    cdef Narrow narrow    # of the same index
    cdef DecisionIndex serving(self)
    cdef Narrow reading(self)
