cimport cython

from spyderresp.errors import Location

cdef object _Location = Location


cdef tuple _all(tuple items, type kind, str what):
    """Check what a constructor is given, so that no cycle can go through it."""
    for item in items:
        if type(item) is not kind:
            raise TypeError(f"{what} must be a tuple of {kind.__name__}, not of {type(item).__name__}")
    return items


@cython.final
@cython.no_gc
cdef class Clause:
    __match_args__ = ("key", "operator", "values", "primitive", "location")

    def __init__(
        self, str key not None, str operator not None, tuple values not None, str primitive not None, location
    ):
        self.key = key
        self.operator = operator
        self.values = _all(values, str, "values")
        self.primitive = primitive
        self.path, self.line, self.column = location

    @property
    def location(self):
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
    __match_args__ = ("scope", "clauses", "location")

    def __init__(self, str scope not None, tuple clauses not None, location):
        self.scope = scope
        self.clauses = _all(clauses, Clause, "clauses")
        self.path, self.line, self.column = location

    @property
    def location(self):
        return _Location(self.path, self.line, self.column)

    @property
    def key(self):
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
    __match_args__ = ("action", "parameters", "selectors", "enabled", "section", "index", "location")

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
    __match_args__ = ("name", "uid", "type", "enabled", "mode", "selectors", "entries", "metadata", "location")

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
        return _Location(self.path, self.line, self.column)

    @property
    def default(self):
        return _section(self, "default")

    @property
    def actions(self):
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
