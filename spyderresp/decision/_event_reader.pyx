import json
from collections.abc import Mapping

cimport cython
from cpython.dict cimport PyDict_CheckExact, PyDict_Next
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memset

from spyderresp.decision._hash_tables cimport prefetch

from spyderresp.errors import EventError

cdef extern from "Python.h":
    Py_ssize_t PyDict_GET_SIZE(object mapping) noexcept
    PyObject* PyDict_GetItemWithError(object mapping, object key) except? NULL
    void* PyUnicode_DATA(object text) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept
    bint PyUnicode_IS_COMPACT_ASCII(object text) noexcept
    PyObject* Py_NewRef(PyObject* value) noexcept
    void Py_XDECREF(PyObject* value) noexcept


# --- Entries of a dict ---
#
# Reads the entries of a dict where they are stored. PyDict_Next() tests the kind of the table again for each entry,
# which for an event costs more than the rest of reading it.
#
# CPython's own header declares the layout of a table, for the version that this is compiled for. Without that layout,
# and where entries_agree() finds at import that this interpreter stores dicts differently, PyDict_Next() is used.
# tests/native/test_entries.py holds both ways equal.

cdef extern from *:
    """
    #if defined(CYTHON_COMPILING_IN_CPYTHON) && CYTHON_COMPILING_IN_CPYTHON && !defined(Py_GIL_DISABLED) \\
        && PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030E0000
    #ifndef Py_BUILD_CORE
    #define Py_BUILD_CORE 1
    #endif
    /* A macro of 3.12 that its own internal headers define as a function. */
    #undef _PyGC_FINALIZED
    #if defined(__GNUC__)
    #pragma GCC diagnostic push
    #pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    #endif
    #include "internal/pycore_dict.h"
    #if defined(__GNUC__)
    #pragma GCC diagnostic pop
    #endif
    typedef PyDictUnicodeEntry spyderresp_entry;
    static Py_ssize_t spyderresp_entries(PyObject* mapping, spyderresp_entry** first) {
        PyDictKeysObject* keys = ((PyDictObject*)mapping)->ma_keys;
        if (keys->dk_kind != DICT_KEYS_UNICODE || ((PyDictObject*)mapping)->ma_values != NULL) return -1;
        *first = (spyderresp_entry*)(keys->dk_indices + ((size_t)1 << keys->dk_log2_index_bytes));
        return keys->dk_nentries;
    }
    #else
    typedef struct { PyObject *me_key; PyObject *me_value; } spyderresp_entry;
    #define spyderresp_entries(mapping, first) ((Py_ssize_t)-1)
    #endif
    """
    ctypedef struct DictEntry "spyderresp_entry":
        PyObject* me_key
        PyObject* me_value    # NULL where the entry was deleted
    # How many entries there are, deleted ones too, and the first; -1 where the table must be walked otherwise. All keys
    # are exact strs.
    Py_ssize_t entries_of "spyderresp_entries"(PyObject* mapping, DictEntry** first) noexcept


# --- Event reader ---

cdef extern from *:
    """
    #define spyderresp_keys_of(mapping) ((const char*)((PyDictObject*)(mapping))->ma_keys)
    """
    const char* keys_of "spyderresp_keys_of"(PyObject* mapping) noexcept nogil

FIELD = AttributeKind.READ_FIELD
LABEL = AttributeKind.READ_LABEL
NAMESPACE_NAME = AttributeKind.READ_NAMESPACE_NAME

# What a target keeps, by scope: whatever finds the process, the pod, their host and their cluster again.
IDENTITY = (
    ("cluster", ("name", "uid")),
    ("machine", ("hostname", "uid")),
    ("namespace", ("name",)),
    ("pod", ("name", "uid", "kuid")),
    ("container", ("containerName", "containerID", "image")),
    ("process", ("name", "exe", "euser", "pid", "ppid", "uid", "start_ticks", "boot_id", "start_time")),
)
cdef int _NAMESPACE_NAME = [(scope, key) for scope, keys in IDENTITY for key in keys].index(("namespace", "name"))
cdef str _NAME_LABEL = "kubernetes.io/metadata.name"
cdef object _Mapping = Mapping
cdef str _LABELS = "labels"
cdef str _NAME = "name"
cdef Py_ssize_t MOST_TIME = 100     # characters of a time that is no scalar
cdef tuple _OWN = (("id", ID), ("time", TIME), ("policy_uid", POLICY_UID), ("policy_name", POLICY_NAME))


