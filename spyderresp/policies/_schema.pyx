import difflib
import math
import re
from collections.abc import Mapping
from json.encoder import encode_basestring

from libc.stdlib cimport free, realloc

from spyderresp._gil cimport pause
from spyderresp.policies._document cimport (
    MAPPING, NOTHING, SEQUENCE, among, following, is_text, known, target_of, own, words,
)

from spyderresp.policies import document_limits as _document
from spyderresp.policies import vocabulary
from spyderresp.policies.document_limits import DocumentError
from spyderresp.errors import Location
from spyderresp.policies.diagnostics import listed, quoted, suggestion
from spyderresp.policies.vocabulary import is_workload_key


# --- Checks ---

cdef frozenset TRUE = vocabulary.TRUE
cdef frozenset FALSE = vocabulary.FALSE


cdef class Checker:
    """Checks the nodes of one document and records what is wrong with them."""

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
        cdef Clause clause = Clause.__new__(Clause, None)
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


# --- Selectors ---

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
    """Reads the selectors of one document."""

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
            self.entry(entry, target_of(self.tree, entry + 1))
            entry = own(self.tree, following(self.tree, entry + 1), end)
        if self.check.errors > before:
            return None
        if not self.clauses:
            self.empty()
            return None
        selector = Selector.__new__(Selector, None)
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
            if self.tree.cells[target_of(self.tree, value)].kind >= SEQUENCE:
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
                self.match(primitive, key, word, target_of(self.tree, key + 1))
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
            text = self.check.text(target_of(self.tree, item), what)
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
            value = target_of(self.tree, item)
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


# --- Response ---

cdef dict ACTION_FIELDS = vocabulary.ACTION_FIELDS
cdef tuple ACTIONS = vocabulary.ACTIONS
cdef int NICE_MAX = vocabulary.NICE_MAX
cdef int NICE_MIN = vocabulary.NICE_MIN
cdef tuple SEVERITIES = vocabulary.SEVERITIES
cdef dict VENDOR_REFUSED_ACTIONS = vocabulary.VENDOR_REFUSED_ACTIONS
cdef dict VENDOR_TEXT_LIMITS = vocabulary.VENDOR_TEXT_LIMITS
cdef tuple SECTIONS = ("default", "actions")
cdef bytes SECTION_FLAGS = words(SECTIONS)
cdef tuple SECTION_KEYS = tuple([known(section) for section in SECTIONS])
cdef bytes ACTION_FLAGS = words(ACTIONS)
cdef bytes SELECTOR_FLAGS = words(SELECTORS)
# What a body may hold, its action's own fields and its selectors.
cdef dict BODY_FLAGS = {action: words({*fields, "enabled", *SELECTORS}) for action, fields in ACTION_FIELDS.items()}
cdef dict FIELDS_OF = {
    action: tuple([(field, known(field)) for field in fields]) for action, fields in ACTION_FIELDS.items()
}
cdef int ENABLED = known("enabled")
cdef int IMPACT = known("impact")
cdef int SERVICE_SELECTOR = known("serviceSelector")
cdef object INTEGER = re.compile(r"[+-]?[0-9]+").fullmatch


