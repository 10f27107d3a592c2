from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memset

from spyderresp._gil cimport pause
from spyderresp.decision._event_reader cimport READ_FIELD, READ_LABEL, READ_NAMESPACE_NAME
from spyderresp.decision._globs cimport literal, plain
from spyderresp.decision._hash_tables cimport SECRETS, ascending, free_rows, push
from spyderresp.policies._model cimport Entry

from spyderresp.policies.vocabulary import (
    LABEL_SCOPES as _LABEL_SCOPES,
    NAMESPACE_NAME_LABEL as _NAME_LABEL,
    SCOPES as _SCOPES,
)


# --- Policies as integers ---

cdef enum:
    GLOB = 1 << 30
    DISABLED = -1
    STEPS_PER_PAUSE = 256    # holders of selectors, or operands, between two pauses


cdef int _close(Table* table) except -1:
    """End a row, or begin the first one."""
    return push(&table.start, table.items.count)


cdef void _free_table(Table* table) noexcept:
    free(table.start.items)
    free(table.items.items)


cdef int32_t _told(RowTable* table, const Column* row) except -1:
    """Return the number of a row; equal ones share it."""
    cdef uint64_t mixed = SECRETS.first
    cdef Py_ssize_t i
    cdef int32_t place
    for i in range(row.count):
        mixed = hash_number(mixed, row.items[i])
    place = intern_row(table, row.items, row.count, mixed, False)
    if place < 0:
        raise MemoryError
    return place


