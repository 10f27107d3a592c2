# The response of a policy: list items to Entries, with the lenient repairs of actions.

from spyderresp._native.checking cimport Checker
from spyderresp._native.policy cimport Entry
from spyderresp._native.selector_schema cimport SelectorReader
from spyderresp._native.tree cimport Tree

cdef class ResponseReader:
    cdef Checker check
    cdef Tree tree
    cdef SelectorReader selectors
    cdef str policy_type       # or None
    cdef str section
    # The item in hand. Its body is what stands under the action's key, or MISSING where that is null; or, folded, the
    # item itself, the action's own key apart.
    cdef int key
    cdef str action
    cdef int body
    cdef int skipped           # the number of that key, or -1
    # The entries under ``response``; missing and null mean none. What is wrong is recorded.
    cdef tuple read(self, int node, str policy_type)
    cdef Entry item(self, int item, int index)
    cdef bint find_action(self, int item) except -1
    cdef int unknown(self, int item) except -1
    cdef int first(self) noexcept
    cdef int after(self, int key) noexcept
    cdef int due(self, int key) noexcept
    cdef int field(self, int number) noexcept
    cdef int check_keys(self) except -1
    cdef int unknown_selector(self, int key, str word) except -1
    cdef int check_for_selector(self) except -1
    cdef int service_selector(self, int key) except -1
    cdef tuple parameters(self)
    cdef str severity(self, int node)
    cdef object priority(self, int node)
    cdef str optional_text(self, int node, str field)
    cdef tuple entry_selectors(self)
    cdef int note_portability(self) except -1
