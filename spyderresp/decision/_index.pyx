from collections import namedtuple

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_CheckExact
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from spyderresp._gil cimport pause
from spyderresp.decision._event_reader cimport POLICY_NAME, POLICY_UID
from spyderresp.decision._globs cimport GlobSet, release
from spyderresp.decision._hash_tables cimport (
    SECRETS, NO_NOTE, ascii_of, ascii_size, ascii_text, find_entry, find_in, free_rows, hash_bytes, hash_number,
    is_ascii, prefetch, str_text,
)
from spyderresp.decision._plan cimport new_plan, new_plan_of, set_shape
from spyderresp.decision._program cimport COUNT, NO_GROUP, UNKNOWN_GROUP, free_decision
from spyderresp.decision._spec cimport ABSENT, FIRST, NO_CLASS, OTHER, IndexSpec, class_value, number_class

cdef extern from "Python.h":
    PyObject* Py_NewRef(object value) noexcept
    void Py_XDECREF(PyObject* value) noexcept


cdef extern from *:
    """
    #if defined(_MSC_VER)
    static __declspec(thread) int spyderresp_nested;
    #else
    static __thread int spyderresp_nested;
    #endif
    """
    int nested "spyderresp_nested"    # decisions of this thread that stand within each other

cdef enum:
    MOST_NESTED = 32


# --- Shapes by what fired ---

cdef enum:
    SLOTS_PER_PAUSE = 512    # places that are emptied between two pauses


cdef int copy_numbers(Fired* fired) except -1:
    cdef int32_t* copy = <int32_t*>malloc((fired.size + 1) * sizeof(int32_t))
    if not copy:
        raise MemoryError
    memcpy(copy, fired.numbers, fired.size * sizeof(int32_t))
    fired.numbers = copy
    return 0


@cython.no_gc
cdef class ShapeCache:
    """Shapes by what fired."""

    def __cinit__(self, Py_ssize_t places, Py_ssize_t most):
        """Make room for so many shapes, a power of two, of so much weight together."""
        self.mask = places - 1
        self.most = most
        self.places = <Fired*>calloc(places, sizeof(Fired))
        if not self.places:
            raise MemoryError

    def __dealloc__(self):
        cdef Py_ssize_t i
        # Not looked through where it is empty: that would take longer than all the rest.
        if self.used:
            for i in range(self.mask + 1):
                self.drop(&self.places[i])
        free(self.places)

    cdef PlanShape find(self, Fired* fired):
        cdef uint64_t mixed = hash_number(hash_number(SECRETS.first, fired.present), fired.in_scope)
        cdef const Fired* place
        cdef int32_t i
        for i in range(fired.size):
            mixed = hash_number(mixed, fired.numbers[i])
        fired.mixed = mixed
        place = &self.places[mixed & self.mask]
        if (
            place.shape is not NULL and place.mixed == mixed and place.present == fired.present
            and place.in_scope == fired.in_scope and place.size == fired.size
            and memcmp(place.numbers, fired.numbers, fired.size * sizeof(int32_t)) == 0
        ):
            return <PlanShape>place.shape
        return None

    cdef void keep(self, Fired* fired, PlanShape shape, Py_ssize_t weight) noexcept:
        cdef Fired* place = &self.places[fired.mixed & self.mask]
        if weight > self.most // 4:
            free(fired.numbers)
            return
        self.drop(place)
        while self.weight + weight > self.most:
            self.drop(&self.places[self.hand])
            self.hand = (self.hand + 1) & self.mask
        place[0] = fired[0]
        place.shape = Py_NewRef(shape)
        place.weight = weight
        self.weight += weight
        self.used += 1

    cdef void drop(self, Fired* place) noexcept:
        cdef PyObject* shape = place.shape
        if shape is not NULL:
            self.weight -= place.weight
            self.used -= 1
            free(place.numbers)
            place.shape = NULL
            place.numbers = NULL
            Py_XDECREF(shape)

    cdef int forget(self) except -1:
        cdef Py_ssize_t i
        for i in range(self.mask + 1 if self.used else 0):
            if i % SLOTS_PER_PAUSE == 0:
                pause()
            self.drop(&self.places[i])
        return 0


# --- Broad scopes ---

cdef uint64_t _hash(const int32_t* numbers, Py_ssize_t count) noexcept:
    cdef uint64_t mixed = SECRETS.first
    cdef Py_ssize_t i
    for i in range(count):
        mixed = hash_number(mixed, numbers[i])
    return mixed


