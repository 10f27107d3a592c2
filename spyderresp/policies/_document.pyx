from json import JSONDecodeError
from json.decoder import scanstring

from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ, PyUnicode_Substring
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp

from spyderresp._gil cimport pause

from spyderresp.policies import document_limits as document
from spyderresp.policies import vocabulary
from spyderresp.policies.document_limits import DocumentError, NotJsonError, duplicate_key, too_deep, too_many

cdef extern from "Python.h":
    int PyUnicode_IS_ASCII(object text) noexcept


# --- Strings of a load ---

cdef tuple WORDS = tuple(
    dict.fromkeys(
        [
            *vocabulary.TOP_KEYS,
            *vocabulary.LIST_KEYS,
            *vocabulary.SPEC_KEYS,
            *vocabulary.PRIMITIVES,
            *vocabulary.EXPRESSION_KEYS,
            *vocabulary.ACTION_FIELDS,
            *[field for fields in vocabulary.ACTION_FIELDS.values() for field in fields],
            *("name", "type", "uid", "default", "actions"),
        ]
    )
)
cdef dict NUMBERS = {word: number for number, word in enumerate(WORDS)}

# Texts longer than this are not likely to come again.
cdef Py_ssize_t SHARED_LENGTH = 64
cdef unsigned int FEWEST_SLOTS = 256
cdef unsigned int MOST_SLOTS = 16384
cdef Py_ssize_t MOST_KEYS = 50_000
cdef Py_ssize_t MOST_TUPLES = 4_000


cdef int known(str word) except -1:
    return NUMBERS[word]


cdef bytes words(valid):
    if not NUMBERS.keys() >= set(valid):
        raise KeyError("a word that has no number of its own")
    return bytes([word in valid for word in WORDS])


cdef unsigned int _hash(const Char* text, Py_ssize_t length) noexcept:
    """FNV-1a over the characters, so that the width in which they are kept does not matter."""
    cdef unsigned int value = 2166136261
    cdef Py_ssize_t i
    for i in range(length):
        value = (value ^ text[i]) * 16777619
    return value ^ (value >> 15)


cdef bint _equal(str text, str source, Py_ssize_t start, Py_ssize_t length) noexcept:
    cdef int kind = PyUnicode_KIND(source), width = PyUnicode_KIND(text)
    cdef void* left = PyUnicode_DATA(text)
    cdef void* right = PyUnicode_DATA(source)
    cdef Py_ssize_t i
    if PyUnicode_GET_LENGTH(text) != length:
        return False
    if kind == width:
        return memcmp(left, <char*>right + start * kind, length * kind) == 0
    for i in range(length):
        if PyUnicode_READ(width, left, i) != PyUnicode_READ(kind, right, start + i):
            return False
    return True


cdef bint has_surrogate(str text) noexcept:
    cdef Py_UCS4 char
    if PyUnicode_IS_ASCII(text):
        return False
    for char in text:
        if 0xD800 <= char <= 0xDFFF:
            return True
    return False


