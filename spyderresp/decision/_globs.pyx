cimport cython
from libc.stdint cimport uint16_t, uint8_t
from libc.stdlib cimport calloc, free, malloc, qsort
from libc.string cimport memset

from spyderresp._gil cimport pause
from spyderresp.decision._hash_tables cimport (
    SECRETS, Buffer, Column, RowTable, TableEntry, ascending, find_entry, free_rows, hash_bytes, hash_number,
    push, str_text, intern_row,
)

cdef extern from "Python.h":
    void* PyUnicode_DATA(str text) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(str text) noexcept
    int PyUnicode_KIND(str text) noexcept


# --- One glob ---

ctypedef fused unit:
    uint8_t
    uint16_t
    uint32_t


cdef bint _one(const Token* token, const Class* classes, const uint32_t* ranges, uint32_t code) noexcept nogil:
    cdef const Class* group
    cdef int32_t i
    cdef bint found = False
    if token.kind == TokenKind.CHAR:
        return token.code == code
    if token.kind == TokenKind.ANY:
        return True
    group = &classes[token.code]
    for i in range(group.first, group.first + 2 * group.count, 2):
        if ranges[i] <= code <= ranges[i + 1]:
            found = True
            break
    return found != group.negated


cdef bint _here(Glob glob, const Segment* segment, const unit* text) noexcept nogil:
    cdef int32_t i
    cdef const Token* token = &glob.tokens[segment.first]
    for i in range(segment.count):
        if not _one(&token[i], glob.classes, glob.ranges, text[i]):
            return False
    return True


cdef bint _test(Glob glob, const unit* text, Py_ssize_t length) noexcept nogil:
    cdef Segment* segment = glob.segments
    cdef Segment* tail = &glob.segments[glob.segment_count - 1]
    cdef Py_ssize_t at, end
    if glob.segment_count == 1:
        return length == glob.least and _here(glob, segment, text)
    if length < glob.least or not _here(glob, segment, text):
        return False
    end = length - tail.count
    if not _here(glob, tail, text + end):
        return False
    at = segment.count
    segment += 1
    while segment < tail:
        # The leftmost place is as good as any: what follows only gains room.
        while True:
            if at + segment.count > end:
                return False
            if _here(glob, segment, text + at):
                break
            at += 1
        at += segment.count
        segment += 1
    return True


cdef class Glob:
    """One compiled pattern. Immutable.

    Attributes:
        pattern: the pattern as written.
    """

    def __cinit__(self, str pattern not None):
        cdef Py_ssize_t i = 0, end, length = len(pattern)
        cdef Token* token
        cdef Segment* segment
        cdef Py_UCS4 char
        cdef list classes = []
        self.pattern = pattern
        self.tokens = <Token*>calloc(length + 1, sizeof(Token))
        self.segments = <Segment*>calloc(pattern.count("*") + 1, sizeof(Segment))
        if not self.tokens or not self.segments:
            raise MemoryError
        segment = self.segments
        self.segment_count = 1
        while i < length:
            char = pattern[i]
            i += 1
            if char == "*":
                # Stars in a row are one; an empty middle segment would match anywhere and change nothing.
                if segment.count or self.segment_count == 1:
                    segment = &self.segments[self.segment_count]
                    segment.first = self.least
                    self.segment_count += 1
                continue
            token = &self.tokens[self.least]
            self.least += 1
            segment.count += 1
            token.kind = TokenKind.CHAR
            token.code = char
            if char == "?":
                token.kind = TokenKind.ANY
            elif char == "[":
                end = _closing(pattern, i)
                if end < 0:
                    continue
                negated, ranges = _class(pattern[i:end])
                i = end + 1
                if not negated and len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
                    token.code = ranges[0][0]
                else:
                    token.kind = TokenKind.CLASS
                    token.code = len(classes)
                    classes.append((negated, ranges))
        self.keep(classes)

    cdef int keep(self, list classes) except -1:
        """Lay the character classes down, each (negated, ranges)."""
        cdef Py_ssize_t i, at = 0, range_count = sum([len(ranges) for _, ranges in classes])
        self.classes = <Class*>calloc(len(classes) + 1, sizeof(Class))
        self.ranges = <uint32_t*>calloc(2 * range_count + 1, sizeof(uint32_t))
        if not self.classes or not self.ranges:
            raise MemoryError
        for i, (negated, ranges) in enumerate(classes):
            self.classes[i].first = at
            self.classes[i].count = len(ranges)
            self.classes[i].negated = negated
            for low, high in ranges:
                self.ranges[at] = low
                self.ranges[at + 1] = high
                at += 2
        return 0

    def __dealloc__(self):
        free(self.tokens)
        free(self.classes)
        free(self.ranges)
        free(self.segments)

    cdef bint test(self, int kind, const void* units, Py_ssize_t length) noexcept nogil:
        if kind == 1:
            return _test(self, <const uint8_t*>units, length)
        if kind == 2:
            return _test(self, <const uint16_t*>units, length)
        return _test(self, <const uint32_t*>units, length)

    def matches(self, str value not None):
        """Tell whether the whole value matches, as fnmatch.fnmatchcase(value, pattern) does."""
        return self.test(PyUnicode_KIND(value), PyUnicode_DATA(value), PyUnicode_GET_LENGTH(value))

    def __repr__(self):
        return f"Glob({self.pattern!r})"

    def __reduce__(self):
        return Glob, (self.pattern,)