@cython.no_gc
cdef class PolicyScope:
    """What is kept of one broad scope."""

    def __dealloc__(self):
        free(self.numbers)


cdef PolicyScope new_policy_scope(
    Program program, const int32_t* policies, int32_t count, tuple names, Py_ssize_t most
):
    cdef PolicyScope broad = PolicyScope.__new__(PolicyScope)
    cdef int32_t i, j, at = count, loose = 0
    cdef const int32_t* start = program.loose.start
    broad.names = names
    broad.shapes = ShapeCache(SHAPES, most)
    broad.mixed = _hash(policies, count)
    for i in range(count):
        loose += start[policies[i] + 1] - start[policies[i]]
        broad.scope.entries += program.code[program.code_of[policies[i]] + COUNT]
    broad.numbers = <int32_t*>malloc((count + loose + 1) * sizeof(int32_t))
    if not broad.numbers:
        raise MemoryError
    memcpy(broad.numbers, policies, count * sizeof(int32_t))
    for i in range(count):
        for j in range(start[policies[i]], start[policies[i] + 1]):
            broad.numbers[at] = program.loose.items[j]
            at += 1
    broad.scope.policies = broad.numbers
    broad.scope.count = count
    broad.scope.loose = broad.numbers + count
    broad.scope.loose_count = loose
    return broad


@cython.no_gc
cdef class ScopeCache:
    """Broad scopes that were met before."""

    def __cinit__(self, Program program not None, Py_ssize_t most):
        cdef Py_ssize_t i
        self.most = most
        self.fields = <int32_t*>malloc((program.attribute_count + 2) * sizeof(int32_t))
        if not self.fields:
            raise MemoryError
        for i in range(program.attribute_count + 2):
            # Behind the classes: group and scopes present.
            if i >= program.attribute_count or program.scoping[i]:
                self.fields[self.size] = i
                self.size += 1

    def __dealloc__(self):
        cdef int i
        for i in range(self.used):
            self.drop(&self.places[i])
        free(self.fields)

    cdef uint64_t mix(self, const int32_t* classes) noexcept:
        cdef uint64_t mixed = SECRETS.first
        cdef Py_ssize_t i
        for i in range(self.size):
            mixed = hash_number(mixed, classes[self.fields[i]])
        return mixed

    cdef PolicyScope find(self, const int32_t* classes):
        cdef uint64_t mixed = self.mix(classes)
        cdef const Combination* place
        cdef Py_ssize_t i
        cdef int k
        for k in range(self.used):
            place = &self.places[k]
            if place.mixed != mixed:
                continue
            for i in range(self.size):
                if place.key[i] != classes[self.fields[i]]:
                    break
            else:
                return <PolicyScope>place.broad
        return None

    cdef bint known(self, const int32_t* classes) noexcept:
        cdef Py_ssize_t i
        # A group may be numbered as no class is.
        for i in range(self.size - 2):
            if classes[self.fields[i]] == NO_CLASS:
                return False
        return True

    cdef PolicyScope like(self, const int32_t* policies, int32_t count):
        cdef uint64_t mixed = _hash(policies, count)
        cdef PolicyScope broad
        cdef int k
        for k in range(self.used):
            broad = <PolicyScope>self.places[k].broad
            if (
                broad.mixed == mixed and broad.scope.count == count
                and memcmp(broad.scope.policies, policies, count * sizeof(int32_t)) == 0
            ):
                return broad
        return None

    cdef int keep(self, const int32_t* classes, PolicyScope broad) except -1:
        cdef int32_t* key = <int32_t*>malloc(self.size * sizeof(int32_t))
        cdef Combination* place
        cdef Py_ssize_t i
        if not key:
            raise MemoryError
        for i in range(self.size):
            key[i] = classes[self.fields[i]]
        if self.used < BROADS:
            place = &self.places[self.used]
            self.used += 1
        else:
            place = &self.places[self.hand]
            self.hand = (self.hand + 1) % BROADS
            self.drop(place)
        place.mixed = self.mix(classes)
        place.key = key
        place.broad = Py_NewRef(broad)
        self.make_room(broad)
        return 0

    cdef void make_room(self, PolicyScope broad) noexcept:
        cdef int i = 0
        cdef Py_ssize_t weight = self.weigh()
        while weight > self.most and i < self.used:
            if <PolicyScope>self.places[i].broad is broad:
                i += 1
                continue
            self.drop(&self.places[i])
            self.used -= 1
            self.places[i] = self.places[self.used]
            memset(&self.places[self.used], 0, sizeof(Combination))
            weight = self.weigh()

    cdef Py_ssize_t weigh(self) noexcept:
        cdef Py_ssize_t weight = 0
        cdef PolicyScope broad
        cdef int k
        self.epoch = (self.epoch + 1) & 0x3FFFFFFF
        for k in range(self.used):
            broad = <PolicyScope>self.places[k].broad
            if broad.epoch != self.epoch:
                broad.epoch = self.epoch
                weight += broad.scope.count + broad.scope.loose_count + broad.shapes.weight
        return weight

    cdef void drop(self, Combination* place) noexcept:
        cdef PyObject* broad = place.broad
        free(place.key)
        place.key = NULL
        place.broad = NULL
        Py_XDECREF(broad)

    cdef int forget(self) except -1:
        cdef PolicyScope broad
        while self.used:
            # Out of the table first: other threads may use it at each pause.
            self.used -= 1
            broad = <PolicyScope>self.places[self.used].broad
            self.drop(&self.places[self.used])
            broad.shapes.forget()
            pause()
        return 0