cdef class Texts:
    """The texts of one load, each kept once."""

    def __cinit__(self):
        self.numbers = NUMBERS.copy()
        self.keys = list(WORDS)
        self.tuples = {}
        self.mask = FEWEST_SLOTS - 1
        self.slots = <Slot*>calloc(FEWEST_SLOTS, sizeof(Slot))
        if not self.slots:
            raise MemoryError

    def __dealloc__(self):
        self.clear_slots()
        free(self.slots)
        free(self.stamps)

    cdef void clear_slots(self) noexcept:
        cdef unsigned int i
        if self.slots:
            for i in range(self.mask + 1):
                if self.slots[i].text:
                    Py_DECREF(<object>self.slots[i].text)
                    self.slots[i].text = NULL

    cdef int number(self, str key) except -1:
        found = self.numbers.get(key)
        if found is not None:
            return found
        cdef int number = len(self.keys)
        self.keys.append(key)
        self.numbers[key] = number
        return number

    cdef int number_of_span(self, str source, Py_ssize_t start, Py_ssize_t end) except -1:
        cdef Slot* slot
        if end - start > SHARED_LENGTH:
            return self.number(PyUnicode_Substring(source, start, end))
        slot = self.find(source, start, end)
        if slot.number < 0:
            slot.number = self.number(<str>slot.text)
        return slot.number

    cdef str span(self, str source, Py_ssize_t start, Py_ssize_t end):
        if end - start > SHARED_LENGTH:
            return PyUnicode_Substring(source, start, end)
        return <str>self.find(source, start, end).text

    cdef str share(self, str text):
        cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text)
        if length > SHARED_LENGTH:
            return text
        return <str>self.find(text, 0, length).text

    cdef tuple share_tuple(self, tuple values):
        if len(self.tuples) >= MOST_TUPLES:
            self.tuples.clear()
        return self.tuples.setdefault(values, values)

    cdef int begin_mapping(self) except -1:
        self.mapping += 1
        return 0

    cdef int again(self, int number) except -1:
        cdef Py_ssize_t room
        cdef long long* grown
        if number >= self.stamped:
            room = 2 * len(self.keys)
            grown = <long long*>realloc(self.stamps, room * sizeof(long long))
            if not grown:
                raise MemoryError
            self.stamps = grown
            while self.stamped < room:
                grown[self.stamped] = 0
                self.stamped += 1
        if self.stamps[number] == self.mapping:
            return True
        self.stamps[number] = self.mapping
        return False

    cdef Slot* find(self, str source, Py_ssize_t start, Py_ssize_t end) except NULL:
        cdef int kind = PyUnicode_KIND(source)
        cdef void* data = PyUnicode_DATA(source)
        cdef unsigned int hash
        cdef Slot* slot
        if kind == 1:
            hash = _hash[UCS1](<const UCS1*>data + start, end - start)
        elif kind == 2:
            hash = _hash[UCS2](<const UCS2*>data + start, end - start)
        else:
            hash = _hash[UCS4](<const UCS4*>data + start, end - start)
        slot = &self.slots[hash & self.mask]
        if slot.text and slot.hash == hash and _equal(<str>slot.text, source, start, end - start):
            return slot
        if self.misses > 2 * self.mask and self.mask + 1 < MOST_SLOTS:
            self.grow()
            slot = &self.slots[hash & self.mask]
        self.misses += 1
        text = source if start == 0 and end == PyUnicode_GET_LENGTH(source) else PyUnicode_Substring(source, start, end)
        Py_INCREF(text)
        if slot.text:
            Py_DECREF(<object>slot.text)
        slot.text = <void*>text
        slot.hash = hash
        slot.number = -1
        return slot

    cdef int grow(self) except -1:
        cdef unsigned int count = (self.mask + 1) * 4
        cdef Slot* grown = <Slot*>calloc(count, sizeof(Slot))
        if not grown:
            raise MemoryError
        self.clear_slots()
        free(self.slots)
        self.slots = grown
        self.mask = count - 1
        self.misses = 0
        return 0

    def forget(self):
        """Let go of the keys met so far where they are many; only between two texts, when no tree is in use."""
        if len(self.keys) > MOST_KEYS:
            self.numbers = NUMBERS.copy()
            self.keys = list(WORDS)
            self.clear_slots()
        return 0


# --- Document ---

cdef str MERGE = "<<"
# Offsets, lines and columns are kept in 32 bits. Texts and files have a lower limit; only a host's document meets it.
cdef Py_ssize_t MOST_CHARACTERS = 0x7FFFFFFF


cdef class Tree:
    """One document: what its author typed, and where."""

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
        return -1 if key < 0 else target_of(self, key + 1)

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
        root = target_of(self, root)
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
                    value = target_of(self, cell)
                    held = self.begun(value)
                    (<list>holder).append(held)
                    if self.cells[value].kind >= SEQUENCE:
                        pending.append((held, value))
                    cell = following(self, cell)
                continue
            cell = own(self, cell + 1, end)
            while cell < end:
                value = target_of(self, cell + 1)
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
        """Whether the document is null."""
        return self.cells[0].kind == NOTHING

    def plain(self):
        """Return the document as plain data: None, str, list and dict."""
        return self.data(0)

    def nodes(self):
        """Return the document with its places: every node as what it is, and its start and end in the text.

        A scalar is its text, or None; a sequence is a list of nodes; a mapping is a dict from the text of a key to the
        key's own node and that of its value.
        """
        return _node(self, 0)


