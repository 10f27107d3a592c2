"""Documents to policies: which documents are policies, their metadata and spec, and what holds over a whole set."""

from __future__ import annotations

from typing import Final, cast

from spyderresp.checking import Checker
from spyderresp.document import Mapping, Node, Scalar, Sequence, plain
from spyderresp.findings import Findings, quoted, suggestion
from spyderresp.policy import Mode, Policy, Selector
from spyderresp.response_schema import read_response
from spyderresp.selector_schema import read_selector
from spyderresp.source import Source
from spyderresp.vocabulary import (
    API_VERSION,
    MODES,
    OTHER_KINDS,
    POLICY_KIND,
    REQUIRED_SELECTOR,
    SELECTORS,
    SPEC_KEYS,
    TEST_API_VERSION,
    TEST_KIND,
    TOP_KEYS,
    TRACE_TYPE,
    TYPES,
    VENDOR_SELECTORS,
    is_workload_key,
)

_LIST_KEYS: Final = ("apiVersion", "kind", "metadata", "items")


class PolicyReader:
    """Reads documents one after the other into policies; made for one load."""

    def __init__(self, findings: Findings) -> None:
        self.policies: list[Policy] = []
        self._findings = findings
        self._uids: dict[str, tuple[Policy, Source, Node]] = {}
        self._names: dict[str, tuple[Policy, Source, Node]] = {}

    def read(self, root: Node, source: Source) -> bool:
        """Read a root node: one document, or a list of them. Tell whether there was any document, or a faulty list."""
        check = Checker(source, self._findings)
        before = self._findings.errors
        items = _listed_documents(check, root)
        if items is None:
            self._document(check, root)
            return True
        for item in items:
            self._document(check, item)
        return bool(items) or self._findings.errors > before

    def _document(self, check: Checker, node: Node) -> None:
        if not isinstance(node, Mapping):
            check.error("SR101", node, "a document must be a mapping", help=f"begin with `apiVersion: {API_VERSION}`")
            return
        version, kind = _required(check, node, "apiVersion", "SR102"), _required(check, node, "kind", "SR103")
        if version is None or kind is None:
            return
        if version == TEST_API_VERSION and kind == TEST_KIND:
            return
        if kind == POLICY_KIND and version == API_VERSION:
            self._policy(check, node)
        elif kind == POLICY_KIND:
            hint = suggestion(version, (API_VERSION,))
            check.error("SR105", _value(node, "apiVersion"), f"a policy under apiVersion {quoted(version)}", hint)
        elif version != API_VERSION:
            check.error("SR501", node.key("kind"), f"skipped: {quoted(kind)} of apiVersion {quoted(version)}")
        elif kind in OTHER_KINDS:
            check.error("SR502", node.key("kind"), f"skipped: {quoted(kind)} holds no response policy")
        else:
            hint = suggestion(kind, (POLICY_KIND, *sorted(OTHER_KINDS)))
            check.error("SR104", _value(node, "kind"), f"unknown kind {quoted(kind)}", hint)

    def _policy(self, check: Checker, node: Mapping) -> None:
        before = self._findings.errors
        metadata_node = node.get("metadata")
        metadata = None
        if metadata_node is None:
            check.error("SR120", node, "the policy has no `metadata`", help="it needs `name` and `type`")
        else:
            metadata = check.mapping(metadata_node, "metadata")
        if metadata is not None and _is_trace(metadata):
            check.error("SR503", metadata.key("type"), "skipped: a policy of type `trace` has no response")
            return
        check.keys(node, TOP_KEYS, "SR106", "the document")
        name = policy_type = uid = None
        if metadata is not None:
            name = _text_of(check, metadata, "name", "SR121")
            type_node = metadata.get("type")
            if type_node is None:
                check.error(
                    "SR122", node.key("metadata"), "`metadata` has no `type`", help=f"one of {', '.join(TYPES)}"
                )
            else:
                policy_type = check.choice(type_node, "policy type", TYPES, "SR123")
            uid = _optional_uid(check, metadata)
        spec_node = node.get("spec")
        if spec_node is None:
            check.error("SR130", node, "the policy has no `spec`")
            return
        spec = check.mapping(spec_node, "spec")
        if spec is None:
            return
        read = _Spec(check, node.key("spec"), spec, policy_type)
        if self._findings.errors > before or metadata is None or name is None or policy_type is None:
            return
        extra = cast("dict[str, object]", plain(metadata))
        policy = Policy(
            name, uid, policy_type, read.enabled, read.mode, read.selectors, read.entries, extra, check.location(node)
        )
        self._unique(check, policy, metadata)
        self.policies.append(policy)

    def _unique(self, check: Checker, policy: Policy, metadata: Mapping) -> None:
        name_node = _value(metadata, "name")
        if policy.uid is not None:
            uid_node = _value(metadata, "uid")
            first = self._uids.setdefault(policy.uid, (policy, check.source, uid_node))
            if first[0] is not policy:
                where = Checker(first[1], self._findings).location(first[2])
                check.error("SR124", uid_node, f"uid {quoted(policy.uid)} is taken", help=f"first used at {where}")
        first = self._names.setdefault(policy.name, (policy, check.source, name_node))
        if first[0] is not policy:
            where = Checker(first[1], self._findings).location(first[2])
            message = f"two policies are named {quoted(policy.name)}"
            check.error("SR451", name_node, message, help=f"the other stands at {where}")


