from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memset

from spyderresp._native.classes cimport FIRST
from spyderresp._native.numbers cimport Column, taken
from spyderresp._native.pauses cimport pause
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


cdef void _free_rows(Rows* rows) noexcept nogil:
    free(rows.start)
    free(rows.items)


cdef int32_t _breadth(str pattern) except -1:
    """Guess how many times as many events a glob lets through as an exact text would."""
    cdef Py_ssize_t literal = len(pattern) - pattern.count("*") - pattern.count("?")
    return 2 if literal >= 6 else 10 if literal >= 3 else 100_000


cdef int _add(Posts* posts, int32_t attribute, int32_t key, int32_t code) except -1:
    cdef Post* items
    cdef Py_ssize_t capacity
    if posts.count == posts.capacity:
        capacity = max(2 * posts.capacity, 64)
        items = <Post*>realloc(posts.items, capacity * sizeof(Post))
        if not items:
            raise MemoryError
        posts.items = items
        posts.capacity = capacity
    posts.items[posts.count].attribute = attribute
    posts.items[posts.count].key = key
    posts.items[posts.count].code = code
    posts.count += 1
    return 0


cdef int _lay(Posts* posts, int32_t attribute, Rows* rows, Py_ssize_t keys, Py_ssize_t* memory) except -1:
    """Lay the posts of one attribute out by key; the order in each row is that in which they were added."""
    cdef Py_ssize_t i, size = 0
    rows.start = <int32_t*>calloc(keys + 2, sizeof(int32_t))
    if not rows.start:
        raise MemoryError
    for i in range(posts.count):
        if posts.items[i].attribute == attribute:
            rows.start[posts.items[i].key + 2] += 1
            size += 1
    rows.items = <int32_t*>malloc((size + 1) * sizeof(int32_t))
    if not rows.items:
        raise MemoryError
    for i in range(keys):
        rows.start[i + 2] += rows.start[i + 1]
    for i in range(posts.count):
        if posts.items[i].attribute == attribute:
            rows.items[rows.start[posts.items[i].key + 1]] = posts.items[i].code
            rows.start[posts.items[i].key + 1] += 1
    memory[0] += (keys + 2 + size) * sizeof(int32_t)
    return 0


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
        self.text_counts = <int32_t*>calloc(self.attribute_count + 1, sizeof(int32_t))
        self.glob_counts = <int32_t*>calloc(self.attribute_count + 1, sizeof(int32_t))
        if not self.attribute_scope or not self.text_counts or not self.glob_counts:
            raise MemoryError
        for i in range(self.attribute_count):
            self.attribute_scope[i] = spec.attributes[i][0]
            self.text_counts[i] = len(spec.texts[i])
            self.glob_counts[i] = len(spec.globs[i])
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
        self.code_of = <int32_t*>calloc(self.policy_count + 1, sizeof(int32_t))
        self.text_posts = <Rows*>calloc(self.attribute_count + 1, sizeof(Rows))
        self.glob_posts = <Rows*>calloc(self.attribute_count + 1, sizeof(Rows))
        self.posted = <unsigned char*>calloc(self.attribute_count + 1, 1)
        if not self.code_of or not self.text_posts or not self.glob_posts or not self.posted:
            raise MemoryError
        self.assemble(spec)
        self.uids = TextTable(spec.uids, spec.uids.values())
        self.names = TextTable(spec.names, spec.names.values())
        _rows(&self.groups, &spec.groups, &self.memory)
        for i in range(self.groups.start[groups]):
            self.groups.items[i] = self.code_of[self.groups.items[i]]
        self.memory += 4 * (self.policy_count + self.code_length) + self.uids.memory + self.names.memory

    def __dealloc__(self):
        cdef Py_ssize_t i
        free(self.attribute_scope)
        free(self.text_counts)
        free(self.glob_counts)
        free(self.predicate_attribute)
        free(self.predicate_verdicts)
        _free_rows(&self.predicate_texts)
        _free_rows(&self.predicate_globs)
        free(self.selector_scope)
        _free_rows(&self.selector_predicates)
        _free_rows(&self.policy_selectors)
        _free_rows(&self.entry_selectors)
        free(self.first_entry)
        free(self.code)
        free(self.code_of)
        _free_rows(&self.scope_posts)
        for i in range(self.attribute_count):
            if self.text_posts:
                _free_rows(&self.text_posts[i])
            if self.glob_posts:
                _free_rows(&self.glob_posts[i])
        free(self.text_posts)
        free(self.glob_posts)
        free(self.posted)
        _free_rows(&self.groups)

    cdef int assemble(self, IndexSpec spec) except -1:
        """Write the code of every policy, and post each where any event that it applies to is sure to look.

        Sound because the pivot is one of the policy's own predicates, all of which must hold; an attributed event, for
        which they need not, does not look here but in its group. Held by tests/property/test_index.py.
        """
        cdef Py_ssize_t i, policy, capacity = 0
        cdef int32_t attribute, pivot, at = 0, j
        cdef Posts texts, globs, scopes
        cdef void* shrunk
        cdef int32_t** use = <int32_t**>calloc(self.attribute_count + 1, sizeof(int32_t*))
        memset(&texts, 0, sizeof(Posts))
        memset(&globs, 0, sizeof(Posts))
        memset(&scopes, 0, sizeof(Posts))
        try:
            if not use:
                raise MemoryError
            for i in range(self.attribute_count):
                use[i] = <int32_t*>calloc(FIRST + len(spec.texts[i]) + 2 * len(spec.globs[i]), sizeof(int32_t))
                if not use[i]:
                    raise MemoryError
                # Behind the texts, two numbers a glob: how many policies name it, and what each of them counts for.
                for j, pattern in enumerate(spec.globs[i]):
                    use[i][FIRST + len(spec.texts[i]) + 2 * j + 1] = _breadth(pattern)
            for policy in range(self.policy_count):
                if policy % STEPS == 0:
                    pause()
                capacity += HEADER
                for i in range(self.policy_selectors.start[policy], self.policy_selectors.start[policy + 1]):
                    capacity += self.size(self.policy_selectors.items[i], use)
            for i in range(self.entry_count):
                if i % STEPS == 0:
                    pause()
                capacity += ENTRY_HEADER
                for j in range(self.entry_selectors.start[i], self.entry_selectors.start[i + 1]):
                    capacity += self.size(self.entry_selectors.items[j], NULL)
            if capacity > 0x7FFFFFFF:
                raise MemoryError
            self.code = <int32_t*>malloc((capacity + 1) * sizeof(int32_t))
            if not self.code:
                raise MemoryError
            for policy in range(self.policy_count):
                if policy % STEPS == 0:
                    pause()
                pivot = self.pivot(policy, use)
                self.code_of[policy] = at
                if pivot < 0:
                    i = self.policy_selectors.items[self.policy_selectors.start[policy]]
                    _add(&scopes, 0, self.selector_scope[i], at)
                else:
                    attribute = self.predicate_attribute[pivot]
                    self.posted[attribute] = True
                    for i in range(self.predicate_texts.start[pivot], self.predicate_texts.start[pivot + 1]):
                        _add(&texts, attribute, self.predicate_texts.items[i] - FIRST, at)
                    for i in range(self.predicate_globs.start[pivot], self.predicate_globs.start[pivot + 1]):
                        _add(&globs, attribute, self.predicate_globs.items[i], at)
                at = self.write_policy(policy, pivot, at)
            self.code_length = at
            shrunk = realloc(self.code, (at + 1) * sizeof(int32_t))
            self.code = <int32_t*>shrunk if shrunk else self.code
            self.post_count = texts.count + globs.count + scopes.count
            _lay(&scopes, 0, &self.scope_posts, self.scope_count, &self.memory)
            self.lay_all(&texts, self.text_posts, spec.texts)
            self.lay_all(&globs, self.glob_posts, spec.globs)
        finally:
            if use:
                for i in range(self.attribute_count):
                    free(use[i])
            free(use)
            free(texts.items)
            free(globs.items)
            free(scopes.items)
        return 0

    cdef int lay_all(self, Posts* posts, Rows* rows, keys) except -1:
        cdef Py_ssize_t i
        # One attribute after the other, each by a walk over its own posts alone.
        cdef Posts own
        cdef Py_ssize_t* first = <Py_ssize_t*>calloc(self.attribute_count + 2, sizeof(Py_ssize_t))
        cdef Post* sorted_ = <Post*>malloc((posts.count + 1) * sizeof(Post))
        try:
            if not first or not sorted_:
                raise MemoryError
            for i in range(posts.count):
                first[posts.items[i].attribute + 2] += 1
            for i in range(self.attribute_count):
                first[i + 2] += first[i + 1]
            for i in range(posts.count):
                sorted_[first[posts.items[i].attribute + 1]] = posts.items[i]
                first[posts.items[i].attribute + 1] += 1
            for i in range(self.attribute_count):
                own.items = sorted_ + first[i]
                own.count = first[i + 1] - first[i]
                _lay(&own, i, &rows[i], len(keys[i]), &self.memory)
        finally:
            free(first)
            free(sorted_)
        return 0

    cdef Py_ssize_t size(self, int32_t selector, int32_t** use) noexcept:
        """Return the most numbers that a selector's clauses take, and count the policies that name each text."""
        cdef Py_ssize_t total = 0
        cdef int32_t i, j, predicate, attribute
        cdef int32_t* count
        for i in range(self.selector_predicates.start[selector], self.selector_predicates.start[selector + 1]):
            predicate = self.selector_predicates.items[i]
            total += 2 + 2 * FEW
            if use is not NULL and self.exact(predicate):
                attribute = self.predicate_attribute[predicate]
                for j in range(self.predicate_texts.start[predicate], self.predicate_texts.start[predicate + 1]):
                    use[attribute][self.predicate_texts.items[j]] += 1
                count = use[attribute] + FIRST + self.text_counts[attribute]
                for j in range(self.predicate_globs.start[predicate], self.predicate_globs.start[predicate + 1]):
                    count[2 * self.predicate_globs.items[j]] += 1
        return total

    cdef bint exact(self, int32_t predicate) noexcept:
        """Whether only texts that it names, or its globs match, satisfy a predicate."""
        cdef const Verdicts* verdicts = &self.predicate_verdicts[predicate]
        return verdicts.match and not verdicts.other and not verdicts.absent and (
            self.predicate_texts.start[predicate] < self.predicate_texts.start[predicate + 1]
            or self.predicate_globs.start[predicate] < self.predicate_globs.start[predicate + 1]
        )

    cdef int32_t pivot(self, Py_ssize_t policy, int32_t** use) noexcept:
        """Return the policy's rarest exact predicate, or -1: whose commonest operand leads to fewest policies."""
        cdef int32_t i, p, k, glob, predicate, selector, attribute, best = -1
        cdef int64_t cost, least = 0
        cdef const int32_t* count
        for i in range(self.policy_selectors.start[policy], self.policy_selectors.start[policy + 1]):
            selector = self.policy_selectors.items[i]
            for p in range(self.selector_predicates.start[selector], self.selector_predicates.start[selector + 1]):
                predicate = self.selector_predicates.items[p]
                if not self.exact(predicate):
                    continue
                cost = 0
                attribute = self.predicate_attribute[predicate]
                for k in range(self.predicate_texts.start[predicate], self.predicate_texts.start[predicate + 1]):
                    cost = max(cost, use[attribute][self.predicate_texts.items[k]])
                count = use[attribute] + FIRST + self.text_counts[attribute]
                for k in range(self.predicate_globs.start[predicate], self.predicate_globs.start[predicate + 1]):
                    glob = self.predicate_globs.items[k]
                    cost = max(cost, <int64_t>count[2 * glob] * count[2 * glob + 1])
                if best < 0 or cost < least:
                    best = predicate
                    least = cost
        return best

    cdef int32_t write_policy(self, Py_ssize_t policy, int32_t pivot, int32_t at) except -1:
        """Write a policy's code, and return where the next one's begins."""
        cdef int32_t start = at, i, j, entry, head
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
            head = at
            at += ENTRY_HEADER
            code[head] = entry
            code[head + 1] = 0
            code[head + 2] = 0
            for j in range(self.entry_selectors.start[entry], self.entry_selectors.start[entry + 1]):
                at = self.write_selector(self.entry_selectors.items[j], -1, &code[head + 1], &code[head + 2], at)
            code[head + 3] = at - head - ENTRY_HEADER
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
        cdef int32_t longest = _longest(&self.scope_posts, self.scope_count)
        cdef Py_ssize_t i
        for i in range(self.attribute_count):
            longest = max(longest, _longest(&self.text_posts[i], self.text_counts[i]))
            longest = max(longest, _longest(&self.glob_posts[i], self.glob_counts[i]))
        return longest


cdef int32_t _item(const Rows* rows, Py_ssize_t row, Py_ssize_t count, Py_ssize_t place) except -1:
    if not 0 <= row < count or not 0 <= place < rows.start[row + 1] - rows.start[row]:
        raise IndexError(place)
    return rows.items[rows.start[row] + place]


cdef int32_t _longest(const Rows* rows, Py_ssize_t count) noexcept:
    cdef int32_t longest = 0
    cdef Py_ssize_t i
    for i in range(count):
        longest = max(longest, rows.start[i + 1] - rows.start[i])
    return longest
