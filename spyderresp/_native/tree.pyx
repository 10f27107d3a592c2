from cpython.unicode cimport PyUnicode_GET_LENGTH
from libc.stdlib cimport free, realloc

from spyderresp.document import DocumentError

cdef str MERGE = "<<"
# Offsets, lines and columns are kept in 32 bits. Texts and files have a lower limit; only a host's document meets it.
cdef Py_ssize_t MOST_CHARACTERS = 0x7FFFFFFF


cdef class Tree:
    def __cinit__(self, str source not None, Texts texts not None):
        if PyUnicode_GET_LENGTH(source) > MOST_CHARACTERS:
            raise DocumentError("SR004", f"larger than {MOST_CHARACTERS:,} characters")
        self.source = source
        self.texts = texts
        self.held = []

    def __dealloc__(self):
        free(self.cells)

    cdef int push(self, int kind, Py_ssize_t start, Py_ssize_t end, int link) except -1:
        cdef Cell* grown
        cdef int room
        if self.count == self.room:
            room = self.room * 2 if self.room else 64
            grown = <Cell*>realloc(self.cells, room * sizeof(Cell))
            if not grown:
                raise MemoryError
            self.cells = grown
            self.room = room
        cdef Cell* cell = &self.cells[self.count]
        cell.start = start
        cell.end = end
        cell.link = link
        cell.kind = kind
        self.count += 1
        return self.count - 1

    cdef int hold(self, int kind, Py_ssize_t start, Py_ssize_t end, str text) except -1:
        self.held.append(text)
        return self.push(kind, start, end, len(self.held) - 1)

    cdef str text(self, int cell):
        cdef Cell* at = &self.cells[cell]
        if at.kind == WORD:
            return self.texts.span(self.source, at.start, at.end)
        if at.kind == QUOTED:
            return self.texts.span(self.source, at.start + 1, at.end - 1)
        if at.kind == KEY:
            return self.texts.keys[at.link]
        return MERGE if at.kind == MERGE_KEY else self.texts.share(self.held[at.link])

    cdef int get(self, int mapping, int number) noexcept:
        cdef int key = self.key(mapping, number)
        return -1 if key < 0 else meant(self, key + 1)

    cdef int key(self, int mapping, int number) noexcept:
        cdef int end = self.cells[mapping].link, cell = mapping + 1
        while cell < end:
            if self.cells[cell].kind == KEY and self.cells[cell].link == number:
                return cell
            cell = following(self, cell + 1)
        return -1

    cdef object data(self, int root):
        """Return a node as plain data. Not recursive: through aliases a document may be deeper than it is written."""
        cdef int cell, end, value
        cdef object result
        root = meant(self, root)
        result = self.begun(root)
        cdef list pending = [(result, root)]
        while pending:
            holder, cell = pending.pop()
            if self.cells[cell].kind < SEQUENCE:
                continue
            end = self.cells[cell].link
            if self.cells[cell].kind == SEQUENCE:
                cell += 1
                while cell < end:
                    value = meant(self, cell)
                    held = self.begun(value)
                    (<list>holder).append(held)
                    if self.cells[value].kind >= SEQUENCE:
                        pending.append((held, value))
                    cell = following(self, cell)
                continue
            cell = own(self, cell + 1, end)
            while cell < end:
                value = meant(self, cell + 1)
                held = self.begun(value)
                (<dict>holder)[self.texts.keys[self.cells[cell].link]] = held
                if self.cells[value].kind >= SEQUENCE:
                    pending.append((held, value))
                cell = own(self, following(self, cell + 1), end)
        return result

    cdef object begun(self, int cell):
        """Return a scalar's text, or an empty collection to be filled."""
        cdef int kind = self.cells[cell].kind
        if kind == MAPPING:
            return {}
        if kind == SEQUENCE:
            return []
        return None if kind == NOTHING else self.text(cell)

    @property
    def empty(self):
        return self.cells[0].kind == NOTHING

    def plain(self):
        return self.data(0)

    def nodes(self):
        return _node(self, 0)


cdef tuple _node(Tree self, int cell):
    cdef int end, kind
    # Recursive, which is fine for looking at a document; reading one never does this.
    cell = meant(self, cell)
    cdef Cell* at = &self.cells[cell]
    kind, end = at.kind, at.link
    if kind < SEQUENCE:
        return None if kind == NOTHING else self.text(cell), at.start, at.end
    cell += 1
    if kind == SEQUENCE:
        items = []
        while cell < end:
            items.append(_node(self, cell))
            cell = following(self, cell)
        return items, at.start, at.end
    pairs = {}
    cell = own(self, cell, end)
    while cell < end:
        pairs[self.text(cell)] = (_node(self, cell), _node(self, cell + 1))
        cell = own(self, following(self, cell + 1), end)
    return pairs, at.start, at.end
