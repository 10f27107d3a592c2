from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from spyderresp._native.pauses cimport pause
from spyderresp._native.plan cimport new_action, new_shape, new_source
from spyderresp._native.policy cimport Entry, Policy

from spyderresp import vocabulary as _words

cdef extern from "Python.h":
    PyObject* Py_NewRef(object value) noexcept
    void Py_XDECREF(PyObject* value) noexcept

cdef enum:
    STAGE_COUNT = 4
    FEW = 8            # flags of one policy that are compared pair by pair
    STEPS = 256        # entries between two pauses
    MAX_EPOCH = 0x7FFFFFFF

cdef dict _CODES = {name: code for code, name in enumerate(_words.ACTIONS)}
cdef uint8_t _STAGE[16]
cdef bint _FLAG[16]
cdef bint _NEEDS_POD[16]
cdef bint _NEEDS_PROCESS[16]
for _name, _code in _CODES.items():
    _STAGE[_code] = _words.STAGES[_name]
    _FLAG[_code] = _name in _words.FLAGS
    _NEEDS_POD[_code] = _words.TARGET_SCOPE.get(_name) == "pod"
    _NEEDS_PROCESS[_code] = _words.TARGET_SCOPE.get(_name) == "process"
cdef uint8_t KILL = _CODES["agentKillProcess"]
cdef uint8_t KILL_GROUP = _CODES["agentKillProcessGroup"]
cdef uint8_t KILL_TREE = _CODES["agentKillProcessTree"]
cdef uint8_t RENICE = _CODES["agentReniceProcess"]


