cimport cython
from libc.stdlib cimport calloc, free, malloc, qsort, realloc
from libc.string cimport memset

from spyderresp._gil cimport pause
from spyderresp.decision._hash_tables cimport Column, ascending, prefetch, taken
from spyderresp.decision._spec cimport ABSENT, FIRST, MATCH, MISSING, OTHERWISE, Table


# --- Postings ---

cdef enum:
    POSTS_PER_PAUSE = 4096    # posts between two pauses


cdef void free_rows(Rows* rows) noexcept nogil:
    free(rows.start)
    free(rows.items)
    memset(rows, 0, sizeof(Rows))


cdef int32_t longest_row(const Rows* rows, Py_ssize_t count) noexcept:
    cdef int32_t longest = 0
    cdef Py_ssize_t i
    for i in range(count):
        longest = max(longest, rows.start[i + 1] - rows.start[i])
    return longest


cdef int add_post(Posts* posts, int32_t attribute, int32_t key, int32_t item) except -1:
    cdef Post* items
    cdef Py_ssize_t capacity
    if posts.count == posts.capacity:
        capacity = max(2 * posts.capacity, 64)
        items = <Post*>realloc(posts.items, capacity * sizeof(Post))
        if not items:
            raise MemoryError
        posts.items = items
        posts.capacity = capacity
    posts.items[posts.count] = Post(attribute, key, item)
    posts.count += 1
    if posts.count % POSTS_PER_PAUSE == 0:
        pause()
    return 0


cdef int lay_rows(const Posts* posts, Rows* rows, Py_ssize_t keys, Py_ssize_t* memory) except -1:
    cdef Py_ssize_t i
    rows.start = <int32_t*>calloc(keys + 2, sizeof(int32_t))
    rows.items = <int32_t*>malloc((posts.count + 1) * sizeof(int32_t))
    if not rows.start or not rows.items:
        raise MemoryError
    for i in range(posts.count):
        rows.start[posts.items[i].key + 2] += 1
    for i in range(keys):
        rows.start[i + 2] += rows.start[i + 1]
    for i in range(posts.count):
        rows.items[rows.start[posts.items[i].key + 1]] = posts.items[i].item
        rows.start[posts.items[i].key + 1] += 1
    memory[0] += (keys + 2 + posts.count) * sizeof(int32_t)
    return 0


cdef int32_t _breadth(str pattern) except -1:
    """Guess how many times as many events a glob lets through as an exact text would."""
    cdef Py_ssize_t literal = len(pattern) - pattern.count("*") - pattern.count("?")
    return 2 if literal >= 6 else 10 if literal >= 3 else 100_000


