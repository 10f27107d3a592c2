cimport cython
from libc.stdint cimport uint8_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memmove

from spyderresp.authoring.replay._kills cimport Attempt, Kills


cdef bint _sort(Attempt* items, Py_ssize_t count) noexcept nogil:
    """Sort by time, what is equal as it stood; False without memory. Recordings are mostly in order."""
    cdef Py_ssize_t width = 1, first, middle, end, left, right, at
    cdef Attempt* other
    cdef Attempt* source = items
    cdef Attempt* sink
    cdef Attempt* swapped
    for at in range(1, count):
        if items[at].time < items[at - 1].time:
            break
    else:
        return True
    other = <Attempt*>malloc(count * sizeof(Attempt))
    if not other:
        return False
    sink = other
    while width < count:
        first = 0
        while first < count:
            middle, end = min(first + width, count), min(first + 2 * width, count)
            left, right, at = first, middle, first
            while at < end:
                if right >= end or (left < middle and source[left].time <= source[right].time):
                    sink[at] = source[left]
                    left += 1
                else:
                    sink[at] = source[right]
                    right += 1
                at += 1
            first = end
        swapped = source
        source = sink
        sink = swapped
        width *= 2
    if source is not items:
        memcpy(items, source, count * sizeof(Attempt))
    free(other)
    return True


@cython.final
cdef class _Breakers:
    """Breakers, those that each kind of kill meets, and what became of them."""
    cdef Gate* gates
    cdef int32_t count
    cdef int32_t room
    cdef list names
    cdef dict known
    cdef Opened* openings
    cdef int32_t opening_count
    cdef int32_t opening_room

    def __cinit__(self):
        self.names = []
        self.known = {}

    def __dealloc__(self):
        cdef int32_t i
        for i in range(self.count):
            free(self.gates[i].targets)
            free(self.gates[i].times)
        free(self.gates)
        free(self.openings)

    cdef int32_t gate(self, str name, int32_t limit) except -1:
        """Return the place of a breaker, made where it is new."""
        cdef void* grown
        cdef Gate* gate
        place = self.known.get(name)
        if place is None:
            if self.count == self.room:
                grown = realloc(self.gates, (2 * self.room + 64) * sizeof(Gate))
                if not grown:
                    raise MemoryError
                self.gates = <Gate*>grown
                self.room = 2 * self.room + 64
            place = self.known[name] = self.count
            self.names.append(name)
            gate = &self.gates[self.count]
            gate.targets = NULL
            gate.times = NULL
            gate.count = gate.room = 0
            gate.limit = limit
            gate.opened = False
            gate.last = 0.0
            gate.opening = -1
            self.count += 1
        return place

    cdef int allow(self, Gate* gate, int32_t target, double now, double window) except -1:
        """Count a target that no breaker refused."""
        cdef int32_t first = 0, i, room
        cdef void* grown
        if gate.opened:
            gate.opened = False
            gate.count = 0
        while first < gate.count and not now - gate.times[first] < window:
            first += 1
        if first:
            gate.count -= first
            memmove(gate.targets, gate.targets + first, gate.count * sizeof(int32_t))
            memmove(gate.times, gate.times + first, gate.count * sizeof(double))
        if target >= 0:
            for i in range(gate.count):
                if gate.targets[i] == target:
                    gate.count -= 1
                    memmove(gate.targets + i, gate.targets + i + 1, (gate.count - i) * sizeof(int32_t))
                    memmove(gate.times + i, gate.times + i + 1, (gate.count - i) * sizeof(double))
                    break
        if gate.count == gate.room:
            room = 2 * gate.room + 16
            grown = realloc(gate.targets, room * sizeof(int32_t))
            if not grown:
                raise MemoryError
            gate.targets = <int32_t*>grown
            grown = realloc(gate.times, room * sizeof(double))
            if not grown:
                raise MemoryError
            gate.times = <double*>grown
            gate.room = room
        gate.targets[gate.count] = target
        gate.times[gate.count] = now
        gate.count += 1
        gate.last = now
        return 0

    cdef int refuse(self, int32_t place, int32_t limit, double now, double window) except -1:
        """Count a refusal by a breaker that is open or opens now."""
        cdef Gate* gate = &self.gates[place]
        cdef Opened* opening
        cdef void* grown
        if not gate.opened or now - gate.last >= window:
            if self.opening_count == self.opening_room:
                grown = realloc(self.openings, (2 * <Py_ssize_t>self.opening_room + 64) * sizeof(Opened))
                if not grown:
                    raise MemoryError
                self.openings = <Opened*>grown
                self.opening_room = 2 * self.opening_room + 64
            gate.opening = self.opening_count
            gate.opened = True
            opening = &self.openings[self.opening_count]
            opening.time = now
            opening.gate = place
            opening.limit = limit
            opening.refused = 0
            self.opening_count += 1
        gate.last = now
        self.openings[gate.opening].refused += 1
        return 0


