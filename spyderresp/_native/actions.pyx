from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free

from spyderresp._native.pauses cimport pause
from spyderresp._native.policy cimport Entry, Policy

from spyderresp import vocabulary as _words
from spyderresp._native.arrange import DISPOSITIONS as _DISPOSITIONS

cdef enum:
    STEPS = 256           # entries between two pauses


NULLABLE = ("severity", "impact", "content", "description", "priority")


cdef int32_t _place(dict words, object word) except -1:
    """Return a text's place among the words of its column, a new one where it is new; 0 for null."""
    return 0 if word is None else <int32_t>words.setdefault(word, len(words))


cdef class ActionColumns:
    def __cinit__(self, Arranger arranger not None):
        cdef Action* action
        cdef Entry entry
        cdef Policy policy
        cdef Py_ssize_t i
        cdef int k
        cdef dict said
        cdef dict names = {name: place for place, name in enumerate(_words.ACTIONS)}
        cdef dict severities = {name: place for place, name in enumerate(_words.SEVERITIES)}
        cdef dict impacts = {}, contents = {}, descriptions = {}, policies = {}
        self.entry_count = len(arranger.entries)
        self.memory = self.entry_count * sizeof(Action)
        self.entries = <Action*>calloc(self.entry_count + 1, sizeof(Action))
        if not self.entries:
            raise MemoryError
        for i in range(self.entry_count):
            if i % STEPS == 0:
                pause()
            action = &self.entries[i]
            entry = arranger.entries[i]
            policy = arranger.policies[arranger.policy_of[i]]
            said = dict(entry.parameters)
            action.action = names[entry.action]
            action.policy = _place(policies, policy.name)
            action.section = arranger.overrules[i]
            action.index = entry.index
            action.severity = 0 if said.get("severity") is None else severities[said["severity"]]
            action.impact = _place(impacts, said.get("impact"))
            action.content = _place(contents, said.get("content"))
            action.description = _place(descriptions, said.get("description"))
            action.priority = said.get("priority", 0)
            for k in range(<int>NULLABLES):
                action.told |= (said.get(NULLABLE[k]) is not None) << k
        self.words = {
            "action": tuple(names),
            "severity": tuple(severities),
            "impact": tuple(impacts),
            "content": tuple(contents),
            "description": tuple(descriptions),
            "disposition": _DISPOSITIONS,
            "policy": tuple(policies),
            "section": ("default", "actions"),
        }

    def __dealloc__(self):
        free(self.entries)


cdef void spread(
    const Sink* sink, const int32_t* outcomes, Py_ssize_t rows, const int64_t* starts, const Action* actions
) noexcept nogil:
    cdef Py_ssize_t row, at = 0
    cdef const Action* action
    cdef const Action* stop
    cdef uint64_t[1 << NULLABLES] spaced
    cdef uint64_t bits = 0
    cdef int told, column
    # Not looked at again for each action: for all that is known, what is written might be the sink itself.
    cdef Sink to = sink[0]
    # What is told of one action, a column's bit in a byte of its own.
    for told in range(1 << NULLABLES):
        spaced[told] = 0
        for column in range(<int>NULLABLES):
            spaced[told] |= <uint64_t>(told >> column & 1) << 8 * column
    for row in range(rows):
        action = actions + starts[outcomes[row]]
        stop = actions + starts[outcomes[row] + 1]
        while action < stop:
            to.row[at] = row
            to.policy[at] = action.policy
            to.index[at] = action.index
            to.sources[at] = action.sources
            to.action[at] = action.action
            to.severity[at] = action.severity
            to.priority[at] = action.priority
            to.section[at] = action.section
            to.disposition[at] = action.disposition
            if to.impact is not NULL:
                to.impact[at] = action.impact
            if to.content is not NULL:
                to.content[at] = action.content
            if to.description is not NULL:
                to.description[at] = action.description
            bits |= spaced[action.told] << (at & 7)
            at += 1
            action += 1
            if not at & 7:
                _write_bits(sink, bits, (at >> 3) - 1)
                bits = 0
    if at & 7:
        _write_bits(sink, bits, at >> 3)


cdef inline void _write_bits(const Sink* sink, uint64_t bits, Py_ssize_t at) noexcept nogil:
    """Write a byte of each bitmap that is wanted."""
    cdef int column
    for column in range(<int>NULLABLES):
        if sink.valid[column] is not NULL:
            sink.valid[column][at] = bits >> 8 * column & 0xFF