cdef class Postings:
    """Policies and entries by what they ask for."""

    def __cinit__(self, list texts not None, list globs not None):
        cdef Py_ssize_t i, j, at
        self.fields = len(texts)
        self.texts = <Rows*>calloc(self.fields + 1, sizeof(Rows))
        self.globs = <Rows*>calloc(self.fields + 1, sizeof(Rows))
        self.attributes = <int32_t*>calloc(self.fields + 1, sizeof(int32_t))
        self.text_counts = <int32_t*>calloc(self.fields + 1, sizeof(int32_t))
        self.glob_counts = <int32_t*>calloc(self.fields + 1, sizeof(int32_t))
        self.use = <int32_t**>calloc(self.fields + 1, sizeof(int32_t*))
        if (
            not self.texts or not self.globs or not self.attributes or not self.text_counts or not self.glob_counts
            or not self.use
        ):
            raise MemoryError
        for i in range(self.fields):
            self.text_counts[i] = len(texts[i])
            self.glob_counts[i] = len(globs[i])
            self.use[i] = <int32_t*>calloc(self.text_counts[i] + 2 * self.glob_counts[i] + 1, sizeof(int32_t))
            if not self.use[i]:
                raise MemoryError
            at = self.text_counts[i]
            for j, pattern in enumerate(globs[i]):
                self.use[i][at + 2 * j + 1] = _breadth(pattern)

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.fields):
            if self.texts:
                free_rows(&self.texts[i])
            if self.globs:
                free_rows(&self.globs[i])
        self.free_gathered()
        free(self.texts)
        free(self.globs)
        free(self.attributes)
        free(self.text_counts)
        free(self.glob_counts)

    cdef void free_gathered(self) noexcept:
        cdef Py_ssize_t i
        if self.use:
            for i in range(self.fields):
                free(self.use[i])
        free(self.use)
        self.use = NULL
        free(self.gathered_texts.items)
        free(self.gathered_globs.items)
        memset(&self.gathered_texts, 0, sizeof(Posts))
        memset(&self.gathered_globs, 0, sizeof(Posts))

    cdef void weigh(self, int32_t attribute, const Rows* texts, const Rows* globs, int32_t predicate) noexcept:
        cdef int32_t* use = self.use[attribute]
        cdef int32_t i
        for i in range(texts.start[predicate], texts.start[predicate + 1]):
            use[texts.items[i] - FIRST] += 1
        use += self.text_counts[attribute]
        for i in range(globs.start[predicate], globs.start[predicate + 1]):
            use[2 * globs.items[i]] += 1

    cdef int64_t cost(self, int32_t attribute, const Rows* texts, const Rows* globs, int32_t predicate) noexcept:
        cdef const int32_t* use = self.use[attribute]
        cdef int64_t cost = 0
        cdef int32_t i
        for i in range(texts.start[predicate], texts.start[predicate + 1]):
            cost = max(cost, use[texts.items[i] - FIRST])
        use += self.text_counts[attribute]
        for i in range(globs.start[predicate], globs.start[predicate + 1]):
            cost = max(cost, <int64_t>use[2 * globs.items[i]] * use[2 * globs.items[i] + 1])
        return cost

    cdef int post(
        self, int32_t attribute, const Rows* texts, const Rows* globs, int32_t predicate, int32_t item
    ) except -1:
        cdef int32_t i
        for i in range(texts.start[predicate], texts.start[predicate + 1]):
            add_post(&self.gathered_texts, attribute, texts.items[i] - FIRST, item)
        for i in range(globs.start[predicate], globs.start[predicate + 1]):
            add_post(&self.gathered_globs, attribute, globs.items[i], item)
        return 0

    cdef int lay(self) except -1:
        cdef Py_ssize_t i
        self.count = self.gathered_texts.count + self.gathered_globs.count
        _lay_all(&self.gathered_texts, self.texts, self.text_counts, self.fields, &self.memory)
        _lay_all(&self.gathered_globs, self.globs, self.glob_counts, self.fields, &self.memory)
        for i in range(self.fields):
            if self.texts[i].start[self.text_counts[i]] or self.globs[i].start[self.glob_counts[i]]:
                self.attributes[self.attribute_count] = i
                self.attribute_count += 1
        self.free_gathered()
        return 0

    cdef int32_t longest(self) noexcept:
        cdef int32_t longest = 0
        cdef Py_ssize_t i
        for i in range(self.fields):
            longest = max(longest, longest_row(&self.texts[i], self.text_counts[i]))
            longest = max(longest, longest_row(&self.globs[i], self.glob_counts[i]))
        return longest


cdef int _lay_all(
    const Posts* posts, Rows* rows, const int32_t* keys, Py_ssize_t fields, Py_ssize_t* memory
) except -1:
    """Lay down one attribute after the other, each by a walk over its own posts alone."""
    cdef Py_ssize_t i
    cdef Posts own
    cdef Py_ssize_t* first = <Py_ssize_t*>calloc(fields + 2, sizeof(Py_ssize_t))
    cdef Post* sorted_ = <Post*>malloc((posts.count + 1) * sizeof(Post))
    try:
        if not first or not sorted_:
            raise MemoryError
        for i in range(posts.count):
            first[posts.items[i].attribute + 2] += 1
        for i in range(fields):
            first[i + 2] += first[i + 1]
        for i in range(posts.count):
            sorted_[first[posts.items[i].attribute + 1]] = posts.items[i]
            first[posts.items[i].attribute + 1] += 1
        for i in range(fields):
            own.items = sorted_ + first[i]
            own.count = first[i + 1] - first[i]
            lay_rows(&own, &rows[i], keys[i], memory)
            pause()
    finally:
        free(first)
        free(sorted_)
    return 0


# --- Layout ---

cdef enum:
    ENTRIES_PER_PAUSE = 128    # policies, or entries, between two pauses


cdef int32_t* _numbers(Column* column, Py_ssize_t* memory) noexcept:
    """Take a column over."""
    memory[0] += column.count * sizeof(int32_t)
    return taken(column)


cdef void _rows(Rows* rows, Table* table, Py_ssize_t* memory) noexcept:
    rows.start = _numbers(&table.start, memory)
    rows.items = _numbers(&table.items, memory)


