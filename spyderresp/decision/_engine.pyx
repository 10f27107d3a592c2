cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_CheckExact
from cpython.unicode cimport PyUnicode_CheckExact
from libc.stdint cimport uint64_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from spyderresp.decision._event_reader cimport HELD, LABELS
from spyderresp.decision._index cimport DONE, Work

from spyderresp.errors import EventError
from spyderresp.events.json_decoder import decode_event as _decode_event, lines as _lines
from spyderresp.decision.json_projection import narrow_decoder as _narrow_decoder

cdef extern from "Python.h":
    void* PyUnicode_DATA(object text) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept
    bint PyUnicode_IS_COMPACT_ASCII(object text) noexcept


# --- JSON projection ---

cdef extern from *:
    """
    #include <structmember.h>
    /* Where a class keeps one of its slots, or 0 where that is none. */
    static Py_ssize_t spyderresp_slot(PyObject* descriptor) {
        PyMemberDef* member;
        if (!Py_IS_TYPE(descriptor, &PyMemberDescr_Type)) return 0;
        member = ((PyMemberDescrObject*)descriptor)->d_member;
        return member->type == T_OBJECT_EX || member->type == T_OBJECT ? member->offset : 0;
    }
    #define spyderresp_class(value) ((PyObject*)Py_TYPE(value))
    #define spyderresp_at(struct, offset) (*(PyObject**)((char*)(struct) + (offset)))
    """
    Py_ssize_t slot_of "spyderresp_slot"(object descriptor) noexcept
    PyObject* class_of "spyderresp_class"(PyObject* value) noexcept
    PyObject* at "spyderresp_at"(PyObject* struct, Py_ssize_t offset) noexcept


cdef bint _ascii(const uint8_t* text, Py_ssize_t size) noexcept:
    cdef Py_ssize_t i = 0
    cdef uint64_t word
    while i + 8 <= size:
        memcpy(&word, text + i, 8)
        if word & 0x8080808080808080ull:
            return False
        i += 8
    while i < size:
        if text[i] >= 0x80:
            return False
        i += 1
    return True


cdef inline bint _digit(uint8_t char) noexcept:
    return 0x30 <= char <= 0x39


cdef bint _long_number(const uint8_t* text, Py_ssize_t size) noexcept:
    """Whether more digits follow each other than any interpreter makes an integer of."""
    cdef Py_ssize_t middle = DIGITS, first, last
    # A run of more than so many digits holds one of these places.
    while middle < size:
        first = last = middle
        while first and _digit(text[first]) and middle - first <= DIGITS:
            first -= 1
        while last < size and _digit(text[last]) and last - middle <= DIGITS:
            last += 1
        if last - first > DIGITS:
            return True
        middle += DIGITS
    return False


cdef bint _deep(const uint8_t* text, Py_ssize_t size) noexcept:
    """Whether values may be nested deeper than any decoder follows."""
    cdef Py_ssize_t i, opened = 0
    if size < 2 * DEPTH:
        return False
    for i in range(size):
        # Both brackets that open, and nothing else.
        opened += (text[i] | 0x20) == 0x7B
    return opened > DEPTH


