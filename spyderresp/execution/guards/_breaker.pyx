# Circuit breakers. The guard attempts one kill at a time, and replay attempts all kills of a recording.
#
# A breaker counts the distinct targets that were attempted in the last window, allowed or refused. A target beyond the
# limit is refused. So a flood has at most `limit` targets killed in any window, a rate within the limit is never cut,
# and refusals end within a window of the flood's end. Only the latest `limit` + 1 targets of the window need to be
# kept: more cannot change a verdict. tests/unit/test_breaker.py holds this equal to the rule as computed from every
# attempt that was ever made.
#
# A kill meets the breakers of its policies first, then that of its namespace, then `overall`. What one level refuses,
# the next does not count: a noisy policy uses up no limit but its own.

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.math cimport NAN, isnan
from libc.string cimport memmove

cdef extern from "Python.h":
    ctypedef Py_ssize_t Py_hash_t


cdef struct Attempt:
    double time           # seconds of the caller's clock
    Py_hash_t target      # hash of the target's identity


@cython.final
cdef class Breaker:
    """One breaker.

    Args:
        name: such as ``overall`` or ``namespace shop``.
        limit: how many distinct targets a window may have.
        warms_up: whether the warm-up lowers the limit.

    Attributes:
        opened: when it began to refuse; None while the latest attempt was allowed.
        alarmed: when it last asked for an ops flag; None: never.
    """
    cdef readonly str name
    cdef readonly int limit
    cdef readonly bint warms_up
    cdef double _opened
    cdef double _alarmed
    cdef Attempt* attempts    # the latest attempt of each target, oldest first
    cdef list targets         # their identities
    cdef int count
    cdef int room

    def __cinit__(self, str name not None, int limit, bint warms_up):
        self.name, self.limit, self.warms_up = name, limit, warms_up
        self._opened = self._alarmed = NAN
        self.targets = []

    def __dealloc__(self):
        PyMem_Free(self.attempts)

    @property
    def opened(self):
        return None if isnan(self._opened) else self._opened

    @property
    def alarmed(self):
        return None if isnan(self._alarmed) else self._alarmed

    cpdef int limit_now(self, int warm_up):
        """Return the limit; ``warm_up`` is the one while warming up, -1 otherwise."""
        return warm_up if self.warms_up and 0 <= warm_up < self.limit else self.limit

    def attempted(self, double now, double window):
        """Return how many distinct targets were attempted in the window that ends now; at most ``limit`` + 1."""
        return self.within(now, window)

    def state(self):
        """Return targets with the time of their latest attempt, oldest first; ``opened``; ``alarmed``."""
        cdef int i
        return [[self.targets[i], self.attempts[i].time] for i in range(self.count)], self.opened, self.alarmed

    def restore(self, targets, opened, alarmed):
        """Add what ``state`` returned of an earlier breaker of this name."""
        cdef int i
        ours = [(self.attempts[i].time, self.targets[i]) for i in range(self.count)]
        self.count = 0
        self.targets = []
        for time, target in sorted([*ours, *((time, target) for target, time in targets)], key=lambda item: item[0]):
            self.record(target, time, 0)
        if opened is not None:
            self._opened = opened
        if alarmed is not None:
            self._alarmed = alarmed

    cdef int within(self, double now, double window) noexcept nogil:
        cdef int i = self.count
        while i and now - self.attempts[i - 1].time < window:
            i -= 1
        return self.count - i

    cdef int drop(self, int first, int count) except -1:
        """Forget the attempts from ``first`` on."""
        memmove(self.attempts + first, self.attempts + first + count, (self.count - first - count) * sizeof(Attempt))
        del self.targets[first:first + count]
        self.count -= count
        return 0

    cdef int record(self, target, double now, int old) except -1:
        """Make a target the latest, and forget the ``old`` oldest. An empty text is a new target each time."""
        cdef Py_hash_t hashed = hash(target)
        cdef int i, room
        cdef Attempt* grown
        if old:
            self.drop(0, old)
        i = self.count - 1
        while i >= 0 and target and not (self.attempts[i].target == hashed and self.targets[i] == target):
            i -= 1
        if not target or i < 0:
            # Unknown: in place of the oldest, where as many are kept as can matter.
            i = 0 if self.count == self.limit + 1 else -1
        if i >= 0:
            self.drop(i, 1)
        if self.count == self.room:
            room = min(2 * self.room + 8, self.limit + 1)
            grown = <Attempt*>PyMem_Realloc(self.attempts, room * sizeof(Attempt))
            if not grown:
                raise MemoryError
            self.attempts, self.room = grown, room
        self.targets.append(target)
        self.attempts[self.count] = Attempt(now, hashed)
        self.count += 1
        return 0

    cdef int step(self, target, double now, int limit, double window) except -1:
        """Attempt a target; return 0: allowed, 1: refused, 2: refused, and an ops flag is due."""
        self.record(target, now, self.count - self.within(now, window))
        if self.within(now, window) <= limit:
            self._opened = NAN
            return 0
        if isnan(self._opened):
            self._opened = now
        if not isnan(self._alarmed) and now - self._alarmed < window:
            return 1
        self._alarmed = now
        return 2