cdef class ResponseReader:
    """Reads the response of one policy document."""

    def __cinit__(self, Checker check not None, SelectorReader selectors not None):
        self.check = check
        self.tree = check.tree
        self.selectors = selectors

    cdef tuple read(self, int node, str policy_type):
        cdef Checker check = self.check
        cdef list entries = []
        cdef int i, sequence, item, end, index
        cdef Entry entry
        if node == MISSING or self.tree.cells[node].kind == NOTHING or not check.mapping(node, "response"):
            return ()
        self.policy_type = policy_type
        check.keys(node, SECTIONS, SECTION_FLAGS, "SR301", "`response`")
        for i in range(2):
            self.section = SECTIONS[i]
            sequence = check.items(self.tree.get(node, SECTION_KEYS[i]), self.section)
            if sequence < 0:
                continue
            end = self.tree.cells[sequence].link
            item = sequence + 1
            index = 0
            while item < end:
                entry = self.item(target_of(self.tree, item), index)
                if entry is not None:
                    entries.append(entry)
                item = following(self.tree, item)
                index += 1
        return tuple(entries)

    cdef Entry item(self, int item, int index):
        """Return one list item as an entry, or None after recording at least one error."""
        cdef int before = self.check.errors, enabled
        cdef Entry entry
        if not self.find_action(item):
            return None
        self.check_keys()
        enabled = self.field(ENABLED)
        if enabled != MISSING:
            enabled = self.check.boolean(enabled, "enabled")
        parameters = self.parameters()
        selectors = self.entry_selectors()
        self.note_portability()
        if self.check.errors > before:
            return None
        entry = Entry.__new__(Entry, None)
        entry.action = self.action
        entry.parameters = self.tree.texts.share_tuple(parameters)
        entry.selectors = selectors
        entry.enabled = enabled != 0
        entry.section = self.section
        entry.index = index
        entry.path = self.check.path
        self.check.place(self.key, &entry.line, &entry.column)
        return entry

    cdef bint find_action(self, int item) except -1:
        """Find the action's key and body, its siblings folded in where the author left it null."""
        cdef Checker check = self.check
        cdef int end, key, found = -1, count = 0, value
        if self.tree.cells[item].kind != MAPPING:
            word = self.tree.text(item) if is_text(self.tree, item) else None
            hint = f"write {quoted(f'- {word}:')}" if word in ACTIONS else "write `- agentKillProcess:`, for example"
            check.error("SR302", item, f"an item of `{self.section}` must be a mapping that names one action", hint)
            return False
        end = self.tree.cells[item].link
        key = own(self.tree, item + 1, end)
        named = []
        while key < end:
            count += 1
            if among(ACTION_FLAGS, self.tree.cells[key].link):
                if found < 0:
                    found = key
                named.append(key)
            key = own(self.tree, following(self.tree, key + 1), end)
        if len(named) > 1:
            names = " and ".join([quoted(self.tree.text(key)) for key in named])
            check.error("SR305", named[1], f"one list item names {names}", "give each action an item of its own")
            return False
        if found < 0:
            self.unknown(item)
            return False
        self.key = found
        self.action = self.tree.text(found)
        self.skipped = -1
        value = target_of(self.tree, found + 1)
        null = self.tree.cells[value].kind == NOTHING
        if count == 1:
            self.body = MISSING if null else value
            return null or check.mapping(value, self.action)
        if null:
            message = f"the keys of {quoted(self.action)} stand beside it; read as its own"
            check.error("SR401", found, message, "indent them below it")
            self.body = item
            self.skipped = self.tree.cells[found].link
            return True
        key = own(self.tree, item + 1, end)
        while key < end:
            if key != found:
                message = f"unknown key {quoted(self.tree.text(key))} beside {quoted(self.action)}"
                check.error("SR306", key, message, f"indent it below {quoted(self.action)}")
            key = own(self.tree, following(self.tree, key + 1), end)
        return False

    cdef int unknown(self, int item) except -1:
        cdef int end = self.tree.cells[item].link, key = own(self.tree, item + 1, end)
        if key >= end:
            message = f"an item of `{self.section}` names no action"
            return self.check.error("SR303", item, message, "remove it")
        word = self.tree.text(key)
        return self.check.error("SR304", key, f"unknown action {quoted(word)}", suggestion(word, ACTIONS))

    cdef int first(self) noexcept:
        """Return the first key of the body, or MISSING."""
        if self.body == MISSING:
            return MISSING
        return self.due(own(self.tree, self.body + 1, self.tree.cells[self.body].link))

    cdef int after(self, int key) noexcept:
        """Return the key after one of the body, or MISSING."""
        return self.due(own(self.tree, following(self.tree, key + 1), self.tree.cells[self.body].link))

    cdef int due(self, int key) noexcept:
        cdef int end = self.tree.cells[self.body].link
        if key < end and self.tree.cells[key].link == self.skipped:
            key = own(self.tree, following(self.tree, key + 1), end)
        return key if key < end else MISSING

    cdef int field(self, int number) noexcept:
        """Return the value of a key of the body, or MISSING."""
        return MISSING if self.body == MISSING else self.tree.get(self.body, number)

    cdef int check_keys(self) except -1:
        cdef bytes flags = BODY_FLAGS[self.action]
        cdef int key = self.first()
        while key != MISSING:
            if not among(flags, self.tree.cells[key].link):
                word = self.tree.text(key)
                if word.endswith("Selector"):
                    self.unknown_selector(key, word)
                else:
                    fields = (*ACTION_FIELDS[self.action], "enabled")
                    near = suggestion(word, (*fields, *(SELECTORS if self.section == "actions" else ())))
                    self.check.error("SR306", key, f"unknown key {quoted(word)} in {quoted(self.action)}", near)
            key = self.after(key)
        return 0

    cdef int unknown_selector(self, int key, str word) except -1:
        # Compared without the common suffix, which would make every two selectors look alike.
        near = suggestion(word.removesuffix("Selector"), SELECTORS.values())
        hint = near.removesuffix("`?") + "Selector`?" if near.endswith("`?") else suggestion("", SELECTORS)
        return self.check.error("SR314", key, f"unknown selector {quoted(word)}", hint)

    cdef tuple parameters(self):
        cdef list found = []
        cdef str field
        for field, number in <tuple>FIELDS_OF[self.action]:
            node = self.field(number)
            if field == "severity":
                value = self.severity(node)
            elif field == "priority":
                value = self.priority(node)
            else:
                value = self.optional_text(node, field)
            if value is not None:
                found.append((field, value))
        return tuple(found)

    cdef str severity(self, int node):
        if node == MISSING:
            hint = f"one of {', '.join(SEVERITIES)}"
            self.check.error("SR307", self.key, f"{quoted(self.action)} has no `severity`", hint)
            return None
        return self.check.choice(node, "severity", SEVERITIES, "SR308")

    cdef object priority(self, int node):
        cdef str text
        if node == MISSING:
            hint = f"a nice value from {NICE_MIN} to {NICE_MAX}; higher yields more"
            self.check.error("SR309", self.key, f"{quoted(self.action)} has no `priority`", hint)
            return None
        text = self.check.text(node, "priority")
        if text is None:
            return None
        if INTEGER(text) is None:
            self.check.error("SR310", node, f"priority {quoted(text)} is not an integer")
            return None
        # A number of thousands of digits is not converted: Python bounds that, and the sign says enough.
        digits = text.lstrip("+-").lstrip("0")
        value = int(digits or "0") if len(digits) < 4 else 1000
        value = -value if text.startswith("-") else value
        if NICE_MIN <= value <= NICE_MAX:
            return value
        clamped = min(max(value, NICE_MIN), NICE_MAX)
        message = f"priority {quoted(text)} is outside {NICE_MIN} to {NICE_MAX}; read as `{clamped}`"
        self.check.error("SR403", node, message, f"write `{clamped}`, as Linux does")
        return clamped

    cdef str optional_text(self, int node, str field):
        cdef str text
        if node == MISSING or self.tree.cells[node].kind == NOTHING:
            return None
        text = self.check.text(node, field)
        limit = VENDOR_TEXT_LIMITS[field]
        if text is not None and len(text) > limit:
            self.check.error("SR511", node, f"`{field}` has {len(text)} characters; the vendor takes {limit}")
        return text

    cdef tuple entry_selectors(self):
        cdef list selectors = []
        cdef Selector selector
        cdef int key = self.first(), number
        cdef bint default = self.section == "default"
        if not default:
            self.check_for_selector()
        while key != MISSING:
            number = self.tree.cells[key].link
            if among(SELECTOR_FLAGS, number):
                if default:
                    word = quoted(self.tree.text(key))
                    message = f"a default action takes no selector, and this one has {word}"
                    self.check.error("SR311", key, message, "move the action to `actions`")
                else:
                    if number == SERVICE_SELECTOR:
                        self.service_selector(key)
                    selector = self.selectors.read(key, target_of(self.tree, key + 1), scope_of(number))
                    if selector is not None:
                        selectors.append(selector)
            key = self.after(key)
        return tuple(selectors)

    cdef int check_for_selector(self) except -1:
        cdef int key = self.first()
        while key != MISSING:
            if among(SELECTOR_FLAGS, self.tree.cells[key].link) or self.tree.text(key).endswith("Selector"):
                return 0
            key = self.after(key)
        message = f"{quoted(self.action)} under `actions` has no selector"
        return self.check.error("SR312", self.key, message, "add one, or move the action to `default`")

    cdef int service_selector(self, int key) except -1:
        if self.action == "agentKillPod":
            message = "`agentKillPod` takes no `serviceSelector`: a service has no pod"
            return self.check.error("SR313", key, message)
        return self.check.error("SR513", key, "the vendor's own tools take no `serviceSelector` in an action")

    cdef int note_portability(self) except -1:
        if self.action == "makeOpsFlag" and self.field(IMPACT) != MISSING:
            key = self.tree.key(self.body, IMPACT)
            self.check.error("SR512", key, "the vendor's `makeOpsFlag` takes no `impact`")
        if self.policy_type is not None and self.action in VENDOR_REFUSED_ACTIONS[self.policy_type]:
            message = f"the vendor offers no {quoted(self.action)} for policies of type {quoted(self.policy_type)}"
            self.check.error("SR514", self.key, message)
        return 0


