# One document as a row of cells: what its author typed, and where.
#
# Nodes stand in the order of the text, a collection before what it holds; a mapping holds keys and values in turn. A
# cell is 16 bytes and is no Python object; the text of a scalar becomes one only when somebody asks for it, so what is
# not read costs nothing, and all of it goes at once when the document has been read.

from spyderresp._native.texts cimport Texts

cdef enum Kind:
    NOTHING         # null
    WORD            # a text: the characters from start to end
    QUOTED          # a text: those within the quotes
    HELD            # a text: link is its place in ``held``
    KEY             # a text that is a key: link is its number
    MERGE_KEY       # a plain `<<`; as a key, its pair is not one of the mapping's own
    SEQUENCE        # link is the cell after all that it holds
    MAPPING         # the same
    ALIAS           # link is the cell that is meant, which is no alias

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


cdef inline int meant(Tree tree, int cell) noexcept:
    """Return the node itself where an alias stands for it."""
    return tree.cells[cell].link if tree.cells[cell].kind == ALIAS else cell


cdef inline int own(Tree tree, int cell, int end) noexcept:
    """Return the first key from a cell on that is not a merge key, or ``end``."""
    while cell < end and tree.cells[cell].kind == MERGE_KEY:
        cell = following(tree, cell + 1)
    return cell
