from hashlib import sha256
from json.encoder import encode_basestring_ascii

cimport cython
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, strlen

from spyderresp._gil cimport pause

from spyderresp.errors import Location

cdef extern from "Python.h":
    int PyBUF_READ
    object PyMemoryView_FromMemory(char* memory, Py_ssize_t size, int flags)
    const unsigned char* PyUnicode_DATA(object text) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept
    bint PyUnicode_IS_COMPACT_ASCII(object text) noexcept


# --- Values ---

cdef object _Location = Location


cdef int _refuse_empty(tuple args, dict kwargs, str kind) except -1:
    """Refuse ``Policy.__new__(Policy)``: an object without its values would be read as one that has none."""
    if not args and not kwargs:
        raise TypeError(f"a {kind} is made from its values")
    return 0


cdef int _refuse_change(str path, str kind) except -1:
    """Refuse a second ``__init__``: a digest and a compiled index would go on to say what was there before."""
    if path is not None:
        raise TypeError(f"a {kind} cannot be changed")
    return 0


cdef tuple _all(tuple items, type kind, str what):
    """Check what a constructor is given, so that no cycle can go through it."""
    for item in items:
        if type(item) is not kind:
            raise TypeError(f"{what} must be a tuple of {kind.__name__}, not of {type(item).__name__}")
    return items


@cython.final
@cython.no_gc
cdef class Clause:
    """One condition of a selector.

    Attributes:
        key: a field (``exe``) or a label key.
        operator: ``matchFields`` and ``matchLabels`` are ``In``.
        values: globs or exact texts, any of which satisfies ``In``; empty for the presence operators.
        primitive: the word above the condition, such as ``matchExpressions``, or the selector's own key where the field
            stands directly under it.
    """

    __match_args__ = ("key", "operator", "values", "primitive", "location")

    def __cinit__(self, *args, **kwargs):
        _refuse_empty(args, kwargs, "Clause")

    def __init__(
        self, str key not None, str operator not None, tuple values not None, str primitive not None, location
    ):
        _refuse_change(self.path, "Clause")
        self.key = key
        self.operator = operator
        self.values = _all(values, str, "values")
        self.primitive = primitive
        self.path, self.line, self.column = location

    @property
    def location(self):
        """Where it stands."""
        return _Location(self.path, self.line, self.column)

    def __eq__(self, other):
        if self is other:
            return True
        if not isinstance(other, Clause):
            return NotImplemented
        return _clause(self) == _clause(<Clause>other)

    def __hash__(self):
        return hash(_clause(self))

    def __repr__(self):
        return (
            f"Clause(key={self.key!r}, operator={self.operator!r}, values={self.values!r}, "
            f"primitive={self.primitive!r}, location={self.location!r})"
        )

    def __reduce__(self):
        return Clause, _clause(self)


cdef tuple _clause(Clause self):
    return self.key, self.operator, self.values, self.primitive, self.location


@cython.final
@cython.no_gc
cdef class Selector:
    """All clauses on one scope; every one must hold, and the event must have the scope.

    Attributes:
        scope: such as ``process``.
        clauses: the conditions, in the author's order.
    """

    __match_args__ = ("scope", "clauses", "location")

    def __cinit__(self, *args, **kwargs):
        _refuse_empty(args, kwargs, "Selector")

    def __init__(self, str scope not None, tuple clauses not None, location):
        _refuse_change(self.path, "Selector")
        self.scope = scope
        self.clauses = _all(clauses, Clause, "clauses")
        self.path, self.line, self.column = location

    @property
    def location(self):
        """Where it stands."""
        return _Location(self.path, self.line, self.column)

    @property
    def key(self):
        """The word in the policy, such as ``processSelector``."""
        return f"{self.scope}Selector"

    def __eq__(self, other):
        if self is other:
            return True
        if not isinstance(other, Selector):
            return NotImplemented
        return _selector(self) == _selector(<Selector>other)

    def __hash__(self):
        return hash(_selector(self))

    def __repr__(self):
        return f"Selector(scope={self.scope!r}, clauses={self.clauses!r}, location={self.location!r})"

    def __reduce__(self):
        return Selector, _selector(self)


cdef tuple _selector(Selector self):
    return self.scope, self.clauses, self.location