# --- Policies ---

cdef str API_VERSION = vocabulary.API_VERSION
cdef tuple LIST_KEYS = vocabulary.LIST_KEYS
cdef tuple MODES = vocabulary.MODES
cdef frozenset OTHER_KINDS = vocabulary.OTHER_KINDS
cdef str POLICY_KIND = vocabulary.POLICY_KIND
cdef dict REQUIRED_SELECTOR = vocabulary.REQUIRED_SELECTOR
cdef tuple SPEC_KEYS = vocabulary.SPEC_KEYS
cdef str TEST_API_VERSION = vocabulary.TEST_API_VERSION
cdef str TEST_KIND = vocabulary.TEST_KIND
cdef tuple TOP_KEYS = vocabulary.TOP_KEYS
cdef str TRACE_TYPE = vocabulary.TRACE_TYPE
cdef tuple TYPES = vocabulary.TYPES
cdef dict VENDOR_SELECTORS = vocabulary.VENDOR_SELECTORS
cdef bytes TOP_FLAGS = words(TOP_KEYS)
cdef bytes LIST_FLAGS = words(LIST_KEYS)
cdef bytes SPEC_FLAGS = words(SPEC_KEYS)
cdef dict VENDOR_FLAGS = {policy_type: words(keys) for policy_type, keys in VENDOR_SELECTORS.items()}
cdef dict REQUIRED = {policy_type: known(key) for policy_type, key in REQUIRED_SELECTOR.items()}
cdef int API_VERSION_KEY = known("apiVersion")
cdef int KIND_KEY = known("kind")
cdef int ITEMS_KEY = known("items")
cdef int METADATA_KEY = known("metadata")
cdef int SPEC_KEY = known("spec")
cdef int NAME_KEY = known("name")
cdef int TYPE_KEY = known("type")
cdef int UID_KEY = known("uid")
cdef int ENABLED_KEY = known("enabled")
cdef int MODE_KEY = known("mode")
cdef int RESPONSE_KEY = known("response")
cdef int DOCUMENTS_PER_PAUSE = 512    # documents: some milliseconds


