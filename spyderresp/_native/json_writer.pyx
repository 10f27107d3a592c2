import math
from collections.abc import Mapping
from json.encoder import encode_basestring

from spyderresp import document as _document
from spyderresp.document import DocumentError
from spyderresp.findings import quoted

cdef int MAX_NODES = _document.MAX_NODES
cdef int MAX_DEPTH = _document.MAX_DEPTH
cdef object TOO_LARGE = 10**400
cdef tuple BREAKS = tuple(["\n" + "  " * depth for depth in range(_document.MAX_DEPTH + 3)])
cdef tuple COMMAS = tuple(["," + line for line in BREAKS])
cdef object _Mapping = Mapping
cdef object _encode = encode_basestring
cdef Py_ssize_t MOST_KEYS = 4_000


cdef class JsonWriter:
    def __cinit__(self):
        self.pieces = []
        self.open = []
        self.labels = []
        self.mappings = []
        self.keys = {}
        self.label = "document"

    cdef int value(self, object value) except -1:
        """Write a scalar, or begin a collection."""
        self.count += 1
        if self.count > MAX_NODES:
            raise DocumentError("SR010", f"more than {MAX_NODES:,} values in one document")
        if len(self.open) > MAX_DEPTH:
            raise DocumentError("SR009", f"nested more than {MAX_DEPTH} levels deep, or within itself")
        kind = type(value)
        if kind is str:
            self.pieces.append(_encode(value))
        elif value is None:
            self.pieces.append("null")
        elif value is True:
            self.pieces.append("true")
        elif value is False:
            self.pieces.append("false")
        elif kind is dict:
            self.start_mapping(value)
        elif kind is list:
            self.start(iter(value), False)
        elif isinstance(value, str):
            self.pieces.append(_encode(str(value)))
        elif isinstance(value, int):
            if abs(value) >= TOO_LARGE:
                raise DocumentError("SR019", f"{quoted(self.where())} holds a number of more than 400 digits")
            self.pieces.append(int.__repr__(value))
        elif isinstance(value, float) and math.isfinite(value):
            self.pieces.append(float.__repr__(value))
        elif isinstance(value, _Mapping):
            self.start_mapping(value)
        elif isinstance(value, (list, tuple)):
            self.start(iter(value), False)
        else:
            raise DocumentError(
                "SR019",
                f"{quoted(self.where())} holds a value that JSON does not have",
                help="texts, numbers, booleans, null, lists and mappings; write a date as a text",
            )
        return 0

    cdef int start_mapping(self, object value) except -1:
        cdef bint plain = type(value) is dict
        for key in value:
            if type(key) is not str:
                plain = False
                if not isinstance(key, str):
                    raise DocumentError("SR016", f"a key under {quoted(self.where())} is not a text")
        if not plain:
            # Keys that are equal as plain texts are one, as in a dict.
            value = {str(key): item for key, item in value.items()}
        return self.start(iter((<dict>value).items()), True)

    cdef int start(self, object iterator, bint mapping) except -1:
        self.pieces.append("{" if mapping else "[")
        self.open.append(iterator)
        self.labels.append(self.label)
        self.mappings.append(mapping)
        self.label = None
        return 0

    cdef str key(self, object key):
        cdef str written = self.keys.get(key)
        if written is None:
            if len(self.keys) >= MOST_KEYS:
                self.keys.clear()
            written = _encode(key) + ": "
            self.keys[key] = written
        return written

    cdef str where(self):
        """Name the value in hand, such as ``document.spec.response[0]``."""
        cdef list said = [self.labels[0] if self.labels else self.label]
        cdef Py_ssize_t i
        for i in range(len(self.labels)):
            label = self.labels[i + 1] if i + 1 < len(self.labels) else self.label
            said.append(f".{label}" if self.mappings[i] else f"[{label}]")
        return "".join(said)


def write_json(document):
    cdef JsonWriter writer = JsonWriter()
    cdef Py_ssize_t depth
    cdef bint mapping
    cdef list pieces = writer.pieces
    writer.value(document)
    while writer.open:
        depth = len(writer.open)
        mapping = writer.mappings[depth - 1]
        first = writer.label is None
        item = next(writer.open[depth - 1], pieces)
        if item is pieces:
            writer.open.pop()
            writer.mappings.pop()
            writer.label = writer.labels.pop()
            if not first:
                pieces.append(BREAKS[depth - 1])
            pieces.append("}" if mapping else "]")
            continue
        pieces.append(BREAKS[depth] if first else COMMAS[depth])
        if mapping:
            writer.label, item = item
            pieces.append(writer.key(writer.label))
        else:
            writer.label = 0 if first else writer.label + 1
        writer.value(item)
    return "".join(pieces)
