# One document of a policy file as an array of nodes: what its author typed, and at which offset.
#
# The JSON reader and the YAML builder write the array in one pass; the schema (_schema.pxd) reads it. A node is 16
# bytes and no Python object. Equal keys of one load share a number, and repeated strings share one object. The line
# table turns an offset into a line and a column. tests/native/test_reading.py and tests/property/test_loading.py hold
# this module.

# --- Characters ---
#
# The three widths in which CPython stores the characters of a str. Code that scans a text is compiled for each.

cdef extern from "Python.h":
    ctypedef unsigned char UCS1 "Py_UCS1"
    ctypedef unsigned short UCS2 "Py_UCS2"
    ctypedef unsigned int UCS4 "Py_UCS4"

ctypedef fused Char:
    UCS1
    UCS2
    UCS4

# --- Strings of a load ---
#
# Keys get numbers, so that they compare as ints. Repeated values share one object.
#
# Equal keys always have one number. The slots are only a cache, direct-mapped: a string that is not found there is
# created again, so no choice of strings makes loading slow or large.

cdef struct Slot:
    unsigned int hash
    int number          # of the text as a key, or -1 while it has none
    void* text          # a str, owned; NULL where the slot is free

cdef class Texts:
    cdef dict numbers           # key to number
    cdef list keys              # number to key
    cdef long long* stamps      # by number: the mapping that was last seen to hold the key
    cdef Py_ssize_t stamped     # how many stamps there is room for
    cdef long long mapping      # the mapping looked at now
    cdef Slot* slots
    cdef unsigned int mask
    cdef unsigned int misses
    cdef dict tuples
    # The number of a key.
    cdef int number(self, str key) except -1
    cdef int number_of_span(self, str source, Py_ssize_t start, Py_ssize_t end) except -1
    # The text itself, as the one object that stands for it where it was met lately.
    cdef str span(self, str source, Py_ssize_t start, Py_ssize_t end)
    cdef str share(self, str text)
    cdef tuple share_tuple(self, tuple values)
    cdef int begin_mapping(self) except -1
    # Tell whether the mapping begun last has a key already; and remember that it has.
    cdef int again(self, int number) except -1
    cdef Slot* find(self, str source, Py_ssize_t start, Py_ssize_t end) except NULL
    cdef int grow(self) except -1
    cdef void clear_slots(self) noexcept

cdef bint has_surrogate(str text) noexcept

# The number that a word of the policy language has in every load.
cdef int known(str word) except -1
# A set of such words, as flags by number; and whether a key is one of them.
cdef bytes words(valid)


cdef inline bint among(bytes valid, int number) noexcept:
    return number < len(valid) and (<const unsigned char*>valid)[number]

# --- Document ---
#
# Nodes stand in the order of the text, a collection before its content; a mapping holds keys and values in turn. The
# string of a scalar is created when it is read, so nodes that are not read cost nothing. All nodes are freed together.


cdef enum Kind:
    NOTHING         # null
    WORD            # a text: the characters from start to end
    QUOTED          # a text: those within the quotes
    HELD            # a text: link is its place in ``held``
    KEY             # a text that is a key: link is its number
    MERGE_KEY       # a plain `<<`; as a key, its pair is not one of the mapping's own
    SEQUENCE        # link is the cell after all that it holds
    MAPPING         # the same
    ALIAS           # link is the node that it refers to, which is no alias

cdef struct Cell:
    unsigned int start    # offset of the first character
    unsigned int end      # and of the one after the last
    int link
    int kind

cdef class Tree:
    cdef Cell* cells
    cdef int count
    cdef int room
    cdef str source
    cdef Texts texts
    cdef list held
    cdef int push(self, int kind, Py_ssize_t start, Py_ssize_t end, int link) except -1
    cdef int hold(self, int kind, Py_ssize_t start, Py_ssize_t end, str text) except -1
    # The text of a scalar that is not null.
    cdef str text(self, int cell)
    # The value under a key of a mapping, by the key's number, or -1.
    cdef int get(self, int mapping, int number) noexcept
    # The key itself; only where the mapping has it.
    cdef int key(self, int mapping, int number) noexcept
    cdef object data(self, int root)
    cdef object begun(self, int cell)


cdef inline bint is_text(Tree tree, int cell) noexcept:
    return tree.cells[cell].kind != NOTHING and tree.cells[cell].kind <= MERGE_KEY


cdef inline int following(Tree tree, int cell) noexcept:
    """Return the cell after a node and all that it holds."""
    cdef int kind = tree.cells[cell].kind
    return tree.cells[cell].link if kind == SEQUENCE or kind == MAPPING else cell + 1


cdef inline int target_of(Tree tree, int cell) noexcept:
    """Return the node that an alias points to; any other node is returned as it is."""
    return tree.cells[cell].link if tree.cells[cell].kind == ALIAS else cell


cdef inline int own(Tree tree, int cell, int end) noexcept:
    """Return the first key from a cell on that is not a merge key, or ``end``."""
    while cell < end and tree.cells[cell].kind == MERGE_KEY:
        cell = following(tree, cell + 1)
    return cell

# --- Lines ---
#
# Line breaks are those of YAML 1.1, so that lines here are the lines of the YAML parser's marks.

cdef class LineTable:
    cdef Py_ssize_t* starts    # of each line, ascending; the first is 0
    cdef Py_ssize_t count
    cdef Py_ssize_t room
    cdef Py_ssize_t length     # of the text
    cdef Py_ssize_t last       # the row last asked for: the next question is mostly about the same or the next one
    cdef int begin(self, Py_ssize_t offset) except -1
    # The line that holds an offset, from 0.
    cdef Py_ssize_t row(self, Py_ssize_t offset) noexcept

# --- JSON reader ---
#
# Reads a JSON text (RFC 8259) in one pass with its own stack, so that depth needs no recursion. A string without
# escapes is only scanned; any other goes to the standard library's scanner, so that both accept the same strings and
# raise the same errors.


cdef class JsonReader:
    cdef Tree tree
    cdef str text
    cdef Py_ssize_t length
    cdef bint surrogates    # lone ones are accepted
    # A fault of a text that may not be JSON at all: it is raised once the whole is known to be JSON.
    cdef object fault       # DocumentError or None: the first by place
    cdef Py_ssize_t fault_at
    cdef int blame(self, Py_ssize_t start, object error) except -1
    cdef Py_ssize_t escaped(self, Py_ssize_t at, bint key) except -1
    cdef int close(self, int cell, Py_ssize_t end) except -1

# --- YAML builder ---
#
# Turns the events of a YAML stream into nodes, document by document, with its own stack.
#
# An anchor is the index of a node, and an alias is a node that links to it. Keys get their numbers when their mapping
# ends; pairs that `<<` merges are written behind the mapping's own, as a copy of the key and an alias.


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
    cdef int finish_mapping(self, int mapping) except -1
    cdef int finish_key(self, int cell) except -1
    cdef int check_merge(self, int key) except -1
    cdef int merge_from(self, int source) except -1
