import os

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_CheckExact, PyUnicode_DecodeUTF8
from libc.math cimport NAN, isfinite, isnan
from libc.stdint cimport uint64_t, uintptr_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

from spyderresp.authoring.replay._textpool cimport free_pool, hash_text, tell_text
from spyderresp.decision._batch cimport PICKED, Batch, CellKind, index_at, is_valid, span_at
from spyderresp.decision._hash_tables cimport Text, prefetch, utf8_text
from spyderresp.decision._plan cimport ActionPlan

from spyderresp.decision._event_reader import IDENTITY as _IDENTITY

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text) noexcept
    void* PyUnicode_DATA(object text) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept

cdef list _PATHS = [f"{scope}.{key}" for scope, keys in _IDENTITY for key in keys]
cdef int NAMESPACE = _PATHS.index("namespace.name")
cdef int POD_NAME = _PATHS.index("pod.name")
cdef int POD_UID = _PATHS.index("pod.uid")
cdef int POD_KUID = _PATHS.index("pod.kuid")
cdef int PROCESS_NAME = _PATHS.index("process.name")
cdef int PROCESS_UID = _PATHS.index("process.uid")
cdef int PROCESS_PID = _PATHS.index("process.pid")


cdef int _places(Joined* joined, tuple paths) except -1:
    if len(paths) > PARTS:
        raise ValueError("a text of too many parts")
    for path in paths:
        joined.cells[joined.count] = _PATHS.index(path)
        joined.count += 1
    return 0


cdef void* _more(void* items, Py_ssize_t size) except NULL:
    cdef void* grown = realloc(items, size)
    if not grown:
        raise MemoryError
    return grown


cdef str _said(ActionPlan plan, int place):
    """Return a value of a plan's target as text, or None."""
    cdef PyObject* value = plan.identity_values[place]
    if value is NULL:
        return None
    return <str>value if PyUnicode_CheckExact(<object>value) else str(<object>value)