cpdef str literal(str pattern):
    """Return the only text that the pattern matches, or None where it is a true glob."""
    cdef Glob glob
    cdef Py_ssize_t i
    if plain(pattern):
        return pattern
    glob = Glob(pattern)
    for i in range(glob.least):
        if glob.tokens[i].kind != TokenKind.CHAR:
            return None
    if glob.segment_count > 1:
        return None
    return "".join([chr(glob.tokens[i].code) for i in range(glob.least)])


cdef Py_ssize_t _closing(str pattern, Py_ssize_t start):
    """Return where the class that begins at ``start`` ends, or -1: a first ``]`` is a member, after ``!`` too."""
    cdef Py_ssize_t i = start
    if pattern[i:i + 1] == "!":
        i += 1
    if pattern[i:i + 1] == "]":
        i += 1
    return pattern.find("]", i)


cdef tuple _class(str stuff):
    """Return (negated, ranges) of a class, with fnmatch's own quirks.

    A range that runs backwards is empty, and removing it may bring a ``!`` to the front, which then negates; a hyphen
    behind such a ``!`` is a member.
    """
    cdef bint negated
    cdef list chunks = [], ranges = []
    cdef Py_ssize_t i = 0, hyphen
    # A hyphen can be a range only after one member: from the third place on where `!` stands first.
    hyphen = stuff.find("-", 2 if stuff.startswith("!") else 1)
    while hyphen >= 0:
        chunks.append(stuff[i:hyphen])
        i = hyphen + 1
        hyphen = stuff.find("-", hyphen + 3)
    if i < len(stuff):
        chunks.append(stuff[i:])
    else:
        chunks[-1] += "-"
    for i in range(len(chunks) - 1, 0, -1):
        if chunks[i - 1][-1] > chunks[i][0]:
            chunks[i - 1] = chunks[i - 1][:-1] + chunks[i][1:]
            del chunks[i]
    negated = chunks[0].startswith("!")
    if negated:
        chunks[0] = chunks[0][1:]
        if not chunks[0] and len(chunks) > 1:
            chunks[0:2] = ["-" + chunks[1]]
    for i, chunk in enumerate(chunks):
        ranges.extend([(ord(char), ord(char)) for char in chunk])
        if i:
            ranges.append((ord(chunks[i - 1][-1]), ord(chunk[0])))
    return negated, ranges


# --- Set of globs ---

cdef enum:
    TRIPLE = 3
    FILTER_WORDS = 128
    GLOBS_PER_PAUSE = 32    # globs between two pauses


cdef void release(Matches* matches) noexcept nogil:
    free(matches.row)
    free(matches.seen)
    memset(matches, 0, sizeof(Matches))


cdef inline uint32_t _bit(const uint8_t* triple) noexcept nogil:
    cdef uint32_t word = <uint32_t>triple[0] << 16 | <uint32_t>triple[1] << 8 | triple[2]
    return (word * 0x9E3779B1u) >> 19


@cython.final
cdef class GlobSet:
    """Many globs, tried at once. Immutable."""

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
            if i % GLOBS_PER_PAUSE == 0:
                pause()
            anchors.count(self.globs[i], i)
        for i in range(count):
            if i % GLOBS_PER_PAUSE == 0:
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
        cdef const TableEntry* entry
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
        """Return the places of the globs that match, ascending, and how many were tried one by one."""
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
        if i % GLOBS_PER_PAUSE == 0:
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
        cdef uint64_t mixed = hash_number(SECRETS.first, anchor.kind)
        cdef Py_ssize_t i
        cdef int32_t place
        self.row[0] = anchor.kind
        for i in range(anchor.length):
            self.row[i + 1] = glob.tokens[anchor.first + i].code
            mixed = hash_number(mixed, self.row[i + 1])
        place = intern_row(&self.use, self.row, anchor.length + 1, mixed, False)
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
