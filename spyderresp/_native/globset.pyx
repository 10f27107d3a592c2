cimport cython
from libc.stdint cimport uint8_t
from libc.stdlib cimport calloc, free, malloc, qsort
from libc.string cimport memset

from spyderresp._native.glob cimport TokenKind
from spyderresp._native.numbers cimport FIRST_HASH, Column, ascending, hash_number, push
from spyderresp._native.pauses cimport pause
from spyderresp._native.rowtable cimport RowTable, free_rows, tell_row
from spyderresp._native.text cimport Buffer, Entry, find_entry, hash_bytes, str_text

cdef enum:
    TRIPLE = 3
    FILTER_WORDS = 128
    STEPS = 32    # globs between two pauses


cdef void release(Matches* matches) noexcept nogil:
    free(matches.row)
    free(matches.seen)
    memset(matches, 0, sizeof(Matches))


cdef inline uint32_t _bit(const uint8_t* triple) noexcept nogil:
    cdef uint32_t word = <uint32_t>triple[0] << 16 | <uint32_t>triple[1] << 8 | triple[2]
    return (word * 0x9E3779B1u) >> 19


@cython.final
cdef class GlobSet:
    def __cinit__(self, tuple patterns not None):
        cdef Py_ssize_t i, count = len(patterns)
        cdef _Anchors anchors
        cdef Anchor* best
        self.globs = _compiled(patterns)
        self.patterns = <void**>calloc(count + 1, sizeof(void*))
        self.whole = <unsigned char*>calloc(count + 1, 1)
        self.always = <int32_t*>calloc(count + 1, sizeof(int32_t))
        if not self.patterns or not self.whole or not self.always:
            raise MemoryError
        for i in range(count):
            self.patterns[i] = <void*>self.globs[i]
        anchors = _Anchors(self.globs)
        for i in range(count):
            if i % STEPS == 0:
                pause()
            anchors.count(self.globs[i], i)
        for i in range(count):
            if i % STEPS == 0:
                pause()
            best = anchors.choose(self.globs[i], i)
            if best is NULL:
                self.always[self.always_count] = i
                self.always_count += 1
            else:
                self.whole[i] = _whole(self.globs[i], best)
        self.starts = _table(anchors, START, &self.by_start)
        self.ends = _table(anchors, END, &self.by_end)
        self.triples = _table(anchors, ANYWHERE, &self.by_triple)
        if self.triples.count:
            self.filter = <uint64_t*>calloc(FILTER_WORDS, sizeof(uint64_t))
            if not self.filter:
                raise MemoryError
            for text in anchors.rows[ANYWHERE]:
                triple = (<str>text).encode()
                i = _bit(<const uint8_t*><const char*>triple)
                self.filter[i >> 6] |= <uint64_t>1 << (i & 63)

    def __dealloc__(self):
        free(self.patterns)
        free(self.whole)
        free(self.always)
        free(self.filter)
        _release_rows(&self.by_start)
        _release_rows(&self.by_end)
        _release_rows(&self.by_triple)

    cdef bint prepare(self, Matches* matches) noexcept:
        """Make the scratch; False without memory."""
        memset(matches, 0, sizeof(Matches))
        matches.row = <int32_t*>malloc((len(self.globs) + 1) * sizeof(int32_t))
        matches.globs = matches.row + 1
        matches.seen = <uint32_t*>calloc(self.triples.count + 1, sizeof(uint32_t))
        return matches.row is not NULL and matches.seen is not NULL

    cdef void attempt(self, const Anchored* anchored, int32_t row, const Text* text, Matches* matches) noexcept nogil:
        cdef int32_t i, glob
        for i in range(anchored.start[row], anchored.start[row + 1]):
            glob = anchored.globs[i]
            if not self.whole[glob]:
                matches.tried += 1
                if not (<Glob>self.patterns[glob]).test(text.kind, text.units, text.length):
                    continue
            matches.globs[matches.count] = glob
            matches.count += 1

    cdef void match(self, const Text* text, Matches* matches) noexcept nogil:
        """Leave the globs that match a text in ``matches``."""
        cdef int32_t i, glob
        cdef Py_ssize_t length, at
        cdef uint32_t bit
        cdef const uint8_t* data
        cdef const Entry* entry
        matches.count = 0
        for i in range(self.by_start.length_count):
            length = self.by_start.lengths[i]
            if length > text.size:
                break
            entry = find_entry(self.starts, text.bytes, length, hash_bytes(text.bytes, length))
            if entry is not NULL:
                self.attempt(&self.by_start, entry.place, text, matches)
        for i in range(self.by_end.length_count):
            length = self.by_end.lengths[i]
            if length > text.size:
                break
            data = text.bytes + text.size - length
            entry = find_entry(self.ends, data, length, hash_bytes(data, length))
            if entry is not NULL:
                self.attempt(&self.by_end, entry.place, text, matches)
        if self.filter is not NULL:
            matches.epoch += 1
            if not matches.epoch:
                memset(matches.seen, 0, self.triples.count * sizeof(uint32_t))
                matches.epoch = 1
            for at in range(text.size - TRIPLE + 1):
                data = text.bytes + at
                bit = _bit(data)
                if self.filter[bit >> 6] >> (bit & 63) & 1:
                    entry = find_entry(self.triples, data, TRIPLE, hash_bytes(data, TRIPLE))
                    if entry is not NULL and matches.seen[entry.place] != matches.epoch:
                        matches.seen[entry.place] = matches.epoch
                        self.attempt(&self.by_triple, entry.place, text, matches)
        for i in range(self.always_count):
            glob = self.always[i]
            matches.tried += 1
            if (<Glob>self.patterns[glob]).test(text.kind, text.units, text.length):
                matches.globs[matches.count] = glob
                matches.count += 1
        if matches.count > 1:
            qsort(matches.globs, matches.count, sizeof(int32_t), ascending)

    def matching(self, str value not None):
        cdef Matches matches
        cdef Text text
        cdef Buffer buffer
        memset(&buffer, 0, sizeof(Buffer))
        try:
            if not self.prepare(&matches) or not str_text(value, &text, &buffer):
                raise MemoryError
            self.match(&text, &matches)
            return [matches.globs[i] for i in range(matches.count)], matches.tried
        finally:
            release(&matches)
            free(buffer.bytes)


