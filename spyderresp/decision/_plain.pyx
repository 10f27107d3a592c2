from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from spyderresp.decision._batch cimport NULLABLES, Action, ActionColumns, Decisions

from spyderresp.decision._batch import NULLABLE as _NULLABLE

# In the order of _word() and _number().
TEXT_COLUMNS = ("action", "severity", "impact", "content", "description", "disposition", "policy", "section")
NUMBER_COLUMNS = ("index", "sources", "priority")


cdef inline void* _address(dict where, str name) except? NULL:
    return <void*><uintptr_t>where.get(name, 0)


cdef inline int32_t _word(const Action* action, int column) noexcept nogil:
    """Return the place of an action's text among the words of a column; 0 for null too."""
    if column == 0:
        return action.action
    if column == 1:
        return action.severity
    if column == 2:
        return action.impact
    if column == 3:
        return action.content
    if column == 4:
        return action.description
    if column == 5:
        return action.disposition
    if column == 6:
        return action.policy
    return action.section


cdef void _find_pieces(PlainWords words, const Decisions* decisions, int column, Piece* pieces) noexcept nogil:
    """Find what each action says in a column."""
    cdef Py_ssize_t i
    cdef int32_t word
    cdef int bit = words.valid_bit[column]
    for i in range(decisions.spans[decisions.count]):
        word = _word(&decisions.actions[i], column)
        if bit >= 0 and not decisions.actions[i].valid_bits >> bit & 1:
            word = words.counts[column]
        pieces[i] = words.pieces[column][word]


cdef void _write_texts(
    const Decisions* decisions, const Piece* pieces, int32_t* offsets, uint8_t* data
) noexcept nogil:
    cdef Py_ssize_t row, at = 0
    cdef int32_t outcome
    cdef const Piece* piece
    cdef const Piece* stop
    offsets[0] = 0
    for row in range(decisions.rows):
        outcome = decisions.outcomes[row]
        piece = pieces + decisions.spans[outcome]
        stop = pieces + decisions.spans[outcome + 1]
        while piece < stop:
            # Of a size that is known beforehand two moves suffice; what is too much is written over by the next.
            if piece.size <= COPIED:
                memcpy(data + at, piece.bytes, COPIED)
            else:
                memcpy(data + at, piece.bytes, piece.size)
            at += piece.size
            offsets += 1
            offsets[0] = <int32_t>at
            piece += 1


cdef inline int32_t _number(const Action* action, int column) noexcept nogil:
    return action.index if column == 0 else action.sources if column == 1 else action.priority


cdef void _write_numbers(const Decisions* decisions, int column, int32_t* scratch, int32_t* to) noexcept nogil:
    cdef Py_ssize_t row
    cdef int64_t i
    cdef int32_t outcome
    for i in range(decisions.spans[decisions.count]):
        scratch[i] = _number(&decisions.actions[i], column)
    for row in range(decisions.rows):
        outcome = decisions.outcomes[row]
        for i in range(decisions.spans[outcome], decisions.spans[outcome + 1]):
            to[0] = scratch[i]
            to += 1


cdef void _write_rows(const Decisions* decisions, int32_t* rows, int32_t* places, int32_t* starts) noexcept nogil:
    cdef Py_ssize_t row, at = 0
    cdef int32_t outcome, place
    for row in range(decisions.rows):
        outcome = decisions.outcomes[row]
        starts[row] = <int32_t>at
        for place in range(<int32_t>(decisions.spans[outcome + 1] - decisions.spans[outcome])):
            rows[at] = <int32_t>row
            places[at] = place
            at += 1
    starts[decisions.rows] = <int32_t>at


cdef void _write_bits(const Decisions* decisions, int bit, uint8_t* to) noexcept nogil:
    cdef Py_ssize_t row
    cdef int64_t i
    cdef int32_t outcome
    cdef uint32_t bits = 0, at = 0
    for row in range(decisions.rows):
        outcome = decisions.outcomes[row]
        for i in range(decisions.spans[outcome], decisions.spans[outcome + 1]):
            bits |= <uint32_t>(decisions.actions[i].valid_bits >> bit & 1) << at
            at += 1
            if at == 8:
                to[0] = bits
                to += 1
                at = bits = 0
    if at:
        to[0] = bits