def _listed_documents(check: Checker, root: Node) -> tuple[Node, ...] | None:
    """Return the documents that a list or an ``items`` container holds, or None where the root is a document."""
    if isinstance(root, Sequence):
        return root.items
    if not isinstance(root, Mapping) or "items" not in root:
        return None
    kind = root.get("kind")
    if kind is not None and not (isinstance(kind, Scalar) and (kind.text or "").endswith("List")):
        return None
    check.keys(root, _LIST_KEYS, "SR106", "a list of documents")
    if _required(check, root, "apiVersion", "SR102") is None:
        return ()
    return check.items(root.get("items"), "items") or ()


def _required(check: Checker, node: Mapping, key: str, code: str) -> str | None:
    value = node.get(key)
    if value is None:
        expected = API_VERSION if key == "apiVersion" else POLICY_KIND
        check.error(code, node, f"the document has no `{key}`", help=f"for a policy: `{key}: {expected}`")
        return None
    return check.text(value, key)


def _value(node: Mapping, key: str) -> Node:
    return node.entries[key][1]


def _is_trace(metadata: Mapping) -> bool:
    node = metadata.get("type")
    return isinstance(node, Scalar) and node.text == TRACE_TYPE


def _text_of(check: Checker, metadata: Mapping, key: str, code: str) -> str | None:
    node = metadata.get(key)
    if node is None:
        check.error(code, metadata, f"`metadata` has no `{key}`")
        return None
    return check.text(node, key)


def _optional_uid(check: Checker, metadata: Mapping) -> str | None:
    node = metadata.get("uid")
    if node is None or (isinstance(node, Scalar) and node.text is None):
        return None
    return check.text(node, "uid")


class _Spec:
    """The parts of ``spec`` that decide; whatever is wrong with them is recorded."""

    def __init__(self, check: Checker, key: Scalar, spec: Mapping, policy_type: str | None) -> None:
        self._check = check
        self._spec = spec
        self._type = policy_type
        self._check_keys()
        self.enabled = self._enabled()
        self.mode = self._mode(key)
        self.selectors = tuple(self._selectors(key))
        self.entries = read_response(check, spec.get("response"), policy_type)

    def _check_keys(self) -> None:
        for key, _ in self._spec.pairs():
            word = key.text or ""
            if word in SPEC_KEYS or is_workload_key(word):
                continue
            hint = "write `enabled: false`" if word in ("disable", "disabled") else suggestion(word, SPEC_KEYS)
            self._check.error("SR131", key, f"unknown key {quoted(word)} in `spec`", hint)

    def _enabled(self) -> bool:
        node = self._spec.get("enabled")
        return True if node is None else self._check.boolean(node, "enabled") is not False

    def _mode(self, key: Scalar) -> Mode:
        node = self._spec.get("mode")
        if node is None:
            message = "`mode` is missing; read as `audit`: nothing is executed"
            self._check.error("SR404", key, message, help="write `mode: audit` or `mode: enforce`")
            return "audit"
        # A wrong mode is an error, so this policy is never built; audit is what it would be if it were.
        return cast(Mode, self._check.choice(node, "mode", MODES, "SR132") or "audit")

    def _selectors(self, key: Scalar) -> list[Selector]:
        selectors = []
        for name, node in self._spec.pairs():
            scope = SELECTORS.get(name.text or "")
            if scope is None:
                continue
            if self._type is not None and name.text not in VENDOR_SELECTORS[self._type]:
                message = f"the vendor's policies of type {quoted(self._type)} take no {quoted(name.text or '')}"
                self._check.error("SR515", name, message)
            selector = read_selector(self._check, name, node, scope)
            if selector is not None:
                selectors.append(selector)
        if self._type is not None and REQUIRED_SELECTOR[self._type] not in self._spec:
            message = f"a policy of type {quoted(self._type)} needs a `{REQUIRED_SELECTOR[self._type]}`"
            self._check.error("SR133", key, message, help="without it the policy would apply everywhere")
        return selectors
