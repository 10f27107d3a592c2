cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.math cimport NAN, floor, fmod, isnan
from libc.stdint cimport uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memset

from spyderresp.decision._batch cimport Batch
from spyderresp.decision._hash_tables cimport FIRST_HASH, hash_number

cdef enum:
    FIRST_PLACES = 1024

cdef double MOST_SECONDS = 1e15    # up to which every second is a double of its own


cdef inline Met* _place(Met* table, uint32_t mask, int64_t start, int32_t number) noexcept nogil:
    """Return where a number of a bucket stands, or would."""
    cdef uint64_t mixed = hash_number(hash_number(FIRST_HASH, <uint32_t>(start ^ start >> 32)), number)
    cdef uint32_t at = mixed & mask
    while table[at].count and (table[at].start != start or table[at].number != number):
        at = at + 1 & mask
    return &table[at]


cdef inline double _floor_to(double second, double width) noexcept nogil:
    """Return ``second // width * width`` as Python does: a quotient may round to what it is not."""
    cdef double rest = fmod(second, width), whole
    if rest < 0:
        rest += width
    whole = (second - rest) / width
    return floor(whole + 0.5) * width


@cython.final
cdef class Occurrences:
    """Counts of numbers, altogether and over time.

    Args:
        widths: lengths of a bucket in seconds, one a multiple of the one before.
        most: how many buckets there may be.

    Attributes:
        width: seconds of a bucket.
        events: how many were counted.
        timeless: how many of them have no time.
    """

    def __cinit__(self, tuple widths not None, int most):
        self.widths = widths
        self.most = most
        self.width = widths[0]
        self.starts = set()
        self.first = self.end = NAN
        self.grow(FIRST_PLACES)

    def __dealloc__(self):
        free(self.totals)
        free(self.table)

    cdef int reach(self, int32_t number) except -1:
        """Make sure that a number has a total."""
        cdef int32_t room
        cdef void* grown
        if number < 0:
            raise ValueError("numbers begin at 0")
        if number >= self.room:
            room = max(2 * self.room, number + 1024)
            grown = realloc(self.totals, room * sizeof(int64_t))
            if not grown:
                raise MemoryError
            self.totals = <int64_t*>grown
            memset(self.totals + self.room, 0, (room - self.room) * sizeof(int64_t))
            self.room = room
        self.count = max(self.count, number + 1)
        return 0

    cdef int64_t bucket(self, double second) except? -1:
        """Return the second at which a time's bucket begins; it is there from now on."""
        cdef int64_t start
        if not -MOST_SECONDS < second < MOST_SECONDS:
            raise ValueError("a time beyond all calendars")
        while True:
            start = <int64_t>_floor_to(second, <double>self.width)
            self.starts.add(start)
            if len(self.starts) <= self.most or self.step + 1 >= len(self.widths):
                break
            self.coarsen()
        self.first = <double>start
        self.end = <double>start + <double>self.width
        return start

    cdef int put(self, int64_t start, int32_t number, int64_t count) except -1:
        cdef Met* met = _place(self.table, self.mask, start, number)
        if not met.count:
            met.start = start
            met.number = number
            self.used += 1
        met.count += count
        if 2 * self.used > self.mask:
            self.grow(2 * (self.mask + 1))
        return 0

    cdef int grow(self, uint32_t size) except -1:
        cdef Met* old = self.table
        cdef uint32_t places = self.mask + 1 if old is not NULL else 0, i
        cdef Met* made
        if size > 1u << 30:
            raise MemoryError
        made = <Met*>calloc(size, sizeof(Met))
        if not made:
            raise MemoryError
        for i in range(places):
            if old[i].count:
                _place(made, size - 1, old[i].start, old[i].number)[0] = old[i]
        self.table = made
        self.mask = size - 1
        free(old)
        return 0

    cdef int coarsen(self) except -1:
        """Go on with longer buckets."""
        cdef Met* old = self.table
        cdef uint32_t mask = self.mask, i
        self.step += 1
        self.width = self.widths[self.step]
        self.starts = {start // self.width * self.width for start in self.starts}
        self.table = NULL
        self.used = 0
        try:
            self.grow(mask + 1)
            for i in range(mask + 1):
                if old[i].count:
                    self.put((<object>old[i].start) // self.width * self.width, old[i].number, old[i].count)
        finally:
            free(old)
        return 0

    def add(self, int32_t number, second, int64_t count=1):
        """Count a number so often at a time in epoch seconds."""
        if count <= 0:
            raise ValueError("what is counted was met")
        self.reach(number)
        self.totals[number] += count
        self.events += count
        if second is None:
            self.timeless += count
        else:
            self.put(self.bucket(second), number, count)

    def add_rows(self, Batch batch not None, bytes numbers not None, seconds):
        """Count a batch's rows.

        Args:
            batch: the rows.
            numbers: the number of each of its outcomes, as int32.
            seconds: the address of each row's epoch seconds, doubles, NaN where there is none; 0 where no row has any.
        """
        cdef const int32_t* outcomes = batch.decisions.outcomes
        cdef const int32_t* told = <const int32_t*>PyBytes_AS_STRING(numbers)
        cdef const double* times = <const double*><uintptr_t>seconds
        cdef Py_ssize_t rows = batch.decisions.rows, row
        cdef int64_t start = 0
        cdef int32_t number
        cdef int32_t i
        if PyBytes_GET_SIZE(numbers) != batch.decisions.count * <Py_ssize_t>sizeof(int32_t):
            raise ValueError("a batch has another number of outcomes")
        for i in range(batch.decisions.count):
            self.reach(told[i])
        self.events += rows
        for row in range(rows):
            self.totals[told[outcomes[row]]] += 1
        if times is NULL:
            self.timeless += rows
            return
        for row in range(rows):
            number = told[outcomes[row]]
            # False of what is not a number, too.
            if self.first <= times[row] < self.end:
                self.put(<int64_t>self.first, number, 1)
            elif isnan(times[row]):
                self.timeless += 1
            else:
                start = self.bucket(times[row])
                self.put(start, number, 1)

    def widen(self, int64_t width):
        """Make buckets no shorter than that."""
        while self.width < width:
            if self.step + 1 >= len(self.widths):
                raise ValueError("there is no such width")
            self.coarsen()
        self.first = self.end = NAN

    def total(self, int32_t number):
        """Return how often a number was counted."""
        return self.totals[number] if 0 <= number < self.count else 0

    def buckets(self, bytes kinds=None):
        """Return how often each number was counted, by the second at which a bucket begins.

        Args:
            kinds: what to count in place of each number, as int32.
        """
        cdef const int32_t* kind = NULL
        cdef const Met* met
        cdef uint32_t i
        cdef dict held
        cdef dict made = {start: {} for start in sorted(self.starts)}
        if kinds is not None:
            if PyBytes_GET_SIZE(kinds) < self.count * <Py_ssize_t>sizeof(int32_t):
                raise ValueError("there are more numbers")
            kind = <const int32_t*>PyBytes_AS_STRING(kinds)
        for i in range(self.mask + 1):
            met = &self.table[i]
            if met.count:
                number = met.number if kind is NULL else kind[met.number]
                held = made[met.start]
                held[number] = held.get(number, 0) + met.count
        return made
