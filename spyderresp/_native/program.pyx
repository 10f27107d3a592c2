cimport cython
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memset

from spyderresp._native.assembly cimport (
    ASKED, CHECKED, CLAUSES, COUNT, ENTRIES, ENTRY, ENTRY_HEADER, GLOBS, HEADER, MANY, MASK, NEEDS, OF, POLICY, SIZE,
    TEXTS, Verdicts
)
from spyderresp._native.classes cimport ABSENT, FIRST
from spyderresp._native.numbers cimport ascending
from spyderresp._native.prefetch cimport prefetch
from spyderresp._native.spec cimport MATCH, MISSING, OTHERWISE

cdef enum:
    FEW_ENTRIES = 32    # that are asked rather than looked up


cdef bint _holds(const int32_t* items, int32_t start, int32_t stop, int32_t wanted) noexcept nogil:
    """Whether an ascending row holds a number."""
    cdef int32_t middle
    while start < stop:
        middle = start + (stop - start) // 2
        if items[middle] == wanted:
            return True
        if items[middle] < wanted:
            start = middle + 1
        else:
            stop = middle
    return False


cdef void free_decision(Decision* decision) noexcept nogil:
    free(decision.found)
    memset(decision, 0, sizeof(Decision))


@cython.final
cdef class Program(Assembly):
    cdef bint prepare(self, Decision* decision) noexcept nogil:
        """Make room for any decision; False without memory."""
        # A policy is found once a row that it stands in, at most. An entry is asked once where all are; else fewer are
        # asked than there are entries, though one may be found twice.
        cdef Py_ssize_t most = max(self.post_count, self.policy_count)
        memset(decision, 0, sizeof(Decision))
        decision.found = <int32_t*>malloc((most + self.entry_count + SPARE) * sizeof(int32_t))
        return decision.found is not NULL

    cdef bint predicate(self, int32_t place, const Value* values) noexcept nogil:
        cdef const Value* value = &values[self.predicate_attribute[place]]
        cdef const Verdicts* verdicts = &self.predicate_verdicts[place]
        cdef int32_t i
        if value.text == ABSENT:
            return verdicts.absent
        if value.text >= FIRST and _holds(
            self.predicate_texts.items, self.predicate_texts.start[place], self.predicate_texts.start[place + 1],
            value.text
        ):
            return verdicts.match
        for i in range(value.count):
            if _holds(
                self.predicate_globs.items, self.predicate_globs.start[place], self.predicate_globs.start[place + 1],
                value.globs[i]
            ):
                return verdicts.match
        return verdicts.other

    cdef bint selector(self, int32_t place, const Probe* probe) noexcept nogil:
        cdef int32_t i
        if not probe.present >> self.selector_scope[place] & 1:
            return False
        for i in range(self.selector_predicates.start[place], self.selector_predicates.start[place + 1]):
            if not self.predicate(self.selector_predicates.items[i], probe.values):
                return False
        return True

    cdef const int32_t* clause(self, const int32_t* code, const Value* values, bint* verdict) noexcept nogil:
        """Decide one clause, and return where the next one begins."""
        cdef const Value* value = &values[code[0]]
        cdef int32_t said = code[1], texts = said >> TEXTS & 0xFF, globs = said >> GLOBS & 0xFF, i, j
        cdef const int32_t* after = code + (3 if said & MANY else 2 + texts + globs)
        if said & MANY:
            verdict[0] = self.predicate(code[2], values)
            return after
        if value.text == ABSENT:
            verdict[0] = said & MISSING != 0
            return after
        code += 2
        for i in range(texts):
            if code[i] == value.text:
                verdict[0] = said & MATCH != 0
                return after
        code += texts
        for i in range(globs):
            for j in range(value.count):
                if code[i] == value.globs[j]:
                    verdict[0] = said & MATCH != 0
                    return after
        verdict[0] = said & OTHERWISE != 0
        return after

    cdef bint applies(self, const int32_t* code, const Probe* probe) noexcept nogil:
        """Whether the policy that is written here is in scope."""
        cdef const int32_t* at = code + HEADER
        cdef bint verdict
        cdef uint32_t scope
        if probe.group == NO_GROUP:
            # Its pivot holds: the event came here by it.
            if (probe.present & code[MASK]) != <uint32_t>code[MASK]:
                return False
            for _ in range(code[CHECKED]):
                at = self.clause(at, probe.values, &verdict)
                if not verdict:
                    return False
            return True
        for _ in range(code[CLAUSES]):
            scope = self.attribute_scope[at[0]]
            at = self.clause(at, probe.values, &verdict)
            # Attributed: the detector has checked what the event lacks.
            if not verdict and probe.present >> scope & 1:
                return False
        return True

    cdef void look(self, const Rows* rows, int32_t row, const Probe* probe, Decision* decision) noexcept nogil:
        """Verify the policies of one row, and keep those in scope."""
        cdef int32_t i, stop = rows.start[row + 1]
        for i in range(rows.start[row], stop):
            prefetch(&self.code[rows.items[i]])
        for i in range(rows.start[row], stop):
            if self.applies(&self.code[rows.items[i]], probe):
                decision.found[decision.in_scope] = rows.items[i]
                decision.in_scope += 1
        decision.looked += stop - rows.start[row]

    cdef void find(self, const Probe* probe, Decision* decision) noexcept nogil:
        """Find the code of every policy in scope, in order."""
        cdef int32_t i, k, j, kept = 0
        cdef const Value* value
        decision.in_scope = 0
        decision.fired = 0
        if probe.group >= 0:
            self.look(&self.groups, probe.group, probe, decision)
        elif probe.group == NO_GROUP:
            for i in range(self.scope_count):
                if probe.present >> i & 1:
                    self.look(&self.scope_posts, i, probe, decision)
            for k in range(self.policy_posts.attribute_count):
                i = self.policy_posts.attributes[k]
                value = &probe.values[i]
                if value.text >= FIRST:
                    self.look(&self.policy_posts.texts[i], value.text - FIRST, probe, decision)
                for j in range(value.count):
                    self.look(&self.policy_posts.globs[i], value.globs[j], probe, decision)
        # By where their code lies, and so in policy order; a policy found by two of its pivot's globs stands twice.
        for i in range(1, decision.in_scope):
            if decision.found[i - 1] >= decision.found[i]:
                qsort(decision.found, decision.in_scope, sizeof(int32_t), ascending)
                break
        for i in range(decision.in_scope):
            if not kept or decision.found[kept - 1] != decision.found[i]:
                decision.found[kept] = decision.found[i]
                kept += 1
        decision.in_scope = kept

    cdef bint fires(self, const int32_t* at, const Probe* probe) noexcept nogil:
        """Whether the entry that is written here fires, its policy being in scope."""
        cdef const int32_t* code = at + ENTRY_HEADER
        cdef bint verdict
        if (probe.present & at[NEEDS]) != <uint32_t>at[NEEDS]:
            return False
        for _ in range(at[ASKED]):
            code = self.clause(code, probe.values, &verdict)
            if not verdict:
                return False
        return True

    cdef void ask_all(self, const int32_t* code, const Probe* probe, Decision* decision) noexcept nogil:
        """Ask all entries of the policy that is written here."""
        cdef int32_t* fired = decision.found + decision.in_scope
        cdef const int32_t* at = code + code[ENTRIES]
        decision.asked += code[COUNT]
        for _ in range(code[COUNT]):
            if self.fires(at, probe):
                fired[decision.fired] = at[ENTRY]
                decision.fired += 1
            at += ENTRY_HEADER + at[SIZE]

    cdef int64_t candidates(self, const Probe* probe) noexcept nogil:
        """Return how many entries are posted under an event's values."""
        cdef int64_t count = 0
        cdef int32_t i, k, j
        cdef const Value* value
        cdef const Rows* rows
        for k in range(self.entry_posts.attribute_count):
            i = self.entry_posts.attributes[k]
            value = &probe.values[i]
            if value.text >= FIRST:
                rows = &self.entry_posts.texts[i]
                count += rows.start[value.text - FIRST + 1] - rows.start[value.text - FIRST]
            rows = &self.entry_posts.globs[i]
            for j in range(value.count):
                count += rows.start[value.globs[j] + 1] - rows.start[value.globs[j]]
        return count

    cdef void ask(
        self, const int32_t* codes, int32_t count, const Scope* scope, const Probe* probe, Decision* decision
    ) noexcept nogil:
        """Ask some entries, as far as their policies are in scope."""
        cdef int32_t* fired = decision.found + decision.in_scope
        cdef const int32_t* at
        cdef int32_t i
        decision.asked += count
        for i in range(count):
            at = &self.code[codes[i]]
            if self.fires(at, probe) and _holds(scope.policies, 0, scope.count, at[OF]):
                fired[decision.fired] = at[ENTRY]
                decision.fired += 1

    cdef void ask_posted(self, const Scope* scope, const Probe* probe, Decision* decision) noexcept nogil:
        """Ask the entries that are posted under the event's values, and the loose ones of the policies in scope."""
        cdef int32_t i, k, j, first, kept = 0
        cdef int32_t* fired = decision.found + decision.in_scope
        cdef const Value* value
        cdef const Rows* rows
        for k in range(self.entry_posts.attribute_count):
            i = self.entry_posts.attributes[k]
            value = &probe.values[i]
            if value.text >= FIRST:
                rows = &self.entry_posts.texts[i]
                first = rows.start[value.text - FIRST]
                self.ask(rows.items + first, rows.start[value.text - FIRST + 1] - first, scope, probe, decision)
            rows = &self.entry_posts.globs[i]
            for j in range(value.count):
                first = rows.start[value.globs[j]]
                self.ask(rows.items + first, rows.start[value.globs[j] + 1] - first, scope, probe, decision)
        if scope.loose is not NULL:
            self.ask(scope.loose, scope.loose_count, scope, probe, decision)
        else:
            for i in range(scope.count):
                first = self.loose.start[scope.policies[i]]
                j = self.loose.start[scope.policies[i] + 1]
                self.ask(self.loose.items + first, j - first, scope, probe, decision)
        # An entry found by two of its pivot's operands stands twice.
        if decision.fired > 1:
            qsort(fired, decision.fired, sizeof(int32_t), ascending)
            for i in range(decision.fired):
                if not kept or fired[kept - 1] != fired[i]:
                    fired[kept] = fired[i]
                    kept += 1
            decision.fired = kept

    cdef void fire(self, const Scope* scope, const Probe* probe, Decision* decision) noexcept nogil:
        cdef int32_t i
        if scope.entries > FEW_ENTRIES and self.candidates(probe) + self.loose_of(scope) < scope.entries:
            self.ask_posted(scope, probe, decision)
            return
        for i in range(scope.count):
            self.ask_all(&self.code[self.code_of[scope.policies[i]]], probe, decision)

    cdef int64_t loose_of(self, const Scope* scope) noexcept nogil:
        """Return how many loose entries there are."""
        cdef int64_t count = scope.loose_count
        cdef int32_t i
        if scope.loose is NULL:
            for i in range(scope.count):
                count += self.loose.start[scope.policies[i] + 1] - self.loose.start[scope.policies[i]]
        return count

    cdef void decide(self, const Probe* probe, Decision* decision) noexcept nogil:
        cdef Scope scope
        cdef int32_t i
        self.find(probe, decision)
        scope.entries = 0
        for i in range(decision.in_scope):
            scope.entries += self.code[decision.found[i] + COUNT]
        if scope.entries <= FEW_ENTRIES:
            # Nearly always, and the policies' code is at hand.
            for i in range(decision.in_scope):
                self.ask_all(&self.code[decision.found[i]], probe, decision)
            for i in range(decision.in_scope):
                decision.found[i] = self.code[decision.found[i] + POLICY]
            return
        for i in range(decision.in_scope):
            decision.found[i] = self.code[decision.found[i] + POLICY]
        scope.policies = decision.found
        scope.count = decision.in_scope
        scope.loose = NULL
        scope.loose_count = 0
        self.fire(&scope, probe, decision)
