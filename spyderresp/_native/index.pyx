from collections import namedtuple

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, qsort
from libc.string cimport memcmp, memcpy, memset

from spyderresp._native.glob cimport Glob
from spyderresp._native.plan cimport ActionPlan, PlanShape, new_plan
from spyderresp._native.reader cimport EventReader

cdef extern from "Python.h":
    PyObject* PyDict_GetItemWithError(object mapping, object key) except? NULL
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept

Trace = namedtuple("Trace", "values present predicates selectors policies entries attribution")

cdef enum:
    INLINE = 48                # attributes for which an evaluation needs no heap
    MAX_SETS = 4096            # glob sets of one attribute
    MAX_UNSEEN = 8192          # texts whose glob set is remembered, an attribute
    MAX_UNSEEN_LENGTH = 512    # code points of such a text
    MAX_SLOTS = 16384
    MEMO_KEYS = 1 << 20        # numbers in the keys of all slots
    MAX_WEIGHT = 200_000       # of all remembered shapes together
    MAX_EPOCH = 0x7FFFFFFF


cdef int _ascending(const void* left, const void* right) noexcept nogil:
    cdef int32_t a = (<const int32_t*>left)[0], b = (<const int32_t*>right)[0]
    return (a > b) - (a < b)


cdef const int32_t* _numbers(object numbers) except NULL:
    """Lead into the memory of an array of int32, which the spec keeps alive."""
    cdef const int32_t[::1] view = numbers
    # An empty view has no first item to point at; it is not followed either.
    return &view[0] if view.shape[0] else <const int32_t*>PyBytes_AS_STRING(_NOTHING)


cdef Rows _rows(object pair) except *:
    cdef Rows rows
    rows.start = _numbers(pair[0])
    rows.items = _numbers(pair[1])
    return rows


cdef bytes _NOTHING = bytes(8)


cdef class GlobField:
    def __cinit__(self, tuple patterns, Py_ssize_t known):
        cdef Py_ssize_t i
        self.globs = tuple([Glob(pattern) for pattern in patterns])
        self.words = (len(patterns) + 63) // 64
        self.known = <int32_t*>calloc(known + 1, sizeof(int32_t))
        self.scratch = <uint64_t*>calloc(self.words, sizeof(uint64_t))
        if not self.known or not self.scratch:
            raise MemoryError
        for i in range(known):
            self.known[i] = UNSEEN
        self.unseen = {}
        self.ids = {}
        self.sets = []

    def __dealloc__(self):
        free(self.known)
        free(self.scratch)

    cdef int resolve(self, object text, State* state) except -1:
        cdef PyObject* found
        cdef int32_t place
        if state.value >= 0:
            place = self.known[state.value]
            if place == UNSEEN:
                place = self.known[state.value] = self.match(text)
        else:
            found = PyDict_GetItemWithError(self.unseen, text)
            if found is not NULL:
                place = <object>found
            else:
                place = self.match(text)
                if place != UNSEEN and PyUnicode_GET_LENGTH(text) <= MAX_UNSEEN_LENGTH:
                    if len(self.unseen) >= MAX_UNSEEN:
                        self.unseen.clear()
                    self.unseen[text] = place
        state.globs = place
        state.matched = <const uint64_t*>PyBytes_AS_STRING(self.sets[place]) if place != UNSEEN else self.scratch
        return 0

    cdef int32_t match(self, str text) except -2:
        """Return the id of the set of globs that match; it is in the scratch as well, and there only if UNSEEN."""
        cdef Py_ssize_t i
        cdef bytes key
        cdef PyObject* found
        cdef int32_t place
        memset(self.scratch, 0, self.words * sizeof(uint64_t))
        for i in range(len(self.globs)):
            if (<Glob>self.globs[i]).test(text):
                self.scratch[i >> 6] |= <uint64_t>1 << (i & 63)
        key = PyBytes_FromStringAndSize(<char*>self.scratch, self.words * sizeof(uint64_t))
        found = PyDict_GetItemWithError(self.ids, key)
        if found is not NULL:
            place = <object>found
            return place
        if len(self.sets) >= MAX_SETS:
            return UNSEEN
        place = len(self.sets)
        self.sets.append(key)
        self.ids[key] = place
        return place


