# From the nodes of a document (_document.pxd) to policies (_model.pxd): every check of the policy language, in one
# pass.
#
# A failed check records a finding with its position; reading goes on, so that one load reports every fault. A value
# that passes its checks does not become a Python object, except its strings. The JSON writer turns a document that the
# host gives as Python objects into JSON text, which is then read like any other text.

from spyderresp.policies._document cimport LineTable, Texts, Tree
from spyderresp.policies._model cimport Clause, Entry, Policy, Selector

# --- Checks ---
#
# Shape checks that all parts of the schema share. A failed check records a finding.


# What stands in the place of a cell where there is none.
cdef enum:
    MISSING = -1    # nothing is there, or null where that means nothing
    WRONG = -3      # what is there has been recorded as wrong

cdef class Checker:
    cdef Tree tree
    cdef object source
    cdef object path
    cdef LineTable lines
    cdef object findings
    cdef int errors    # of the whole load, so far
    cdef int error(self, str code, int cell, str message, str help=*) except -1
    cdef int place(self, int cell, int* line, int* column) except -1
    # The text of a scalar; null is an error. None where it is wrong.
    cdef str text(self, int cell, str what)
    # Whether it is a mapping; null is an error.
    cdef bint mapping(self, int cell, str what) except -1
    # The sequence, MISSING or WRONG; missing and null mean an empty list.
    cdef int items(self, int cell, str what) except -2
    # 1, 0, or WRONG: in any of YAML's spellings.
    cdef int boolean(self, int cell, str what) except -2
    # A text that is one of ``valid``, or None where it is wrong.
    cdef str choice(self, int cell, str what, tuple valid, str code)
    # Records an error for each key that is not one of ``valid``, whose flags are ``flags``.
    cdef int keys(self, int mapping, tuple valid, bytes flags, str code, str where) except -1
    cdef Clause clause(self, str key, str operator, tuple values, str primitive, int cell)
    cdef str shape(self, int cell)

# --- Selectors ---
#
# Selector nodes to Selectors: primitives, fields, labels, expressions, and their lenient repair.


cdef class SelectorReader:
    cdef Checker check
    cdef Tree tree
    # The selector in hand.
    cdef int key          # its key
    cdef str name         # the text of that
    cdef str scope
    cdef bint labels      # it selects by label
    cdef list clauses
    # The selector under a key, or None after recording at least one error.
    cdef Selector read(self, int key, int node, str scope)
    cdef int empty(self) except -1
    cdef int entry(self, int key, int value) except -1
    cdef int bare_field(self, int key, int value) except -1
    cdef int bare_label(self, int key, int value) except -1
    cdef bint label_shaped(self, int value) noexcept
    cdef int matches(self, str primitive, int value) except -1
    cdef int expressions(self, str primitive, int value) except -1
    cdef str primitive_help(self)
    cdef bint known_field(self, int cell, str field) except -1
    cdef int match(self, str primitive, int key, str field, int value) except -1
    cdef tuple values(self, int sequence, str what)
    cdef int expression(self, str primitive, int mapping) except -1
    cdef tuple operands(self, int mapping, str operator)

# The scope that a selector's key is about, or None.
cdef str scope_of(int number)

# --- Response ---
#
# The response of a policy: list items to Entries, with the lenient repairs of actions.


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

# --- Policies ---
#
# Which documents are policies, their metadata and spec, and the checks over a whole set.


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
    cdef dict uids          # uid to the place of the first policy with it
    cdef dict names
    cdef Places* places     # of each policy
    cdef Py_ssize_t room
    # The document in hand, or the text of several in one list.
    cdef Checker check
    cdef Tree tree
    cdef SelectorReader selectors
    cdef ResponseReader response
    cdef int read_list(self, int root) except -3
    cdef int document(self, int node) except -1
    cdef int policy(self, int node) except -1
    cdef str required(self, int node, int number, str key, str code)
    cdef int check_spec_keys(self, int spec) except -1
    cdef str mode(self, int key, int spec)
    cdef tuple spec_selectors(self, int key, int spec, str policy_type)
    cdef int unique(self, Policy policy, int metadata) except -1
    cdef str first_place(self, Py_ssize_t place, bint uid)
    cdef Places* next_places(self) except NULL

# --- JSON writer ---
#
# Writes a host's document as JSON text, as the standard library does with an indent of two, and checks it. It has its
# own stack. Each value is read once.

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