cdef tuple _node(Tree self, int cell):
    cdef int end, kind
    # Recursive, which is fine for looking at a document; reading one never does this.
    cell = target_of(self, cell)
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


# --- Lines ---

cdef Py_ssize_t CHARACTERS_PER_PAUSE = 5_000_000    # characters: some milliseconds


cdef int _fill(LineTable table, const Char* text) except -1:
    cdef Py_ssize_t at = 0, rest = CHARACTERS_PER_PAUSE
    cdef Char char
    table.begin(0)
    while at < table.length:
        if at > rest:
            rest = at + CHARACTERS_PER_PAUSE
            pause()
        char = text[at]
        at += 1
        # One comparison for nearly every character: every break that is not ASCII is above it.
        if char > 0x0D and char < 0x85:
            continue
        if char == 0x0D:
            if at < table.length and text[at] == 0x0A:
                at += 1
        elif char != 0x0A and char != 0x85:
            if Char is UCS1:
                continue
            elif char != 0x2028 and char != 0x2029:
                continue
        table.begin(at)
    return 0


cdef class LineTable:
    """Where the lines of a text begin."""

    def __cinit__(self, str text not None):
        cdef int kind = PyUnicode_KIND(text)
        self.length = PyUnicode_GET_LENGTH(text)
        if kind == 1:
            _fill[UCS1](self, <const UCS1*>PyUnicode_DATA(text))
        elif kind == 2:
            _fill[UCS2](self, <const UCS2*>PyUnicode_DATA(text))
        else:
            _fill[UCS4](self, <const UCS4*>PyUnicode_DATA(text))

    def __dealloc__(self):
        free(self.starts)

    cdef int begin(self, Py_ssize_t offset) except -1:
        cdef Py_ssize_t* grown
        if self.count == self.room:
            self.room = self.room * 2 or 16
            grown = <Py_ssize_t*>realloc(self.starts, self.room * sizeof(Py_ssize_t))
            if not grown:
                raise MemoryError
            self.starts = grown
        self.starts[self.count] = offset
        self.count += 1
        return 0

    cdef Py_ssize_t row(self, Py_ssize_t offset) noexcept:
        cdef Py_ssize_t low = 0, high = self.count, middle
        if self.starts[self.last] <= offset:
            low = self.last
            if low + 1 == high or offset < self.starts[low + 1]:
                return low
        # starts[low] <= offset < starts[high], where there is such a row.
        while low + 1 < high:
            middle = (low + high) // 2
            if self.starts[middle] <= offset:
                low = middle
            else:
                high = middle
        self.last = low
        return low

    def position(self, Py_ssize_t offset):
        """Return line and column, both from 1, of the character at ``offset``."""
        cdef Py_ssize_t row = self.row(offset)
        return row + 1, offset - self.starts[row] + 1

    def bounds(self, Py_ssize_t line):
        """Return where a line, from 1, begins and where the next one does."""
        if line < 1 or line > self.count:
            raise IndexError("no such line")
        return self.starts[line - 1], self.starts[line] if line < self.count else self.length


# --- JSON reader ---

cdef enum:
    DEPTH = 200                 # as document.MAX_DEPTH: of the stacks of both readers
    NODES_PER_PAUSE = 0x8000    # some milliseconds of reading

cdef int MAX_NODES = document.MAX_NODES
if document.MAX_DEPTH != DEPTH:
    raise ImportError("the native readers of documents are built for another depth")


cdef class JsonReader:
    """Reads one text."""

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
        if nodes % NODES_PER_PAUSE == 0:
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
    """Return the one document of a JSON text. Numbers and booleans are kept as their JSON text.

    Args:
        text: a JSON text (RFC 8259).
        texts: the texts of the load.
        surrogates: accept lone surrogates in strings, as Python's own strings may hold them.

    Raises:
        NotJsonError: the text is not JSON.
        DocumentError: it is JSON, and has a duplicate key, a lone surrogate, or passes a limit.
    """
    cdef JsonReader reader = JsonReader(text, texts if texts is not None else Texts(), surrogates)
    cdef int kind = PyUnicode_KIND(text)
    if kind == 1:
        _read[UCS1](reader, <const UCS1*>PyUnicode_DATA(text))
    elif kind == 2:
        _read[UCS2](reader, <const UCS2*>PyUnicode_DATA(text))
    else:
        _read[UCS4](reader, <const UCS4*>PyUnicode_DATA(text))
    return reader.tree


