import re

from spyderresp._native.checking cimport MISSING, Checker
from spyderresp._native.policy cimport Entry, Selector
from spyderresp._native.selector_schema cimport SelectorReader, scope_of
from spyderresp._native.texts cimport among, known, words
from spyderresp._native.tree cimport MAPPING, NOTHING, following, is_text, meant, own

from spyderresp import vocabulary
from spyderresp.findings import quoted, suggestion

cdef dict ACTION_FIELDS = vocabulary.ACTION_FIELDS
cdef tuple ACTIONS = vocabulary.ACTIONS
cdef int NICE_MAX = vocabulary.NICE_MAX
cdef int NICE_MIN = vocabulary.NICE_MIN
cdef dict SELECTORS = vocabulary.SELECTORS
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
                entry = self.item(meant(self.tree, item), index)
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
        entry = Entry.__new__(Entry)
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
        value = meant(self.tree, found + 1)
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
                    selector = self.selectors.read(key, meant(self.tree, key + 1), scope_of(number))
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
