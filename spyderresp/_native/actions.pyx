from libc.stdlib cimport calloc, free

from spyderresp._native.pauses cimport pause
from spyderresp._native.policy cimport Entry, Policy

from spyderresp import vocabulary as _words
from spyderresp._native.arrange import DISPOSITIONS as _DISPOSITIONS

cdef enum:
    STEPS = 256           # entries between two pauses


cdef int32_t _place(dict words, object word) except -2:
    """Return a text's place among the words of its column, a new one where it is new."""
    return -1 if word is None else <int32_t>words.setdefault(word, len(words))


cdef class ActionColumns:
    def __cinit__(self, Arranger arranger not None):
        cdef Action* action
        cdef Entry entry
        cdef Policy policy
        cdef Py_ssize_t i
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
            action.severity = -1 if said.get("severity") is None else severities[said["severity"]]
            action.impact = _place(impacts, said.get("impact"))
            action.content = _place(contents, said.get("content"))
            action.description = _place(descriptions, said.get("description"))
            action.priority = said.get("priority", 0)
            action.told = (
                (action.severity >= 0) << Nullable.SEVERITY
                | (action.impact >= 0) << Nullable.IMPACT
                | (action.content >= 0) << Nullable.CONTENT
                | (action.description >= 0) << Nullable.DESCRIPTION
                | ("priority" in said) << Nullable.PRIORITY
            )
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


cdef inline uint8_t _bits(const uint8_t* told, int column, Py_ssize_t count) noexcept nogil:
    """Gather one bit of each of up to eight bytes."""
    cdef uint8_t bits = 0
    cdef Py_ssize_t i
    for i in range(count):
        bits |= (told[i] >> column & 1) << i
    return bits


cdef void spread(
    const Sink* sink, const int32_t* outcomes, Py_ssize_t rows, const int64_t* starts, const Action* actions
) noexcept nogil:
    cdef Py_ssize_t row, at = 0, i
    cdef const Action* action
    cdef const Action* stop
    cdef int column
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
            sink.told[at] = action.told
            if sink.impact is not NULL:
                sink.impact[at] = action.impact
            if sink.content is not NULL:
                sink.content[at] = action.content
            if sink.description is not NULL:
                sink.description[at] = action.description
            at += 1
            action += 1
    for column in range(<int>Nullable.NULLABLES):
        if sink.valid[column] is NULL:
            continue
        i = 0
        while i + 8 <= at:
            sink.valid[column][i >> 3] = _bits(sink.told + i, column, 8)
            i += 8
        if i < at:
            sink.valid[column][i >> 3] = _bits(sink.told + i, column, at - i)
