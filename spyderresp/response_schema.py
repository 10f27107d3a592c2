"""The response of a policy: list items to Entries, with the lenient repairs of actions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from spyderresp.checking import Checker
from spyderresp.document import Mapping, Node, Scalar
from spyderresp.findings import quoted, suggestion
from spyderresp.policy import Entry, Section, Selector
from spyderresp.selector_schema import read_selector
from spyderresp.vocabulary import (
    ACTION_FIELDS,
    ACTIONS,
    NICE_MAX,
    NICE_MIN,
    SELECTORS,
    SEVERITIES,
    VENDOR_REFUSED_ACTIONS,
    VENDOR_TEXT_LIMITS,
)

_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_SECTIONS: Final[tuple[Section, ...]] = ("default", "actions")


def read_response(check: Checker, node: Node | None, policy_type: str | None) -> tuple[Entry, ...]:
    """Return the entries under ``response``; missing and null mean none. What is wrong is recorded."""
    if node is None or (isinstance(node, Scalar) and node.text is None):
        return ()
    mapping = check.mapping(node, "response")
    if mapping is None:
        return ()
    check.keys(mapping, _SECTIONS, "SR301", "`response`")
    entries: list[Entry] = []
    for section in _SECTIONS:
        for index, item in enumerate(check.items(mapping.get(section), section) or ()):
            entry = _EntryReader(check, section, index, policy_type).read(item)
            if entry is not None:
                entries.append(entry)
    return tuple(entries)


class _EntryReader:
    """Reads one list item. An Entry comes out only where no error was recorded."""

    def __init__(self, check: Checker, section: Section, index: int, policy_type: str | None) -> None:
        self._check = check
        self._section: Section = section
        self._index = index
        self._type = policy_type
        self._before = check.findings.errors

    def read(self, item: Node) -> Entry | None:
        named = self._action(item)
        if named is None:
            return None
        key, body = named
        action = key.text or ""
        self._check_keys(action, body)
        enabled = self._enabled(body)
        parameters = tuple(self._parameters(key, action, body))
        selectors = tuple(self._selectors(key, action, body))
        self._note_portability(key, action, body)
        if self._check.findings.errors > self._before:
            return None
        where = self._check.location(key)
        return Entry(action, parameters, selectors, enabled, self._section, self._index, where)

    def _action(self, item: Node) -> tuple[Scalar, Mapping] | None:
        """Return the action's key and body, its siblings folded in where the author left it null."""
        check = self._check
        if not isinstance(item, Mapping):
            word = item.text if isinstance(item, Scalar) else None
            hint = f"write {quoted(f'- {word}:')}" if word in ACTIONS else "write `- agentKillProcess:`, for example"
            check.error("SR302", item, f"an item of `{self._section}` must be a mapping that names one action", hint)
            return None
        known = [key for key, _ in item.pairs() if key.text in ACTIONS]
        if len(known) > 1:
            names = " and ".join(quoted(key.text or "") for key in known)
            check.error("SR305", known[1], f"one list item names {names}", help="give each action an item of its own")
            return None
        if not known:
            self._unknown(item)
            return None
        key, value = item.entries[known[0].text or ""]
        siblings = {name: entry for name, entry in item.entries.items() if name != key.text}
        null = isinstance(value, Scalar) and value.text is None
        if not siblings:
            return (key, Mapping({}, value.start, value.end, 1)) if null else self._body(key, value)
        if null:
            message = f"the keys of {quoted(key.text or '')} stand beside it; read as its own"
            check.error("SR401", key, message, help="indent them below it")
            return key, Mapping(siblings, value.start, value.end, item.size)
        for sibling, _ in siblings.values():
            message = f"unknown key {quoted(sibling.text or '')} beside {quoted(key.text or '')}"
            check.error("SR306", sibling, message, help=f"indent it below {quoted(key.text or '')}")
        return None

    def _body(self, key: Scalar, value: Node) -> tuple[Scalar, Mapping] | None:
        mapping = self._check.mapping(value, key.text or "")
        return None if mapping is None else (key, mapping)

    def _unknown(self, item: Mapping) -> None:
        first = next(iter(item.pairs()), None)
        if first is None:
            self._check.error("SR303", item, f"an item of `{self._section}` names no action", help="remove it")
            return
        key = first[0]
        self._check.error("SR304", key, f"unknown action {quoted(key.text or '')}", suggestion(key.text or "", ACTIONS))

    def _check_keys(self, action: str, body: Mapping) -> None:
        fields = (*ACTION_FIELDS[action], "enabled")
        for key, _ in body.pairs():
            word = key.text or ""
            if word in fields or word in SELECTORS:
                continue
            if word.endswith("Selector"):
                self._unknown_selector(key, word)
                continue
            near = suggestion(word, (*fields, *(SELECTORS if self._section == "actions" else ())))
            self._check.error("SR306", key, f"unknown key {quoted(word)} in {quoted(action)}", help=near)

    def _unknown_selector(self, key: Scalar, word: str) -> None:
        # Compared without the common suffix, which would make every two selectors look alike.
        near = suggestion(word.removesuffix("Selector"), SELECTORS.values())
        hint = near.removesuffix("`?") + "Selector`?" if near.endswith("`?") else suggestion("", SELECTORS)
        self._check.error("SR314", key, f"unknown selector {quoted(word)}", hint)

    def _enabled(self, body: Mapping) -> bool:
        node = body.get("enabled")
        return True if node is None else self._check.boolean(node, "enabled") is not False

    def _parameters(self, key: Scalar, action: str, body: Mapping) -> Iterator[tuple[str, str | int]]:
        for field in ACTION_FIELDS[action]:
            node = body.get(field)
            value: str | int | None
            if field == "severity":
                value = self._severity(key, node)
            elif field == "priority":
                value = self._priority(key, node)
            else:
                value = self._optional_text(node, field)
            if value is not None:
                yield field, value

    def _severity(self, key: Scalar, node: Node | None) -> str | None:
        if node is None:
            hint = f"one of {', '.join(SEVERITIES)}"
            self._check.error("SR307", key, f"{quoted(key.text or '')} has no `severity`", help=hint)
            return None
        return self._check.choice(node, "severity", SEVERITIES, "SR308")

    def _priority(self, key: Scalar, node: Node | None) -> int | None:
        if node is None:
            hint = f"a nice value from {NICE_MIN} to {NICE_MAX}; higher yields more"
            self._check.error("SR309", key, f"{quoted(key.text or '')} has no `priority`", help=hint)
            return None
        text = self._check.text(node, "priority")
        if text is None:
            return None
        if _INTEGER.fullmatch(text) is None:
            self._check.error("SR310", node, f"priority {quoted(text)} is not an integer")
            return None
        # A number of thousands of digits is not converted: Python bounds that, and the sign says enough.
        digits = text.lstrip("+-").lstrip("0")
        value = int(digits or "0") if len(digits) < 4 else 1000
        value = -value if text.startswith("-") else value
        if NICE_MIN <= value <= NICE_MAX:
            return value
        clamped = min(max(value, NICE_MIN), NICE_MAX)
        message = f"priority {quoted(text)} is outside {NICE_MIN} to {NICE_MAX}; read as `{clamped}`"
        self._check.error("SR403", node, message, help=f"write `{clamped}`, as Linux does")
        return clamped

    def _optional_text(self, node: Node | None, field: str) -> str | None:
        if node is None or (isinstance(node, Scalar) and node.text is None):
            return None
        text = self._check.text(node, field)
        limit = VENDOR_TEXT_LIMITS[field]
        if text is not None and len(text) > limit:
            message = f"`{field}` has {len(text)} characters; the vendor takes {limit}"
            self._check.error("SR511", node, message)
        return text

    def _selectors(self, key: Scalar, action: str, body: Mapping) -> Iterator[Selector]:
        present = [(name, node) for name, node in body.pairs() if name.text in SELECTORS]
        if self._section == "default":
            for name, _ in present:
                message = f"a default action takes no selector, and this one has {quoted(name.text or '')}"
                self._check.error("SR311", name, message, help="move the action to `actions`")
            return
        if not any(name.text.endswith("Selector") for name, _ in body.pairs() if name.text):
            message = f"{quoted(action)} under `actions` has no selector"
            self._check.error("SR312", key, message, help="add one, or move the action to `default`")
        for name, node in present:
            if name.text == "serviceSelector":
                self._service_selector(name, action)
            selector = read_selector(self._check, name, node, SELECTORS[name.text or ""])
            if selector is not None:
                yield selector

    def _service_selector(self, name: Scalar, action: str) -> None:
        if action == "agentKillPod":
            self._check.error("SR313", name, "`agentKillPod` takes no `serviceSelector`: a service has no pod")
        else:
            self._check.error("SR513", name, "the vendor's own tools take no `serviceSelector` in an action")

    def _note_portability(self, key: Scalar, action: str, body: Mapping) -> None:
        if action == "makeOpsFlag" and "impact" in body:
            self._check.error("SR512", body.key("impact"), "the vendor's `makeOpsFlag` takes no `impact`")
        if self._type is not None and action in VENDOR_REFUSED_ACTIONS[self._type]:
            message = f"the vendor offers no {quoted(action)} for policies of type {quoted(self._type)}"
            self._check.error("SR514", key, message)
