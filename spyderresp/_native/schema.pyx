from libc.stdlib cimport free, realloc

from spyderresp._native.checking cimport MISSING, Checker
from spyderresp._native.pauses cimport pause
from spyderresp._native.policy cimport Policy, Selector
from spyderresp._native.response_schema cimport ResponseReader
from spyderresp._native.selector_schema cimport SelectorReader, scope_of
from spyderresp._native.texts cimport Texts, among, known, words
from spyderresp._native.tree cimport MAPPING, NOTHING, SEQUENCE, Tree, following, is_text, meant, own

from spyderresp import vocabulary
from spyderresp.errors import Location
from spyderresp.findings import quoted, suggestion
from spyderresp.vocabulary import is_workload_key

cdef str API_VERSION = vocabulary.API_VERSION
cdef tuple LIST_KEYS = vocabulary.LIST_KEYS
cdef tuple MODES = vocabulary.MODES
cdef frozenset OTHER_KINDS = vocabulary.OTHER_KINDS
cdef str POLICY_KIND = vocabulary.POLICY_KIND
cdef dict REQUIRED_SELECTOR = vocabulary.REQUIRED_SELECTOR
cdef tuple SPEC_KEYS = vocabulary.SPEC_KEYS
cdef str TEST_API_VERSION = vocabulary.TEST_API_VERSION
cdef str TEST_KIND = vocabulary.TEST_KIND
cdef tuple TOP_KEYS = vocabulary.TOP_KEYS
cdef str TRACE_TYPE = vocabulary.TRACE_TYPE
cdef tuple TYPES = vocabulary.TYPES
cdef dict VENDOR_SELECTORS = vocabulary.VENDOR_SELECTORS
cdef bytes TOP_FLAGS = words(TOP_KEYS)
cdef bytes LIST_FLAGS = words(LIST_KEYS)
cdef bytes SPEC_FLAGS = words(SPEC_KEYS)
cdef dict VENDOR_FLAGS = {policy_type: words(keys) for policy_type, keys in VENDOR_SELECTORS.items()}
cdef dict REQUIRED = {policy_type: known(key) for policy_type, key in REQUIRED_SELECTOR.items()}
cdef int API_VERSION_KEY = known("apiVersion")
cdef int KIND_KEY = known("kind")
cdef int ITEMS_KEY = known("items")
cdef int METADATA_KEY = known("metadata")
cdef int SPEC_KEY = known("spec")
cdef int NAME_KEY = known("name")
cdef int TYPE_KEY = known("type")
cdef int UID_KEY = known("uid")
cdef int ENABLED_KEY = known("enabled")
cdef int MODE_KEY = known("mode")
cdef int RESPONSE_KEY = known("response")
cdef int PAUSE = 512    # documents: some milliseconds