cdef class ProgramBuilder:
    """The policies of an index as numbers.

    Attributes:
        post_count: places where a policy is posted, all together.
        memory: bytes of the tables.
    """

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
                if policy % ENTRIES_PER_PAUSE == 0:
                    pause()
                capacity += HEADER + self.weigh(&self.policy_selectors, policy, self.policy_posts)
            for entry in range(self.entry_count):
                if entry % ENTRIES_PER_PAUSE == 0:
                    pause()
                capacity += ENTRY_HEADER + self.weigh(&self.entry_selectors, entry, self.entry_posts)
            if capacity > 0x7FFFFFFF:
                raise MemoryError
            self.code = <int32_t*>malloc((capacity + 1) * sizeof(int32_t))
            if not self.code:
                raise MemoryError
            for policy in range(self.policy_count):
                if policy % ENTRIES_PER_PAUSE == 0:
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
            if entry % ENTRIES_PER_PAUSE == 0:
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
        """Return the number of a policy's selector, by its place among the policy's own."""
        return _item(&self.policy_selectors, policy, self.policy_count, place)

    def entry_selector(self, Py_ssize_t entry, Py_ssize_t place):
        """Return the number of an entry's selector, by its place among the entry's own."""
        return _item(&self.entry_selectors, entry, self.entry_count, place)

    def selector_predicate(self, Py_ssize_t selector, Py_ssize_t place):
        """Return the number of a selector's predicate, by the place of its clause."""
        return _item(&self.selector_predicates, selector, self.selector_count, place)

    def longest_row(self):
        """Return the most policies that one value, glob or scope leads to."""
        return max(longest_row(&self.scope_posts, self.scope_count), self.policy_posts.longest())


cdef int32_t _item(const Rows* rows, Py_ssize_t row, Py_ssize_t count, Py_ssize_t place) except -1:
    if not 0 <= row < count or not 0 <= place < rows.start[row + 1] - rows.start[row]:
        raise IndexError(place)
    return rows.items[rows.start[row] + place]


# --- Decision ---

cdef enum:
    FEW_ENTRIES = 32    # that are asked rather than looked up


cdef bint _holds(const int32_t* items, int32_t start, int32_t stop, int32_t wanted) noexcept nogil:
    """Whether an ascending row holds a number."""
    cdef int32_t middle
    while start < stop:
        middle = start + (stop - start) // 2
        if items[middle] == wanted:
            return True
        if items[middle] < wanted:
            start = middle + 1
        else:
            stop = middle
    return False


cdef void free_decision(Decision* decision) noexcept nogil:
    free(decision.found)
    memset(decision, 0, sizeof(Decision))


