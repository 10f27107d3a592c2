from spyderresp._native.texts cimport Texts, has_surrogate
from spyderresp._native.tree cimport (
    ALIAS,
    HELD,
    KEY,
    MAPPING,
    MERGE_KEY,
    NOTHING,
    SEQUENCE,
    Cell,
    Tree,
    following,
    is_text,
    meant,
    own,
)

from spyderresp import document
from spyderresp.document import DocumentError, duplicate_key, too_deep, too_many

cdef enum:
    DEPTH = 200

if document.MAX_DEPTH != DEPTH:
    raise ImportError("the native YAML builder is built for another depth")

cdef str NULL_TAG = "tag:yaml.org,2002:null"
cdef frozenset NULLS = frozenset({"", "~", "null"})
cdef frozenset NON_NULL_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})
cdef frozenset TAGS = frozenset(
    {"!"}
    | {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq")}
)


cdef class YamlBuilder:
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
                    self.settle(cell)
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
        """Add an alias; return the cell that is meant."""
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

    cdef int settle(self, int mapping) except -1:
        """Number the keys of a mapping that has just ended, and write behind them what it merges."""
        cdef Tree tree = self.tree
        cdef int key = mapping + 1, end = tree.cells[mapping].link, merge = -1, source
        self.texts.begin_mapping()
        while key < end:
            self.settle_key(key)
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
            source = meant(tree, merge + 1)
            if tree.cells[source].kind == MAPPING:
                self.merge_from(source)
            else:
                end = tree.cells[source].link
                source += 1
                while source < end:
                    self.merge_from(meant(tree, source))
                    source = following(tree, source)
            tree.cells[mapping].link = tree.count
        return 0

    cdef int settle_key(self, int cell) except -1:
        cdef Tree tree = self.tree
        cdef int key = meant(tree, cell), number
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
        cdef int source = meant(tree, key + 1), end = tree.cells[source].link
        cdef bint good = tree.cells[source].kind == MAPPING
        if tree.cells[source].kind == SEQUENCE:
            source += 1
            good = source < end
            while source < end:
                good = good and tree.cells[meant(tree, source)].kind == MAPPING
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
                value = meant(tree, key + 1)
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