cdef list _refusing(tuple met, target, double now, double window, int warm_up):
    """Attempt a target on the breakers of one level; return those that refuse it, as ``admit`` does, or None."""
    cdef Breaker breaker
    cdef int limit, verdict
    cdef list refusing = None
    for breaker in met:
        limit = breaker.limit_now(warm_up)
        verdict = breaker.step(target, now, limit, window)
        if verdict:
            refusing = refusing or []
            refusing.append((breaker, limit, verdict == 2))
    return refusing


def admit(tuple levels not None, target, double now, double window, int warm_up):
    """Attempt a kill; return the breakers that refuse it, or None.

    Args:
        levels: the breakers that it meets, a tuple for each level, narrow to wide.
        target: what identifies it, text or number; empty or 0: a new target each time.
        now: seconds of a clock that never goes back.
        window: seconds.
        warm_up: the limit while warming up; -1 otherwise.

    Returns:
        For each breaker that refuses it: the breaker, its limit now, and whether an ops flag is due.
    """
    cdef list refusing
    for level in levels:
        refusing = _refusing(level, target, now, window, warm_up)
        if refusing is not None:
            return refusing
    return None


def replay(
    const double[:] times, const int[:] asked, const int[:] targets, const int[:] namespaces,
    list by_policy, list by_namespace, tuple overall, double window, int warm_up, double warm_up_seconds
):
    """Attempt kills in order of their times.

    Args:
        times: seconds, ascending.
        asked: the place in ``by_policy`` of the breakers of the policies that asked.
        targets: what identifies each target, from 1; 0: it is new each time.
        namespaces: the place in ``by_namespace`` of the breakers of its namespace; -1: it has none.
        by_policy, by_namespace, overall: the breakers of each level.
        window: seconds.
        warm_up: the limit in the first ``warm_up_seconds`` after the first kill.

    Returns:
        Time, breaker and limit of each ops flag, with the kills that this breaker refuses until its next flag; and how
        many kills are refused.
    """
    cdef Py_ssize_t row
    cdef Breaker breaker
    cdef list flags = [], refusing
    cdef dict latest = {}
    cdef long long refused = 0
    cdef int warm
    for row in range(times.shape[0]):
        warm = warm_up if times[row] - times[0] < warm_up_seconds else -1
        target = targets[row]
        refusing = _refusing(by_policy[asked[row]], target, times[row], window, warm)
        if refusing is None and namespaces[row] >= 0:
            refusing = _refusing(by_namespace[namespaces[row]], target, times[row], window, warm)
        if refusing is None:
            refusing = _refusing(overall, target, times[row], window, warm)
        if refusing is None:
            continue
        refused += 1
        for breaker, limit, due in refusing:
            if due:
                latest[breaker.name] = [times[row], breaker.name, limit, 0]
                flags.append(latest[breaker.name])
            latest[breaker.name][3] += 1
    return flags, refused