cdef class IndexSpec:
    """Policies as numbers, for the index to be made of; an index takes them over.

    Args:
        policies: all of a policy set, the disabled ones among them.
        absent_is_outside: whether NotIn holds where the key is absent.

    Attributes:
        attributes: scope (its place among the scopes), key and kind, of all that a predicate names.
    """

    def __cinit__(self, tuple policies not None, bint absent_is_outside):
        self.scopes = _SCOPES
        self.absent_is_outside = absent_is_outside
        self.scope_places = {scope: place for place, scope in enumerate(_SCOPES)}
        self.attribute_places = [{} for _ in _SCOPES]
        self.met, self.texts, self.globs = [], [], []
        self.uids, self.names = {}, {}
        _close(&self.predicate_texts)
        _close(&self.predicate_globs)
        _close(&self.selector_predicates)
        _close(&self.policy_selectors)
        _close(&self.entry_selectors)
        push(&self.first_entry, 0)
        for policy in policies:
            if type(policy) is not Policy:
                raise TypeError(f"a policy set holds policies, not {type(policy).__name__}")
            if (<Policy>policy).enabled:
                self.number_policy(policy)
        self.order_attributes()
        self.lay_groups(policies)

    def __dealloc__(self):
        free(self.predicate_attribute.items)
        free(self.predicate_verdicts.items)
        _free_table(&self.predicate_texts)
        _free_table(&self.predicate_globs)
        free(self.selector_scope.items)
        _free_table(&self.selector_predicates)
        _free_table(&self.policy_selectors)
        _free_table(&self.entry_selectors)
        free(self.first_entry.items)
        _free_table(&self.groups)
        free_rows(&self.predicates)
        free_rows(&self.selectors)
        free(self.predicate.items)
        free(self.selector.items)

    cdef int step(self) except -1:
        self.steps += 1
        if self.steps % STEPS_PER_PAUSE == 0:
            pause()
        return 0

    cdef int number_policy(self, Policy policy) except -1:
        cdef Entry entry
        cdef int32_t entries = self.first_entry.items[self.first_entry.count - 1]
        self.number_selectors(policy.selectors, &self.policy_selectors)
        for entry in policy.entries:
            if entry.enabled:
                self.number_selectors(entry.selectors, &self.entry_selectors)
                entries += 1
        return push(&self.first_entry, entries)

    cdef int number_selectors(self, tuple selectors, Table* table) except -1:
        cdef Selector selector
        for selector in selectors:
            push(&table.items, self.number_selector(selector))
        self.step()
        return _close(table)

    cdef int32_t number_selector(self, Selector selector) except -1:
        """Return the number of a selector; equal ones share it."""
        cdef Clause clause
        cdef int32_t place, scope = self.scope_places[selector.scope]
        cdef Py_ssize_t i
        self.selector.count = 0
        push(&self.selector, scope)
        for clause in selector.clauses:
            push(&self.selector, self.number_predicate(scope, clause))
        place = _told(&self.selectors, &self.selector)
        if place == self.selector_scope.count:
            push(&self.selector_scope, scope)
            for i in range(1, self.selector.count):
                push(&self.selector_predicates.items, self.selector.items[i])
            _close(&self.selector_predicates)
        return place

    cdef int32_t number_predicate(self, int32_t scope, Clause clause) except -1:
        """Return the number of a clause's predicate; equal ones share it."""
        cdef int32_t attribute = self.number_attribute(scope, clause.key)
        self.predicate.count = 0
        push(&self.predicate, attribute)
        if clause.operator == "Exists":
            push(&self.predicate, MATCH | OTHERWISE)
        elif clause.operator == "DoesNotExist":
            push(&self.predicate, MISSING)
        else:
            if clause.operator == "In":
                push(&self.predicate, MATCH)
            else:
                push(&self.predicate, OTHERWISE | self.absent_is_outside * MISSING)
            self.add_operands(attribute, clause.values)
        return _told(&self.predicates, &self.predicate)

    cdef int32_t number_attribute(self, int32_t scope, str key) except -1:
        cdef dict places = <dict>self.attribute_places[scope]
        place = places.get(key)
        if place is None:
            place = places[key] = len(self.met)
            self.met.append((scope, key))
            self.texts.append({})
            self.globs.append({})
        return place

    cdef int add_operands(self, int32_t attribute, tuple patterns) except -1:
        """Add the numbers of exact texts and of globs to the predicate, each ascending and once."""
        cdef dict texts = <dict>self.texts[attribute], globs = <dict>self.globs[attribute]
        cdef Column* row = &self.predicate
        cdef Py_ssize_t first = row.count, kept = first, i
        cdef str pattern, text, operand
        cdef dict held
        for pattern in patterns:
            if len(patterns) > STEPS_PER_PAUSE:
                self.step()
            place = None if plain(pattern) else globs.get(pattern)
            if place is not None:
                push(row, GLOB + <int32_t>place)
                continue
            text = literal(pattern)
            held = texts if text is not None else globs
            operand = text if text is not None else pattern
            place = held.get(operand)
            if place is None:
                place = held[operand] = len(held)
            push(row, <int32_t>place + (FIRST if text is not None else GLOB))
        if row.count > first + 1:
            qsort(row.items + first, row.count - first, sizeof(int32_t), ascending)
            for i in range(first, row.count):
                if i == first or row.items[i] != row.items[kept - 1]:
                    row.items[kept] = row.items[i]
                    kept += 1
            row.count = kept
        return 0

    cdef int order_attributes(self) except -1:
        """Put attributes in the reader's order, which groups them by scope; fixed, so that its errors are the same."""
        cdef int32_t* places = <int32_t*>malloc((len(self.met) + 1) * sizeof(int32_t))
        cdef Py_ssize_t at
        if not places:
            raise MemoryError
        try:
            order = sorted(range(len(self.met)), key=self.met.__getitem__)
            for at, place in enumerate(order):
                places[<Py_ssize_t>place] = at
            named = [self.met[place] for place in order]
            self.attributes = tuple([(scope, key, _kind(scope, key)) for scope, key in named])
            texts, globs = [], []
            for place in order:
                texts.append(list(self.texts[place]))
                globs.append(tuple(self.globs[place]))
                pause()
            self.texts, self.globs = texts, globs
            self.lay_predicates(places)
        finally:
            free(places)
        return 0

    cdef int lay_predicates(self, const int32_t* places) except -1:
        cdef int32_t i, number
        cdef Py_ssize_t at
        for i in range(self.predicates.count):
            self.step()
            at = self.predicates.starts[i]
            push(&self.predicate_attribute, places[self.predicates.numbers[at]])
            push(&self.predicate_verdicts, self.predicates.numbers[at + 1])
            for at in range(at + 2, self.predicates.starts[i + 1]):
                number = self.predicates.numbers[at]
                if number < GLOB:
                    push(&self.predicate_texts.items, number)
                else:
                    push(&self.predicate_globs.items, number - GLOB)
            _close(&self.predicate_texts)
            _close(&self.predicate_globs)
        return 0

    cdef int lay_groups(self, tuple policies) except -1:
        """Number groups by uid and by name, over all policies, and lay down the enabled ones of each."""
        cdef Policy policy
        cdef Column own    # group and policy, by turns
        cdef Py_ssize_t i
        cdef int32_t enabled = 0
        memset(&own, 0, sizeof(Column))
        try:
            for policy in policies:
                self.step()
                if policy.uid is not None:
                    self.join(self.uids, policy.uid, enabled if policy.enabled else DISABLED, &own)
                self.join(self.names, policy.name, enabled if policy.enabled else DISABLED, &own)
                enabled += policy.enabled
            for _ in range(len(self.uids) + len(self.names) + 2):
                push(&self.groups.start, 0)
            for i in range(0, own.count, 2):
                self.groups.start.items[own.items[i] + 2] += 1
                push(&self.groups.items, 0)
            for i in range(2, self.groups.start.count):
                self.groups.start.items[i] += self.groups.start.items[i - 1]
            for i in range(0, own.count, 2):
                self.groups.items.items[self.groups.start.items[own.items[i] + 1]] = own.items[i + 1]
                self.groups.start.items[own.items[i] + 1] += 1
        finally:
            free(own.items)
        return 0

    cdef int join(self, dict groups, str key, int32_t policy, Column* own) except -1:
        place = groups.get(key)
        if place is None:
            place = groups[key] = FIRST + len(self.uids) + len(self.names)
        if policy != DISABLED:
            push(own, <int32_t>place - FIRST)
            push(own, policy)
        return 0


cdef int _kind(int32_t scope, str key) except -1:
    if _SCOPES[scope] == "namespace" and key == _NAME_LABEL:
        return READ_NAMESPACE_NAME
    return READ_LABEL if _SCOPES[scope] in _LABEL_SCOPES else READ_FIELD