# --- YAML builder ---

cdef str NULL_TAG = "tag:yaml.org,2002:null"
cdef frozenset NULLS = frozenset({"", "~", "null"})
cdef frozenset NON_NULL_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})
cdef frozenset TAGS = frozenset(
    {"!"}
    | {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq")}
)


cdef class YamlBuilder:
    """Builds the documents of one YAML stream.

    Args:
        next: gives the next event of the stream.
        events: the module that holds the classes of events.
        text: the text of the stream.
        texts: the texts of the load.
        checked: whether the parser refuses lone surrogates itself.
        max_nodes: no stream may have more values.
        max_aliased: nor more through aliases.
    """

    def __init__(
        self, next, events, str text not None, Texts texts, *, bint checked, int max_nodes, int max_aliased
    ):
        self.next = next
        self.document_start = events.DocumentStartEvent
        self.stream_end = events.StreamEndEvent
        self.scalar = events.ScalarEvent
        self.sequence_start = events.SequenceStartEvent
        self.mapping_start = events.MappingStartEvent
        self.alias = events.AliasEvent
        self.source = text
        self.texts = texts if texts is not None else Texts()
        self.checked = checked
        self.max_nodes = max_nodes
        self.max_aliased = max_aliased

    def document(self):
        """Return the next document, or None at the end of the stream.

        Raises:
            DocumentError: it is no document of texts, lists and mappings, or passes a limit.
        """
        while True:
            event = self.next()
            if event is None or type(event) is self.stream_end:
                return None
            if type(event) is self.document_start:
                self.anchors = {}
                self.sizes = {}
                self.tree = Tree(self.source, self.texts)
                self.build()
                return self.tree

    cdef int build(self) except -1:
        cdef int[DEPTH] stack
        cdef long long[DEPTH] sizes
        cdef list names = []
        cdef Tree tree = self.tree
        cdef int depth = 0, cell
        cdef long long size
        cdef Py_ssize_t start
        while True:
            event = self.next()
            kind = type(event)
            size = 1
            if kind is self.scalar:
                self.add_scalar(event)
            elif kind is self.mapping_start or kind is self.sequence_start:
                start = event.start_mark.index
                self.count(start)
                _check_tag(event, start)
                if depth >= DEPTH:
                    raise too_deep(start)
                name = event.anchor
                if name is not None:
                    self.anchors[name] = -1
                names.append(name)
                stack[depth] = tree.push(MAPPING if kind is self.mapping_start else SEQUENCE, start, start, 0)
                sizes[depth] = 1
                depth += 1
                continue
            elif kind is self.alias:
                cell = self.add_alias(event)
                size = self.sizes.get(cell, 1)
            else:
                depth -= 1
                cell, size = stack[depth], sizes[depth]
                tree.cells[cell].end = event.end_mark.index
                tree.cells[cell].link = tree.count
                if tree.cells[cell].kind == MAPPING:
                    self.finish_mapping(cell)
                name = names.pop()
                if name is not None:
                    self.anchors[name] = cell
                    self.sizes[cell] = size
            if not depth:
                return 0
            sizes[depth - 1] += size

    cdef int count(self, Py_ssize_t start) except -1:
        self.nodes += 1
        if self.nodes > self.max_nodes:
            raise too_many(start)
        return 0

    cdef int add_scalar(self, event) except -1:
        cdef Py_ssize_t start = event.start_mark.index, end = event.end_mark.index
        cdef str text = event.value
        cdef int cell
        tag = event.tag
        self.count(start)
        if tag is not None:
            _check_tag(event, start)
        plain = not event.style
        if text in NULLS and (tag not in NON_NULL_TAGS if plain else tag == NULL_TAG):
            cell = self.tree.push(NOTHING, start, end, 0)
        else:
            if not self.checked and has_surrogate(text):
                raise DocumentError("SR018", "a lone surrogate is no character", start, end)
            if plain and text == "<<":
                cell = self.tree.push(MERGE_KEY, start, end, 0)
            else:
                cell = self.tree.hold(HELD, start, end, text)
        name = event.anchor
        if name is not None:
            self.anchors[name] = cell
        return 0

    cdef int add_alias(self, event) except -1:
        """Add an alias; return the node that it refers to."""
        cdef Py_ssize_t start = event.start_mark.index, end = event.end_mark.index
        cdef int cell
        name = event.anchor
        found = self.anchors.get(name)
        if found is None:
            raise DocumentError(
                "SR013",
                f"unknown alias `*{name}`",
                start,
                end,
                help=f"no `&{name}` stands before it; if a glob is meant, quote it: `'*{name}'`",
            )
        cell = found
        if cell < 0:
            raise DocumentError("SR014", f"the alias `*{name}` refers to what holds it", start, end)
        self.aliased += self.sizes.get(cell, 1)
        if self.aliased > self.max_aliased:
            raise DocumentError("SR011", f"aliases expand to more than {self.max_aliased:,} values", start, end)
        self.tree.push(ALIAS, start, end, cell)
        return cell

    cdef int finish_mapping(self, int mapping) except -1:
        """Number the keys of a mapping that has just ended, and write behind them what it merges."""
        cdef Tree tree = self.tree
        cdef int key = mapping + 1, end = tree.cells[mapping].link, merge = -1, source
        self.texts.begin_mapping()
        while key < end:
            self.finish_key(key)
            at = &tree.cells[key]
            if at.kind == MERGE_KEY:
                if merge >= 0:
                    raise duplicate_key("<<", at.start, at.end)
                merge = key
                self.check_merge(key)
            elif self.texts.again(at.link):
                raise duplicate_key(tree.text(key), at.start, at.end)
            key = following(tree, key + 1)
        if merge >= 0:
            source = target_of(tree, merge + 1)
            if tree.cells[source].kind == MAPPING:
                self.merge_from(source)
            else:
                end = tree.cells[source].link
                source += 1
                while source < end:
                    self.merge_from(target_of(tree, source))
                    source = following(tree, source)
            tree.cells[mapping].link = tree.count
        return 0

    cdef int finish_key(self, int cell) except -1:
        cdef Tree tree = self.tree
        cdef int key = target_of(tree, cell), number
        at = &tree.cells[key]
        if not is_text(tree, key):
            raise DocumentError("SR016", "a key must be a text", at.start, at.end)
        if at.kind == HELD:
            number = self.texts.number(tree.held[at.link])
            at.kind = KEY
            at.link = number
        # A key that is an alias stands where it was first written.
        tree.cells[cell] = at[0]
        return 0

    cdef int check_merge(self, int key) except -1:
        cdef Tree tree = self.tree
        cdef int source = target_of(tree, key + 1), end = tree.cells[source].link
        cdef bint good = tree.cells[source].kind == MAPPING
        if tree.cells[source].kind == SEQUENCE:
            source += 1
            good = source < end
            while source < end:
                good = good and tree.cells[target_of(tree, source)].kind == MAPPING
                source = following(tree, source)
        if not good:
            at = &tree.cells[key]
            raise DocumentError("SR017", "`<<` takes a mapping or a list of mappings", at.start, at.end)
        return 0

    cdef int merge_from(self, int source) except -1:
        """Write out the pairs of a mapping whose keys the mapping in hand does not have yet."""
        cdef Tree tree = self.tree
        cdef int end = tree.cells[source].link, key = own(tree, source + 1, end), value
        cdef Cell at
        while key < end:
            at = tree.cells[key]
            if not self.texts.again(at.link):
                tree.push(KEY, at.start, at.end, at.link)
                value = target_of(tree, key + 1)
                tree.push(ALIAS, tree.cells[value].start, tree.cells[value].end, value)
            key = own(tree, following(tree, key + 1), end)
        return 0


cdef int _check_tag(event, Py_ssize_t start) except -1:
    if event.tag is None or event.tag in TAGS:
        return 0
    raise DocumentError(
        "SR015",
        f"unknown tag `{event.tag}`",
        start,
        start + 1,
        help="values here are texts, lists and mappings; if the text begins with `!`, quote it",
    )
