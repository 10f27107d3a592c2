from libc.stdlib cimport calloc, free
from libc.string cimport memset

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
    cdef uint8_t[NULLABLES] bits
    cdef int column
    memset(bits, 0, sizeof(bits))
    for row in range(rows):
        action = actions + starts[outcomes[row]]
        stop = actions + starts[outcomes[row] + 1]
        while action < stop:
            sink.row[at] = row
            sink.policy[at] = action.policy
            sink.index[at] = action.index
            sink.sources[at] = action.sources
            sink.action[at] = action.action
            sink.severity[at] = action.severity
            sink.priority[at] = action.priority
            sink.section[at] = action.section
            sink.disposition[at] = action.disposition
            if sink.impact is not NULL:
                sink.impact[at] = action.impact
            if sink.content is not NULL:
                sink.content[at] = action.content
            if sink.description is not NULL:
                sink.description[at] = action.description
            for column in range(<int>NULLABLES):
                bits[column] |= (action.told >> column & 1) << (at & 7)
            at += 1
            action += 1
            if not at & 7:
                _write_bits(sink, bits, (at >> 3) - 1)
    if at & 7:
        _write_bits(sink, bits, at >> 3)


cdef inline void _write_bits(const Sink* sink, uint8_t* bits, Py_ssize_t at) noexcept nogil:
    """Write a byte of each bitmap that is wanted."""
    cdef int column
    for column in range(<int>NULLABLES):
        if sink.valid[column] is not NULL:
            sink.valid[column][at] = bits[column]
        bits[column] = 0