cdef class PlainWords:
    """The texts of the columns of an index's actions, to be copied from.

    Attributes:
        memory: bytes.
    """

    def __cinit__(self, ActionColumns columns not None):
        cdef list words = [[text.encode() for text in columns.words[name]] for name in TEXT_COLUMNS]
        cdef Py_ssize_t size = sum([len(word) for held in words for word in held]), at = 0
        cdef int column, place
        cdef bytes word
        self.bytes = <uint8_t*>calloc(size + COPIED, 1)
        if not self.bytes:
            raise MemoryError
        self.memory = size + COPIED
        for column in range(<int>TEXTS):
            self.valid_bit[column] = _NULLABLE.index(TEXT_COLUMNS[column]) if TEXT_COLUMNS[column] in _NULLABLE else -1
            self.counts[column] = len(words[column])
            self.memory += (self.counts[column] + 1) * sizeof(Piece)
            self.pieces[column] = <Piece*>calloc(self.counts[column] + 1, sizeof(Piece))
            if not self.pieces[column]:
                raise MemoryError
            for place, word in enumerate(words[column]):
                memcpy(self.bytes + at, <const char*>word, len(word))
                self.pieces[column][place].bytes = self.bytes + at
                self.pieces[column][place].size = len(word)
                at += len(word)
            self.pieces[column][self.counts[column]].bytes = self.bytes

    def __dealloc__(self):
        cdef int column
        for column in range(<int>TEXTS):
            free(self.pieces[column])
        free(self.bytes)


cdef class PlainActions:
    """The actions of a complete batch, as columns without dictionaries.

    Attributes:
        count: how many actions all rows have.
        sizes: bytes of all texts of each column.
    """

    def __cinit__(self, Batch batch not None, PlainWords words not None):
        cdef const Decisions* decisions = &batch.decisions
        cdef int32_t* used = <int32_t*>calloc(decisions.count + 1, sizeof(int32_t))
        cdef int64_t[TEXTS] sizes
        cdef int64_t i
        cdef int32_t outcome
        cdef Py_ssize_t row
        cdef int column
        self.batch = batch
        self.words = words
        self.pieces = <Piece*>malloc(((decisions.spans[decisions.count] if decisions.count else 0) + 1) * sizeof(Piece))
        if not used or not self.pieces:
            free(used)
            raise MemoryError
        memset(sizes, 0, sizeof(sizes))
        if decisions.count:
            with nogil:
                for row in range(decisions.rows):
                    used[decisions.outcomes[row]] += 1
                for outcome in range(decisions.count):
                    self.count += used[outcome] * (decisions.spans[outcome + 1] - decisions.spans[outcome])
                for column in range(<int>TEXTS):
                    _find_pieces(words, decisions, column, self.pieces)
                    for outcome in range(decisions.count):
                        for i in range(decisions.spans[outcome], decisions.spans[outcome + 1]):
                            sizes[column] += used[outcome] * self.pieces[i].size
        free(used)
        self.sizes = {TEXT_COLUMNS[column]: sizes[column] for column in range(<int>TEXTS)}

    def __dealloc__(self):
        free(self.pieces)

    def write(self, dict where not None):
        """Write the columns.

        Args:
            where: address of each column's first byte: as int32 of ``rows``, each action's event, of ``place`` in its
                plan, of ``starts``, where the actions of each row start, and of each column of numbers; of each column
                of texts under ``offsets`` (int32) and ``texts`` and its name; of the bitmap of each column that may be
                null, under ``valid`` and its name. Columns of texts and bitmaps may be missing. Behind a column's texts
                32 bytes may be written to.
        """
        cdef const Decisions* decisions = &self.batch.decisions
        cdef int32_t* rows = <int32_t*>_address(where, "rows")
        cdef int32_t* places = <int32_t*>_address(where, "place")
        cdef int32_t* starts = <int32_t*>_address(where, "starts")
        cdef int32_t* offsets[TEXTS]
        cdef uint8_t* texts[TEXTS]
        cdef int32_t* numbers[NUMBERS]
        cdef uint8_t* bits[NULLABLES]
        cdef int i
        for i, name in enumerate(TEXT_COLUMNS):
            offsets[i] = <int32_t*>_address(where, f"offsets {name}")
            texts[i] = <uint8_t*>_address(where, f"texts {name}")
        for i, name in enumerate(NUMBER_COLUMNS):
            numbers[i] = <int32_t*>_address(where, name)
        for i, name in enumerate(_NULLABLE):
            bits[i] = <uint8_t*>_address(where, f"valid {name}")
        if not decisions.count:
            # No rows: of each column only where its first text would start.
            starts[0] = 0
            for i in range(<int>TEXTS):
                if offsets[i] is not NULL:
                    offsets[i][0] = 0
            return
        # All at once: threads that take turns at the interpreter lose more by asking for it than by this.
        with nogil:
            _write_rows(decisions, rows, places, starts)
            for i in range(<int>TEXTS):
                if offsets[i] is not NULL:
                    _find_pieces(self.words, decisions, i, self.pieces)
                    _write_texts(decisions, self.pieces, offsets[i], texts[i])
            for i in range(<int>NUMBERS):
                _write_numbers(decisions, i, <int32_t*>self.pieces, numbers[i])
            for i in range(<int>NULLABLES):
                if bits[i] is not NULL:
                    _write_bits(decisions, i, bits[i])