cdef class Arranger:
    def __cinit__(self, tuple policies not None, str defaults not None, bint audit):
        cdef Policy policy
        cdef Entry entry
        cdef int32_t at = 0, first, place
        cdef list twins = [{} for _ in _CODES]
        self.policies, self.entries = [], []
        for policy in policies:
            if policy.enabled:
                self.policies.append(policy)
                self.entry_count += len(policy.entries)
        self.overriding = defaults != "always"
        self.audit = audit
        self.policy_of = <int32_t*>calloc(self.entry_count + 1, sizeof(int32_t))
        self.action_of = <uint8_t*>calloc(self.entry_count + 1, sizeof(uint8_t))
        self.enforces = <bint*>calloc(len(self.policies) + 1, sizeof(bint))
        self.twin = <int32_t*>calloc(self.entry_count + 1, sizeof(int32_t))
        self.latest = <int32_t*>calloc(2 * self.entry_count + 1, sizeof(int32_t))
        self.epochs = <int32_t*>calloc(2 * self.entry_count + 1, sizeof(int32_t))
        self.singles = <PyObject**>calloc(2 * self.entry_count + 1, sizeof(PyObject*))
        if (
            not self.policy_of or not self.action_of or not self.enforces or not self.twin or not self.latest
            or not self.epochs or not self.singles
        ):
            raise MemoryError
        for place in range(len(self.policies)):
            policy = self.policies[place]
            self.enforces[place] = policy.mode == "enforce"
            first = at
            for entry in policy.entries:
                if not entry.enabled:
                    continue
                self.entries.append(entry)
                self.policy_of[at] = place
                self.action_of[at] = _CODES[entry.action]
                if not _FLAG[self.action_of[at]]:
                    self.twin[at] = (<dict>twins[self.action_of[at]]).setdefault(entry.parameters, at)
                at += 1
                if at % STEPS == 0:
                    pause()
            self.find_twins(first, at)

    def __dealloc__(self):
        cdef Py_ssize_t i
        if self.singles_made:
            for i in range(2 * self.entry_count):
                Py_XDECREF(self.singles[i])
        free(self.singles)
        free(self.policy_of)
        free(self.action_of)
        free(self.enforces)
        free(self.twin)
        free(self.latest)
        free(self.epochs)

    cdef int find_twins(self, int32_t first, int32_t stop) except -1:
        """Find the representatives of one policy's flags."""
        cdef dict twins = None
        cdef int32_t entry, other, flags = 0
        for entry in range(first, stop):
            if not _FLAG[self.action_of[entry]]:
                continue
            self.twin[entry] = entry
            flags += 1
            if flags <= FEW:
                for other in range(first, entry):
                    if self.action_of[other] == self.action_of[entry] and self.twin[other] == other:
                        if self.entries[other].parameters == self.entries[entry].parameters:
                            self.twin[entry] = other
                            break
                continue
            if twins is None:
                twins = {}
                for other in range(first, entry):
                    if _FLAG[self.action_of[other]]:
                        twins.setdefault((self.action_of[other], self.entries[other].parameters), other)
            self.twin[entry] = twins.setdefault((self.action_of[entry], self.entries[entry].parameters), entry)
        return 0

    cdef int forget(self) except -1:
        cdef Py_ssize_t i
        cdef PyObject* single
        for i in range(2 * self.entry_count if self.singles_made else 0):
            if i % STEPS == 0:
                pause()
            single = self.singles[i]
            if single is not NULL:
                self.singles[i] = NULL
                self.singles_made -= 1
                Py_XDECREF(single)
        return 0

    cdef Source source(self, int32_t entry):
        cdef Policy policy = self.policies[self.policy_of[entry]]
        cdef Entry held = self.entries[entry]
        return new_source(policy.name, policy.uid, held.section, held.index, held.location)

    cdef tuple names(self, const int32_t* policies, Py_ssize_t count):
        cdef Py_ssize_t i
        return tuple([(<Policy>self.policies[policies[i]]).name for i in range(count)])

    cdef PlanShape shape(
        self, const int32_t* in_scope, Py_ssize_t scope_count, const int32_t* fired, Py_ssize_t fired_count,
        bint pod, bint process
    ):
        return self.named(self.names(in_scope, scope_count), fired, fired_count, pod, process)

    cdef PlanShape named(self, tuple names, const int32_t* fired, Py_ssize_t fired_count, bint pod, bint process):
        cdef Group* groups = <Group*>malloc((fired_count + 1) * sizeof(Group))
        cdef int32_t* links = <int32_t*>malloc((3 * fired_count + 1) * sizeof(int32_t))
        cdef int32_t* order = links + fired_count
        cdef int32_t* aside = order + fired_count
        cdef Group* group
        cdef int32_t i, entry, place, count = 0, at = 0
        cdef int stage
        cdef set overrides = None
        cdef list actions = []
        try:
            if not groups or not links:
                raise MemoryError
            if self.overriding:
                overrides = {
                    (self.policy_of[fired[i]], self.action_of[fired[i]])
                    for i in range(fired_count) if self.entries[fired[i]].section == "actions"
                }
            for i in range(fired_count):
                entry = fired[i]
                aside[i] = (
                    overrides is not None and self.entries[entry].section == "default"
                    and (self.policy_of[entry], self.action_of[entry]) in overrides
                )
            # No Python object is made in what follows, so nothing else can run while `latest` is in use.
            self.epoch += 1
            if self.epoch == MAX_EPOCH:
                memset(self.epochs, 0, 2 * self.entry_count * sizeof(int32_t))
                self.epoch = 1
            for i in range(fired_count):
                entry = fired[i]
                place = 2 * self.twin[entry] + aside[i]
                links[i] = -1
                if self.epochs[place] != self.epoch:
                    self.epochs[place] = self.epoch
                    self.latest[place] = count
                    group = &groups[count]
                    group.first = entry
                    group.count = 0
                    group.link = i
                    group.aside = aside[i]
                    group.enforced = False
                    group.stage = _STAGE[self.action_of[entry]]
                    group.applicable = (
                        (pod or not _NEEDS_POD[self.action_of[entry]])
                        and (process or not _NEEDS_PROCESS[self.action_of[entry]])
                    )
                    group.live = group.applicable and not group.aside
                    count += 1
                else:
                    group = &groups[self.latest[place]]
                    links[group.tail] = i
                group.tail = i
                group.count += 1
                if not self.audit and self.enforces[self.policy_of[entry]]:
                    group.enforced = True
            # Groups stand in the order of their first sources; a plan's order is that, stage by stage.
            for stage in range(STAGE_COUNT):
                for i in range(count):
                    if groups[i].stage == stage:
                        order[at] = i
                        at += 1
            for i in range(count):
                actions.append(self.action(&groups[order[i]], fired, links, groups, order, count))
        finally:
            free(groups)
            free(links)
        return new_shape(names, tuple(actions))

    cdef ActionShape action(
        self, const Group* group, const int32_t* fired, const int32_t* links, const Group* groups,
        const int32_t* order, int32_t count
    ):
        cdef uint8_t code = self.action_of[group.first]
        cdef int32_t by = NOBODY, i
        cdef ActionShape single
        cdef PyObject** place
        cdef str disposition = "execute" if group.enforced else "audit", reason = None
        cdef bint plain = group.live
        entry = self.entries[group.first]
        if not group.applicable:
            disposition = "not_applicable"
            reason = "the event has no pod" if _NEEDS_POD[code] else "the event has no process"
        elif group.aside:
            disposition = "superseded"
            reason = "an entry of the same name fired under `actions`"
            by = self.overrider(group, fired, links, groups, order, count)
        elif code == KILL or code == RENICE:
            by = self.superseder(group, groups, order, count)
            if by != NOBODY:
                plain = False
                disposition = "superseded"
                other = self.entries[groups[order[by]].first].action
                reason = "a higher nice value stays" if code == RENICE else f"{other} kills the process too"
        if plain and group.count == 1:
            place = &self.singles[2 * <Py_ssize_t>group.first + group.enforced]
            if place[0] is NULL:
                sources = (self.source(group.first),)
                single = new_action(entry.action, entry.parameters, disposition, sources, None, None)
                if place[0] is NULL:
                    place[0] = Py_NewRef(single)
                    self.singles_made += 1
            return <ActionShape>place[0]
        sources = []
        i = group.link
        while i >= 0:
            sources.append(self.source(fired[i]))
            i = links[i]
        return new_action(
            entry.action, entry.parameters, disposition, tuple(sources), None if by == NOBODY else by, reason
        )

    cdef int32_t superseder(
        self, const Group* group, const Group* groups, const int32_t* order, int32_t count
    ) except? -1:
        """Return the place of the live action that makes this live one pointless; audit never does so to execute."""
        cdef uint8_t code = self.action_of[group.first], other
        cdef const Group* rival
        cdef int32_t i, best = NOBODY
        cdef int priority, highest = 0
        if code == RENICE:
            highest = self.entries[group.first].parameters[0][1]
        for i in range(count):
            rival = &groups[order[i]]
            other = self.action_of[rival.first]
            if not rival.live or (group.enforced and not rival.enforced):
                continue
            if code == KILL and (other == KILL_GROUP or other == KILL_TREE):
                return i
            if code == RENICE and other == RENICE:
                priority = self.entries[rival.first].parameters[0][1]
                if priority > highest:
                    highest = priority
                    best = i
        return best

    cdef int32_t overrider(
        self, const Group* group, const int32_t* fired, const int32_t* links, const Group* groups,
        const int32_t* order, int32_t count
    ) except? -1:
        """Return the place of the first live action with a source, under ``actions``, that overrides one of these."""
        cdef uint8_t code = self.action_of[group.first]
        cdef int32_t i, at
        cdef set policies = set()
        at = group.link
        while at >= 0:
            policies.add(self.policy_of[fired[at]])
            at = links[at]
        for i in range(count):
            if groups[order[i]].aside or self.action_of[groups[order[i]].first] != code:
                continue
            at = groups[order[i]].link
            while at >= 0:
                if self.policy_of[fired[at]] in policies and self.entries[fired[at]].section == "actions":
                    return i
                at = links[at]
        return NOBODY