cdef bint _refuses(const Gate* gate, int32_t target, double now, int32_t limit, double window) noexcept nogil:
    """Whether a breaker refuses a target, be it that it is open or that it opens by it."""
    cdef int32_t others = 0, i = gate.count - 1
    if gate.opened:
        if now - gate.last < window:
            return True
        return limit <= 0
    while i >= 0 and now - gate.times[i] < window:
        others += target < 0 or gate.targets[i] != target
        i -= 1
    return others >= limit


def step_breakers(Kills kills not None, tuple limits not None):
    """Return what breakers would have done, were every kill tried at its own time.

    Args:
        kills: those that would be carried out are tried, in order of time.
        limits: for each policy, for each namespace, overall; the window; the limit while warming up, and how long that
            takes from the first kill on. Times in seconds.

    Returns:
        Time, breaker, limit and refused kills of each opening; kills refused; kills allowed.
    """
    cdef int32_t of_policy = limits[0], of_namespace = limits[1], overall = limits[2], warm = limits[4]
    cdef double window = limits[3], warm_seconds = limits[5], now, started
    cdef _Breakers held = _Breakers()
    cdef Py_ssize_t count = kills.attempt_count, at
    cdef Attempt* attempts = NULL
    cdef const Attempt* one
    cdef int64_t refused = 0
    cdef int32_t meeting, first, last, limit, i
    cdef int32_t* met = NULL         # breakers that are met, by kind of kill
    cdef int32_t* starts = NULL
    cdef int32_t* spaces = NULL      # breakers of namespaces, by text
    cdef uint8_t* shut = NULL
    cdef bint any_shut
    cdef list gates = []
    if not count:
        return [], 0, 0
    starts = <int32_t*>malloc((len(kills.whats) + 1) * sizeof(int32_t))
    attempts = <Attempt*>malloc(count * sizeof(Attempt))
    spaces = <int32_t*>malloc((<Py_ssize_t>kills.texts.count + 1) * sizeof(int32_t))
    try:
        if not starts or not attempts or not spaces:
            raise MemoryError
        starts[0] = 0
        for i, (action, policies) in enumerate(kills.whats):
            gates += [held.gate(f"{action} of {policy}", of_policy) for policy in dict.fromkeys(policies or ("",))]
            starts[i + 1] = len(gates)
        # Two more behind them: of the namespace, and of all.
        met = <int32_t*>malloc((len(gates) + 1) * sizeof(int32_t))
        shut = <uint8_t*>calloc(len(gates) + 2, 1)
        if not met or not shut:
            raise MemoryError
        for i, place in enumerate(gates):
            met[i] = place
        for at in range(<Py_ssize_t>kills.texts.count + 1):
            spaces[at] = -1
        last = held.gate("overall", overall)
        memcpy(attempts, kills.attempts, count * sizeof(Attempt))
        with nogil:
            sorted_ = _sort(attempts, count)
        if not sorted_:
            raise MemoryError
        started = attempts[0].time
        for at in range(count):
            one = &attempts[at]
            now = one.time
            meeting = spaces[one.namespace + 1]
            if meeting < 0:
                name = kills.text(one.namespace)
                meeting = held.gate(f"namespace {name}" if name else "no namespace", of_namespace)
                spaces[one.namespace + 1] = meeting
            first = starts[one.what]
            any_shut = False
            for i in range(starts[one.what + 1] - first + 2):
                place_ = _place(met, first, starts[one.what + 1], i, meeting, last)
                limit = held.gates[place_].limit
                if now - started < warm_seconds:
                    limit = min(limit, warm)
                shut[i] = _refuses(&held.gates[place_], one.target, now, limit, window)
                any_shut |= shut[i]
            refused += any_shut
            for i in range(starts[one.what + 1] - first + 2):
                place_ = _place(met, first, starts[one.what + 1], i, meeting, last)
                if not any_shut:
                    held.allow(&held.gates[place_], one.target, now, window)
                elif shut[i]:
                    limit = held.gates[place_].limit
                    if now - started < warm_seconds:
                        limit = min(limit, warm)
                    held.refuse(place_, limit, now, window)
        openings = []
        for i in range(held.opening_count):
            opening = held.openings[i]
            openings.append((opening.time, held.names[opening.gate], opening.limit, opening.refused))
        return openings, refused, count - refused
    finally:
        free(starts)
        free(attempts)
        free(spaces)
        free(met)
        free(shut)


cdef inline int32_t _place(
    const int32_t* met, int32_t first, int32_t end, int32_t i, int32_t of_namespace, int32_t of_all
) noexcept nogil:
    """Return the i-th breaker that a kill meets: of its policies, of its namespace, of all."""
    if first + i < end:
        return met[first + i]
    return of_namespace if first + i == end else of_all
