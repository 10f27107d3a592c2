from json import JSONDecodeError
from json.decoder import scanstring

from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND

from spyderresp._native.chars cimport Char, UCS1, UCS2, UCS4
from spyderresp._native.pauses cimport pause
from spyderresp._native.texts cimport Texts, has_surrogate
from spyderresp._native.tree cimport HELD, KEY, MAPPING, NOTHING, QUOTED, SEQUENCE, WORD, Tree, following

from spyderresp import document
from spyderresp.document import DocumentError, NotJsonError, duplicate_key, too_deep, too_many

cdef enum:
    DEPTH = 200
    PAUSE = 0x8000    # some milliseconds of reading

cdef int MAX_NODES = document.MAX_NODES
if document.MAX_DEPTH != DEPTH:
    raise ImportError("the native JSON reader is built for another depth")


cdef class JsonReader:
    def __cinit__(self, str text not None, Texts texts not None, bint surrogates):
        self.text = text
        self.length = PyUnicode_GET_LENGTH(text)
        self.tree = Tree(text, texts)
        self.surrogates = surrogates

    cdef int blame(self, Py_ssize_t start, object error) except -1:
        if self.fault is None or start < self.fault_at:
            self.fault = error
            self.fault_at = start
        return 0

    cdef Py_ssize_t escaped(self, Py_ssize_t at, bint key) except -1:
        """Read a string that has escapes, or that is none; return the offset after it."""
        cdef Py_ssize_t end
        cdef str text
        try:
            text, end = scanstring(self.text, at + 1, True)
        except JSONDecodeError as error:
            raise NotJsonError(error.msg.lower(), error.pos) from None
        if not self.surrogates and has_surrogate(text):
            self.blame(at, DocumentError("SR018", "a lone surrogate is no character", at, end))
        if key:
            self.tree.push(KEY, at, end, self.tree.texts.number(text))
        else:
            self.tree.hold(HELD, at, end, text)
        return end

    cdef int close(self, int cell, Py_ssize_t end) except -1:
        cdef Tree tree = self.tree
        cdef int key
        tree.cells[cell].end = end
        tree.cells[cell].link = tree.count
        if tree.cells[cell].kind == MAPPING:
            tree.texts.begin_mapping()
            key = cell + 1
            while key < tree.count:
                if tree.texts.again(tree.cells[key].link):
                    at = &tree.cells[key]
                    self.blame(at.start, duplicate_key(tree.text(key), at.start, at.end))
                    break
                key = following(tree, key + 1)
        return 0


cdef inline Py_ssize_t _space(const Char* text, Py_ssize_t at, Py_ssize_t length) noexcept:
    while at < length and (text[at] == 0x20 or text[at] == 0x0A or text[at] == 0x0D or text[at] == 0x09):
        at += 1
    return at


cdef inline Py_ssize_t _digits(const Char* text, Py_ssize_t at, Py_ssize_t length) noexcept:
    while at < length and c"0" <= text[at] <= c"9":
        at += 1
    return at


cdef inline bint _word(const Char* text, Py_ssize_t at, Py_ssize_t length, const char* word, int letters) noexcept:
    cdef int i
    if length - at < letters:
        return False
    for i in range(letters):
        if text[at + i] != <Char>word[i]:
            return False
    return True


cdef Py_ssize_t _literal(const Char* text, Py_ssize_t at, Py_ssize_t length) noexcept:
    """Return the offset after a number or boolean, or -1 where there is none."""
    cdef Py_ssize_t end, more
    if _word(text, at, length, b"true", 4):
        return at + 4
    if _word(text, at, length, b"false", 5):
        return at + 5
    if at < length and text[at] == c"-":
        at += 1
    end = _digits(text, at, length)
    if end == at:
        return -1
    if text[at] == c"0":
        end = at + 1
    if end < length and text[end] == c".":
        more = _digits(text, end + 1, length)
        if more > end + 1:
            end = more
        else:
            return end
    if end < length and (text[end] == c"e" or text[end] == c"E"):
        at = end + 1
        if at < length and (text[at] == c"+" or text[at] == c"-"):
            at += 1
        more = _digits(text, at, length)
        if more > at:
            end = more
    return end


