from spyderresp._native.policy cimport Clause
from spyderresp._native.texts cimport among
from spyderresp._native.tree cimport MAPPING, NOTHING, SEQUENCE, Tree, following, is_text, own

from spyderresp import vocabulary
from spyderresp.findings import quoted, suggestion

cdef frozenset TRUE = vocabulary.TRUE
cdef frozenset FALSE = vocabulary.FALSE


cdef class Checker:
    def __cinit__(self, Tree tree not None, source, findings):
        self.tree = tree
        self.source = source
        self.path = source.path
        self.lines = source.lines
        self.findings = findings
        self.errors = findings.errors

    cdef int error(self, str code, int cell, str message, str help="") except -1:
        """Record a finding about a node; its level is the code's."""
        at = &self.tree.cells[cell]
        self.findings.add(code, message, self.source, at.start, at.end, help)
        self.errors = self.findings.errors
        return 0

    cdef int place(self, int cell, int* line, int* column) except -1:
        cdef Py_ssize_t start = self.tree.cells[cell].start, row = self.lines.row(start)
        line[0] = <int>row + 1
        column[0] = <int>(start - self.lines.starts[row]) + 1
        return 0

    cdef str text(self, int cell, str what):
        if is_text(self.tree, cell):
            return self.tree.text(cell)
        if self.tree.cells[cell].kind == NOTHING:
            self.error("SR110", cell, f"`{what}` needs a value", "write one, or leave the key out")
        else:
            self.error("SR113", cell, f"`{what}` must be a text, not {self.shape(cell)}")
        return None

    cdef bint mapping(self, int cell, str what) except -1:
        if self.tree.cells[cell].kind == MAPPING:
            return True
        if self.tree.cells[cell].kind == NOTHING:
            self.error("SR110", cell, f"`{what}` needs a mapping and null is written")
        else:
            self.error("SR111", cell, f"`{what}` must be a mapping, not {self.shape(cell)}")
        return False

    cdef int items(self, int cell, str what) except -2:
        if cell == MISSING or self.tree.cells[cell].kind == NOTHING:
            return MISSING
        if self.tree.cells[cell].kind == SEQUENCE:
            return cell
        self.error("SR112", cell, f"`{what}` must be a list, not {self.shape(cell)}", "begin each item with `- `")
        return WRONG

    cdef int boolean(self, int cell, str what) except -2:
        cdef str word = self.tree.text(cell) if is_text(self.tree, cell) else None
        if word is not None:
            low = word.lower()
            if (low in TRUE or low in FALSE) and word in (low, word.upper(), word.capitalize()):
                return low in TRUE
        shown = quoted(word) if word is not None else self.shape(cell)
        self.error("SR114", cell, f"`{what}` must be true or false, not {shown}")
        return WRONG

    cdef str choice(self, int cell, str what, tuple valid, str code):
        cdef str text = self.text(cell, what)
        if text is None or text in valid:
            return text
        self.error(code, cell, f"unknown {what} {quoted(text)}", suggestion(text, valid))
        return None

    cdef int keys(self, int mapping, tuple valid, bytes flags, str code, str where) except -1:
        cdef Tree tree = self.tree
        cdef int end = tree.cells[mapping].link, key = own(tree, mapping + 1, end)
        while key < end:
            if not among(flags, tree.cells[key].link):
                word = tree.text(key)
                self.error(code, key, f"unknown key {quoted(word)} in {where}", suggestion(word, valid))
            key = own(tree, following(tree, key + 1), end)
        return 0

    cdef Clause clause(self, str key, str operator, tuple values, str primitive, int cell):
        cdef Clause clause = Clause.__new__(Clause)
        clause.key = key
        clause.operator = operator
        clause.values = self.tree.texts.share_tuple(values)
        clause.primitive = primitive
        clause.path = self.path
        self.place(cell, &clause.line, &clause.column)
        return clause

    cdef str shape(self, int cell):
        cdef int kind = self.tree.cells[cell].kind
        if kind == MAPPING:
            return "a mapping"
        if kind == SEQUENCE:
            return "a list"
        return "null" if kind == NOTHING else "a text"
