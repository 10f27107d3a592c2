from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memset

from spyderresp._native.numbers cimport Column, taken
from spyderresp._native.pauses cimport pause
from spyderresp._native.postings cimport Postings, Posts, Rows, add_post, free_rows, lay_rows, longest_row
from spyderresp._native.spec cimport MATCH, MISSING, OTHERWISE, IndexSpec, Table


cdef enum:
    STEPS = 128    # policies, or entries, between two pauses


cdef int32_t* _numbers(Column* column, Py_ssize_t* memory) noexcept:
    """Take a column over."""
    memory[0] += column.count * sizeof(int32_t)
    return taken(column)


cdef void _rows(Rows* rows, Table* table, Py_ssize_t* memory) noexcept:
    rows.start = _numbers(&table.start, memory)
    rows.items = _numbers(&table.items, memory)


cdef class Assembly:
    def __cinit__(self, IndexSpec spec not None):
        cdef Py_ssize_t i, groups = len(spec.uids) + len(spec.names)
        cdef const int32_t* verdicts
        self.attribute_count = len(spec.attributes)
        self.scope_count = len(spec.scopes)
        self.predicate_count = spec.predicate_attribute.count
        self.selector_count = spec.selector_scope.count
        self.policy_count = spec.first_entry.count - 1
        if self.policy_count < 0:
            raise ValueError("a spec is taken over once")
        self.entry_count = spec.entry_selectors.start.count - 1
        self.attribute_scope = <int32_t*>calloc(self.attribute_count + 1, sizeof(int32_t))
        self.scoping = <unsigned char*>calloc(self.attribute_count + 1, 1)
        self.code_of = <int32_t*>calloc(self.policy_count + 1, sizeof(int32_t))
        if not self.attribute_scope or not self.scoping or not self.code_of:
            raise MemoryError
        for i in range(self.attribute_count):
            self.attribute_scope[i] = spec.attributes[i][0]
        self.predicate_attribute = _numbers(&spec.predicate_attribute, &self.memory)
        self.predicate_verdicts = <Verdicts*>malloc(3 * self.predicate_count + 1)
        if not self.predicate_verdicts:
            raise MemoryError
        verdicts = spec.predicate_verdicts.items
        for i in range(self.predicate_count):
            self.predicate_verdicts[i].match = verdicts[i] & MATCH != 0
            self.predicate_verdicts[i].other = verdicts[i] & OTHERWISE != 0
            self.predicate_verdicts[i].absent = verdicts[i] & MISSING != 0
        _rows(&self.predicate_texts, &spec.predicate_texts, &self.memory)
        _rows(&self.predicate_globs, &spec.predicate_globs, &self.memory)
        self.selector_scope = _numbers(&spec.selector_scope, &self.memory)
        _rows(&self.selector_predicates, &spec.selector_predicates, &self.memory)
        _rows(&self.policy_selectors, &spec.policy_selectors, &self.memory)
        _rows(&self.entry_selectors, &spec.entry_selectors, &self.memory)
        self.first_entry = _numbers(&spec.first_entry, &self.memory)
        self.policy_posts = Postings(spec.texts, spec.globs)
        self.entry_posts = Postings(spec.texts, spec.globs)
        self.assemble()
        self.uids = TextTable(spec.uids, spec.uids.values())
        self.names = TextTable(spec.names, spec.names.values())
        _rows(&self.groups, &spec.groups, &self.memory)
        for i in range(self.groups.start[groups]):
            self.groups.items[i] = self.code_of[self.groups.items[i]]
        self.memory += 4 * (self.policy_count + self.code_length) + self.uids.memory + self.names.memory
        self.memory += self.policy_posts.memory + self.entry_posts.memory

    def __dealloc__(self):
        free(self.attribute_scope)
        free(self.predicate_attribute)
        free(self.predicate_verdicts)
        free_rows(&self.predicate_texts)
        free_rows(&self.predicate_globs)
        free(self.selector_scope)
        free_rows(&self.selector_predicates)
        free_rows(&self.policy_selectors)
        free_rows(&self.entry_selectors)
        free(self.first_entry)
        free(self.code)
        free(self.code_of)
        free_rows(&self.scope_posts)
        free_rows(&self.loose)
        free(self.scoping)
        free_rows(&self.groups)

    cdef int assemble(self) except -1:
        """Write the code of every policy, and post each where any event that it applies to is sure to look.

        Sound because the pivot is one of the policy's own predicates, all of which must hold; an attributed event, for
        which they need not, does not look here but in its group. An entry's must hold always. Held by
        tests/property/test_index.py.
        """
        cdef Py_ssize_t policy, entry, capacity = 0
        cdef int32_t pivot, i, at = 0
        cdef Posts scopes, loose
        cdef void* shrunk
        memset(&scopes, 0, sizeof(Posts))
        memset(&loose, 0, sizeof(Posts))
        try:
            for policy in range(self.policy_count):
                if policy % STEPS == 0:
                    pause()
                capacity += HEADER + self.weigh(&self.policy_selectors, policy, self.policy_posts)
            for entry in range(self.entry_count):
                if entry % STEPS == 0:
                    pause()
                capacity += ENTRY_HEADER + self.weigh(&self.entry_selectors, entry, self.entry_posts)
            if capacity > 0x7FFFFFFF:
                raise MemoryError
            self.code = <int32_t*>malloc((capacity + 1) * sizeof(int32_t))
            if not self.code:
                raise MemoryError
            for policy in range(self.policy_count):
                if policy % STEPS == 0:
                    pause()
                pivot = self.pivot(&self.policy_selectors, policy, self.policy_posts)
                self.code_of[policy] = at
                if pivot < 0:
                    i = self.policy_selectors.items[self.policy_selectors.start[policy]]
                    add_post(&scopes, 0, self.selector_scope[i], at)
                else:
                    self.post(self.policy_posts, pivot, at)
                at = self.write_policy(policy, pivot, at, &loose)
            self.code_length = at
            shrunk = realloc(self.code, (at + 1) * sizeof(int32_t))
            self.code = <int32_t*>shrunk if shrunk else self.code
            lay_rows(&scopes, &self.scope_posts, self.scope_count, &self.memory)
            lay_rows(&loose, &self.loose, self.policy_count, &self.memory)
            self.policy_posts.lay()
            self.entry_posts.lay()
            self.post_count = self.policy_posts.count + scopes.count
        finally:
            free(scopes.items)
            free(loose.items)
        return 0

    cdef Py_ssize_t weigh(self, const Rows* selectors, Py_ssize_t row, Postings postings) noexcept:
        """Weigh what a policy or an entry could be posted under, and return the most numbers that its clauses take."""
        cdef Py_ssize_t total = 0
        cdef int32_t i, j, selector, predicate
        for i in range(selectors.start[row], selectors.start[row + 1]):
            selector = selectors.items[i]
            for j in range(self.selector_predicates.start[selector], self.selector_predicates.start[selector + 1]):
                predicate = self.selector_predicates.items[j]
                total += 2 + 2 * FEW
                if self.exact(predicate):
                    postings.weigh(
                        self.predicate_attribute[predicate], &self.predicate_texts, &self.predicate_globs, predicate
                    )
                if postings is self.policy_posts:
                    self.scoping[self.predicate_attribute[predicate]] = True
        return total

    cdef int post(self, Postings postings, int32_t pivot, int32_t code) except -1:
        return postings.post(
            self.predicate_attribute[pivot], &self.predicate_texts, &self.predicate_globs, pivot, code
        )

    cdef bint exact(self, int32_t predicate) noexcept:
        """Whether only texts that it names, or its globs match, satisfy a predicate."""
        cdef const Verdicts* verdicts = &self.predicate_verdicts[predicate]
        return verdicts.match and not verdicts.other and not verdicts.absent and (
            self.predicate_texts.start[predicate] < self.predicate_texts.start[predicate + 1]
            or self.predicate_globs.start[predicate] < self.predicate_globs.start[predicate + 1]
        )

    cdef int32_t pivot(self, const Rows* selectors, Py_ssize_t row, Postings postings) noexcept:
        """Return the rarest exact predicate of a policy or an entry, or -1."""
        cdef int32_t i, p, predicate, selector, best = -1
        cdef int64_t cost, least = 0
        for i in range(selectors.start[row], selectors.start[row + 1]):
            selector = selectors.items[i]
            for p in range(self.selector_predicates.start[selector], self.selector_predicates.start[selector + 1]):
                predicate = self.selector_predicates.items[p]
                if not self.exact(predicate):
                    continue
                cost = postings.cost(
                    self.predicate_attribute[predicate], &self.predicate_texts, &self.predicate_globs, predicate
                )
                if best < 0 or cost < least:
                    best = predicate
                    least = cost
        return best

    cdef int32_t write_policy(self, Py_ssize_t policy, int32_t pivot, int32_t at, Posts* loose) except -1:
        """Write a policy's code, and return where the next one's begins."""
        cdef int32_t start = at, i, entry
        cdef int32_t* code = self.code
        at += HEADER
        code[start + POLICY] = policy
        code[start + MASK] = 0
        code[start + CLAUSES] = 0
        for i in range(self.policy_selectors.start[policy], self.policy_selectors.start[policy + 1]):
            at = self.write_selector(
                self.policy_selectors.items[i], pivot, &code[start + MASK], &code[start + CLAUSES], at
            )
        code[start + CHECKED] = code[start + CLAUSES]
        if pivot >= 0:
            at = self.write_clause(pivot, at)
            code[start + CLAUSES] += 1
        code[start + ENTRIES] = at - start
        code[start + COUNT] = self.first_entry[policy + 1] - self.first_entry[policy]
        for entry in range(self.first_entry[policy], self.first_entry[policy + 1]):
            if entry % STEPS == 0:
                pause()
            at = self.write_entry(policy, entry, at, loose)
        return at

    cdef int32_t write_entry(self, Py_ssize_t policy, Py_ssize_t entry, int32_t at, Posts* loose) except -1:
        """Write and post one entry, and return where the next one's code begins."""
        cdef int32_t start = at, i, pivot = self.pivot(&self.entry_selectors, entry, self.entry_posts)
        cdef int32_t* code = self.code + start
        code[ENTRY] = entry
        code[OF] = policy
        code[NEEDS] = 0
        code[ASKED] = 0
        at += ENTRY_HEADER
        for i in range(self.entry_selectors.start[entry], self.entry_selectors.start[entry + 1]):
            at = self.write_selector(self.entry_selectors.items[i], -1, &code[NEEDS], &code[ASKED], at)
        code[SIZE] = at - start - ENTRY_HEADER
        if pivot < 0:
            add_post(loose, 0, policy, start)
        else:
            self.post(self.entry_posts, pivot, start)
        return at

    cdef int32_t write_selector(
        self, int32_t selector, int32_t pivot, int32_t* mask, int32_t* count, int32_t at
    ) noexcept:
        cdef int32_t i
        mask[0] |= 1 << self.selector_scope[selector]
        for i in range(self.selector_predicates.start[selector], self.selector_predicates.start[selector + 1]):
            if self.selector_predicates.items[i] != pivot:
                at = self.write_clause(self.selector_predicates.items[i], at)
                count[0] += 1
        return at

    cdef int32_t write_clause(self, int32_t predicate, int32_t at) noexcept:
        cdef const Verdicts* verdicts = &self.predicate_verdicts[predicate]
        cdef int32_t texts = self.predicate_texts.start[predicate + 1] - self.predicate_texts.start[predicate]
        cdef int32_t globs = self.predicate_globs.start[predicate + 1] - self.predicate_globs.start[predicate]
        cdef int32_t said = verdicts.match * MATCH | verdicts.other * OTHERWISE | verdicts.absent * MISSING, i
        self.code[at] = self.predicate_attribute[predicate]
        if texts > FEW or globs > FEW:
            self.code[at + 1] = said | MANY
            self.code[at + 2] = predicate
            return at + 3
        self.code[at + 1] = said | texts << TEXTS | globs << GLOBS
        at += 2
        for i in range(texts):
            self.code[at] = self.predicate_texts.items[self.predicate_texts.start[predicate] + i]
            at += 1
        for i in range(globs):
            self.code[at] = self.predicate_globs.items[self.predicate_globs.start[predicate] + i]
            at += 1
        return at

    def policy_selector(self, Py_ssize_t policy, Py_ssize_t place):
        return _item(&self.policy_selectors, policy, self.policy_count, place)

    def entry_selector(self, Py_ssize_t entry, Py_ssize_t place):
        return _item(&self.entry_selectors, entry, self.entry_count, place)

    def selector_predicate(self, Py_ssize_t selector, Py_ssize_t place):
        return _item(&self.selector_predicates, selector, self.selector_count, place)

    def longest_row(self):
        return max(longest_row(&self.scope_posts, self.scope_count), self.policy_posts.longest())


cdef int32_t _item(const Rows* rows, Py_ssize_t row, Py_ssize_t count, Py_ssize_t place) except -1:
    if not 0 <= row < count or not 0 <= place < rows.start[row + 1] - rows.start[row]:
        raise IndexError(place)
    return rows.items[rows.start[row] + place]