@cython.final
@cython.no_gc
cdef class Entry:
    """One item of ``response.default`` or ``response.actions``.

    Attributes:
        action: such as ``agentKillProcess``.
        parameters: the action's own fields, in a fixed order; ``priority`` is an int, everything else a text.
        selectors: all must match; empty in ``default``.
        enabled: whether the entry takes part.
        section: the list it stands in.
        index: its place in that list, from 0, disabled entries counted.
    """

    __match_args__ = ("action", "parameters", "selectors", "enabled", "section", "index", "location")

    def __cinit__(self, *args, **kwargs):
        _refuse_empty(args, kwargs, "Entry")

    def __init__(
        self,
        str action not None,
        tuple parameters not None,
        tuple selectors not None,
        bint enabled,
        str section not None,
        int index,
        location,
    ):
        _refuse_change(self.path, "Entry")
        self.action = action
        self.parameters = _all(parameters, tuple, "parameters")
        for name, value in parameters:
            if type(name) is not str or (type(value) is not str and type(value) is not int):
                raise TypeError("parameters must be pairs of a text and a text or an int")
        self.selectors = _all(selectors, Selector, "selectors")
        self.enabled = enabled
        self.section = section
        self.index = index
        self.path, self.line, self.column = location

    @property
    def location(self):
        """Where its action stands."""
        return _Location(self.path, self.line, self.column)

    def __eq__(self, other):
        if self is other:
            return True
        if not isinstance(other, Entry):
            return NotImplemented
        return _entry(self) == _entry(<Entry>other)

    def __hash__(self):
        return hash(_entry(self))

    def __repr__(self):
        return (
            f"Entry(action={self.action!r}, parameters={self.parameters!r}, selectors={self.selectors!r}, "
            f"enabled={self.enabled!r}, section={self.section!r}, index={self.index!r}, location={self.location!r})"
        )

    def __reduce__(self):
        return Entry, _entry(self)


cdef tuple _entry(Entry self):
    return self.action, self.parameters, self.selectors, self.enabled, self.section, self.index, self.location


@cython.final
cdef class Policy:
    """One response policy. Immutable, but for what a host does to ``metadata``.

    Attributes:
        name: ``metadata.name``.
        uid: ``metadata.uid``, or None.
        type: ``cluster``, ``container`` or ``linux-service``.
        enabled: ``spec.enabled``.
        mode: ``audit`` or ``enforce``.
        selectors: the policy's scope; all must match.
        entries: ``response.default``, then ``response.actions``, in order.
        metadata: everything under ``metadata``, as plain data, every scalar a text.
    """

    __match_args__ = ("name", "uid", "type", "enabled", "mode", "selectors", "entries", "metadata", "location")

    def __cinit__(self, *args, **kwargs):
        _refuse_empty(args, kwargs, "Policy")

    def __init__(
        self,
        str name not None,
        str uid,
        str type not None,
        bint enabled,
        str mode not None,
        tuple selectors not None,
        tuple entries not None,
        metadata,
        location,
    ):
        _refuse_change(self.path, "Policy")
        self.name = name
        self.uid = uid
        self.type = type
        self.enabled = enabled
        self.mode = mode
        self.selectors = _all(selectors, Selector, "selectors")
        self.entries = _all(entries, Entry, "entries")
        self.metadata = metadata
        self.path, self.line, self.column = location

    @property
    def location(self):
        """Where the document begins."""
        return _Location(self.path, self.line, self.column)

    @property
    def default(self):
        """The entries of ``response.default``."""
        return _section(self, "default")

    @property
    def actions(self):
        """The entries of ``response.actions``."""
        return _section(self, "actions")

    def __eq__(self, other):
        if self is other:
            return True
        if not isinstance(other, Policy):
            return NotImplemented
        return _policy(self) == _policy(<Policy>other)

    def __hash__(self):
        return hash(_policy(self))

    def __repr__(self):
        return (
            f"Policy(name={self.name!r}, uid={self.uid!r}, type={self.type!r}, enabled={self.enabled!r}, "
            f"mode={self.mode!r}, selectors={self.selectors!r}, entries={self.entries!r}, location={self.location!r})"
        )

    def __reduce__(self):
        return Policy, _policy(self)


cdef tuple _policy(Policy self):
    return (
        self.name,
        self.uid,
        self.type,
        self.enabled,
        self.mode,
        self.selectors,
        self.entries,
        self.metadata,
        self.location,
    )


cdef tuple _section(Policy policy, str section):
    return tuple([entry for entry in policy.entries if (<Entry>entry).section == section])


# --- Digest ---

cdef object _encode = encode_basestring_ascii

cdef enum:
    # Bytes that are hashed at once: of more, hashlib releases the interpreter's lock, and to have it again beside busy
    # threads takes a switch interval each time.
    MUCH = 2047