@cython.final
cdef class JsonProjection:
    """Decides JSON texts of which, where it can, only what the policy set names is read."""

    def __cinit__(self, DecisionIndex index not None):
        self.index = index

    def __dealloc__(self):
        cdef int kind
        for kind in range(KINDS):
            free(self.kinds[kind].places)

    cdef int prepare(self) except -1:
        """Have the decoder made, and see where its structs keep what."""
        cdef int kind
        cdef tuple wanted = self.index.reader.wanted
        cdef object made = _narrow_decoder(wanted)
        if self.prepared:
            # Another thread was here meanwhile.
            return 0
        self.prepared = True
        if made is None:
            return 0
        decode, self.types = made
        for kind in range(KINDS):
            if not self.fill(kind, self.types[kind], wanted[kind]):
                return 0
        self.decode = decode
        return 0

    cdef bint fill(self, int kind, object type, dict wanted) except -1:
        """Find the slots of the wanted fields of a struct class; False where they cannot be found."""
        cdef Kind* seen = &self.kinds[kind]
        cdef Place* place
        cdef object marks, struct
        if type is None:
            return True
        seen.places = <Place*>calloc(len(wanted) + 1, sizeof(Place))
        if not seen.places:
            raise MemoryError
        marks = [object() for _ in wanted]
        struct = type(*marks)
        for mark, field, key in zip(marks, type.__struct_fields__, type.__struct_encode_fields__, strict=True):
            place = &seen.places[seen.count]
            place.offset = slot_of(type.__dict__.get(field))
            place.first, place.second = wanted[key]
            # Nothing is taken for granted about classes that another library makes.
            if place.offset <= 0 or at(<PyObject*>struct, place.offset) != <PyObject*>mark:
                return False
            seen.count += 1
        seen.type = <PyObject*>type
        return True

    cdef bint take(self, PyObject* struct, int kind, PyObject** row) noexcept:
        """Put the values of a struct into their cells; False where it is none of its kind."""
        cdef const Kind* seen = &self.kinds[kind]
        cdef const Place* place = seen.places
        cdef const Place* end = place + seen.count
        cdef PyObject* value
        if class_of(struct) != seen.type:
            # Labels of very many keys, and of odd ones.
            return (
                kind > SCOPES and seen.type is NULL and PyDict_CheckExact(<object>struct)
                and self.index.reader.walk(struct, kind, row)
            )
        while place != end:
            value = at(struct, place.offset)
            row[place.first] = value
            row[place.second] = value
            place += 1
        return True

    cdef bint read(self, PyObject* event, PyObject** row, unsigned int* present) noexcept:
        """Fill a row, as EventReader.quick() does."""
        cdef int scope, count = self.index.reader.count
        cdef PyObject* held
        memset(row, 0, self.index.reader.cells * sizeof(PyObject*))
        present[0] = 0
        if not self.take(event, 0, row):
            return False
        for scope in range(SCOPES):
            held = row[count + HELD + scope]
            if held is NULL or <object>held is None:
                continue
            if self.index.reader.checked[scope]:
                present[0] |= 1u << scope
            if not self.take(held, 1 + scope, row):
                return False
        for scope in range(SCOPES):
            held = row[count + LABELS + scope]
            if held is not NULL and <object>held is not None and not self.take(held, 1 + SCOPES + scope, row):
                return False
        return self.index.reader.complete(row)

    cdef ActionPlan quick(self, object data):
        cdef char* space
        cdef const uint8_t* text
        cdef Py_ssize_t size
        cdef unsigned int present
        cdef object event
        cdef Work work
        if not self.prepared:
            self.prepare()
        if self.decode is None:
            return None
        try:
            if not PyBytes_CheckExact(data) and not PyUnicode_CheckExact(data):
                if isinstance(data, str):
                    return None
                data = str(data, "utf-8")
            if PyUnicode_CheckExact(data) and PyUnicode_IS_COMPACT_ASCII(data):
                text = <const uint8_t*>PyUnicode_DATA(data)
                size = PyUnicode_GET_LENGTH(data)
            else:
                if PyUnicode_CheckExact(data):
                    data = data.encode()
                text = <const uint8_t*>PyBytes_AS_STRING(data)
                size = PyBytes_GET_SIZE(data)
                if not _ascii(text, size):
                    # The decoder does not look at the bytes of what it skips.
                    str(data, "utf-8")
            if _long_number(text, size) or _deep(text, size):
                return None
            event = self.decode(data)
        except Exception:
            # Whatever is wrong with it, the standard way says so.
            return None
        space = self.index.take_space()
        try:
            self.index.lay(&work, space)
            if self.read(<PyObject*>event, work.row, &present) and self.index.classify(&work, present) == DONE:
                return self.index.answer(&work)
        finally:
            self.index.give_space(space)
        return None

    cpdef ActionPlan evaluate(self, object data):
        """Return the plan for one event as JSON text; bytes are UTF-8.

        Raises:
            EventError: the text is not JSON, or the event is malformed where it is checked.
        """
        cdef ActionPlan plan = self.quick(data)
        return plan if plan is not None else self.index.evaluate(_decode_event(data))


# --- Base of the engine ---

cdef class EngineBase:
    """Decides events by an index that can be swapped."""

    cdef DecisionIndex serving(self):
        if self.index is None:
            raise TypeError("this engine was never given policies")
        return self.index

    cdef JsonProjection reading(self):
        self.serving()
        return self.narrow

    def _serve(self, DecisionIndex index not None):
        """Decide by another index from now on. Whole: no event sees a mixture."""
        self.index = index
        self.narrow = JsonProjection(index)

    def evaluate(self, event):
        """Return the plan for one event. Rules: docs/POLICY.md; ``decision/reference.py`` is the specification.

        ::

            plan = engine.evaluate({"id": "e1", "process": {"name": "nc", "exe": "/usr/bin/nc", "pid": 4242}})
            for action in plan:
                print(action.disposition, action.name, action.parameters)

        Args:
            event: a mapping in the normal form. Times are epoch seconds or RFC 3339 text, pids integers, all else text.
                It is left as it is.

        Returns:
            The ActionPlan: the actions, in the order in which to carry them out. Empty where no policy applies.

        Raises:
            EventError: a value that policies name, or that identifies the target, has the wrong type. The event is
                refused as a whole.
        """
        return self.serving().evaluate(event)

    def evaluate_json(self, data):
        """Return the plan for one event given as JSON text, such as ``b'{"id": "e1"}'``.

        The result equals ``evaluate(json.loads(data))``. With the extra ``json`` only the keys that policies name are
        decoded, which is faster.

        Args:
            data: text, or bytes in UTF-8.

        Raises:
            EventError: the text is not JSON, or a checked value has the wrong type.
        """
        return self.reading().evaluate(data)

    def evaluate_jsonl(self, buffer, *, on_error="raise"):
        """Return the plans of JSON lines, in their order, all decided by one policy set; blank lines are passed over.

        Args:
            buffer: the lines.
            on_error: ``raise`` the first EventError, or ``collect``: it stands in the plan's place.
        """
        cdef JsonProjection narrow = self.reading()
        if on_error == "raise":
            return [narrow.evaluate(line) for line in _lines(buffer)]
        if on_error != "collect":
            raise ValueError(f"on_error must be 'raise' or 'collect', not {on_error!r}")
        plans = []
        for line in _lines(buffer):
            try:
                plans.append(narrow.evaluate(line))
            except EventError as error:
                plans.append(error)
        return plans

    def evaluate_many(self, events, *, on_error="raise"):
        """Return the plans of events, in their order, all decided by one policy set.

        Args:
            events: events in the normal form.
            on_error: ``raise`` the first EventError, or ``collect``: it stands in the plan's place.
        """
        cdef DecisionIndex index = self.serving()
        if on_error == "raise":
            return index.evaluate_many(events)
        if on_error != "collect":
            raise ValueError(f"on_error must be 'raise' or 'collect', not {on_error!r}")
        plans = []
        for event in events:
            try:
                plans.append(index.evaluate(event))
            except EventError as error:
                plans.append(error)
        return plans