cdef void _release_rows(Anchored* anchored) noexcept:
    free(anchored.start)
    free(anchored.globs)
    free(anchored.lengths)


cdef tuple _compiled(tuple patterns):
    cdef list globs = []
    cdef Py_ssize_t i
    for i in range(len(patterns)):
        globs.append(Glob(patterns[i]))
        if i % STEPS == 0:
            pause()
    return tuple(globs)


cdef str _text(Glob glob, const Anchor* anchor):
    cdef Py_ssize_t i
    return "".join([chr(glob.tokens[i].code) for i in range(anchor.first, anchor.first + anchor.length)])


cdef class _Anchors:
    """Of the anchors that each of many globs could have, how many globs share them."""

    cdef Anchor* found        # of one glob
    cdef int32_t* row         # of one anchor
    cdef RowTable use         # all anchors; the note counts globs
    cdef Column latest        # of each of them: the glob that was counted last
    cdef tuple rows           # by kind: the anchors that were chosen, each to its row
    cdef Column[3] chosen     # by kind: row and glob, by turns

    def __cinit__(self, tuple globs):
        self.rows = {}, {}, {}
        cdef Py_ssize_t most = max([(<Glob>glob).least for glob in globs], default=0)
        # A glob has a start, an end, and no more triples than tokens.
        self.found = <Anchor*>malloc((most + 2) * sizeof(Anchor))
        self.row = <int32_t*>malloc((most + 1) * sizeof(int32_t))
        if not self.found or not self.row:
            raise MemoryError

    def __dealloc__(self):
        free(self.found)
        free(self.row)
        free_rows(&self.use)
        free(self.latest.items)
        free(self.chosen[START].items)
        free(self.chosen[END].items)
        free(self.chosen[ANYWHERE].items)

    cdef Py_ssize_t find(self, Glob glob) noexcept:
        """Find every anchor that a glob could have, and return how many there are."""
        cdef Py_ssize_t count = 0, first, stop, end, at
        cdef int32_t i
        for i in range(glob.segment_count):
            first = glob.segments[i].first
            end = first + glob.segments[i].count
            while first < end:
                stop = first
                while stop < end and glob.tokens[stop].kind == TokenKind.CHAR:
                    stop += 1
                if stop > first:
                    if first == 0 and i == 0:
                        self.found[count] = Anchor(START, first, stop - first)
                        count += 1
                    if stop == end and i == glob.segment_count - 1:
                        self.found[count] = Anchor(END, first, stop - first)
                        count += 1
                    for at in range(first, stop - TRIPLE + 1):
                        if (glob.tokens[at].code | glob.tokens[at + 1].code | glob.tokens[at + 2].code) < 0x80:
                            self.found[count] = Anchor(ANYWHERE, at, TRIPLE)
                            count += 1
                first = stop + 1
        return count

    cdef int32_t place(self, Glob glob, const Anchor* anchor) except -1:
        cdef uint64_t mixed = hash_number(FIRST_HASH, anchor.kind)
        cdef Py_ssize_t i
        cdef int32_t place
        self.row[0] = anchor.kind
        for i in range(anchor.length):
            self.row[i + 1] = glob.tokens[anchor.first + i].code
            mixed = hash_number(mixed, self.row[i + 1])
        place = tell_row(&self.use, self.row, anchor.length + 1, mixed, False)
        if place < 0:
            raise MemoryError
        return place

    cdef int count(self, Glob glob, int32_t number) except -1:
        """Count one more glob."""
        cdef Py_ssize_t i
        cdef int32_t place
        for i in range(self.find(glob)):
            place = self.place(glob, &self.found[i])
            if place == self.latest.count:
                push(&self.latest, number)
                self.use.notes[place] = 1
            elif self.latest.items[place] != number:
                self.latest.items[place] = number
                self.use.notes[place] += 1
        return 0

    cdef Anchor* choose(self, Glob glob, int32_t number) except? NULL:
        """Choose the anchor that fewest globs share, and of these the longest; NULL where a glob has none."""
        cdef Anchor* best = NULL
        cdef Anchor* anchor
        cdef int32_t fewest = 0, use
        cdef Py_ssize_t i
        cdef dict rows
        for i in range(self.find(glob)):
            anchor = &self.found[i]
            use = self.use.notes[self.place(glob, anchor)]
            if best is NULL or use < fewest or (use == fewest and (
                anchor.kind < best.kind or (anchor.kind == best.kind and anchor.length > best.length)
            )):
                best = anchor
                fewest = use
        if best is not NULL:
            rows = self.rows[best.kind]
            push(&self.chosen[best.kind], rows.setdefault(_text(glob, best), len(rows)))
            push(&self.chosen[best.kind], number)
        return best


