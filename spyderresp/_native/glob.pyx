from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free

cdef extern from "Python.h":
    int PyUnicode_KIND(str text) noexcept
    void* PyUnicode_DATA(str text) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(str text) noexcept

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
        return self.test(PyUnicode_KIND(value), PyUnicode_DATA(value), PyUnicode_GET_LENGTH(value))

    def __repr__(self):
        return f"Glob({self.pattern!r})"

    def __reduce__(self):
        return Glob, (self.pattern,)


cpdef str literal(str pattern):
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
