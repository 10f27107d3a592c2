from collections import Counter

from libc.stdint cimport uint8_t
from libc.stdlib cimport calloc, free, malloc, qsort
from libc.string cimport memset

from spyderresp._native.glob cimport TokenKind
from spyderresp._native.numbers cimport ascending
from spyderresp._native.text cimport Buffer, Entry, find_entry, hash_bytes, str_text

cdef enum:
    TRIPLE = 3
    FILTER_WORDS = 128


cdef void release(Matches* matches) noexcept nogil:
    free(matches.row)
    free(matches.seen)
    memset(matches, 0, sizeof(Matches))


cdef inline uint32_t _bit(const uint8_t* triple) noexcept nogil:
    cdef uint32_t word = <uint32_t>triple[0] << 16 | <uint32_t>triple[1] << 8 | triple[2]
    return (word * 0x9E3779B1u) >> 19


cdef class GlobSet:
    def __cinit__(self, tuple patterns not None):
        cdef Py_ssize_t i, count = len(patterns)
        self.globs = tuple([Glob(pattern) for pattern in patterns])
        self.patterns = <void**>calloc(count + 1, sizeof(void*))
        self.whole = <unsigned char*>calloc(count + 1, 1)
        self.always = <int32_t*>calloc(count + 1, sizeof(int32_t))
        if not self.patterns or not self.whole or not self.always:
            raise MemoryError
        for i in range(count):
            self.patterns[i] = <void*>self.globs[i]
        anchors = [_anchors(<Glob>glob) for glob in self.globs]
        use = Counter([anchor for row in anchors for anchor in set(row)])
        kinds = {}, {}, {}
        for i, row in enumerate(anchors):
            if not row:
                self.always[self.always_count] = i
                self.always_count += 1
                continue
            kind, text = min(row, key=lambda anchor: (use[anchor], anchor[0], -len(anchor[1])))
            kinds[kind].setdefault(text, []).append(i)
            self.whole[i] = _whole(<Glob>self.globs[i], kind, len(text))
        self.starts = _table(kinds[0], &self.by_start)
        self.ends = _table(kinds[1], &self.by_end)
        self.triples = _table(kinds[2], &self.by_triple)
        if kinds[2]:
            self.filter = <uint64_t*>calloc(FILTER_WORDS, sizeof(uint64_t))
            if not self.filter:
                raise MemoryError
            for text in kinds[2]:
                triple = text.encode()
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


cdef TextTable _table(dict rows, Anchored* anchored):
    """Lay the globs of each anchor down, row by row, and return the table from anchor to row."""
    cdef Py_ssize_t i, at = 0
    cdef list lengths = sorted({len(text.encode("utf-8", "surrogatepass")) for text in rows})
    anchored.start = <int32_t*>calloc(len(rows) + 1, sizeof(int32_t))
    anchored.globs = <int32_t*>calloc(sum(map(len, rows.values())) + 1, sizeof(int32_t))
    anchored.lengths = <Py_ssize_t*>calloc(len(lengths) + 1, sizeof(Py_ssize_t))
    if not anchored.start or not anchored.globs or not anchored.lengths:
        raise MemoryError
    anchored.length_count = len(lengths)
    for i, length in enumerate(lengths):
        anchored.lengths[i] = length
    for i, row in enumerate(rows.values()):
        for glob in row:
            anchored.globs[at] = glob
            at += 1
        anchored.start[i + 1] = at
    return TextTable(rows, range(len(rows)))


cdef list _runs(Glob glob, Py_ssize_t place):
    """Return the literal runs of one segment, as (first token, text)."""
    cdef list runs = []
    cdef list run = []
    cdef Py_ssize_t i, first = glob.segments[place].first
    for i in range(first, first + glob.segments[place].count):
        if glob.tokens[i].kind == TokenKind.CHAR:
            run.append(chr(glob.tokens[i].code))
        elif run:
            runs.append((i - len(run), "".join(run)))
            run = []
    if run:
        runs.append((first + glob.segments[place].count - len(run), "".join(run)))
    return runs


cdef list _anchors(Glob glob):
    """Return every anchor that a glob could have, as (kind, text): 0 at the start, 1 at the end, 2 anywhere."""
    cdef list anchors = []
    cdef Py_ssize_t i, last = glob.segment_count - 1
    cdef list head = _runs(glob, 0), tail = _runs(glob, last)
    if head and head[0][0] == 0:
        anchors.append((0, head[0][1]))
    if tail:
        at, text = tail[len(tail) - 1]
        if at + len(text) == glob.segments[last].first + glob.segments[last].count:
            anchors.append((1, text))
    for i in range(glob.segment_count):
        for _, text in _runs(glob, i):
            anchors.extend([
                (2, text[at:at + TRIPLE]) for at in range(len(text) - TRIPLE + 1) if text[at:at + TRIPLE].isascii()
            ])
    return anchors


cdef bint _whole(Glob glob, int kind, Py_ssize_t length):
    """Whether a glob is its anchor and one star, and nothing else."""
    return glob.segment_count == 2 and kind < 2 and glob.least == length