cdef TextTable _table(_Anchors anchors, int kind, Anchored* anchored):
    """Lay the globs of each anchor of a kind down, row by row, and return the table from anchor to row."""
    cdef dict rows = anchors.rows[kind]
    cdef const Column* chosen = &anchors.chosen[kind]
    cdef Py_ssize_t i
    cdef list lengths = sorted({len((<str>text).encode("utf-8", "surrogatepass")) for text in rows})
    anchored.start = <int32_t*>calloc(len(rows) + 2, sizeof(int32_t))
    anchored.globs = <int32_t*>calloc(chosen.count + 1, sizeof(int32_t))
    anchored.lengths = <Py_ssize_t*>calloc(len(lengths) + 1, sizeof(Py_ssize_t))
    if not anchored.start or not anchored.globs or not anchored.lengths:
        raise MemoryError
    anchored.length_count = len(lengths)
    for i, length in enumerate(lengths):
        anchored.lengths[i] = length
    for i in range(0, chosen.count, 2):
        anchored.start[chosen.items[i] + 2] += 1
    for i in range(len(rows)):
        anchored.start[i + 2] += anchored.start[i + 1]
    for i in range(0, chosen.count, 2):
        anchored.globs[anchored.start[chosen.items[i] + 1]] = chosen.items[i + 1]
        anchored.start[chosen.items[i] + 1] += 1
    return TextTable(rows, range(len(rows)))


cdef bint _whole(Glob glob, const Anchor* anchor) noexcept:
    """Whether a glob is its anchor and one star, and nothing else."""
    return glob.segment_count == 2 and anchor.kind != ANYWHERE and glob.least == anchor.length