@cython.final
cdef class Kills:
    """Kills that were met.

    Args:
        pod: paths of a target whose values, joined, tell a pod from others; the last of them is its name.
        process: the same of a process, to be followed by its pid.

    Attributes:
        unknown: kills of a target that nothing tells from others.
        whats: actions with the policies that ask for them, by their number in ``attempts``.
    """

    def __cinit__(self, tuple pod not None, tuple process not None):
        self.texts.factor = <uint64_t>int.from_bytes(os.urandom(8), "little") | 1
        self.whats = []
        self.known = {}
        _places(&self.pod, pod)
        _places(&self.process, process)
        self.spans = <int32_t*>malloc(sizeof(int32_t))
        if not self.spans:
            raise MemoryError
        self.spans[0] = 0
        self.empty = self.tell(NULL, 0)

    def __dealloc__(self):
        free_pool(&self.texts)
        free(self.struck_by)
        free(self.struck)
        free(self.attempts)
        free(self.kinds)
        free(self.spans)
        free(self.said)
        free(self.joined.bytes)
        free(self.points.bytes)

    def outcome(self, kills):
        """Take the next outcome's kills: action, policies, whether it kills a pod, whether it is carried out."""
        cdef int32_t end = self.spans[self.outcomes], room
        if self.outcomes + 2 > self.outcome_room:
            room = 2 * self.outcome_room + 64
            self.spans = <int32_t*>_more(self.spans, room * sizeof(int32_t))
            self.outcome_room = room
        for action, policies, pod, executed in kills:
            if end == self.kind_room:
                room = 2 * self.kind_room + 64
                self.kinds = <Kind*>_more(self.kinds, room * sizeof(Kind))
                self.kind_room = room
            self.kinds[end].what = self.what((action, policies))
            self.kinds[end].pod = pod
            self.kinds[end].executed = executed
            end += 1
        self.outcomes += 1
        self.spans[self.outcomes] = end

    def has(self, int32_t number):
        """Tell whether an outcome has a kill."""
        return 0 <= number < self.outcomes and self.spans[number] < self.spans[number + 1]

    def any(self, bytes numbers not None):
        """Tell whether one of these outcomes, numbers of int32, has a kill."""
        cdef const int32_t* told = <const int32_t*>PyBytes_AS_STRING(numbers)
        cdef Py_ssize_t i
        for i in range(PyBytes_GET_SIZE(numbers) // <Py_ssize_t>sizeof(int32_t)):
            if self.has(told[i]):
                return True
        return False

    cdef int32_t what(self, tuple what) except -1:
        place = self.known.get(what)
        if place is None:
            place = self.known[what] = len(self.whats)
            self.whats.append(what)
        return place

    cdef int32_t tell(self, const uint8_t* data, Py_ssize_t size) except -2:
        """Return the number of a text."""
        return self.tell_mixed(data, size, hash_text(&self.texts, data, size))

    cdef int32_t tell_mixed(self, const uint8_t* data, Py_ssize_t size, uint64_t mixed) except -2:
        """Return the number of a text with this hash."""
        cdef Py_ssize_t room
        cdef int32_t number = tell_text(&self.texts, data, size, mixed)
        if number < 0:
            raise MemoryError
        if 2 * <Py_ssize_t>number >= self.struck_by_room:
            room = 2 * <Py_ssize_t>self.texts.capacity
            self.struck_by = <int32_t*>_more(self.struck_by, room * sizeof(int32_t))
            memset(self.struck_by + self.struck_by_room, 0xFF, (room - self.struck_by_room) * sizeof(int32_t))
            self.struck_by_room = room
        return number

    cdef int32_t tell_str(self, text) except -2:
        """Return the number of a str; a lone surrogate is encoded as if it were a character."""
        cdef bytes data
        if text is None:
            return NOTHING
        if PyUnicode_IS_COMPACT_ASCII(text):
            return self.tell(<const uint8_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
        data = text.encode("utf-8", "surrogatepass")
        return self.tell(<const uint8_t*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    cdef str text(self, int32_t number):
        if number < 0:
            return None
        return PyUnicode_DecodeUTF8(
            <const char*>self.texts.bytes + self.texts.starts[number],
            self.texts.starts[number + 1] - self.texts.starts[number], "surrogatepass"
        )

    def strike(self, int32_t number, second, namespace, tuple process not None, tuple pod not None):
        """Count the kills of one event: its outcome, its time, its namespace, and the key and name of either target."""
        cdef Said said
        if not 0 <= number < self.outcomes:
            raise ValueError("there is no such outcome")
        said.number = number
        said.namespace = self.tell_str(namespace)
        said.keys[0], said.keys[1] = self.tell_str(process[0] or None), self.tell_str(pod[0] or None)
        said.names[0], said.names[1] = self.tell_str(process[1]), self.tell_str(pod[1])
        self.count(&said, NAN if second is None else second)

    def strike_plan(self, int32_t number, second, ActionPlan plan not None):
        """Count the kills of a plan: its outcome, its time."""
        cdef Said said
        cdef int32_t at
        cdef int pod
        if not 0 <= number < self.outcomes:
            raise ValueError("there is no such outcome")
        memset(&said, 0xFF, sizeof(Said))
        said.number = number
        said.wanted[0] = said.wanted[1] = False
        for at in range(self.spans[number], self.spans[number + 1]):
            said.wanted[self.kinds[at].pod] = True
        said.namespace = self.tell_str(_said(plan, NAMESPACE))
        for pod in range(2):
            if said.wanted[pod]:
                said.keys[pod] = self.tell_str(self.key_of(plan, pod) or None)
                said.names[pod] = self.tell_str(_said(plan, POD_NAME if pod else PROCESS_NAME))
        self.count(&said, NAN if second is None else second)

    cdef str key_of(self, ActionPlan plan, bint pod):
        """Return what tells a plan's pod or process from others, or None."""
        cdef const Joined* parts = &self.pod if pod else &self.process
        cdef int i
        cdef list texts
        found = _said(plan, POD_KUID if pod else PROCESS_UID)
        if found is None and pod:
            found = _said(plan, POD_UID)
        if found is not None or _said(plan, POD_NAME if pod else PROCESS_PID) is None:
            return found
        texts = [_said(plan, parts.cells[i]) or "" for i in range(parts.count)]
        if not pod:
            texts.append(_said(plan, PROCESS_PID))
        return "/".join(texts)

    def walk(self, Batch batch not None, bytes numbers not None, seconds, TargetColumns cells not None):
        """Count the kills of a batch's rows; arguments as of ``Occurrences.add_rows``.

        Raises:
            ValueError: a row holds what is no text; nothing is counted then.
        """
        cdef const int32_t* outcomes = batch.decisions.outcomes
        cdef const int32_t* told = <const int32_t*>PyBytes_AS_STRING(numbers)
        cdef const double* times = <const double*><uintptr_t>seconds
        cdef Py_ssize_t rows = batch.decisions.rows, row, met = 0, i
        cdef int32_t number, at
        cdef Said* said
        if PyBytes_GET_SIZE(numbers) != batch.decisions.count * <Py_ssize_t>sizeof(int32_t):
            raise ValueError("a batch has another number of outcomes")
        for i in range(batch.decisions.count):
            if not 0 <= told[i] < self.outcomes:
                raise ValueError("there is no such outcome")
        for row in range(rows):
            number = told[outcomes[row]]
            if self.spans[number] == self.spans[number + 1]:
                continue
            if met == self.said_room:
                self.said = <Said*>_more(self.said, (2 * self.said_room + 1024) * sizeof(Said))
                self.said_room = 2 * self.said_room + 1024
            said = &self.said[met]
            memset(said, 0xFF, sizeof(Said))
            said.row = row
            said.number = number
            said.wanted[0] = said.wanted[1] = False
            for at in range(self.spans[number], self.spans[number + 1]):
                said.wanted[self.kinds[at].pod] = True
            met += 1
        # Where texts lay in memory says nothing from one batch to the next.
        memset(self.recent, 0, sizeof(self.recent))
        for i in range(0, met, SPOTS):
            self.read(cells, &self.said[i], <int>min(met - i, <Py_ssize_t>SPOTS))
        for i in range(met):
            self.count(&self.said[i], times[self.said[i].row] if times is not NULL else NAN)

    cdef int read(self, TargetColumns cells, Said* said, int count) except -1:
        """Read whom a block's rows are about: texts are asked for before the first answer is waited for."""
        cdef Spot[SPOTS] spots
        cdef Py_ssize_t row
        cdef int i, pod, name
        for i in range(count):
            if not self.meet(&cells.cells[NAMESPACE], said[i].row, &spots[i], &said[i].namespace):
                self.meet(&cells.name, said[i].row, &spots[i], &said[i].namespace)
        for i in range(count):
            self.settle(&spots[i], &said[i].namespace)
        for pod in range(2):
            for i in range(count):
                spots[i].size = -1
                if not said[i].wanted[pod]:
                    continue
                row = said[i].row
                if pod:
                    if self.meet(&cells.cells[POD_KUID], row, &spots[i], &said[i].keys[1]):
                        continue
                    if self.meet(&cells.cells[POD_UID], row, &spots[i], &said[i].keys[1]):
                        continue
                elif self.meet(&cells.cells[PROCESS_UID], row, &spots[i], &said[i].keys[0]):
                    continue
                said[i].keys[pod] = self.joined_key(cells, pod, row)
            for i in range(count):
                self.settle(&spots[i], &said[i].keys[pod])
                # An empty text tells nothing from anything.
                if said[i].keys[pod] == self.empty:
                    said[i].keys[pod] = NOTHING
            name = POD_NAME if pod else PROCESS_NAME
            for i in range(count):
                spots[i].size = -1
                # Whoever was struck before has a name.
                if said[i].keys[pod] >= 0 and self.struck_by[2 * <Py_ssize_t>said[i].keys[pod] + pod] < 0:
                    self.meet(&cells.cells[name], said[i].row, &spots[i], &said[i].names[pod])
            for i in range(count):
                self.settle(&spots[i], &said[i].names[pod])
        return 0

    cdef bint meet(self, const Cell* cell, Py_ssize_t row, Spot* spot, int32_t* number) except -1:
        """Go to a value's text, and ask for the memory where it would be known; False where there is no value."""
        cdef Recent* recent
        spot.size = -1
        if not self.value(cell, row, &spot.data, &spot.size):
            spot.size = -1
            return False
        if cell.kind != CellKind.TEXT_CELL:
            number[0] = self.tell(spot.data, spot.size)
            spot.size = -1
            return True
        if cell.column.indices is not NULL:
            # A dictionary's texts lie where they lay.
            recent = &self.recent[(<uintptr_t>spot.data >> 2 ^ <uintptr_t>spot.size) % RECENT]
            if recent.data is spot.data and recent.size == spot.size and spot.size:
                number[0] = recent.number
            else:
                recent.number = number[0] = self.tell(spot.data, spot.size)
                recent.data = spot.data
                recent.size = spot.size
            spot.size = -1
            return True
        spot.mixed = hash_text(&self.texts, spot.data, spot.size)
        if self.texts.slots is not NULL:
            prefetch(&self.texts.slots[spot.mixed & self.texts.mask])
        return True

    cdef int settle(self, const Spot* spot, int32_t* number) except -1:
        """Number a text that was met and has no number yet."""
        if spot.size >= 0:
            number[0] = self.tell_mixed(spot.data, spot.size, spot.mixed)
        return 0

    cdef int value(self, const Cell* cell, Py_ssize_t row, const uint8_t** data, Py_ssize_t* size) except -1:
        """Find a value as text; 0 where there is none."""
        cdef int64_t place
        cdef double number
        cdef Text met
        cdef int i
        if not cell.kind or (cell.kind == CellKind.TEXT_CELL and cell.column.texts.offsets is NULL):
            return 0
        for i in range(cell.column.levels):
            if not is_valid(&cell.column.valid[i], row):
                return 0
        if cell.kind == CellKind.TEXT_CELL:
            place = index_at(&cell.column, row)
            if place < 0 and cell.column.width <= PICKED and cell.column.indices is not NULL:
                return 0
            if not 0 <= place < cell.column.texts.count:
                raise ValueError(f"row {row}: a dictionary index leads out of its dictionary")
            if not is_valid(&cell.column.texts.valid, place):
                return 0
            if not span_at(&cell.column.texts, place, <const char**>data, size):
                raise ValueError(f"row {row}: offsets lead out of their data")
            if not utf8_text(data[0], size[0], &met, &self.points):
                raise ValueError(f"row {row}: not valid UTF-8")
            return 1
        if cell.kind == CellKind.INTEGER_CELL:
            place = index_at(&cell.column, row)
            if cell.column.width == 8:
                size[0] = snprintf(self.digits, sizeof(self.digits), "%llu", <unsigned long long>place)
            else:
                size[0] = snprintf(self.digits, sizeof(self.digits), "%lld", <long long>place)
            data[0] = <const uint8_t*>self.digits
            return 1
        if cell.kind == CellKind.DOUBLE_CELL:
            number = (<const double*>cell.column.indices)[cell.column.first + row]
        else:
            number = (<const float*>cell.column.indices)[cell.column.first + row]
        # No target keeps what JSON does not have.
        if not isfinite(number):
            return 0
        self.held = str(number).encode()
        data[0] = <const uint8_t*>PyBytes_AS_STRING(self.held)
        size[0] = PyBytes_GET_SIZE(self.held)
        return 1

    cdef int append(self, const uint8_t* data, Py_ssize_t size) except -1:
        if self.size + size > self.joined.capacity:
            self.joined.bytes = <uint8_t*>_more(self.joined.bytes, 2 * (self.size + size) + 64)
            self.joined.capacity = 2 * (self.size + size) + 64
        if size:
            memcpy(self.joined.bytes + self.size, data, size)
        self.size += size
        return 0

    cdef int32_t joined_key(self, TargetColumns cells, bint pod, Py_ssize_t row) except -2:
        """Return what tells a pod or process without a uid from others; NOTHING where nothing does."""
        cdef const Joined* parts = &self.pod if pod else &self.process
        cdef const uint8_t* data
        cdef Py_ssize_t size
        cdef int i, place
        if not self.value(&cells.cells[POD_NAME if pod else PROCESS_PID], row, &data, &size):
            return NOTHING
        self.size = 0
        for i in range(parts.count):
            place = parts.cells[i]
            if i:
                self.append(<const uint8_t*>"/", 1)
            # Where one is missing nothing stands between the strokes.
            if self.value(&cells.cells[place], row, &data, &size):
                self.append(data, size)
            elif place == NAMESPACE and self.value(&cells.name, row, &data, &size):
                self.append(data, size)
        if not pod:
            self.append(<const uint8_t*>"/", 1)
            self.value(&cells.cells[PROCESS_PID], row, &data, &size)
            self.append(data, size)
        return self.tell(self.joined.bytes, self.size)

    cdef Struck* struck_of(self, int32_t key, bint pod, int32_t name, int32_t namespace) except NULL:
        """Return the record of a pod or process, made where it is the first time."""
        cdef int32_t* place = &self.struck_by[2 * <Py_ssize_t>key + pod]
        cdef Struck* struck
        if place[0] < 0:
            if self.struck_count == self.struck_room:
                if self.struck_room > 1 << 29:
                    raise MemoryError
                self.struck = <Struck*>_more(self.struck, (2 * <Py_ssize_t>self.struck_room + 256) * sizeof(Struck))
                self.struck_room = 2 * self.struck_room + 256
            place[0] = self.struck_count
            struck = &self.struck[self.struck_count]
            struck.key = key
            struck.name = name if name >= 0 else key
            struck.namespace = namespace
            struck.pod = pod
            struck.executed = struck.audited = 0
            self.struck_count += 1
        return &self.struck[place[0]]

    cdef int count(self, const Said* said, double second) except -1:
        """Count the kills of one event."""
        cdef const Kind* kind
        cdef Struck* struck
        cdef int32_t at, key
        for at in range(self.spans[said.number], self.spans[said.number + 1]):
            kind = &self.kinds[at]
            key = said.keys[kind.pod]
            if key >= 0:
                struck = self.struck_of(key, kind.pod, said.names[kind.pod], said.namespace)
                if kind.executed:
                    struck.executed += 1
                else:
                    struck.audited += 1
            else:
                self.unknown += 1
            if kind.executed and not isnan(second):
                self.attempt(second, kind.what, key, said.namespace)
        return 0

    cdef int attempt(self, double second, int32_t what, int32_t target, int32_t namespace) except -1:
        cdef Attempt* made
        if self.attempt_count == self.attempt_room:
            if self.attempt_room > 1 << 29:
                raise MemoryError
            self.attempts = <Attempt*>_more(
                self.attempts, (2 * <Py_ssize_t>self.attempt_room + 256) * sizeof(Attempt)
            )
            self.attempt_room = 2 * self.attempt_room + 256
        made = &self.attempts[self.attempt_count]
        made.time = second
        made.what = what
        made.target = target
        made.namespace = namespace
        made.spare = 0
        self.attempt_count += 1
        return 0

    def deaths(self):
        """Return how many pods, then processes: those of which a kill is carried out, those of which none is."""
        cdef int64_t[4] counts
        cdef int32_t i
        memset(counts, 0, sizeof(counts))
        for i in range(self.struck_count):
            counts[2 * self.struck[i].pod + (not self.struck[i].executed)] += 1
        return (counts[2], counts[3]), (counts[0], counts[1])

    def namespaces(self):
        """Return each namespace, with kills executed and audited, as they were met."""
        cdef const Struck* struck
        cdef int32_t i
        cdef Py_ssize_t place
        # By text, and before the first of them those without one.
        cdef int64_t* counts = <int64_t*>calloc(<Py_ssize_t>self.texts.count + 1, 2 * sizeof(int64_t))
        if not counts:
            raise MemoryError
        try:
            order = []
            for i in range(self.struck_count):
                struck = &self.struck[i]
                place = 2 * (<Py_ssize_t>struck.namespace + 1)
                if not counts[place] and not counts[place + 1]:
                    order.append(struck.namespace)
                counts[place] += struck.executed
                counts[place + 1] += struck.audited
            return [(self.text(number), counts[2 * number + 2], counts[2 * number + 3]) for number in order]
        finally:
            free(counts)

    def most_struck(self, int most):
        """Return the most struck: whether it is a pod, its name, its namespace, kills executed and audited."""
        cdef int32_t* best = <int32_t*>malloc((most + 1) * sizeof(int32_t))
        cdef int32_t count = 0, at, i
        cdef const Struck* struck
        if not best:
            raise MemoryError
        for i in range(self.struck_count):
            at = count
            while at and self.ahead(&self.struck[i], &self.struck[best[at - 1]]):
                best[at] = best[at - 1]
                at -= 1
            if at < most:
                best[at] = i
                count = min(count + 1, most)
        try:
            made = []
            for i in range(count):
                struck = &self.struck[best[i]]
                made.append((
                    struck.pod, self.text(struck.name), self.text(struck.namespace), struck.executed, struck.audited
                ))
            return made
        finally:
            free(best)

    cdef bint ahead(self, const Struck* one, const Struck* other) noexcept:
        """Whether one stands before another that came earlier: by kills, pods first, then by name."""
        cdef int order
        if one.executed != other.executed:
            return one.executed > other.executed
        if one.audited != other.audited:
            return one.audited > other.audited
        if one.pod != other.pod:
            return one.pod
        order = self.compare(one.namespace, other.namespace)
        return order < 0 or (order == 0 and self.compare(one.name, other.name) < 0)

    cdef int compare(self, int32_t one, int32_t other) noexcept:
        """Compare texts by code points, as UTF-8 is compared; none is as the empty one."""
        cdef int64_t size = self.texts.starts[one + 1] - self.texts.starts[one] if one >= 0 else 0
        cdef int64_t than = self.texts.starts[other + 1] - self.texts.starts[other] if other >= 0 else 0
        cdef int order = 0
        if one == other:
            return 0
        if size and than:
            order = memcmp(
                self.texts.bytes + self.texts.starts[one], self.texts.bytes + self.texts.starts[other],
                <size_t>min(size, than)
            )
        return order if order else (size > than) - (size < than)

    def part(self):
        """Return all of it but the outcomes, for ``add_part`` of another."""
        cdef int64_t used = self.texts.starts[self.texts.count] if self.texts.count else 0
        return (
            list(self.whats),
            self.unknown,
            PyBytes_FromStringAndSize(<const char*>self.texts.bytes, used),
            PyBytes_FromStringAndSize(<const char*>self.texts.starts, self.texts.count * sizeof(int64_t)),
            PyBytes_FromStringAndSize(<const char*>self.struck, self.struck_count * sizeof(Struck)),
            PyBytes_FromStringAndSize(<const char*>self.attempts, self.attempt_count * sizeof(Attempt)),
        )

    def add_part(self, tuple part not None):
        """Add what another counted of later events.

        Raises:
            ValueError: it is damaged.
        """
        cdef int32_t* numbers
        cdef int32_t* places
        cdef bytes texts, starts, struck, attempts
        cdef const int64_t* start
        cdef const Struck* met
        cdef const Attempt* tried
        cdef Struck* ours
        cdef Py_ssize_t count, i, kinds, all_struck, all_attempts, size
        cdef int64_t end
        whats, unknown, texts, starts, struck, attempts = part
        size, count, kinds = len(texts), len(starts) // sizeof(int64_t), len(whats)
        all_struck, all_attempts = len(struck) // sizeof(Struck), len(attempts) // sizeof(Attempt)
        start = <const int64_t*>PyBytes_AS_STRING(starts)
        met = <const Struck*>PyBytes_AS_STRING(struck)
        tried = <const Attempt*>PyBytes_AS_STRING(attempts)
        numbers = <int32_t*>malloc((count + 1 + kinds) * sizeof(int32_t))
        if not numbers:
            raise MemoryError
        places = numbers + count + 1
        try:
            # A place before the first, for a text that there is not.
            numbers[0] = NOTHING
            for i in range(count):
                end = start[i + 1] if i + 1 < count else size
                if not 0 <= start[i] <= end <= size:
                    raise ValueError("a part that is damaged")
                numbers[i + 1] = self.tell(<const uint8_t*>PyBytes_AS_STRING(texts) + start[i], end - start[i])
            for i in range(kinds):
                places[i] = self.what(whats[i])
            for i in range(all_struck):
                if not (0 <= met[i].key < count and -1 <= met[i].name < count and -1 <= met[i].namespace < count):
                    raise ValueError("a part that is damaged")
            for i in range(all_attempts):
                if not (
                    0 <= tried[i].what < kinds and -1 <= tried[i].target < count and -1 <= tried[i].namespace < count
                ):
                    raise ValueError("a part that is damaged")
            for i in range(all_struck):
                ours = self.struck_of(
                    numbers[met[i].key + 1], met[i].pod != 0, numbers[met[i].name + 1], numbers[met[i].namespace + 1]
                )
                ours.executed += met[i].executed
                ours.audited += met[i].audited
            for i in range(all_attempts):
                self.attempt(
                    tried[i].time, places[tried[i].what], numbers[tried[i].target + 1], numbers[tried[i].namespace + 1]
                )
            self.unknown += unknown
        finally:
            free(numbers)