@cython.final
cdef class Program(ProgramBuilder):
    """The decision over an assembly, for the native modules beside this one."""

    cdef bint prepare(self, Decision* decision) noexcept nogil:
        """Make room for any decision; False without memory."""
        # A policy is found once a row that it stands in, at most. An entry is asked once where all are; else fewer are
        # asked than there are entries, though one may be found twice.
        cdef Py_ssize_t most = max(self.post_count, self.policy_count)
        memset(decision, 0, sizeof(Decision))
        decision.found = <int32_t*>malloc((most + self.entry_count + SPARE) * sizeof(int32_t))
        return decision.found is not NULL

    cdef bint predicate(self, int32_t place, const Value* values) noexcept nogil:
        cdef const Value* value = &values[self.predicate_attribute[place]]
        cdef const Verdicts* verdicts = &self.predicate_verdicts[place]
        cdef int32_t i
        if value.text == ABSENT:
            return verdicts.absent
        if value.text >= FIRST and _holds(
            self.predicate_texts.items, self.predicate_texts.start[place], self.predicate_texts.start[place + 1],
            value.text
        ):
            return verdicts.match
        for i in range(value.count):
            if _holds(
                self.predicate_globs.items, self.predicate_globs.start[place], self.predicate_globs.start[place + 1],
                value.globs[i]
            ):
                return verdicts.match
        return verdicts.other

    cdef bint selector(self, int32_t place, const Probe* probe) noexcept nogil:
        cdef int32_t i
        if not probe.present >> self.selector_scope[place] & 1:
            return False
        for i in range(self.selector_predicates.start[place], self.selector_predicates.start[place + 1]):
            if not self.predicate(self.selector_predicates.items[i], probe.values):
                return False
        return True

    cdef const int32_t* clause(self, const int32_t* code, const Value* values, bint* verdict) noexcept nogil:
        """Decide one clause, and return where the next one begins."""
        cdef const Value* value = &values[code[0]]
        cdef int32_t said = code[1], texts = said >> TEXTS & 0xFF, globs = said >> GLOBS & 0xFF, i, j
        cdef const int32_t* after = code + (3 if said & MANY else 2 + texts + globs)
        if said & MANY:
            verdict[0] = self.predicate(code[2], values)
            return after
        if value.text == ABSENT:
            verdict[0] = said & MISSING != 0
            return after
        code += 2
        for i in range(texts):
            if code[i] == value.text:
                verdict[0] = said & MATCH != 0
                return after
        code += texts
        for i in range(globs):
            for j in range(value.count):
                if code[i] == value.globs[j]:
                    verdict[0] = said & MATCH != 0
                    return after
        verdict[0] = said & OTHERWISE != 0
        return after

    cdef bint applies(self, const int32_t* code, const Probe* probe) noexcept nogil:
        """Whether the policy that is written here is in scope."""
        cdef const int32_t* at = code + HEADER
        cdef bint verdict
        cdef uint32_t scope
        if probe.group == NO_GROUP:
            # Its pivot holds: the event came here by it.
            if (probe.present & code[MASK]) != <uint32_t>code[MASK]:
                return False
            for _ in range(code[CHECKED]):
                at = self.clause(at, probe.values, &verdict)
                if not verdict:
                    return False
            return True
        for _ in range(code[CLAUSES]):
            scope = self.attribute_scope[at[0]]
            at = self.clause(at, probe.values, &verdict)
            # Attributed: the detector has checked what the event lacks.
            if not verdict and probe.present >> scope & 1:
                return False
        return True

    cdef void look(self, const Rows* rows, int32_t row, const Probe* probe, Decision* decision) noexcept nogil:
        """Verify the policies of one row, and keep those in scope."""
        cdef int32_t i, stop = rows.start[row + 1]
        for i in range(rows.start[row], stop):
            prefetch(&self.code[rows.items[i]])
        for i in range(rows.start[row], stop):
            if self.applies(&self.code[rows.items[i]], probe):
                decision.found[decision.in_scope] = rows.items[i]
                decision.in_scope += 1
        decision.looked += stop - rows.start[row]

    cdef void find(self, const Probe* probe, Decision* decision) noexcept nogil:
        """Find the code of every policy in scope, in order."""
        cdef int32_t i, k, j, kept = 0
        cdef const Value* value
        decision.in_scope = 0
        decision.fired = 0
        if probe.group >= 0:
            self.look(&self.groups, probe.group, probe, decision)
        elif probe.group == NO_GROUP:
            for i in range(self.scope_count):
                if probe.present >> i & 1:
                    self.look(&self.scope_posts, i, probe, decision)
            for k in range(self.policy_posts.attribute_count):
                i = self.policy_posts.attributes[k]
                value = &probe.values[i]
                if value.text >= FIRST:
                    self.look(&self.policy_posts.texts[i], value.text - FIRST, probe, decision)
                for j in range(value.count):
                    self.look(&self.policy_posts.globs[i], value.globs[j], probe, decision)
        # By where their code lies, and so in policy order; a policy found by two of its pivot's globs stands twice.
        for i in range(1, decision.in_scope):
            if decision.found[i - 1] >= decision.found[i]:
                qsort(decision.found, decision.in_scope, sizeof(int32_t), ascending)
                break
        for i in range(decision.in_scope):
            if not kept or decision.found[kept - 1] != decision.found[i]:
                decision.found[kept] = decision.found[i]
                kept += 1
        decision.in_scope = kept

    cdef bint fires(self, const int32_t* at, const Probe* probe) noexcept nogil:
        """Whether the entry that is written here fires, its policy being in scope."""
        cdef const int32_t* code = at + ENTRY_HEADER
        cdef bint verdict
        if (probe.present & at[NEEDS]) != <uint32_t>at[NEEDS]:
            return False
        for _ in range(at[ASKED]):
            code = self.clause(code, probe.values, &verdict)
            if not verdict:
                return False
        return True

    cdef void ask_all(self, const int32_t* code, const Probe* probe, Decision* decision) noexcept nogil:
        """Ask all entries of the policy that is written here."""
        cdef int32_t* fired = decision.found + decision.in_scope
        cdef const int32_t* at = code + code[ENTRIES]
        decision.asked += code[COUNT]
        for _ in range(code[COUNT]):
            if self.fires(at, probe):
                fired[decision.fired] = at[ENTRY]
                decision.fired += 1
            at += ENTRY_HEADER + at[SIZE]

    cdef int64_t candidates(self, const Probe* probe) noexcept nogil:
        """Return how many entries are posted under an event's values."""
        cdef int64_t count = 0
        cdef int32_t i, k, j
        cdef const Value* value
        cdef const Rows* rows
        for k in range(self.entry_posts.attribute_count):
            i = self.entry_posts.attributes[k]
            value = &probe.values[i]
            if value.text >= FIRST:
                rows = &self.entry_posts.texts[i]
                count += rows.start[value.text - FIRST + 1] - rows.start[value.text - FIRST]
            rows = &self.entry_posts.globs[i]
            for j in range(value.count):
                count += rows.start[value.globs[j] + 1] - rows.start[value.globs[j]]
        return count

    cdef void ask(
        self, const int32_t* codes, int32_t count, const Scope* scope, const Probe* probe, Decision* decision
    ) noexcept nogil:
        """Ask some entries, as far as their policies are in scope."""
        cdef int32_t* fired = decision.found + decision.in_scope
        cdef const int32_t* at
        cdef int32_t i
        decision.asked += count
        for i in range(count):
            at = &self.code[codes[i]]
            if self.fires(at, probe) and _holds(scope.policies, 0, scope.count, at[OF]):
                fired[decision.fired] = at[ENTRY]
                decision.fired += 1

    cdef void ask_posted(self, const Scope* scope, const Probe* probe, Decision* decision) noexcept nogil:
        """Ask the entries that are posted under the event's values, and the loose ones of the policies in scope."""
        cdef int32_t i, k, j, first, kept = 0
        cdef int32_t* fired = decision.found + decision.in_scope
        cdef const Value* value
        cdef const Rows* rows
        for k in range(self.entry_posts.attribute_count):
            i = self.entry_posts.attributes[k]
            value = &probe.values[i]
            if value.text >= FIRST:
                rows = &self.entry_posts.texts[i]
                first = rows.start[value.text - FIRST]
                self.ask(rows.items + first, rows.start[value.text - FIRST + 1] - first, scope, probe, decision)
            rows = &self.entry_posts.globs[i]
            for j in range(value.count):
                first = rows.start[value.globs[j]]
                self.ask(rows.items + first, rows.start[value.globs[j] + 1] - first, scope, probe, decision)
        if scope.loose is not NULL:
            self.ask(scope.loose, scope.loose_count, scope, probe, decision)
        else:
            for i in range(scope.count):
                first = self.loose.start[scope.policies[i]]
                j = self.loose.start[scope.policies[i] + 1]
                self.ask(self.loose.items + first, j - first, scope, probe, decision)
        # An entry found by two of its pivot's operands stands twice.
        if decision.fired > 1:
            qsort(fired, decision.fired, sizeof(int32_t), ascending)
            for i in range(decision.fired):
                if not kept or fired[kept - 1] != fired[i]:
                    fired[kept] = fired[i]
                    kept += 1
            decision.fired = kept

    cdef void fire(self, const Scope* scope, const Probe* probe, Decision* decision) noexcept nogil:
        cdef int32_t i
        if scope.entries > FEW_ENTRIES and self.candidates(probe) + self.loose_of(scope) < scope.entries:
            self.ask_posted(scope, probe, decision)
            return
        for i in range(scope.count):
            self.ask_all(&self.code[self.code_of[scope.policies[i]]], probe, decision)

    cdef int64_t loose_of(self, const Scope* scope) noexcept nogil:
        """Return how many loose entries there are."""
        cdef int64_t count = scope.loose_count
        cdef int32_t i
        if scope.loose is NULL:
            for i in range(scope.count):
                count += self.loose.start[scope.policies[i] + 1] - self.loose.start[scope.policies[i]]
        return count

    cdef void decide(self, const Probe* probe, Decision* decision) noexcept nogil:
        cdef Scope scope
        cdef int32_t i
        self.find(probe, decision)
        scope.entries = 0
        for i in range(decision.in_scope):
            scope.entries += self.code[decision.found[i] + COUNT]
        if scope.entries <= FEW_ENTRIES:
            # Nearly always, and the policies' code is at hand.
            for i in range(decision.in_scope):
                self.ask_all(&self.code[decision.found[i]], probe, decision)
            for i in range(decision.in_scope):
                decision.found[i] = self.code[decision.found[i] + POLICY]
            return
        for i in range(decision.in_scope):
            decision.found[i] = self.code[decision.found[i] + POLICY]
        scope.policies = decision.found
        scope.count = decision.in_scope
        scope.loose = NULL
        scope.loose_count = 0
        self.fire(&scope, probe, decision)
