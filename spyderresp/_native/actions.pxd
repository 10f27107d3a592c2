# The columns of planned actions: what every entry says, as numbers, and the same spread over the rows of a batch.
#
# A text is its place among the words of its column, which are the same for every batch of an index. Under null it is 0,
# for whoever follows places without looking at bitmaps.
# tests/property/test_batch.py holds the columns equal to evaluate()'s plans.

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t

from spyderresp._native.arrange cimport Arranger, Group

# One action of a plan.
cdef struct Action:
    int32_t policy        # of the first source
    int32_t index
    int32_t sources       # how many
    int32_t impact
    int32_t content
    int32_t description
    int8_t action
    int8_t severity
    int8_t priority       # a nice value
    int8_t section
    int8_t disposition
    uint8_t told          # bit k: NULLABLE column k has a value

cdef enum:
    NULLABLES = 5

# Where a table's columns are written; NULL where one is not wanted.
cdef struct Sink:
    int64_t* row
    int32_t* policy
    int32_t* index
    int32_t* sources
    int32_t* impact
    int32_t* content
    int32_t* description
    int8_t* action
    int8_t* severity
    int8_t* priority
    int8_t* section
    int8_t* disposition
    uint8_t* valid[NULLABLES]

cdef class ActionColumns:
    cdef readonly dict words      # texts of each column of texts, by its name
    cdef Action* entries          # what each entry says alone
    cdef Py_ssize_t entry_count
    cdef readonly Py_ssize_t memory    # bytes
    cdef inline void tell(self, const Group* group, Action* action) noexcept nogil:
        """Say what a group comes to."""
        action[0] = self.entries[group.first]
        action.sources = group.count
        action.disposition = group.disposition

# Write the actions of each row's outcome; outcome i has those from starts[i] on.
cdef void spread(
    const Sink* sink, const int32_t* outcomes, Py_ssize_t rows, const int64_t* starts, const Action* actions
) noexcept nogil
