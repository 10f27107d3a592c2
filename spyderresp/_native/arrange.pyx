from libc.stdlib cimport calloc, free, realloc
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
DISPOSITIONS = ("execute", "audit", "superseded", "not_applicable")


cdef void free_draft(Draft* draft) noexcept nogil:
    free(draft.groups)
    free(draft.links)
    memset(draft, 0, sizeof(Draft))


cdef void free_desk(Desk* desk) noexcept nogil:
    free(desk.latest)
    free(desk.epochs)
    memset(desk, 0, sizeof(Desk))


cdef class Arranger:
    def __cinit__(self, tuple policies not None, str defaults not None, bint audit):
        cdef Policy policy
        cdef Entry entry
        cdef int32_t at = 0, first, place
        cdef list twins = [{} for _ in _CODES]
        self.policies, self.entries = [], []
        for place in range(len(policies)):
            policy = policies[place]
            if policy.enabled:
                self.policies.append(policy)
                self.entry_count += len(policy.entries)
            if place % STEPS == 0:
                pause()
        self.overriding = defaults != "always"
        self.audit = audit
        self.policy_of = <int32_t*>calloc(self.entry_count + 1, sizeof(int32_t))
        self.action_of = <uint8_t*>calloc(self.entry_count + 1, sizeof(uint8_t))
        self.enforces = <bint*>calloc(len(self.policies) + 1, sizeof(bint))
        self.twin = <int32_t*>calloc(self.entry_count + 1, sizeof(int32_t))
        self.overrules = <uint8_t*>calloc(self.entry_count + 1, 1)
        self.priority = <int8_t*>calloc(self.entry_count + 1, 1)
        self.singles = <PyObject**>calloc(2 * self.entry_count + 1, sizeof(PyObject*))
        if (
            not self.policy_of or not self.action_of or not self.enforces or not self.twin
            or not self.overrules or not self.priority or not self.singles or not self.prepare(&self.desk)
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
                self.overrules[at] = entry.section == "actions"
                if self.action_of[at] == RENICE:
                    self.priority[at] = entry.parameters[0][1]
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
        free(self.overrules)
        free(self.priority)
        free_desk(&self.desk)

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

    cdef bint prepare(self, Desk* desk) noexcept nogil:
        """Make the scratch; False without memory."""
        memset(desk, 0, sizeof(Desk))
        desk.latest = <int32_t*>calloc(2 * self.entry_count + 1, sizeof(int32_t))
        desk.epochs = <int32_t*>calloc(2 * self.entry_count + 1, sizeof(int32_t))
        return desk.latest is not NULL and desk.epochs is not NULL

    cdef bint begin(self, Draft* draft, Py_ssize_t fired_count) noexcept nogil:
        """Make room for a plan; False without memory."""
        cdef void* grown
        draft.count = 0
        if fired_count <= draft.room:
            return True
        grown = realloc(draft.groups, fired_count * sizeof(Group))
        if not grown:
            return False
        draft.groups = <Group*>grown
        grown = realloc(draft.links, 3 * fired_count * sizeof(int32_t))
        if not grown:
            return False
        draft.links = <int32_t*>grown
        draft.order = draft.links + fired_count
        draft.aside = draft.order + fired_count
        draft.room = fired_count
        return True

    cdef bint arrange(
        self, const int32_t* fired, Py_ssize_t fired_count, bint pod, bint process, Desk* desk, Draft* draft
    ) noexcept nogil:
        cdef Group* group
        cdef int32_t i, j, entry, place, at = 0
        cdef int32_t overruled
        cdef int stage
        if not self.begin(draft, fired_count):
            return False
        i = 0
        while i < fired_count:
            # Entries ascend policy by policy: those of one stand together.
            overruled = 0
            j = i
            while j < fired_count and self.policy_of[fired[j]] == self.policy_of[fired[i]]:
                if self.overriding and self.overrules[fired[j]]:
                    overruled |= 1 << self.action_of[fired[j]]
                j += 1
            while i < j:
                entry = fired[i]
                draft.aside[i] = not self.overrules[entry] and overruled >> self.action_of[entry] & 1
                i += 1
        desk.epoch += 1
        if desk.epoch == MAX_EPOCH:
            memset(desk.epochs, 0, 2 * self.entry_count * sizeof(int32_t))
            desk.epoch = 1
        for i in range(<int32_t>fired_count):
            entry = fired[i]
            place = 2 * self.twin[entry] + draft.aside[i]
            draft.links[i] = -1
            if desk.epochs[place] != desk.epoch:
                desk.epochs[place] = desk.epoch
                desk.latest[place] = draft.count
                group = &draft.groups[draft.count]
                group.first = entry
                group.count = 0
                group.link = i
                group.by = NOBODY
                group.aside = draft.aside[i]
                group.enforced = False
                group.stage = _STAGE[self.action_of[entry]]
                group.applicable = (
                    (pod or not _NEEDS_POD[self.action_of[entry]])
                    and (process or not _NEEDS_PROCESS[self.action_of[entry]])
                )
                group.live = group.applicable and not group.aside
                draft.count += 1
            else:
                group = &draft.groups[desk.latest[place]]
                draft.links[group.tail] = i
            group.tail = i
            group.count += 1
            if not self.audit and self.enforces[self.policy_of[entry]]:
                group.enforced = True
        # Groups stand in the order of their first sources; a plan's order is that, stage by stage.
        for stage in range(STAGE_COUNT):
            for i in range(draft.count):
                if draft.groups[i].stage == stage:
                    draft.order[at] = i
                    at += 1
        for i in range(draft.count):
            group = &draft.groups[i]
            group.disposition = Disposition.EXECUTE if group.enforced else Disposition.AUDIT
            if not group.applicable:
                group.disposition = Disposition.NOT_APPLICABLE
            elif group.aside:
                group.disposition = Disposition.SUPERSEDED
                self.overrider(group, fired, draft)
            elif self.action_of[group.first] == KILL or self.action_of[group.first] == RENICE:
                self.superseder(group, draft)
                if group.by != NOBODY:
                    group.disposition = Disposition.SUPERSEDED
        return True

    cdef tuple names(self, const int32_t* policies, Py_ssize_t count):
        cdef Py_ssize_t i
        return tuple([(<Policy>self.policies[policies[i]]).name for i in range(count)])

    cdef PlanShape shape(
        self, const int32_t* in_scope, Py_ssize_t scope_count, const int32_t* fired, Py_ssize_t fired_count,
        bint pod, bint process
    ):
        return self.named(self.names(in_scope, scope_count), fired, fired_count, pod, process)

    cdef PlanShape named(self, tuple names, const int32_t* fired, Py_ssize_t fired_count, bint pod, bint process):
        cdef Draft draft
        cdef int32_t i
        cdef list actions = []
        # This one's own: whatever runs while actions are made may arrange another. The desk is used in between only.
        memset(&draft, 0, sizeof(Draft))
        try:
            if not self.arrange(fired, fired_count, pod, process, &self.desk, &draft):
                raise MemoryError
            for i in range(draft.count):
                actions.append(self.action(&draft.groups[draft.order[i]], fired, &draft))
        finally:
            free_draft(&draft)
        return new_shape(names, tuple(actions))

    cdef ActionShape action(self, const Group* group, const int32_t* fired, const Draft* draft):
        cdef uint8_t code = self.action_of[group.first]
        cdef int32_t i
        cdef ActionShape single
        cdef PyObject** place
        cdef str disposition = DISPOSITIONS[group.disposition], reason = None
        entry = self.entries[group.first]
        if not group.applicable:
            reason = "the event has no pod" if _NEEDS_POD[code] else "the event has no process"
        elif group.aside:
            reason = "an entry of the same name fired under `actions`"
        elif group.by != NOBODY:
            other = self.entries[draft.groups[draft.order[group.by]].first].action
            reason = "a higher nice value stays" if code == RENICE else f"{other} kills the process too"
        elif group.count == 1:
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
            i = draft.links[i]
        return new_action(
            entry.action, entry.parameters, disposition, tuple(sources), None if group.by == NOBODY else group.by,
            reason
        )

    cdef void superseder(self, Group* group, const Draft* draft) noexcept nogil:
        """Find the live action that makes this live one pointless; audit never does so to execute."""
        cdef uint8_t code = self.action_of[group.first], other
        cdef const Group* rival
        cdef int32_t i, highest = self.priority[group.first]
        for i in range(draft.count):
            rival = &draft.groups[draft.order[i]]
            other = self.action_of[rival.first]
            if not rival.live or (group.enforced and not rival.enforced):
                continue
            if code == KILL and (other == KILL_GROUP or other == KILL_TREE):
                group.by = i
                return
            if code == RENICE and other == RENICE and self.priority[rival.first] > highest:
                highest = self.priority[rival.first]
                group.by = i

    cdef void overrider(self, Group* group, const int32_t* fired, const Draft* draft) noexcept nogil:
        """Find the first live action with a source, under ``actions``, that overrides one of these."""
        cdef uint8_t code = self.action_of[group.first]
        cdef const Group* rival
        cdef int32_t i, own, at, policy
        for i in range(draft.count):
            rival = &draft.groups[draft.order[i]]
            if rival.aside or self.action_of[rival.first] != code:
                continue
            # Sources ascend, and so do their policies.
            own = group.link
            at = rival.link
            while at >= 0 and own >= 0:
                policy = self.policy_of[fired[at]]
                if self.policy_of[fired[own]] < policy:
                    own = draft.links[own]
                    continue
                if self.policy_of[fired[own]] == policy and self.overrules[fired[at]]:
                    group.by = i
                    return
                at = draft.links[at]