cdef class DecisionIndex:
    def __cinit__(self, spec, str digest not None, shapes):
        cdef Py_ssize_t attributes = len(spec.attributes), i, slots
        self.spec = spec
        self.digest = digest
        self.shapes = shapes
        self.reader = EventReader(spec.scopes, spec.attributes)
        self.tables = tuple([{text: place for place, text in enumerate(texts)} for texts in spec.values])
        self.globs = tuple([
            GlobField(patterns, len(texts)) if patterns else None
            for patterns, texts in zip(spec.globs, spec.values, strict=True)
        ])
        self.policy_count = len(spec.first_entry) - 1
        self.selector_count = len(spec.selector_scope)
        self.predicate_attribute = _numbers(spec.predicate_attribute)
        self.predicate_verdicts = <const Verdicts*>PyBytes_AS_STRING(spec.predicate_verdicts)
        self.predicate_values = _rows(spec.predicate_values)
        self.predicate_globs = _rows(spec.predicate_globs)
        self.selector_scope = _numbers(spec.selector_scope)
        self.selector_predicates = _rows(spec.selector_predicates)
        self.policy_selectors = _rows(spec.policy_selectors)
        self.entry_selectors = _rows(spec.entry_selectors)
        self.first_entry = _numbers(spec.first_entry)
        self.scope_posts = _rows(spec.scope_posts)
        self.groups = _rows(spec.groups)
        self.group_of_uid = spec.group_of_uid
        self.group_of_name = spec.group_of_name
        self.value_posts = <Rows*>calloc(attributes + 1, sizeof(Rows))
        self.glob_posts = <Rows*>calloc(attributes + 1, sizeof(Rows))
        self.verdicts = <uint32_t*>calloc(self.selector_count + 1, sizeof(uint32_t))
        self.seen = <uint32_t*>calloc(self.policy_count + 1, sizeof(uint32_t))
        self.found = <int32_t*>calloc(self.policy_count + self.first_entry[self.policy_count] + 2, sizeof(int32_t))
        self.key_length = attributes + 1
        slots = 64
        while slots < MAX_SLOTS and 2 * slots * self.key_length <= MEMO_KEYS:
            slots *= 2
        self.slot_mask = slots - 1
        self.keys = <int64_t*>calloc(slots * self.key_length, sizeof(int64_t))
        if (
            not self.value_posts or not self.glob_posts or not self.verdicts or not self.seen or not self.found
            or not self.keys
        ):
            raise MemoryError
        for i in range(attributes):
            self.value_posts[i] = _rows(spec.value_posts[i])
            self.glob_posts[i] = _rows(spec.glob_posts[i])
        self.slots = [None] * slots
        self.by_fired = {}

    def __dealloc__(self):
        free(self.value_posts)
        free(self.glob_posts)
        free(self.verdicts)
        free(self.seen)
        free(self.found)
        free(self.keys)

    cdef int prepare(self, object event, PyObject** values, Probe* probe) except -1:
        """Read an event and look its values up. After this no Python code runs until the decision is copied out."""
        cdef Py_ssize_t i, count = self.reader.count
        cdef State* state
        cdef PyObject* found
        cdef object field
        self.reader.read(event, values, &probe.present)
        probe.memoised = True
        for i in range(count):
            state = &probe.states[i]
            state.globs = UNSEEN
            state.matched = NULL
            if values[i] is NULL:
                state.value = ABSENT
                continue
            found = PyDict_GetItemWithError(<object>self.tables[i], <object>values[i])
            state.value = <object>found if found is not NULL else UNSEEN
            field = self.globs[i]
            if field is not None:
                (<GlobField>field).resolve(<object>values[i], state)
                if state.globs == UNSEEN:
                    probe.memoised = False
        probe.group = NO_GROUP
        if values[count] is not NULL:
            found = PyDict_GetItemWithError(self.group_of_uid, <object>values[count])
            probe.group = <object>found if found is not NULL else UNKNOWN_GROUP
        elif values[count + 1] is not NULL:
            found = PyDict_GetItemWithError(self.group_of_name, <object>values[count + 1])
            probe.group = <object>found if found is not NULL else UNKNOWN_GROUP
        return 0

    cdef bint predicate(self, int32_t place, const Probe* probe) noexcept:
        cdef const State* state = &probe.states[self.predicate_attribute[place]]
        cdef const Verdicts* verdicts = &self.predicate_verdicts[place]
        cdef int32_t i, glob
        if state.value == ABSENT:
            return verdicts.absent
        if state.value >= 0:
            for i in range(self.predicate_values.start[place], self.predicate_values.start[place + 1]):
                if self.predicate_values.items[i] == state.value:
                    return verdicts.match
        if state.matched is not NULL:
            for i in range(self.predicate_globs.start[place], self.predicate_globs.start[place + 1]):
                glob = self.predicate_globs.items[i]
                if state.matched[glob >> 6] >> (glob & 63) & 1:
                    return verdicts.match
        return verdicts.other

    cdef bint selector(self, int32_t place, const Probe* probe) noexcept:
        """Decide a selector, once an epoch."""
        cdef uint32_t known = self.verdicts[place]
        cdef int32_t i
        cdef bint verdict = True
        if known >> 1 == self.epoch:
            return known & 1
        if not probe.present >> self.selector_scope[place] & 1:
            verdict = False
        else:
            for i in range(self.selector_predicates.start[place], self.selector_predicates.start[place + 1]):
                if not self.predicate(self.selector_predicates.items[i], probe):
                    verdict = False
                    break
        self.verdicts[place] = self.epoch << 1 | verdict
        return verdict

    cdef bint in_scope(self, int32_t policy, const Probe* probe) noexcept:
        cdef int32_t i, place
        for i in range(self.policy_selectors.start[policy], self.policy_selectors.start[policy + 1]):
            place = self.policy_selectors.items[i]
            if probe.group != NO_GROUP and not probe.present >> self.selector_scope[place] & 1:
                # Attributed: the detector has checked what the event lacks.
                continue
            if not self.selector(place, probe):
                return False
        return True

    cdef void post(self, Rows rows, int32_t row, const Probe* probe) noexcept:
        """Verify the policies of one row, each at most once a decision, and keep those in scope."""
        cdef int32_t i, policy
        for i in range(rows.start[row], rows.start[row + 1]):
            policy = rows.items[i]
            if self.seen[policy] != self.epoch:
                self.seen[policy] = self.epoch
                if self.in_scope(policy, probe):
                    self.found[self.in_scope_count] = policy
                    self.in_scope_count += 1

    cdef void decide(self, const Probe* probe) noexcept:
        """Find the policies in scope and the entries that fire."""
        cdef int32_t i, j, entry, place, bits
        cdef const State* state
        cdef uint64_t word
        cdef bint fires, sorted_ = True
        self.epoch += 1
        if self.epoch >= MAX_EPOCH:
            memset(self.verdicts, 0, self.selector_count * sizeof(uint32_t))
            memset(self.seen, 0, self.policy_count * sizeof(uint32_t))
            self.epoch = 1
        self.in_scope_count = 0
        self.fired_count = 0
        if probe.group >= 0:
            self.post(self.groups, probe.group, probe)
        elif probe.group == NO_GROUP:
            for i in range(len(self.reader.scopes)):
                if probe.present >> i & 1:
                    self.post(self.scope_posts, i, probe)
            for i in range(self.reader.count):
                state = &probe.states[i]
                if state.value >= 0:
                    self.post(self.value_posts[i], state.value, probe)
                if state.matched is not NULL:
                    for j in range((<GlobField>self.globs[i]).words):
                        word = state.matched[j]
                        bits = 64 * j
                        while word:
                            if word & 1:
                                self.post(self.glob_posts[i], bits, probe)
                            word >>= 1
                            bits += 1
        for i in range(1, self.in_scope_count):
            if self.found[i - 1] > self.found[i]:
                sorted_ = False
                break
        if not sorted_:
            qsort(self.found, self.in_scope_count, sizeof(int32_t), _ascending)
        for i in range(self.in_scope_count):
            for entry in range(self.first_entry[self.found[i]], self.first_entry[self.found[i] + 1]):
                fires = True
                for j in range(self.entry_selectors.start[entry], self.entry_selectors.start[entry + 1]):
                    place = self.entry_selectors.items[j]
                    if not self.selector(place, probe):
                        fires = False
                        break
                if fires:
                    self.found[self.in_scope_count + self.fired_count] = entry
                    self.fired_count += 1

    cdef PlanShape shape(self, const Probe* probe):
        """Decide, and return the shape of the plan."""
        cdef bytes key
        cdef int32_t* numbers
        cdef PyObject* found
        cdef PlanShape shape
        self.decide(probe)
        # Copied out into bytes, which the garbage collector does not track, before anything else is made.
        key = PyBytes_FromStringAndSize(NULL, (2 + self.in_scope_count + self.fired_count) * sizeof(int32_t))
        numbers = <int32_t*>PyBytes_AS_STRING(key)
        numbers[0] = probe.present
        numbers[1] = self.in_scope_count
        memcpy(numbers + 2, self.found, (self.in_scope_count + self.fired_count) * sizeof(int32_t))
        found = PyDict_GetItemWithError(self.by_fired, key)
        if found is not NULL:
            self.fired_hits += 1
            return <PlanShape><object>found
        shape = self.shapes(key)
        if shape.weight <= MAX_WEIGHT // 4:
            if self.weight + shape.weight > MAX_WEIGHT:
                self.forget()
            self.weight += shape.weight + len(key) // 64
            self.by_fired[key] = shape
        return shape

    cdef PlanShape remembered(self, const Probe* probe, int64_t* key):
        """Return the shape from the memo where the same value ids were seen before, else decide."""
        cdef Py_ssize_t i, slot, count = self.key_length
        cdef uint64_t mixed = 0x9E3779B97F4A7C15ull
        cdef PlanShape shape
        if not probe.memoised:
            return self.shape(probe)
        for i in range(count - 1):
            key[i] = <int64_t>(probe.states[i].globs + 1) << 32 | <uint32_t>(probe.states[i].value + 2)
        key[count - 1] = <int64_t>(probe.group + 2) << 32 | probe.present
        for i in range(count):
            mixed = (mixed ^ <uint64_t>key[i]) * 0xD6E8FEB86659FD93ull
            mixed ^= mixed >> 32
        slot = mixed & self.slot_mask
        if (
            self.slots[slot] is not None
            and memcmp(&self.keys[slot * count], key, count * sizeof(int64_t)) == 0
        ):
            self.memo_hits += 1
            return <PlanShape>self.slots[slot]
        shape = self.shape(probe)
        if shape.weight <= MAX_WEIGHT // 4:
            memcpy(&self.keys[slot * count], key, count * sizeof(int64_t))
            self.slots[slot] = shape
        return shape

    cpdef ActionPlan evaluate(self, object event):
        cdef PyObject* inline_values[INLINE]
        cdef State inline_states[INLINE]
        cdef int64_t inline_key[INLINE]
        cdef PyObject** values = inline_values
        cdef int64_t* key = inline_key
        cdef void* heap = NULL
        cdef Probe probe
        cdef Py_ssize_t count = self.reader.slots, unit = sizeof(PyObject*) + sizeof(State) + sizeof(int64_t)
        cdef PlanShape shape
        cdef tuple attribution = None
        probe.states = inline_states
        if count > INLINE:
            heap = calloc(count, unit)
            if not heap:
                raise MemoryError
            values = <PyObject**>heap
            probe.states = <State*>(values + count)
            key = <int64_t*>(probe.states + count)
        else:
            memset(values, 0, count * sizeof(PyObject*))
        try:
            self.prepare(event, values, &probe)
            self.evaluated += 1
            shape = self.remembered(&probe, key)
            if probe.group != NO_GROUP:
                attribution = self.attribute(values, &probe)
                self.unattributed += probe.group == UNKNOWN_GROUP
        finally:
            self.reader.release(values)
            free(heap)
        return new_plan(shape, event, self.digest, attribution)

    cdef tuple attribute(self, PyObject** values, const Probe* probe):
        """Say by what the event names a policy, and whether there is one."""
        cdef Py_ssize_t by_uid = self.reader.count, by_name = by_uid + 1
        cdef str outcome = "matched"
        if probe.group == UNKNOWN_GROUP:
            outcome = "unknown"
        elif self.groups.start[probe.group] == self.groups.start[probe.group + 1]:
            outcome = "disabled"
        if values[by_uid] is not NULL:
            return "policy_uid", <object>values[by_uid], outcome
        return "policy_name", <object>values[by_name], outcome

    def trace(self, event):
        cdef Py_ssize_t count = self.reader.slots
        cdef PyObject** values = <PyObject**>calloc(count, sizeof(PyObject*))
        cdef State* states = <State*>calloc(count, sizeof(State))
        cdef Probe probe
        cdef tuple attribution = None
        cdef bytes found
        probe.states = states
        try:
            if not values or not states:
                raise MemoryError
            self.prepare(event, values, &probe)
            self.decide(&probe)
            found = PyBytes_FromStringAndSize(
                <char*>self.found, (self.in_scope_count + self.fired_count) * sizeof(int32_t)
            )
            split = self.in_scope_count
            # Verdicts of this epoch, before anything tracked is made.
            verdicts = bytearray(self.selector_count)
            for i in range(self.selector_count):
                verdicts[i] = self.selector(i, &probe)
            answers = bytearray(len(self.spec.predicate_attribute))
            for i in range(len(answers)):
                answers[i] = self.predicate(i, &probe)
            texts = tuple([<object>values[i] if values[i] is not NULL else None for i in range(count - 2)])
            if probe.group != NO_GROUP:
                attribution = self.attribute(values, &probe)
        finally:
            if values:
                self.reader.release(values)
            free(values)
            free(states)
        numbers = memoryview(found).cast("i").tolist()
        present = frozenset([name for i, name in enumerate(self.reader.scopes) if probe.present >> i & 1])
        return Trace(
            texts,
            present,
            tuple(map(bool, answers)),
            tuple(map(bool, verdicts)),
            tuple(numbers[:split]),
            tuple(numbers[split:]),
            attribution,
        )

    def memory(self):
        return {
            "memo_slots": len(self.slots),
            "memo_used": len(self.slots) - self.slots.count(None),
            "shapes": len(self.by_fired),
            "shape_weight": self.weight,
            "glob_texts": sum([len((<GlobField>field).unseen) for field in self.globs if field is not None]),
            "glob_sets": sum([len((<GlobField>field).sets) for field in self.globs if field is not None]),
        }

    def forget(self):
        self.slots = [None] * len(self.slots)
        self.by_fired = {}
        self.weight = 0
