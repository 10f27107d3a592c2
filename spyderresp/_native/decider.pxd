# What an Engine is a subclass of, so that a decision costs no Python call of its own.

from spyderresp._native.index cimport DecisionIndex

cdef class Decider:
    cdef DecisionIndex index
    cdef DecisionIndex serving(self)