cdef class CanonicalEncoder:
    """Writes policies as the JSON text of their meaning."""

    def __cinit__(self):
        self.hashed = sha256()

    def __dealloc__(self):
        free(self.bytes)

    cdef int room(self, Py_ssize_t size) except -1:
        cdef Py_ssize_t capacity = 2 * (self.size + size)
        cdef char* grown
        if self.size + size > self.capacity:
            grown = <char*>realloc(self.bytes, capacity)
            if not grown:
                raise MemoryError
            self.bytes = grown
            self.capacity = capacity
        return 0

    cdef int raw(self, const char* text, Py_ssize_t size) except -1:
        self.room(size)
        memcpy(self.bytes + self.size, text, size)
        self.size += size
        return 0

    cdef inline int mark(self, const char* text) except -1:
        return self.raw(text, strlen(text))

    cdef int text(self, str text) except -1:
        cdef Py_ssize_t i, size = PyUnicode_GET_LENGTH(text)
        cdef const unsigned char* chars = PyUnicode_DATA(text)
        cdef char* at
        cdef bytes written
        if PyUnicode_IS_COMPACT_ASCII(text):
            self.room(size + 2)
            at = self.bytes + self.size
            at[0] = c'"'
            at += 1
            for i in range(size):
                if chars[i] < c" " or chars[i] > c"~" or chars[i] == c'"' or chars[i] == c"\\":
                    break
                at[i] = chars[i]
            else:
                at[size] = c'"'
                self.size += size + 2
                return 0
        written = (<str>_encode(text)).encode()
        return self.raw(written, len(written))

    cdef int flush(self) except -1:
        cdef Py_ssize_t at
        for at in range(0, self.size, MUCH):
            self.hashed.update(PyMemoryView_FromMemory(self.bytes + at, min(MUCH, self.size - at), PyBUF_READ))
        self.size = 0
        pause()
        return 0

    cdef int policy(self, Policy policy) except -1:
        cdef Entry entry
        cdef bint first = True
        self.mark("[")
        self.text(policy.name)
        self.mark(",")
        if policy.uid is None:
            self.mark("null")
        else:
            self.text(policy.uid)
        self.mark(",")
        self.text(policy.type)
        self.mark(",true," if policy.enabled else ",false,")
        self.text(policy.mode)
        self.mark(",")
        self.selectors(policy.selectors)
        self.mark(",[")
        for entry in policy.entries:
            self.mark("[" if first else ",[")
            first = False
            self.text(entry.section)
            self.mark(",")
            self.text(entry.action)
            self.mark(",true,[" if entry.enabled else ",false,[")
            self.parameters(entry.parameters)
            self.mark("],")
            self.selectors(entry.selectors)
            self.mark("]")
            if self.size > MUCH:
                self.flush()
        self.mark("]]")
        return 0

    cdef int parameters(self, tuple parameters) except -1:
        cdef bint first = True
        cdef bytes number
        for name, value in parameters:
            self.mark("[" if first else ",[")
            first = False
            self.text(name)
            self.mark(",")
            if isinstance(value, str):
                self.text(value)
            else:
                number = int.__repr__(value).encode()
                self.raw(number, len(number))
            self.mark("]")
        return 0

    cdef int selectors(self, tuple selectors) except -1:
        cdef Selector selector
        cdef bint first = True
        if len(selectors) > 1:
            held = {(<Selector>each).scope: each for each in selectors}
            if len(held) == len(selectors):
                selectors = tuple([held[scope] for scope in sorted(held)])
            else:
                selectors = tuple(sorted(selectors, key=_order))
        self.mark("[")
        for selector in selectors:
            self.mark("[" if first else ",[")
            first = False
            self.text(selector.scope)
            self.mark(",[")
            self.clauses(selector.clauses)
            self.mark("]]")
        self.mark("]")
        return 0

    cdef int clauses(self, tuple clauses) except -1:
        cdef Clause clause
        cdef bint first = True
        if len(clauses) == 1:
            clause = clauses[0]
            return self.clause(clause.key, clause.operator, _ascending(clause.values))
        for key, operator, values in _meanings(clauses):
            if not first:
                self.mark(",")
            first = False
            self.clause(key, operator, values)
        return 0

    cdef int clause(self, str key, str operator, tuple values) except -1:
        cdef bint first = True
        self.mark("[")
        self.text(key)
        self.mark(",")
        self.text(operator)
        self.mark(",[")
        for value in values:
            if not first:
                self.mark(",")
            first = False
            self.text(value)
            if self.size > MUCH:
                self.flush()
        self.mark("]]")
        return 0


cdef tuple _ascending(tuple values):
    """Return values in ascending order, each once."""
    cdef Py_ssize_t i
    for i in range(1, len(values)):
        if not <str>values[i - 1] < <str>values[i]:
            return tuple(sorted(set(values)))
    return values


cdef list _meanings(tuple clauses):
    cdef Clause clause
    return sorted({(clause.key, clause.operator, _ascending(clause.values)) for clause in clauses})


cdef object _order = lambda selector: ((<Selector>selector).scope, _meanings((<Selector>selector).clauses))


def digest(tuple policies not None):
    """Return ``sha256:`` and 64 hexadecimal digits over the policies' meaning and order."""
    cdef CanonicalEncoder writer = CanonicalEncoder()
    cdef bint first = True
    writer.mark("[1,[")
    for policy in policies:
        if type(policy) is not Policy:
            raise TypeError(f"a policy set holds policies, not {type(policy).__name__}")
        if not first:
            writer.mark(",")
        first = False
        writer.policy(policy)
        if writer.size > MUCH:
            writer.flush()
    writer.mark("]]")
    writer.flush()
    return "sha256:" + (<str>writer.hashed.hexdigest())
