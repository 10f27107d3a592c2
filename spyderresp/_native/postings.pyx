from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memset

from spyderresp._native.classes cimport FIRST
from spyderresp._native.pauses cimport pause

cdef enum:
    STEPS = 4096    # posts between two pauses


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
    if posts.count % STEPS == 0:
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
