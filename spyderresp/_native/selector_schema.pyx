import difflib

from spyderresp._native.checking cimport MISSING, WRONG, Checker
from spyderresp._native.policy cimport Selector
from spyderresp._native.texts cimport known, words
from spyderresp._native.tree cimport MAPPING, NOTHING, SEQUENCE, following, meant, own

from spyderresp import vocabulary
from spyderresp.findings import listed, quoted, suggestion

cdef tuple EXPRESSION_KEYS = vocabulary.EXPRESSION_KEYS
cdef dict FIELD_ALIASES = vocabulary.FIELD_ALIASES
cdef tuple FIELD_PRIMITIVES = vocabulary.FIELD_PRIMITIVES
cdef dict FIELDS = vocabulary.FIELDS
cdef tuple LABEL_PRIMITIVES = vocabulary.LABEL_PRIMITIVES
cdef frozenset LABEL_SCOPES = vocabulary.LABEL_SCOPES
cdef tuple OPERATORS = vocabulary.OPERATORS
cdef tuple PRIMITIVES = vocabulary.PRIMITIVES
cdef dict SELECTORS = vocabulary.SELECTORS
cdef bytes EXPRESSION_FLAGS = words(EXPRESSION_KEYS)
cdef str MATCH_FIELDS
cdef str FIELD_EXPRESSIONS
cdef str MATCH_LABELS
cdef str LABEL_EXPRESSIONS
MATCH_FIELDS, FIELD_EXPRESSIONS = FIELD_PRIMITIVES
MATCH_LABELS, LABEL_EXPRESSIONS = LABEL_PRIMITIVES
cdef int MATCH_FIELDS_KEY = known(MATCH_FIELDS)
cdef int FIELD_EXPRESSIONS_KEY = known(FIELD_EXPRESSIONS)
cdef int MATCH_LABELS_KEY = known(MATCH_LABELS)
cdef int LABEL_EXPRESSIONS_KEY = known(LABEL_EXPRESSIONS)
cdef int KEY_KEY = known("key")
cdef int OPERATOR_KEY = known("operator")
cdef int VALUES_KEY = known("values")
cdef dict SCOPES_OF = {known(key): scope for key, scope in SELECTORS.items()}


cdef str scope_of(int number):
    return SCOPES_OF.get(number)