cdef object lookup(object mapping, object key):
    """Return the value of a key of an exact dict, or of any other Mapping by its ``get``; None where it is missing."""
    cdef PyObject* found
    if PyDict_CheckExact(mapping):
        found = PyDict_GetItemWithError(mapping, key)
        return <object>found if found is not NULL else None
    return mapping.get(key)


cdef bint is_mapping(object value) except -1:
    return PyDict_CheckExact(value) or isinstance(value, _Mapping)


cdef object _mapping(object holder, str key, str scope):
    """Return the mapping under a key of a scope (None: of the event), or None where it is absent."""
    cdef object value = lookup(holder, key)
    if value is None or is_mapping(value):
        return value
    raise EventError(key if scope is None else f"{scope}.{key}", "must be a mapping or null")


cdef str _text(object value, str scope, str between, object key):
    """Return a text, exactly a str, or None where it is absent."""
    if value is None or PyUnicode_CheckExact(value):
        return value
    if PyUnicode_Check(value):
        # A subclass may hash and compare as it likes; its text may not.
        return PyUnicode_FromObject(value)
    raise EventError(f"{scope}{between}{key}", "must be a text or null")


cdef object identifier(object value):
    """Return an event's id. It is not checked; an id that is no scalar is kept as a copy of its JSON value."""
    cdef object kept = scalar(value)
    if kept is not None or value is None:
        return kept
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return None


cdef object moment(object value):
    """Return an event's time as it is; as a text where it is no scalar, so that a guard sees that it cannot be read."""
    cdef object kept = scalar(value)
    if kept is not None or value is None:
        return kept
    try:
        return str(value)[:MOST_TIME]
    except Exception:
        return type(value).__name__


cdef bint _same(PyObject* known, PyObject* key) noexcept:
    """Whether two exact strs are equal ASCII; False for other texts means nothing."""
    cdef Py_ssize_t length
    if known == key:
        return True
    length = PyUnicode_GET_LENGTH(<object>known)
    return (
        PyUnicode_GET_LENGTH(<object>key) == length
        and PyUnicode_IS_COMPACT_ASCII(<object>known) and PyUnicode_IS_COMPACT_ASCII(<object>key)
        and memcmp(PyUnicode_DATA(<object>known), PyUnicode_DATA(<object>key), length) == 0
    )


cdef list _entries(object mapping):
    """Return the keys and values of a dict as entries_of() gives them, or None where it does not."""
    cdef DictEntry* first
    cdef Py_ssize_t i, count = entries_of(<PyObject*>mapping, &first)
    if count < 0:
        return None
    return [
        (<object>first[i].me_key, <object>first[i].me_value) for i in range(count) if first[i].me_value is not NULL
    ]


cdef bint entries_agree() except -1:
    """Whether this interpreter keeps dicts as the one whose header this was compiled with."""
    for count in (0, 1, 5, 6, 11, 43, 300):
        whole = {f"key {number}": number for number in range(count)}
        fewer = dict(whole)
        for number in range(0, count, 3):
            del fewer[f"key {number}"]
        for mapping in (whole, fewer, dict(whole), dict(fewer), {**whole, "more": 1}):
            if _entries(mapping) != list(mapping.items()):
                return False
    return _entries({"a": 1, 2: 3}) is None


cdef bint _AGREE = entries_agree()


def entries(dict mapping not None):
    """Return the items of a dict as they are read off its table; None where that is walked otherwise."""
    return _entries(mapping) if _AGREE else None


