# Documents to policies: which documents are policies, their metadata and spec, and what holds over a whole set.

from spyderresp._native.checking cimport Checker
from spyderresp._native.policy cimport Policy
from spyderresp._native.response_schema cimport ResponseReader
from spyderresp._native.selector_schema cimport SelectorReader
from spyderresp._native.texts cimport Texts
from spyderresp._native.tree cimport Tree

# Where a policy says its uid and its name.
cdef struct Places:
    int uid_line
    int uid_column
    int name_line
    int name_column

cdef class PolicyReader:
    cdef readonly list policies
    cdef readonly Texts texts
    cdef object findings
    cdef dict uids          # uid to the place of the first policy that bears it
    cdef dict names
    cdef Places* places     # of each policy
    cdef Py_ssize_t room
    # The document in hand, or the text of several in one list.
    cdef Checker check
    cdef Tree tree
    cdef SelectorReader selectors
    cdef ResponseReader response
    cdef int listed(self, int root) except -3
    cdef int document(self, int node) except -1
    cdef int policy(self, int node) except -1
    cdef str required(self, int node, int number, str key, str code)
    cdef int check_spec_keys(self, int spec) except -1
    cdef str mode(self, int key, int spec)
    cdef tuple spec_selectors(self, int key, int spec, str policy_type)
    cdef int unique(self, Policy policy, int metadata) except -1
    cdef str first_place(self, Py_ssize_t place, bint uid)
    cdef Places* next_places(self) except NULL