cdef class PolicyReader:
    def __cinit__(self, findings):
        self.policies = []
        self.texts = Texts()
        self.findings = findings
        self.uids = {}
        self.names = {}

    def __dealloc__(self):
        free(self.places)

    def read(self, Tree tree not None, source):
        cdef int root, item, end, count = 0, before = self.findings.errors
        self.tree = tree
        self.check = Checker(tree, source, self.findings)
        self.selectors = SelectorReader(self.check)
        self.response = ResponseReader(self.check, self.selectors)
        root = self.listed(0)
        if root == -2:
            self.document(0)
            return True
        if root < 0:
            return self.check.errors > before
        end = tree.cells[root].link
        item = root + 1
        while item < end:
            self.document(meant(tree, item))
            item = following(tree, item)
            count += 1
            if count % PAUSE == 0:
                pause()
        return end > root + 1 or self.check.errors > before

    cdef int listed(self, int root) except -3:
        """Return the list of documents that a list or an ``items`` container holds.

        MISSING where it holds none, and -2 where the root is a document itself.
        """
        cdef Tree tree = self.tree
        cdef int kind, items
        if tree.cells[root].kind == SEQUENCE:
            return root
        if tree.cells[root].kind != MAPPING or tree.key(root, ITEMS_KEY) < 0:
            return -2
        kind = tree.get(root, KIND_KEY)
        if kind >= 0 and not (is_text(tree, kind) and tree.text(kind).endswith("List")):
            return -2
        self.check.keys(root, LIST_KEYS, LIST_FLAGS, "SR106", "a list of documents")
        if self.required(root, API_VERSION_KEY, "apiVersion", "SR102") is None:
            return MISSING
        items = self.check.items(tree.get(root, ITEMS_KEY), "items")
        return items if items >= 0 else MISSING

    cdef int document(self, int node) except -1:
        cdef Checker check = self.check
        cdef str version, kind
        if self.tree.cells[node].kind != MAPPING:
            return check.error("SR101", node, "a document must be a mapping", f"begin with `apiVersion: {API_VERSION}`")
        version = self.required(node, API_VERSION_KEY, "apiVersion", "SR102")
        kind = self.required(node, KIND_KEY, "kind", "SR103")
        if version is None or kind is None or (version == TEST_API_VERSION and kind == TEST_KIND):
            return 0
        if kind == POLICY_KIND and version == API_VERSION:
            return self.policy(node)
        if kind == POLICY_KIND:
            at = self.tree.get(node, API_VERSION_KEY)
            hint = suggestion(version, (API_VERSION,))
            return check.error("SR105", at, f"a policy under apiVersion {quoted(version)}", hint)
        if version != API_VERSION:
            at = self.tree.key(node, KIND_KEY)
            return check.error("SR501", at, f"skipped: {quoted(kind)} of apiVersion {quoted(version)}")
        if kind in OTHER_KINDS:
            at = self.tree.key(node, KIND_KEY)
            return check.error("SR502", at, f"skipped: {quoted(kind)} holds no response policy")
        hint = suggestion(kind, (POLICY_KIND, *sorted(OTHER_KINDS)))
        return check.error("SR104", self.tree.get(node, KIND_KEY), f"unknown kind {quoted(kind)}", hint)

    cdef str required(self, int node, int number, str key, str code):
        cdef int value = self.tree.get(node, number)
        if value < 0:
            expected = API_VERSION if key == "apiVersion" else POLICY_KIND
            self.check.error(code, node, f"the document has no `{key}`", f"for a policy: `{key}: {expected}`")
            return None
        return self.check.text(value, key)

    cdef int policy(self, int node) except -1:
        cdef Checker check = self.check
        cdef Tree tree = self.tree
        cdef int before = check.errors, metadata = tree.get(node, METADATA_KEY), spec, key, value, enabled = 1
        cdef str name = None, policy_type = None, uid = None, mode
        cdef tuple selectors, entries
        cdef Policy policy
        if metadata < 0:
            check.error("SR120", node, "the policy has no `metadata`", "it needs `name` and `type`")
        elif not check.mapping(metadata, "metadata"):
            metadata = MISSING
        if metadata != MISSING:
            value = tree.get(metadata, TYPE_KEY)
            if value >= 0 and is_text(tree, value) and tree.text(value) == TRACE_TYPE:
                key = tree.key(metadata, TYPE_KEY)
                return check.error("SR503", key, "skipped: a policy of type `trace` has no response")
        check.keys(node, TOP_KEYS, TOP_FLAGS, "SR106", "the document")
        if metadata != MISSING:
            value = tree.get(metadata, NAME_KEY)
            if value < 0:
                check.error("SR121", metadata, "`metadata` has no `name`")
            else:
                name = check.text(value, "name")
            value = tree.get(metadata, TYPE_KEY)
            if value < 0:
                key = tree.key(node, METADATA_KEY)
                check.error("SR122", key, "`metadata` has no `type`", f"one of {', '.join(TYPES)}")
            else:
                policy_type = check.choice(value, "policy type", TYPES, "SR123")
            value = tree.get(metadata, UID_KEY)
            if value >= 0 and tree.cells[value].kind != NOTHING:
                uid = check.text(value, "uid")
        spec = tree.get(node, SPEC_KEY)
        if spec < 0:
            return check.error("SR130", node, "the policy has no `spec`")
        if not check.mapping(spec, "spec"):
            return 0
        key = tree.key(node, SPEC_KEY)
        self.check_spec_keys(spec)
        value = tree.get(spec, ENABLED_KEY)
        if value >= 0:
            enabled = check.boolean(value, "enabled")
        mode = self.mode(key, spec)
        selectors = self.spec_selectors(key, spec, policy_type)
        entries = self.response.read(tree.get(spec, RESPONSE_KEY), policy_type)
        if check.errors > before or metadata == MISSING or name is None or policy_type is None:
            return 0
        policy = Policy.__new__(Policy)
        policy.name = name
        policy.uid = uid
        policy.type = policy_type
        policy.enabled = enabled != 0
        policy.mode = mode
        policy.selectors = selectors
        policy.entries = entries
        policy.metadata = tree.data(metadata)
        policy.path = check.path
        check.place(node, &policy.line, &policy.column)
        self.unique(policy, metadata)
        self.policies.append(policy)
        return 0

    cdef int check_spec_keys(self, int spec) except -1:
        cdef int end = self.tree.cells[spec].link, key = own(self.tree, spec + 1, end)
        while key < end:
            if not among(SPEC_FLAGS, self.tree.cells[key].link):
                word = self.tree.text(key)
                if not is_workload_key(word):
                    meant_enabled = word in ("disable", "disabled")
                    hint = "write `enabled: false`" if meant_enabled else suggestion(word, SPEC_KEYS)
                    self.check.error("SR131", key, f"unknown key {quoted(word)} in `spec`", hint)
            key = own(self.tree, following(self.tree, key + 1), end)
        return 0

    cdef str mode(self, int key, int spec):
        cdef int node = self.tree.get(spec, MODE_KEY)
        if node < 0:
            message = "`mode` is missing; read as `audit`: nothing is executed"
            self.check.error("SR404", key, message, "write `mode: audit` or `mode: enforce`")
            return "audit"
        # None is an error, so this policy is never built.
        return self.check.choice(node, "mode", MODES, "SR132")

    cdef tuple spec_selectors(self, int key, int spec, str policy_type):
        cdef list selectors = []
        cdef Selector selector
        cdef str scope
        cdef int end = self.tree.cells[spec].link, name = own(self.tree, spec + 1, end), number
        while name < end:
            number = self.tree.cells[name].link
            scope = scope_of(number)
            if scope is not None:
                if policy_type is not None and not among(VENDOR_FLAGS[policy_type], number):
                    word = quoted(self.tree.text(name))
                    message = f"the vendor's policies of type {quoted(policy_type)} take no {word}"
                    self.check.error("SR515", name, message)
                selector = self.selectors.read(name, meant(self.tree, name + 1), scope)
                if selector is not None:
                    selectors.append(selector)
            name = own(self.tree, following(self.tree, name + 1), end)
        if policy_type is not None and self.tree.key(spec, REQUIRED[policy_type]) < 0:
            message = f"a policy of type {quoted(policy_type)} needs a `{REQUIRED_SELECTOR[policy_type]}`"
            self.check.error("SR133", key, message, "without it the policy would apply everywhere")
        return tuple(selectors)

    cdef int unique(self, Policy policy, int metadata) except -1:
        cdef Checker check = self.check
        cdef Places* places = self.next_places()
        cdef int uid = self.tree.get(metadata, UID_KEY), name = self.tree.get(metadata, NAME_KEY)
        cdef Py_ssize_t place = len(self.policies), first
        check.place(name, &places.name_line, &places.name_column)
        if policy.uid is not None:
            check.place(uid, &places.uid_line, &places.uid_column)
            first = self.uids.setdefault(policy.uid, place)
            if first != place:
                where = self.first_place(first, True)
                check.error("SR124", uid, f"uid {quoted(policy.uid)} is taken", f"first used at {where}")
        first = self.names.setdefault(policy.name, place)
        if first != place:
            where = self.first_place(first, False)
            message = f"two policies are named {quoted(policy.name)}"
            check.error("SR451", name, message, f"the other stands at {where}")
        return 0

    cdef str first_place(self, Py_ssize_t place, bint uid):
        cdef Policy policy = self.policies[place]
        cdef Places* at = &self.places[place]
        if uid:
            return str(Location(policy.path, at.uid_line, at.uid_column))
        return str(Location(policy.path, at.name_line, at.name_column))

    cdef Places* next_places(self) except NULL:
        cdef Py_ssize_t count = len(self.policies)
        cdef Places* grown
        if count == self.room:
            self.room = self.room * 2 if self.room else 8
            grown = <Places*>realloc(self.places, self.room * sizeof(Places))
            if not grown:
                raise MemoryError
            self.places = grown
        return &self.places[count]
