from hashlib import sha256
from json.encoder import encode_basestring_ascii

from spyderresp._native.policy cimport Clause, Entry, Policy, Selector

cdef int VERSION = 1
cdef object _encode = encode_basestring_ascii
cdef Py_ssize_t MOST_TEXTS = 10_000


cdef class MeaningWriter:
    def __cinit__(self):
        self.pieces = []
        self.texts = {}

    cdef str text(self, str text):
        cdef str written = self.texts.get(text)
        if written is None:
            if len(self.texts) >= MOST_TEXTS:
                self.texts.clear()
            written = _encode(text)
            self.texts[text] = written
        return written

    cdef int policy(self, Policy policy) except -1:
        cdef Entry entry
        cdef bint first = True
        self.pieces.append("[")
        self.pieces.append(_encode(policy.name))
        self.pieces.append(",")
        self.pieces.append("null" if policy.uid is None else _encode(policy.uid))
        self.pieces.append(",")
        self.pieces.append(self.text(policy.type))
        self.pieces.append(",true," if policy.enabled else ",false,")
        self.pieces.append(self.text(policy.mode))
        self.pieces.append(",")
        self.selectors(policy.selectors)
        self.pieces.append(",[")
        for entry in policy.entries:
            self.pieces.append("[" if first else ",[")
            first = False
            self.pieces.append(self.text(entry.section))
            self.pieces.append(",")
            self.pieces.append(self.text(entry.action))
            self.pieces.append(",true,[" if entry.enabled else ",false,[")
            self.parameters(entry.parameters)
            self.pieces.append("],")
            self.selectors(entry.selectors)
            self.pieces.append("]")
        self.pieces.append("]]")
        return 0

    cdef int parameters(self, tuple parameters) except -1:
        cdef bint first = True
        for name, value in parameters:
            self.pieces.append("[" if first else ",[")
            first = False
            self.pieces.append(self.text(name))
            self.pieces.append(",")
            self.pieces.append(self.text(value) if isinstance(value, str) else int.__repr__(value))
            self.pieces.append("]")
        return 0

    cdef int selectors(self, tuple selectors) except -1:
        cdef Selector selector
        cdef list meanings = []
        cdef bint first = True
        for selector in selectors:
            meanings.append((selector.scope, _clauses(selector.clauses)))
        if len(meanings) > 1:
            meanings.sort()
        self.pieces.append("[")
        for scope, clauses in meanings:
            self.pieces.append("[" if first else ",[")
            first = False
            self.pieces.append(self.text(scope))
            self.pieces.append(",[")
            self.clauses(clauses)
            self.pieces.append("]]")
        self.pieces.append("]")
        return 0

    cdef int clauses(self, list clauses) except -1:
        cdef bint first = True
        for key, relation, values in clauses:
            self.pieces.append("[" if first else ",[")
            first = False
            self.pieces.append(self.text(key))
            self.pieces.append(",")
            self.pieces.append(self.text(relation))
            self.pieces.append(",[")
            self.pieces.append(",".join([self.text(value) for value in <tuple>values]))
            self.pieces.append("]]")
        return 0


cdef list _clauses(tuple clauses):
    cdef Clause clause
    cdef list found = []
    for clause in clauses:
        values = clause.values
        if len(values) > 1:
            values = tuple(sorted(set(values)))
        found.append((clause.key, clause.operator, values))
    return sorted(set(found)) if len(found) > 1 else found


def digest(tuple policies not None):
    cdef MeaningWriter writer = MeaningWriter()
    cdef Policy policy
    cdef bint first = True
    hashed = sha256(f"[{VERSION},[".encode())
    for policy in policies:
        if not first:
            writer.pieces.append(",")
        first = False
        writer.policy(policy)
        if len(writer.pieces) > 5_000:
            hashed.update("".join(writer.pieces).encode())
            writer.pieces.clear()
    writer.pieces.append("]]")
    hashed.update("".join(writer.pieces).encode())
    return "sha256:" + hashed.hexdigest()