cdef class PolicyReader:
    """Reads documents one after the other into policies; made for one load.

    Attributes:
        texts: the texts of the load, for those who read them into trees.
    """

    def __cinit__(self, findings):
        self.policies = []
        self.texts = Texts()
        self.findings = findings
        self.uids = {}
        self.names = {}

    def __dealloc__(self):
        free(self.places)

    def read(self, Tree tree not None, source):
        """Read a document, or a list of them. Tell whether there was any document, or a faulty list."""
        cdef int root, item, end, count = 0, before = self.findings.errors
        self.tree = tree
        self.check = Checker(tree, source, self.findings)
        self.selectors = SelectorReader(self.check)
        self.response = ResponseReader(self.check, self.selectors)
        root = self.read_list(0)
        if root == -2:
            self.document(0)
            return True
        if root < 0:
            return self.check.errors > before
        end = tree.cells[root].link
        item = root + 1
        while item < end:
            self.document(target_of(tree, item))
            item = following(tree, item)
            count += 1
            if count % DOCUMENTS_PER_PAUSE == 0:
                pause()
        return end > root + 1 or self.check.errors > before

    cdef int read_list(self, int root) except -3:
        """Return the list of documents that a list or an ``items`` container holds.

        MISSING where it holds none, and -2 where the root is a document itself.
        """
        cdef Tree tree = self.tree
        cdef int kind, items
        if tree.cells[root].kind == SEQUENCE:
            return root
        if tree.cells[root].kind != MAPPING or tree.key(root, ITEMS_KEY) < 0:
            return -2
        kind = tree.get(root, KIND_KEY)
        if kind >= 0 and not (is_text(tree, kind) and tree.text(kind).endswith("List")):
            return -2
        self.check.keys(root, LIST_KEYS, LIST_FLAGS, "SR106", "a list of documents")
        if self.required(root, API_VERSION_KEY, "apiVersion", "SR102") is None:
            return MISSING
        items = self.check.items(tree.get(root, ITEMS_KEY), "items")
        return items if items >= 0 else MISSING

    cdef int document(self, int node) except -1:
        cdef Checker check = self.check
        cdef str version, kind
        if self.tree.cells[node].kind != MAPPING:
            return check.error("SR101", node, "a document must be a mapping", f"begin with `apiVersion: {API_VERSION}`")
        version = self.required(node, API_VERSION_KEY, "apiVersion", "SR102")
        kind = self.required(node, KIND_KEY, "kind", "SR103")
        if version is None or kind is None or (version == TEST_API_VERSION and kind == TEST_KIND):
            return 0
        if kind == POLICY_KIND and version == API_VERSION:
            return self.policy(node)
        if kind == POLICY_KIND:
            at = self.tree.get(node, API_VERSION_KEY)
            hint = suggestion(version, (API_VERSION,))
            return check.error("SR105", at, f"a policy under apiVersion {quoted(version)}", hint)
        if version != API_VERSION:
            at = self.tree.key(node, KIND_KEY)
            return check.error("SR501", at, f"skipped: {quoted(kind)} of apiVersion {quoted(version)}")
        if kind in OTHER_KINDS:
            at = self.tree.key(node, KIND_KEY)
            return check.error("SR502", at, f"skipped: {quoted(kind)} holds no response policy")
        hint = suggestion(kind, (POLICY_KIND, *sorted(OTHER_KINDS)))
        return check.error("SR104", self.tree.get(node, KIND_KEY), f"unknown kind {quoted(kind)}", hint)

    cdef str required(self, int node, int number, str key, str code):
        cdef int value = self.tree.get(node, number)
        if value < 0:
            expected = API_VERSION if key == "apiVersion" else POLICY_KIND
            self.check.error(code, node, f"the document has no `{key}`", f"for a policy: `{key}: {expected}`")
            return None
        return self.check.text(value, key)

    cdef int policy(self, int node) except -1:
        cdef Checker check = self.check
        cdef Tree tree = self.tree
        cdef int before = check.errors, metadata = tree.get(node, METADATA_KEY), spec, key, value, enabled = 1
        cdef str name = None, policy_type = None, uid = None, mode
        cdef tuple selectors, entries
        cdef Policy policy
        if metadata < 0:
            check.error("SR120", node, "the policy has no `metadata`", "it needs `name` and `type`")
        elif not check.mapping(metadata, "metadata"):
            metadata = MISSING
        if metadata != MISSING:
            value = tree.get(metadata, TYPE_KEY)
            if value >= 0 and is_text(tree, value) and tree.text(value) == TRACE_TYPE:
                key = tree.key(metadata, TYPE_KEY)
                return check.error("SR503", key, "skipped: a policy of type `trace` has no response")
        check.keys(node, TOP_KEYS, TOP_FLAGS, "SR106", "the document")
        if metadata != MISSING:
            value = tree.get(metadata, NAME_KEY)
            if value < 0:
                check.error("SR121", metadata, "`metadata` has no `name`")
            else:
                name = check.text(value, "name")
            value = tree.get(metadata, TYPE_KEY)
            if value < 0:
                key = tree.key(node, METADATA_KEY)
                check.error("SR122", key, "`metadata` has no `type`", f"one of {', '.join(TYPES)}")
            else:
                policy_type = check.choice(value, "policy type", TYPES, "SR123")
            value = tree.get(metadata, UID_KEY)
            if value >= 0 and tree.cells[value].kind != NOTHING:
                uid = check.text(value, "uid")
        spec = tree.get(node, SPEC_KEY)
        if spec < 0:
            return check.error("SR130", node, "the policy has no `spec`")
        if not check.mapping(spec, "spec"):
            return 0
        key = tree.key(node, SPEC_KEY)
        self.check_spec_keys(spec)
        value = tree.get(spec, ENABLED_KEY)
        if value >= 0:
            enabled = check.boolean(value, "enabled")
        mode = self.mode(key, spec)
        selectors = self.spec_selectors(key, spec, policy_type)
        entries = self.response.read(tree.get(spec, RESPONSE_KEY), policy_type)
        if check.errors > before or metadata == MISSING or name is None or policy_type is None:
            return 0
        policy = Policy.__new__(Policy, None)
        policy.name = name
        policy.uid = uid
        policy.type = policy_type
        policy.enabled = enabled != 0
        policy.mode = mode
        policy.selectors = selectors
        policy.entries = entries
        policy.metadata = tree.data(metadata)
        policy.path = check.path
        check.place(node, &policy.line, &policy.column)
        self.unique(policy, metadata)
        self.policies.append(policy)
        return 0

    cdef int check_spec_keys(self, int spec) except -1:
        cdef int end = self.tree.cells[spec].link, key = own(self.tree, spec + 1, end)
        while key < end:
            if not among(SPEC_FLAGS, self.tree.cells[key].link):
                word = self.tree.text(key)
                if not is_workload_key(word):
                    meant_enabled = word in ("disable", "disabled")
                    hint = "write `enabled: false`" if meant_enabled else suggestion(word, SPEC_KEYS)
                    self.check.error("SR131", key, f"unknown key {quoted(word)} in `spec`", hint)
            key = own(self.tree, following(self.tree, key + 1), end)
        return 0

    cdef str mode(self, int key, int spec):
        cdef int node = self.tree.get(spec, MODE_KEY)
        if node < 0:
            message = "`mode` is missing; read as `audit`: nothing is executed"
            self.check.error("SR404", key, message, "write `mode: audit` or `mode: enforce`")
            return "audit"
        # None is an error, so this policy is never built.
        return self.check.choice(node, "mode", MODES, "SR132")

    cdef tuple spec_selectors(self, int key, int spec, str policy_type):
        cdef list selectors = []
        cdef Selector selector
        cdef str scope
        cdef int end = self.tree.cells[spec].link, name = own(self.tree, spec + 1, end), number
        while name < end:
            number = self.tree.cells[name].link
            scope = scope_of(number)
            if scope is not None:
                if policy_type is not None and not among(VENDOR_FLAGS[policy_type], number):
                    word = quoted(self.tree.text(name))
                    message = f"the vendor's policies of type {quoted(policy_type)} take no {word}"
                    self.check.error("SR515", name, message)
                selector = self.selectors.read(name, target_of(self.tree, name + 1), scope)
                if selector is not None:
                    selectors.append(selector)
            name = own(self.tree, following(self.tree, name + 1), end)
        if policy_type is not None and self.tree.key(spec, REQUIRED[policy_type]) < 0:
            message = f"a policy of type {quoted(policy_type)} needs a `{REQUIRED_SELECTOR[policy_type]}`"
            self.check.error("SR133", key, message, "without it the policy would apply everywhere")
        return tuple(selectors)

    cdef int unique(self, Policy policy, int metadata) except -1:
        cdef Checker check = self.check
        cdef Places* places = self.next_places()
        cdef int uid = self.tree.get(metadata, UID_KEY), name = self.tree.get(metadata, NAME_KEY)
        cdef Py_ssize_t place = len(self.policies), first
        check.place(name, &places.name_line, &places.name_column)
        if policy.uid is not None:
            check.place(uid, &places.uid_line, &places.uid_column)
            first = self.uids.setdefault(policy.uid, place)
            if first != place:
                where = self.first_place(first, True)
                check.error("SR124", uid, f"uid {quoted(policy.uid)} is taken", f"first used at {where}")
        first = self.names.setdefault(policy.name, place)
        if first != place:
            where = self.first_place(first, False)
            message = f"two policies are named {quoted(policy.name)}"
            check.error("SR451", name, message, f"the other stands at {where}")
        return 0

    cdef str first_place(self, Py_ssize_t place, bint uid):
        cdef Policy policy = self.policies[place]
        cdef Places* at = &self.places[place]
        if uid:
            return str(Location(policy.path, at.uid_line, at.uid_column))
        return str(Location(policy.path, at.name_line, at.name_column))

    cdef Places* next_places(self) except NULL:
        cdef Py_ssize_t count = len(self.policies)
        cdef Places* grown
        if count == self.room:
            self.room = self.room * 2 if self.room else 8
            grown = <Places*>realloc(self.places, self.room * sizeof(Places))
            if not grown:
                raise MemoryError
            self.places = grown
        return &self.places[count]