cdef class SelectorReader:
    def __cinit__(self, Checker check not None):
        self.check = check
        self.tree = check.tree

    cdef Selector read(self, int key, int node, str scope):
        cdef int before = self.check.errors, end, entry
        cdef Selector selector
        self.key = key
        self.name = self.tree.text(key)
        self.scope = scope
        self.labels = scope in LABEL_SCOPES
        self.clauses = []
        if self.tree.cells[node].kind == NOTHING:
            self.empty()
            return None
        if not self.check.mapping(node, self.name):
            return None
        end = self.tree.cells[node].link
        entry = own(self.tree, node + 1, end)
        while entry < end:
            self.entry(entry, meant(self.tree, entry + 1))
            entry = own(self.tree, following(self.tree, entry + 1), end)
        if self.check.errors > before:
            return None
        if not self.clauses:
            self.empty()
            return None
        selector = Selector.__new__(Selector)
        selector.scope = scope
        selector.clauses = tuple(self.clauses)
        selector.path = self.check.path
        self.check.place(key, &selector.line, &selector.column)
        return selector

    cdef int empty(self) except -1:
        return self.check.error(
            "SR201", self.key, f"{quoted(self.name)} is empty", "name what it selects, or leave it out"
        )

    cdef int entry(self, int key, int value) except -1:
        """Read one key of the selector: a primitive, or a field or label directly under it."""
        cdef int number = self.tree.cells[key].link
        if number == (MATCH_LABELS_KEY if self.labels else MATCH_FIELDS_KEY):
            return self.matches(MATCH_LABELS if self.labels else MATCH_FIELDS, value)
        if number == (LABEL_EXPRESSIONS_KEY if self.labels else FIELD_EXPRESSIONS_KEY):
            return self.expressions(LABEL_EXPRESSIONS if self.labels else FIELD_EXPRESSIONS, value)
        word = self.tree.text(key)
        if word in PRIMITIVES:
            return self.check.error("SR202", key, f"{quoted(self.name)} takes no `{word}`", self.primitive_help())
        return self.bare_label(key, value) if self.labels else self.bare_field(key, value)

    cdef str primitive_help(self):
        if self.labels:
            return f"it selects by label: {listed(LABEL_PRIMITIVES)}"
        return f"it takes {listed(FIELD_PRIMITIVES)} on {listed(FIELDS[self.scope])}"

    cdef int bare_field(self, int key, int value) except -1:
        word = self.tree.text(key)
        field = FIELD_ALIASES.get((self.scope, word), word)
        if field in FIELDS[self.scope]:
            return self.match(self.name, key, field, value)
        near = suggestion(word, (*FIELD_PRIMITIVES, *FIELDS[self.scope]))
        return self.check.error("SR203", key, f"unknown key {quoted(word)} in {quoted(self.name)}", near)

    cdef int bare_label(self, int key, int value) except -1:
        cdef Py_ssize_t before = len(self.clauses)
        word = self.tree.text(key)
        lowered = [name.lower() for name in PRIMITIVES]
        if difflib.get_close_matches(word[:200].lower(), lowered, n=1, cutoff=0.8) or not self.label_shaped(value):
            # A misspelt primitive must not become a label.
            hint = suggestion(word, LABEL_PRIMITIVES)
            return self.check.error("SR202", key, f"unknown primitive {quoted(word)} in {quoted(self.name)}", hint)
        self.match(self.name, key, word, value)
        if len(self.clauses) > before:
            fixed = f"matchLabels: {{{word}: {', '.join(self.clauses[before].values)}}}"
            message = f"the label {quoted(word)} stands directly under {quoted(self.name)}; read as `matchLabels`"
            self.check.error("SR402", key, message, f"write {quoted(fixed)}")
        return 0

    cdef bint label_shaped(self, int value) noexcept:
        """Tell whether a node is a scalar or a list of scalars."""
        cdef int end, kind = self.tree.cells[value].kind
        if kind != SEQUENCE:
            return kind != MAPPING
        end = self.tree.cells[value].link
        value += 1
        while value < end:
            if self.tree.cells[meant(self.tree, value)].kind >= SEQUENCE:
                return False
            value = following(self.tree, value)
        return True

    cdef int matches(self, str primitive, int value) except -1:
        """Read ``matchFields`` or ``matchLabels``; null means empty."""
        cdef int end, key
        if self.tree.cells[value].kind == NOTHING or not self.check.mapping(value, primitive):
            return 0
        end = self.tree.cells[value].link
        key = own(self.tree, value + 1, end)
        while key < end:
            word = self.tree.text(key)
            if self.known_field(key, word):
                self.match(primitive, key, word, meant(self.tree, key + 1))
            key = own(self.tree, following(self.tree, key + 1), end)
        return 0

    cdef bint known_field(self, int cell, str field) except -1:
        if self.labels or field in <tuple>FIELDS[self.scope]:
            return True
        fields = FIELDS[self.scope]
        hint = suggestion(field, fields)
        if hint.startswith("did"):
            hint += f" its fields are {listed(fields)}"
        self.check.error("SR203", cell, f"{quoted(self.name)} has no field {quoted(field)}", hint)
        return False

    cdef int match(self, str primitive, int key, str field, int value) except -1:
        """Add the clause of one field or label with its value or list of values."""
        cdef tuple texts = None
        cdef str text
        if self.tree.cells[value].kind == SEQUENCE:
            texts = self.values(value, field)
        else:
            text = self.check.text(value, field)
            if text is not None:
                texts = (text,)
        if texts is not None:
            self.clauses.append(self.check.clause(field, "In", texts, primitive, key))
        return 0

    cdef tuple values(self, int sequence, str what):
        cdef int end = self.tree.cells[sequence].link, item = sequence + 1
        cdef bint good = True
        cdef list texts = []
        if item == end:
            self.check.error(
                "SR210", sequence, f"the list of values of {quoted(what)} is empty", "name at least one"
            )
            return None
        while item < end:
            text = self.check.text(meant(self.tree, item), what)
            if text is None:
                good = False
            else:
                texts.append(text)
            item = following(self.tree, item)
        return tuple(texts) if good else None

    cdef int expressions(self, str primitive, int value) except -1:
        cdef int sequence = self.check.items(value, primitive), end, item
        if sequence < 0:
            return 0
        end = self.tree.cells[sequence].link
        item = sequence + 1
        while item < end:
            value = meant(self.tree, item)
            if self.tree.cells[value].kind == MAPPING or self.check.mapping(value, f"an item of {primitive}"):
                self.expression(primitive, value)
            item = following(self.tree, item)
        return 0

    cdef int expression(self, str primitive, int mapping) except -1:
        cdef Checker check = self.check
        cdef int key_node = self.tree.get(mapping, KEY_KEY), operator_node = self.tree.get(mapping, OPERATOR_KEY)
        cdef str key = None, relation = None
        cdef tuple values
        check.keys(mapping, EXPRESSION_KEYS, EXPRESSION_FLAGS, "SR204", "an expression")
        if key_node < 0:
            check.error("SR205", mapping, "the expression has no `key`", "name the field or label it is about")
        else:
            key = check.text(key_node, "key")
            if key is not None and not self.known_field(key_node, key):
                key = None
        if operator_node < 0:
            check.error("SR206", mapping, "the expression has no `operator`", f"valid here: {listed(OPERATORS)}")
        else:
            relation = check.choice(operator_node, "operator", OPERATORS, "SR207")
        if relation is None:
            return 0
        values = self.operands(mapping, relation)
        if key is not None and values is not None:
            self.clauses.append(check.clause(key, relation, values, primitive, mapping))
        return 0

    cdef tuple operands(self, int mapping, str operator):
        """Return the operator's values, or None after recording what is wrong with them."""
        cdef int node = self.tree.get(mapping, VALUES_KEY), sequence = self.check.items(node, "values")
        cdef bint any
        if sequence == WRONG:
            return None
        any = sequence >= 0 and self.tree.cells[sequence].link > sequence + 1
        if operator == "In" or operator == "NotIn":
            if any:
                return self.values(sequence, "values")
            where = node if node != MISSING else mapping
            self.check.error("SR208", where, f"`{operator}` needs a list of values that is not empty")
            return None
        if any:
            self.check.error("SR209", node, f"`{operator}` takes no values", "leave `values` out, or use `In`")
            return None
        return ()