cdef inline Py_ssize_t _string(JsonReader reader, const Char* text, Py_ssize_t at, bint key) except -1:
    """Read a string, the key of a mapping or a value, and return the offset after it."""
    cdef Py_ssize_t end = at + 1
    cdef Char char
    while end < reader.length:
        char = text[end]
        if char == c'"':
            break
        if char == c"\\" or char < 0x20:
            return reader.escaped(at, key)
        if Char is not UCS1:
            if 0xD800 <= char <= 0xDFFF:
                return reader.escaped(at, key)
        end += 1
    else:
        return reader.escaped(at, key)
    if key:
        reader.tree.push(KEY, at, end + 1, reader.tree.texts.number_of_span(reader.text, at + 1, end))
    else:
        reader.tree.push(QUOTED, at, end + 1, 0)
    return end + 1


cdef Py_ssize_t _key(JsonReader reader, const Char* text, Py_ssize_t at) except -1:
    """Read a key and its colon, and return the offset after them."""
    at = _space(text, at, reader.length)
    if at >= reader.length or text[at] != c'"':
        raise NotJsonError("expected a key in double quotes", at)
    at = _space(text, _string(reader, text, at, True), reader.length)
    if at >= reader.length or text[at] != c":":
        raise NotJsonError("expected `:`", at)
    return at + 1


cdef int _read(JsonReader reader, const Char* text) except -1:
    cdef int[DEPTH] stack
    cdef int depth = 0, cell, nodes = 0
    cdef Py_ssize_t at = 0, end, length = reader.length
    cdef Tree tree = reader.tree
    cdef bint mapping
    cdef Char closing
    while True:
        # A value is due.
        at = _space(text, at, length)
        nodes += 1
        if nodes > MAX_NODES:
            raise too_many(at)
        if nodes % PAUSE == 0:
            pause()
        if at < length and (text[at] == c"{" or text[at] == c"["):
            if depth >= DEPTH:
                raise too_deep(at)
            mapping = text[at] == c"{"
            closing = c"}" if mapping else c"]"
            stack[depth] = tree.push(MAPPING if mapping else SEQUENCE, at, at, 0)
            depth += 1
            at = _space(text, at + 1, length)
            if at >= length or text[at] != closing:
                if mapping:
                    at = _key(reader, text, at)
                continue
            at += 1
            depth -= 1
            reader.close(stack[depth], at)
        elif at < length and text[at] == c'"':
            at = _string(reader, text, at, False)
        elif _word(text, at, length, b"null", 4):
            tree.push(NOTHING, at, at + 4, 0)
            at += 4
        else:
            end = _literal(text, at, length)
            if end < 0:
                raise NotJsonError("expected a value", at)
            tree.push(WORD, at, end, 0)
            at = end
        # An element is complete: a comma follows, or the end of the collection, which is then an element itself.
        while depth:
            cell = stack[depth - 1]
            mapping = tree.cells[cell].kind == MAPPING
            closing = c"}" if mapping else c"]"
            at = _space(text, at, length)
            if at < length and text[at] == c",":
                at += 1
                if mapping:
                    at = _key(reader, text, at)
                break
            if at >= length or text[at] != closing:
                raise NotJsonError("expected `,` or the end of the collection", at)
            at += 1
            depth -= 1
            reader.close(cell, at)
        else:
            break
    if reader.fault is not None:
        raise reader.fault
    at = _space(text, at, length)
    if at != length:
        raise NotJsonError("extra data after the document", at)
    return 0


def read_json(str text not None, Texts texts=None, *, bint surrogates=False):
    cdef JsonReader reader = JsonReader(text, texts if texts is not None else Texts(), surrogates)
    cdef int kind = PyUnicode_KIND(text)
    if kind == 1:
        _read[UCS1](reader, <const UCS1*>PyUnicode_DATA(text))
    elif kind == 2:
        _read[UCS2](reader, <const UCS2*>PyUnicode_DATA(text))
    else:
        _read[UCS4](reader, <const UCS4*>PyUnicode_DATA(text))
    return reader.tree
