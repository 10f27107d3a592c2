# Where to look, by what an event has: what is posted under each text and each glob of an attribute.
#
# Whoever is posted is posted under one predicate that must hold for it (its pivot), under every text and glob that it
# names. The pivot is its rarest: the one whose commonest operand leads to fewest, a glob counting for more the less it
# says. So an event looks at too many, but never at too few.
#
# First all that is to be posted is weighed, then posted, then laid down; from then on nothing changes.

from libc.stdint cimport int32_t, int64_t

# A list of rows: row i is items[start[i]:start[i + 1]]. Owned by whoever holds it.
cdef struct Rows:
    int32_t* start
    int32_t* items

cdef struct Post:
    int32_t attribute
    int32_t key
    int32_t item

cdef struct Posts:
    Post* items
    Py_ssize_t count
    Py_ssize_t capacity

cdef class Postings:
    cdef Rows* texts                   # of each attribute: what is posted, in the order in which it was
    cdef Rows* globs
    cdef int32_t* attributes           # those that anything is posted under, ascending
    cdef Py_ssize_t attribute_count
    cdef readonly Py_ssize_t count     # of posts
    cdef readonly Py_ssize_t memory    # bytes
    cdef Py_ssize_t fields             # attributes, all of them
    cdef int32_t* text_counts          # of each attribute
    cdef int32_t* glob_counts
    # Until it is laid down.
    cdef int32_t** use                 # of each attribute: how many name each text; of each glob that, and its breadth
    cdef Posts gathered_texts, gathered_globs
    cdef void weigh(self, int32_t attribute, const Rows* texts, const Rows* globs, int32_t predicate) noexcept
    # For how many events too many a predicate would be looked at.
    cdef int64_t cost(self, int32_t attribute, const Rows* texts, const Rows* globs, int32_t predicate) noexcept
    cdef int post(
        self, int32_t attribute, const Rows* texts, const Rows* globs, int32_t predicate, int32_t item
    ) except -1
    cdef int lay(self) except -1
    cdef void free_gathered(self) noexcept
    cdef int32_t longest(self) noexcept

cdef int add_post(Posts* posts, int32_t attribute, int32_t key, int32_t item) except -1
# Lay the posts of one attribute out by key; the order in each row is that in which they were added.
cdef int lay_rows(const Posts* posts, Rows* rows, Py_ssize_t keys, Py_ssize_t* memory) except -1
cdef int32_t longest_row(const Rows* rows, Py_ssize_t count) noexcept
cdef void free_rows(Rows* rows) noexcept nogil