@cython.final
cdef class EventReader:
    """Reads the values that policies name, and the identity of the target, from events.

    Attributes:
        wanted: keys that are read, of the event, of each scope, of each scope's labels: to the cells of their values.
    """

    def __cinit__(self, tuple scopes not None, tuple attributes not None):
        cdef int i, scope, cell
        if len(scopes) != SCOPES:
            raise ValueError("an event has seven scopes")
        self.scopes = scopes
        self.attributes = attributes
        self.count = len(attributes)
        self.cells = self.count + EXTRA
        self.implied = -1
        self.namespace = scopes.index("namespace")
        self.name_cell = self.count + _NAMESPACE_NAME
        self.table = <Attribute*>calloc(self.count + 1, sizeof(Attribute))
        self.first = <int*>calloc(SCOPES + 1, sizeof(int))
        self.checked = <int*>calloc(SCOPES + 1, sizeof(int))
        self.layouts = <Layout*>calloc(1 + 2 * SCOPES, sizeof(Layout))
        if not self.table or not self.first or not self.checked or not self.layouts:
            raise MemoryError
        wanted = [{} for _ in range(1 + 2 * SCOPES)]
        for i, (scope, key, kind) in enumerate(attributes):
            self.table[i].scope = scope
            self.table[i].kind = kind
            self.table[i].key = <PyObject*>key
            if kind == AttributeKind.READ_NAMESPACE_NAME:
                self.implied = i
            self.checked[scope] = True
            self.first[scope + 1] = i + 1
            wanted[1 + scope if kind == AttributeKind.READ_FIELD else 1 + SCOPES + scope].setdefault(key, []).append(i)
        for i, name in enumerate(scopes):
            # Scopes without attributes end where the one before them does.
            self.first[i + 1] = max(self.first[i], self.first[i + 1])
            if name in ("process", "pod"):
                self.checked[i] = True
        cell = self.count
        for name, keys in IDENTITY:
            for key in keys:
                wanted[1 + scopes.index(name)].setdefault(key, []).append(cell)
                cell += 1
        for key, place in _OWN:
            wanted[0][key] = [self.count + place]
        for i, name in enumerate(scopes):
            if wanted[1 + i] or wanted[1 + SCOPES + i] or self.checked[i]:
                wanted[0][name] = [self.count + HELD + i]
            if wanted[1 + SCOPES + i] or name == "namespace":
                wanted[1 + i].setdefault(_LABELS, []).append(self.count + LABELS + i)
        # The name that a target's namespace falls back on.
        wanted[1 + SCOPES + self.namespace].setdefault(_NAME_LABEL, []).append(self.count + NAME_LABEL)
        nowhere = self.count + NOWHERE
        self.wanted = tuple([{key: (*cells, nowhere)[:2] for key, cells in keys.items()} for keys in wanted])

    def __dealloc__(self):
        cdef int i, j
        if self.layouts:
            for i in range(1 + 2 * SCOPES):
                for j in range(self.layouts[i].count):
                    Py_XDECREF(self.layouts[i].keys[j].text)
        free(self.layouts)
        free(self.table)
        free(self.first)
        free(self.checked)

    cdef Key* meet(self, int kind, int i, PyObject* key, Key* other) noexcept:
        """Return the entry of a key that is not the very object expected at place i; the layout learns it."""
        cdef Layout* layout = &self.layouts[kind]
        cdef Key* entry = &layout.keys[i]
        cdef PyObject* found
        if i < layout.count and _same(entry.text, key):
            return entry
        if i + 1 < layout.count and _same(layout.keys[i + 1].text, key):
            return &layout.keys[i + 1]
        if i == LONGEST:
            entry = other
        else:
            if i < layout.count:
                Py_XDECREF(entry.text)
            else:
                layout.count += 1
            entry.text = Py_NewRef(key)
        entry.first = entry.second = self.count + NOWHERE
        # Both are exact strs: nothing but their text is compared.
        found = PyDict_GetItemWithError(<object>self.wanted[kind], <object>key)
        if found is not NULL:
            entry.first, entry.second = <tuple>found
        return entry

    cdef bint walk(self, PyObject* mapping, int kind, PyObject** row) noexcept:
        """Put the values of an exact dict into their cells; False where a key is not what decoders make."""
        cdef Key* keys = self.layouts[kind].keys
        cdef Key* entry = keys
        cdef Key other
        cdef DictEntry* at
        cdef DictEntry* end
        cdef Py_ssize_t count
        cdef PyObject* key
        cdef PyObject* value
        count = entries_of(mapping, &at) if _AGREE else -1
        if PyDict_GET_SIZE(<object>mapping) > LONGEST:
            # Without entries, some key may be other than an exact str.
            return count >= 0 and self.pick(mapping, kind, row)
        if count < 0:
            return self.walk_slowly(mapping, kind, row)
        end = at + count
        other.text = NULL
        while at != end:
            value = at.me_value
            key = at.me_key
            at += 1
            if entry.text == key and value is not NULL:
                # Nearly always. Entries that were never used hold NULL.
                row[entry.first] = value
                row[entry.second] = value
                prefetch(value)
                entry += 1
            elif value is not NULL:
                entry = self.meet(kind, entry - keys, key, &other)
                row[entry.first] = value
                row[entry.second] = value
                # The last place stays empty, for whatever has none.
                entry = entry + 1 if entry != &other else &keys[LONGEST]
        return True

    cdef bint walk_slowly(self, PyObject* mapping, int kind, PyObject** row) noexcept:
        """Do the same where the dict's own entries cannot be looked at."""
        cdef Key* keys = self.layouts[kind].keys
        cdef Key* entry = keys
        cdef Key other
        cdef Py_ssize_t at = 0
        cdef PyObject* key
        cdef PyObject* value
        other.text = NULL
        while PyDict_Next(<object>mapping, &at, &key, &value):
            if entry.text != key:
                if not PyUnicode_CheckExact(<object>key):
                    # It may claim to equal one of ours.
                    return False
                entry = self.meet(kind, entry - keys, key, &other)
            row[entry.first] = value
            row[entry.second] = value
            prefetch(value)
            entry = entry + 1 if entry != &other else &keys[LONGEST]
        return True

    cdef bint pick(self, PyObject* mapping, int kind, PyObject** row) noexcept:
        """Do the same of a long dict whose keys are all exact strs: what is wanted is looked up, the rest passed by."""
        cdef Py_ssize_t at = 0
        cdef PyObject* key
        cdef PyObject* cells
        cdef PyObject* value
        cdef int first, second
        while PyDict_Next(self.wanted[kind], &at, &key, &cells):
            value = PyDict_GetItemWithError(<object>mapping, <object>key)
            if value is not NULL:
                first, second = <tuple>cells
                row[first] = value
                row[second] = value
        return True

    cdef bint quick(self, object event, PyObject** row, unsigned int* present) noexcept:
        cdef PyObject* held
        cdef const char* keys
        cdef int i, scope
        memset(row, 0, self.cells * sizeof(PyObject*))
        present[0] = 0
        if not PyDict_CheckExact(event) or not self.walk(<PyObject*>event, 0, row):
            return False
        for scope in range(SCOPES):
            held = row[self.count + HELD + scope]
            if held is NULL or <object>held is None:
                row[self.count + HELD + scope] = NULL
                continue
            if not PyDict_CheckExact(<object>held):
                return False
            if self.checked[scope]:
                present[0] |= 1u << scope
            keys = keys_of(held)
            for i in range(4):
                prefetch(keys + 64 * i)
        for scope in range(SCOPES):
            held = row[self.count + HELD + scope]
            if held is not NULL and not self.walk(held, 1 + scope, row):
                return False
        held = row[self.name_cell]
        i = self.first[self.namespace + 1] - self.first[self.namespace]
        if i == 0 and held is not NULL and <object>held is not None:
            # Its labels are looked at for its name alone.
            row[self.count + LABELS + self.namespace] = NULL
        for scope in range(SCOPES):
            held = row[self.count + LABELS + scope]
            if held is NULL or <object>held is None:
                continue
            if not PyDict_CheckExact(<object>held):
                return False
            if not self.walk(held, 1 + SCOPES + scope, row):
                return False
        return self.complete(row)

    cdef bint complete(self, PyObject** row) noexcept:
        cdef PyObject* name = row[self.name_cell]
        cdef int i
        if name is not NULL and not is_scalar(name):
            # Its label may be the target's name instead.
            return False
        if self.implied >= 0:
            if name is not NULL and <object>name is not None and not PyUnicode_CheckExact(<object>name):
                return False
            if row[self.implied] is NULL or <object>row[self.implied] is None:
                # The label was not given: the namespace's name implies it.
                row[self.implied] = name
        if name is NULL or <object>name is None:
            row[self.name_cell] = row[self.count + NAME_LABEL]
        for i in range(self.count + POLICY_UID, self.count + POLICY_NAME + 1):
            if row[i] is not NULL and <object>row[i] is not None and not PyUnicode_CheckExact(<object>row[i]):
                return False
        for i in range(self.count + ID, self.count + TIME + 1):
            if row[i] is not NULL and not is_scalar(row[i]):
                return False
        return True

    cdef list slow(self, object event, PyObject** row, unsigned int* present):
        cdef int scope, i
        cdef object held
        cdef list kept = [None] * (self.count + READ)
        present[0] = 0
        if not is_mapping(event):
            raise EventError("", "an event must be a mapping")
        kept[self.count + POLICY_UID] = _text(lookup(event, "policy_uid"), "", "", "policy_uid")
        kept[self.count + POLICY_NAME] = _text(lookup(event, "policy_name"), "", "", "policy_name")
        for scope in range(SCOPES):
            if self.checked[scope]:
                self.read_scope(event, scope, present, kept)
        kept[self.count + ID] = identifier(lookup(event, "id"))
        kept[self.count + TIME] = moment(lookup(event, "time"))
        i = self.count
        for name, keys in IDENTITY:
            held = lookup(event, name)
            if held is None or not is_mapping(held):
                i += len(keys)
                continue
            for key in keys:
                kept[i] = scalar(lookup(held, key))
                i += 1
            if name == "namespace" and kept[self.name_cell] is None:
                labels = lookup(held, _LABELS)
                if labels is not None and is_mapping(labels):
                    kept[self.name_cell] = scalar(lookup(labels, _NAME_LABEL))
        for i in range(len(kept)):
            row[i] = <PyObject*>kept[i]
        return kept

    cdef int read_scope(self, object event, int scope, unsigned int* present, list kept) except -1:
        """Read the attributes of one scope, or say what is wrong with it."""
        cdef str name = self.scopes[scope]
        cdef const Attribute* attribute
        cdef object held = _mapping(event, name, None), labels = None
        cdef str implied = None
        cdef int i
        if held is None:
            return 0
        present[0] |= 1u << scope
        if self.first[scope] <= self.implied < self.first[scope + 1]:
            implied = _text(lookup(held, _NAME), name, ".", _NAME)
        for i in range(self.first[scope], self.first[scope + 1]):
            attribute = &self.table[i]
            if attribute.kind == AttributeKind.READ_FIELD:
                kept[i] = _text(lookup(held, <object>attribute.key), name, ".", <object>attribute.key)
                continue
            if i == self.first[scope]:
                labels = _mapping(held, _LABELS, name)
            if labels is not None:
                kept[i] = _text(lookup(labels, <object>attribute.key), name, ".labels.", <object>attribute.key)
            if i == self.implied and kept[i] is None:
                # The label was not given: the namespace's name implies it.
                kept[i] = implied
        return 0

    def values(self, event, bint quick=True):
        """Return the cells of an event, the scopes present, and whether it was read the quick way.

        The cells: all attributes, a target's identity, id, time, policy_uid and policy_name.

        Raises:
            EventError: the event is malformed where it is checked.
        """
        cdef unsigned int present = 0
        cdef list kept = None
        cdef PyObject** row = <PyObject**>calloc(self.cells, sizeof(PyObject*))
        if not row:
            raise MemoryError
        try:
            quick = quick and self.quick(event, row, &present)
            for i in range(self.count if quick else 0):
                quick = quick and (row[i] is NULL or <object>row[i] is None or PyUnicode_CheckExact(<object>row[i]))
            if not quick:
                kept = self.slow(event, row, &present)
            texts = tuple([scalar(<object>row[i]) if row[i] is not NULL else None for i in range(self.count + READ)])
        finally:
            free(row)
        names = frozenset([name for i, name in enumerate(self.scopes) if present >> i & 1])
        return texts, names, kept is None