# --- Index ---

Trace = namedtuple("Trace", "values present predicates selectors policies entries attribution")

cdef enum:
    LEAST_SLOTS = 1024
    MOST_SLOTS = 65536
    MEMO_KEYS = 1 << 20        # numbers in the keys of all slots
    MOST_FIRED = 262144
    WEIGHT = 200_000           # of all shapes that are remembered by what fired, and ten a policy more
    LIGHT = 64                 # of a shape that is remembered by classes: deciding a heavier one costs little beside it


@cython.final
cdef class DecisionIndex:
    """The compiled policy set. Its decisions never change; its memos may.

    Attributes:
        memory: bytes that deciding needs, memos and caches apart.
        text_count: exact texts that predicates name, over all attributes.
        glob_count: globs that predicates name, over all attributes.
    """

    def __cinit__(self, IndexSpec spec not None, str digest not None, PlanBuilder plan_builder not None):
        cdef Py_ssize_t i, slots
        self.digest = digest
        self.plan_builder = plan_builder
        self.reader = EventReader(spec.scopes, spec.attributes)
        self.program = Program(spec)
        self.count = self.reader.count
        self.pod = spec.scopes.index("pod")
        self.process = spec.scopes.index("process")
        self.tables = tuple([TextTable(texts, range(FIRST, FIRST + len(texts))) for texts in spec.texts])
        self.globs = tuple([GlobSet(patterns) if patterns else None for patterns in spec.globs])
        self.fields = <Field*>calloc(self.count + 1, sizeof(Field))
        if not self.fields or not self.program.prepare(&self.decision):
            raise MemoryError
        self.memory = self.program.memory
        self.text_count = sum(map(len, spec.texts))
        self.glob_count = sum(map(len, spec.globs))
        for i in range(self.count):
            self.fields[i].slots = (<TextTable>self.tables[i]).slots
            self.fields[i].arena = (<TextTable>self.tables[i]).arena
            self.fields[i].mask = (<TextTable>self.tables[i]).mask
            self.memory += (<TextTable>self.tables[i]).memory
            if self.globs[i] is not None:
                self.fields[i].globs = <PyObject*>self.globs[i]
                if not (<GlobSet>self.globs[i]).prepare(&self.fields[i].matches):
                    raise MemoryError
        self.key_length = self.count + 2
        slots = LEAST_SLOTS
        while slots < MOST_SLOTS and slots < 4 * self.program.entry_count and 2 * slots * self.key_length <= MEMO_KEYS:
            slots *= 2
        self.slot_mask = slots - 1
        self.slot_size = sizeof(PyObject*) + (self.key_length + 1) // 2 * 2 * sizeof(int32_t)
        self.slots = <char*>calloc(slots, self.slot_size)
        if not self.slots:
            raise MemoryError
        slots = LEAST_SLOTS
        while slots < MOST_FIRED and slots < 4 * self.program.policy_count:
            slots *= 2
        self.most_weight = WEIGHT + 10 * self.program.policy_count
        self.fired = ShapeCache(slots, self.most_weight)
        self.broads = ScopeCache(self.program, self.most_weight)

    def __dealloc__(self):
        cdef Py_ssize_t i
        if self.fields:
            for i in range(self.count):
                release(&self.fields[i].matches)
                free_rows(&self.fields[i].classes)
        free(self.fields)
        # Not looked through where they are empty: that would take longer than all the rest.
        if self.slots_used:
            for i in range(self.slot_mask + 1):
                self.drop_slot(self.slot(i))
        free(self.slots)
        free_decision(&self.decision)
        free(self.buffer.bytes)
        free(self.spare)

    cdef inline Slot* slot(self, Py_ssize_t place) noexcept:
        return <Slot*>(self.slots + place * self.slot_size)

    cdef void find_globs(self, Work* work, int i, const Text* value, TableEntry* entry) noexcept:
        """Number the class of a text of an attribute with globs, or set its value for this one decision."""
        cdef Field* field = &self.fields[i]
        cdef int32_t text = entry.place if entry is not NULL else OTHER, number
        if entry is not NULL and entry.note != NO_NOTE:
            work.key[i] = entry.note
            return
        (<GlobSet>field.globs).match(value, &field.matches)
        if entry is NULL and not field.matches.count:
            # What most values are to most attributes, and what absence is to none: a class that needs no number.
            work.key[i] = OTHER
            return
        number = number_class(&field.classes, text, &field.matches)
        if number == NO_CLASS:
            # Good until this attribute's next text: for this one decision.
            work.key[i] = NO_CLASS
            work.known = False
            work.values[i].text = text
            work.values[i].globs = field.matches.globs
            work.values[i].count = field.matches.count
            return
        work.key[i] = FIRST + number
        if entry is not NULL:
            entry.note = work.key[i]

    cdef inline void find(self, Work* work, int i, const Text* text, uint64_t mixed) noexcept:
        """Look one text up: its key becomes the number of its class, or NO_CLASS."""
        cdef Field* field = &self.fields[i]
        cdef TableEntry* entry = find_in(field.slots, field.arena, field.mask, text.bytes, text.size, mixed)
        if field.globs is not NULL:
            self.find_globs(work, i, text, entry)
        else:
            work.key[i] = entry.place if entry is not NULL else OTHER

    cdef Outcome classify(self, Work* work, unsigned int present) noexcept:
        """Turn the row into a key."""
        cdef int i, j, asked = 0
        cdef PyObject* value
        cdef const uint8_t* data
        cdef Py_ssize_t size
        cdef Text text
        cdef TextTable table
        cdef Field* field
        cdef TableEntry* entry
        work.known = True
        for i in range(self.count):
            value = work.row[i]
            if value is NULL or <object>value is None:
                work.key[i] = ABSENT
                continue
            if not PyUnicode_CheckExact(<object>value):
                return NOT_TEXT
            if is_ascii(value):
                # All tables are asked for before the first answer is waited for.
                work.mixed[i] = hash_bytes(ascii_of(value), ascii_size(value))
                field = &self.fields[i]
                prefetch(&field.slots[work.mixed[i] & field.mask])
                work.asked[asked] = i
                asked += 1
            else:
                # There is but one buffer, so that this text is looked up at once.
                if not str_text(<object>value, &text, &self.buffer):
                    return NO_MEMORY
                self.find(work, i, &text, hash_bytes(text.bytes, text.size))
        for j in range(asked):
            i = work.asked[j]
            data, size = ascii_of(work.row[i]), ascii_size(work.row[i])
            field = &self.fields[i]
            entry = find_in(field.slots, field.arena, field.mask, data, size, work.mixed[i])
            if field.globs is NULL:
                work.key[i] = entry.place if entry is not NULL else OTHER
            elif entry is not NULL and entry.note != NO_NOTE:
                work.key[i] = entry.note
            else:
                ascii_text(work.row[i], &text)
                self.find_globs(work, i, &text, entry)
        work.group = NO_GROUP
        table = self.program.uids
        value = work.row[self.count + POLICY_UID]
        if value is NULL or <object>value is None:
            table = self.program.names
            value = work.row[self.count + POLICY_NAME]
        if value is not NULL and <object>value is not None:
            if not str_text(<object>value, &text, &self.buffer):
                return NO_MEMORY
            work.group = self.group_of(table, &text)
        work.key[self.count] = work.group
        work.key[self.count + 1] = present
        return DONE

    cdef int32_t group_of(self, TextTable table, const Text* text) noexcept:
        cdef TableEntry* entry = find_entry(table, text.bytes, text.size, hash_bytes(text.bytes, text.size))
        return entry.place - FIRST if entry is not NULL else UNKNOWN_GROUP

    cdef void load_values(self, Work* work, Probe* probe) noexcept:
        """Tell what the values are whose classes the row has."""
        cdef Value* value
        cdef int i
        for i in range(self.count):
            value = &work.values[i]
            if work.key[i] == NO_CLASS:
                continue
            if work.key[i] >= FIRST and self.fields[i].globs is not NULL:
                class_value(&self.fields[i].classes, work.key[i] - FIRST, value)
            else:
                value.text = work.key[i]
                value.count = 0
        probe.values = work.values
        probe.group = work.group
        probe.present = work.key[self.count + 1]

    cdef void decide(self, Work* work) noexcept:
        cdef Probe probe
        self.load_values(work, &probe)
        self.program.decide(&probe, &self.decision)

    cdef PlanShape shape(self, Work* work):
        """Decide, and return the shape of the plan."""
        cdef Fired fired
        cdef PlanShape shape
        cdef PolicyScope broad = None
        fired.present = work.key[self.count + 1] & (1u << self.pod | 1u << self.process)
        if self.broads.used:
            broad = self.broads.find(work.key)
        if broad is not None:
            return self.within(work, broad, &fired)
        self.decide(work)
        fired.numbers = self.decision.found
        fired.in_scope = self.decision.in_scope
        fired.size = fired.in_scope + self.decision.fired
        if fired.in_scope > LIGHT and self.broads.known(work.key):
            return self.widen(work, &fired)
        shape = self.fired.find(&fired)
        if shape is not None:
            self.fired_hits += 1
            return shape
        # Copied before any object is made: whatever runs then may decide, and the scratch is shared.
        copy_numbers(&fired)
        try:
            shape = self.plan_builder.shape(
                fired.numbers, fired.in_scope, fired.numbers + fired.in_scope, fired.size - fired.in_scope,
                fired.present >> self.pod & 1, fired.present >> self.process & 1
            )
        except BaseException:
            free(fired.numbers)
            raise
        self.fired.keep(&fired, shape, shape.weight)
        return shape

    cdef PlanShape within(self, Work* work, PolicyScope broad, Fired* fired):
        """Decide which entries fire in a broad scope, and return the shape of the plan."""
        cdef Probe probe
        cdef PlanShape shape
        self.load_values(work, &probe)
        self.decision.in_scope = 0
        self.decision.fired = 0
        self.program.fire(&broad.scope, &probe, &self.decision)
        self.broad_hits += 1
        fired.numbers = self.decision.found
        fired.in_scope = 0
        fired.size = self.decision.fired
        shape = broad.shapes.find(fired)
        if shape is not None:
            self.fired_hits += 1
            return shape
        copy_numbers(fired)
        return self.arranged(broad, fired)

    cdef PlanShape arranged(self, PolicyScope broad, Fired* fired):
        """Make a shape in a broad scope, and keep it."""
        cdef PlanShape shape
        try:
            shape = self.plan_builder.named(
                broad.names, fired.numbers, fired.size, fired.present >> self.pod & 1, fired.present >> self.process & 1
            )
        except BaseException:
            free(fired.numbers)
            raise
        broad.shapes.keep(fired, shape, shape.weight - broad.scope.count)
        self.broads.make_room(broad)
        return shape

    cdef PlanShape widen(self, Work* work, Fired* fired):
        """Return the shape of what was decided, and remember its scope as a broad one."""
        cdef PolicyScope broad
        cdef Fired own = fired[0]
        cdef PlanShape shape
        copy_numbers(fired)
        try:
            broad = self.broads.like(fired.numbers, fired.in_scope)
            if broad is None:
                names = self.plan_builder.names(fired.numbers, fired.in_scope)
                broad = new_policy_scope(self.program, fired.numbers, fired.in_scope, names, self.most_weight)
            self.broads.keep(work.key, broad)
            own.numbers = fired.numbers + fired.in_scope
            own.size = fired.size - fired.in_scope
            own.in_scope = 0
            shape = broad.shapes.find(&own)
            if shape is None:
                copy_numbers(&own)
                shape = self.arranged(broad, &own)
            return shape
        finally:
            free(fired.numbers)

    cdef void drop_slot(self, Slot* slot) noexcept:
        cdef PyObject* shape = slot.shape
        if shape is not NULL:
            self.slots_used -= 1
            slot.shape = NULL
            Py_XDECREF(shape)

    cdef tuple attribution(self, int32_t group, object uid, object name):
        """Say by what the event names a policy, and whether there is one."""
        cdef str outcome = "matched"
        if group == UNKNOWN_GROUP:
            outcome = "unknown"
        elif self.program.groups.start[group] == self.program.groups.start[group + 1]:
            outcome = "disabled"
        return ("policy_uid", uid, outcome) if uid is not None else ("policy_name", name, outcome)

    cdef ActionPlan decided(self, object event, Work* work):
        cdef unsigned int present
        cdef list kept
        cdef Outcome outcome = NOT_TEXT
        if self.reader.quick(event, work.row, &present):
            outcome = self.classify(work, present)
        if outcome == NOT_TEXT:
            # Reading may run Python code that decides another event, and so on. The stack of a thread can be small.
            global nested
            if nested >= MOST_NESTED:
                raise RecursionError(f"an event whose reading decides events, {MOST_NESTED} deep")
            nested += 1
            try:
                kept = self.reader.slow(event, work.row, &present)  # no-cython-lint: what the row borrows from
            finally:
                nested -= 1
            outcome = self.classify(work, present)
        if outcome == NO_MEMORY:
            raise MemoryError
        return self.answer(work)

    cdef ActionPlan answer(self, Work* work):
        """Return the plan of an event that was read and classified."""
        cdef object uid = None, name = None
        cdef ActionPlan plan
        cdef PyObject** own = work.row + self.count
        cdef uint64_t mixed = SECRETS.first
        cdef Py_ssize_t i, size = self.key_length * sizeof(int32_t)
        cdef Slot* slot
        cdef PyObject* shape
        self.evaluated += 1
        if work.group != NO_GROUP:
            self.unattributed += work.group == UNKNOWN_GROUP
            uid = <object>own[POLICY_UID] if own[POLICY_UID] is not NULL else None
            name = <object>own[POLICY_NAME] if own[POLICY_NAME] is not NULL else None
        for i in range(self.key_length):
            mixed = hash_number(mixed, work.key[i])
        slot = self.slot(mixed & self.slot_mask)
        if work.known and slot.shape is not NULL and memcmp(&slot.key[0], work.key, size) == 0:
            prefetch(slot.shape)
            self.memo_hits += 1
            plan = new_plan_of(own, self.digest, <PlanShape>slot.shape)
        else:
            # Made first, for it holds what the event said: arranging a shape may run the garbage collector.
            plan = new_plan(own, self.digest)
            set_shape(plan, self.shape(work))
            if work.known and plan.shape.weight <= LIGHT:
                memcpy(&slot.key[0], work.key, size)
                shape = slot.shape
                self.slots_used += shape is NULL
                slot.shape = Py_NewRef(plan.shape)
                Py_XDECREF(shape)
        if work.group != NO_GROUP:
            plan.attribution = self.attribution(work.group, uid, name)
        return plan

    cdef Py_ssize_t space(self) noexcept:
        """Return the bytes of an event's working space."""
        return (
            self.reader.cells * sizeof(PyObject*) + self.key_length * sizeof(int32_t)
            + self.count * (sizeof(uint64_t) + sizeof(Value) + sizeof(int32_t))
        )

    cdef char* take_space(self) except NULL:
        """Return working space for one event, to be given back. Not on the stack: an event may decide another one."""
        cdef char* space = self.spare
        self.spare = NULL
        if not space:
            space = <char*>malloc(self.space())
            if not space:
                raise MemoryError
        return space

    cdef void give_space(self, char* space) noexcept:
        if self.spare:
            free(space)
        else:
            self.spare = space

    cdef void lay(self, Work* work, char* space) noexcept:
        """Lay an event's working space out."""
        work.row = <PyObject**>space
        work.mixed = <uint64_t*>(work.row + self.reader.cells)
        work.values = <Value*>(work.mixed + self.count)
        work.key = <int32_t*>(work.values + self.count)
        work.asked = work.key + self.key_length

    cpdef ActionPlan evaluate(self, object event):
        """Return the plan for one event.

        Raises:
            EventError: the event is malformed where it is checked.
        """
        cdef Work work
        cdef char* space = self.take_space()
        try:
            self.lay(&work, space)
            return self.decided(event, &work)
        finally:
            self.give_space(space)

    def evaluate_many(self, events):
        """Return the plans of events, in their order.

        Raises:
            EventError: an event is malformed where it is checked.
        """
        cdef list plans = []
        cdef Work work
        # Iterating may run anything, so the space is this call's own.
        cdef char* space = <char*>malloc(self.space())
        if not space:
            raise MemoryError
        try:
            self.lay(&work, space)
            for event in events:
                plans.append(self.decided(event, &work))
        finally:
            free(space)
        return plans

    def plan_of(self, event, PlanShape shape not None, int32_t group):
        """Return the plan that an event has by a decision that was made elsewhere.

        Raises:
            EventError: the event is malformed where it is checked.
        """
        cdef PyObject** row = <PyObject**>malloc(self.reader.cells * sizeof(PyObject*))
        cdef unsigned int present
        cdef list kept
        cdef ActionPlan plan
        if not row:
            raise MemoryError
        try:
            kept = self.reader.slow(event, row, &present)
            plan = new_plan_of(row + self.count, self.digest, shape)
        finally:
            free(row)
        if group != NO_GROUP:
            plan.attribution = self.attribution(
                group, kept[self.count + POLICY_UID], kept[self.count + POLICY_NAME]
            )
        return plan

    def trace(self, event):
        """Return every verdict on one event, of every predicate and selector."""
        cdef Work work
        cdef Probe probe
        cdef unsigned int present
        cdef char* space = <char*>malloc(self.space())
        cdef list kept
        cdef bytes found
        cdef Py_ssize_t i, split
        cdef object attribution = None
        if not space:
            raise MemoryError
        try:
            self.lay(&work, space)
            kept = self.reader.slow(event, work.row, &present)
            verdicts = bytearray(self.program.selector_count)
            answers = bytearray(self.program.predicate_count)
            if self.classify(&work, present) == NO_MEMORY:
                raise MemoryError
            self.decide(&work)
            split = self.decision.in_scope
            found = PyBytes_FromStringAndSize(
                <char*>self.decision.found, (split + self.decision.fired) * sizeof(int32_t)
            )
            probe.values = work.values
            probe.present = present
            probe.group = work.group
            for i in range(len(verdicts)):
                verdicts[i] = self.program.selector(i, &probe)
            for i in range(len(answers)):
                answers[i] = self.program.predicate(i, work.values)
            if work.group != NO_GROUP:
                attribution = self.attribution(
                    work.group, kept[self.count + POLICY_UID], kept[self.count + POLICY_NAME]
                )
        finally:
            free(space)
        numbers = memoryview(found).cast("i").tolist()
        return Trace(
            tuple(kept[:self.count]),
            frozenset([name for i, name in enumerate(self.reader.scopes) if present >> i & 1]),
            tuple(map(bool, answers)),
            tuple(map(bool, verdicts)),
            tuple(numbers[:split]),
            tuple(numbers[split:]),
            attribution,
        )

    def sizes(self):
        """Return sizes and counts: of the memos and caches, in entries and in bytes, and of what was looked at."""
        cdef Py_ssize_t i, classes = 0, pooled = 0
        cdef uint64_t tried = 0
        for i in range(self.count):
            classes += self.fields[i].classes.count
            pooled += self.fields[i].classes.used
            tried += self.fields[i].matches.tried
        return {
            "memo_slots": self.slot_mask + 1,
            "memo_used": self.slots_used,
            "shapes": self.fired.used,
            "shape_weight": self.fired.weight,
            "broad_scopes": self.broads.used,
            "broad_weight": self.broads.weigh(),
            "glob_classes": classes,
            "memory": self.memory,
            "memo_memory": (self.slot_mask + 1) * self.slot_size
            + (self.fired.mask + 1) * sizeof(Fired) + (4 * classes + pooled) * sizeof(int32_t),
            "policies_looked_at": self.decision.looked,
            "entries_asked": self.decision.asked,
            "globs_tried": tried,
        }

    def forget(self):
        """Empty the memos, a little at a time, other threads running in between."""
        cdef Py_ssize_t i
        for i in range(self.slot_mask + 1 if self.slots_used else 0):
            if i % SLOTS_PER_PAUSE == 0:
                pause()
            self.drop_slot(self.slot(i))
        self.fired.forget()
        self.broads.forget()
        self.plan_builder.forget()
        self.batching = None