# --- JSON writer ---

cdef int MAX_NODES = _document.MAX_NODES
cdef int MAX_DEPTH = _document.MAX_DEPTH
cdef object TOO_LARGE = 10**400
cdef tuple BREAKS = tuple(["\n" + "  " * depth for depth in range(_document.MAX_DEPTH + 3)])
cdef tuple COMMAS = tuple(["," + line for line in BREAKS])
cdef object _Mapping = Mapping
cdef object _encode = encode_basestring
cdef Py_ssize_t MOST_KEYS = 4_000


cdef class JsonWriter:
    """Writes one document."""

    def __cinit__(self):
        self.pieces = []
        self.open = []
        self.labels = []
        self.mappings = []
        self.keys = {}
        self.label = "document"

    cdef int value(self, object value) except -1:
        """Write a scalar, or begin a collection."""
        self.count += 1
        if self.count > MAX_NODES:
            raise DocumentError("SR010", f"more than {MAX_NODES:,} values in one document")
        if len(self.open) > MAX_DEPTH:
            raise DocumentError("SR009", f"nested more than {MAX_DEPTH} levels deep, or within itself")
        kind = type(value)
        if kind is str:
            self.pieces.append(_encode(value))
        elif value is None:
            self.pieces.append("null")
        elif value is True:
            self.pieces.append("true")
        elif value is False:
            self.pieces.append("false")
        elif kind is dict:
            self.start_mapping(value)
        elif kind is list:
            self.start(iter(value), False)
        elif isinstance(value, str):
            self.pieces.append(_encode(str(value)))
        elif isinstance(value, int):
            if abs(value) >= TOO_LARGE:
                raise DocumentError("SR019", f"{quoted(self.where())} holds a number of more than 400 digits")
            self.pieces.append(int.__repr__(value))
        elif isinstance(value, float) and math.isfinite(value):
            self.pieces.append(float.__repr__(value))
        elif isinstance(value, _Mapping):
            self.start_mapping(value)
        elif isinstance(value, (list, tuple)):
            self.start(iter(value), False)
        else:
            raise DocumentError(
                "SR019",
                f"{quoted(self.where())} holds a value that JSON does not have",
                help="texts, numbers, booleans, null, lists and mappings; write a date as a text",
            )
        return 0

    cdef int start_mapping(self, object value) except -1:
        cdef bint plain = type(value) is dict
        for key in value:
            if type(key) is not str:
                plain = False
                if not isinstance(key, str):
                    raise DocumentError("SR016", f"a key under {quoted(self.where())} is not a text")
        if not plain:
            # Keys that are equal as plain texts are one, as in a dict.
            value = {str(key): item for key, item in value.items()}
        return self.start(iter((<dict>value).items()), True)

    cdef int start(self, object iterator, bint mapping) except -1:
        self.pieces.append("{" if mapping else "[")
        self.open.append(iterator)
        self.labels.append(self.label)
        self.mappings.append(mapping)
        self.label = None
        return 0

    cdef str key(self, object key):
        cdef str written = self.keys.get(key)
        if written is None:
            if len(self.keys) >= MOST_KEYS:
                self.keys.clear()
            written = _encode(key) + ": "
            self.keys[key] = written
        return written

    cdef str where(self):
        """Name the value in hand, such as ``document.spec.response[0]``."""
        cdef list said = [self.labels[0] if self.labels else self.label]
        cdef Py_ssize_t i
        for i in range(len(self.labels)):
            label = self.labels[i + 1] if i + 1 < len(self.labels) else self.label
            said.append(f".{label}" if self.mappings[i] else f"[{label}]")
        return "".join(said)


def write_json(document):
    """Return a host's document as JSON text, indented by two: what its places are counted in.

    Raises:
        DocumentError: it holds what JSON does not have, or passes a limit; the message names the value.
    """
    cdef JsonWriter writer = JsonWriter()
    cdef Py_ssize_t depth
    cdef bint mapping
    cdef list pieces = writer.pieces
    writer.value(document)
    while writer.open:
        depth = len(writer.open)
        mapping = writer.mappings[depth - 1]
        first = writer.label is None
        item = next(writer.open[depth - 1], pieces)
        if item is pieces:
            writer.open.pop()
            writer.mappings.pop()
            writer.label = writer.labels.pop()
            if not first:
                pieces.append(BREAKS[depth - 1])
            pieces.append("}" if mapping else "]")
            continue
        pieces.append(BREAKS[depth] if first else COMMAS[depth])
        if mapping:
            writer.label, item = item
            pieces.append(writer.key(writer.label))
        else:
            writer.label = 0 if first else writer.label + 1
        writer.value(item)
    return "".join(pieces)
