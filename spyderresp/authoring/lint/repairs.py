"""Fixes for the findings that lenient reading repairs: with them, strict reading accepts the text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from spyderresp.authoring.lint.documents import Documents, Node, child, key_of
from spyderresp.errors import Diagnostic, Edit, Fix
from spyderresp.policies.vocabulary import LABEL_PRIMITIVES, NICE_MAX, NICE_MIN

_STEP: Final = 2


def with_repair(item: Diagnostic, documents: Documents) -> Diagnostic:
    """Return a finding with its fix, if there is one."""
    build = _BUILDERS.get(item.code)
    if build is None or item.fix is not None:
        return item
    fix = build(documents, documents.offset(item.location))
    return item if fix is None else item._replace(fix=fix)


def _pairs(mapping: Node) -> list[tuple[str, Node, Node]] | None:
    """Return the pairs of a mapping in the order of the text; None if a merge key adds pairs from elsewhere."""
    _, start, end = mapping
    pairs = sorted(((text, key, value) for text, (key, value) in mapping[0].items()), key=lambda pair: pair[1][1])
    return pairs if all(start <= key[1] < end for _, key, _ in pairs) else None


def _is_flow(text: str, mapping: Node) -> bool:
    return text[mapping[1] : mapping[1] + 1] == "{"


def _line_start(text: str, offset: int) -> int:
    return text.rfind("\n", 0, offset) + 1


def _newline(text: str, offset: int) -> str:
    end = text.find("\n", offset)
    return "\r\n" if end > 0 and text[end - 1] == "\r" else "\n"


def _indented(text: str, first: int, last: int) -> Iterator[Edit]:
    """Yield the edits that indent every line between two offsets, except empty lines."""
    start = text.find("\n", first) + 1
    while 0 < start < last:
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        if text[start:end].strip():
            yield Edit(start, start, " " * _STEP)
        start = end + 1


def _last(text: str, pairs: list[tuple[str, Node, Node]]) -> int:
    """Return the end of the last of these pairs."""
    return max(max(key[2], _end(text, value)) for _, key, value in pairs)


def _end(text: str, node: Node) -> int:
    """Return the end of the last scalar in a node. The node of a block mapping or list itself ends later."""
    value, start, end = node
    below: list[Any] = []
    if text[start : start + 1] in ("{", "["):
        return end
    if isinstance(value, dict):
        below = [part for pair in value.values() for part in pair]
    elif isinstance(value, list):
        below = value
    inside = [_end(text, item) for item in below]
    return max(inside) if inside else end


def _siblings(documents: Documents, offset: int) -> Fix | None:
    """SR401: indent the keys beside an action, so that they are below it."""
    text = documents.source.text
    item = documents.mapping_of(offset)
    pairs = _pairs(item) if item is not None else None
    if item is None or pairs is None:
        return None
    action, key, null = next(pair for pair in pairs if pair[1][1] == offset)
    others = [pair for pair in pairs if pair[0] != action]
    title = f"indent them below `{action}`"
    if _is_flow(text, item):
        return Fix(title, _braced(text, item, pairs, action))
    indent = offset - _line_start(text, offset)
    first = pairs[0][1][1]
    rest = list(_indented(text, first, _last(text, others)))
    if pairs[0][0] == action:
        # `makeRedFlag: null` becomes `makeRedFlag:`.
        emptied = [Edit(text.index(":", key[2]) + 1, null[2], "")] if null[2] > null[1] else []
        return Fix(title, (*emptied, *rest))
    start, end = _line_start(text, offset), text.find("\n", offset) + 1
    if not end > 0 or text[start:offset].strip() or _newline_in(text, key, null):
        return None
    newline = _newline(text, offset)
    lead = Edit(first, first, f"{text[key[1] : key[2]]}:{newline}{' ' * (indent + _STEP)}")
    moved = [edit for edit in rest if not start <= edit.start < end]
    return Fix(title, tuple(sorted((lead, Edit(start, end, ""), *moved))))


def _braced(text: str, item: Node, pairs: list[tuple[str, Node, Node]], action: str) -> tuple[Edit, ...]:
    """Return the edits that put the other pairs of a flow mapping into braces behind the action's key."""
    index = [pair[0] for pair in pairs].index(action)
    _, key, null = pairs[index]
    name = text[key[1] : key[2]]
    lead, closing = f"{name}: {{", Edit(item[2] - 1, item[2] - 1, "}")
    if index == 0:
        return Edit(key[1], pairs[1][1][1], lead), closing
    first = pairs[0][1][1]
    if index + 1 < len(pairs):
        cut = Edit(key[1], pairs[index + 1][1][1], "")
    else:
        cut = Edit(_end(text, pairs[index - 1][2]), max(key[2], null[2]), "")
    return Edit(first, first, lead), cut, closing


def _newline_in(text: str, key: Node, null: Node) -> bool:
    return "\n" in text[key[1] : max(null[2], key[2])]


def _labels(documents: Documents, offset: int) -> Fix | None:
    """SR402: insert ``matchLabels`` above labels that are directly below a selector."""
    text = documents.source.text
    selector = documents.mapping_of(offset)
    pairs = _pairs(selector) if selector is not None else None
    if selector is None or pairs is None or key_of(selector, "matchLabels") is not None:
        return None
    bare = [pair for pair in pairs if pair[0] not in LABEL_PRIMITIVES]
    indexes = [i for i, pair in enumerate(pairs) if pair in bare]
    if indexes != list(range(indexes[0], indexes[0] + len(indexes))):
        return None
    first, last = bare[0][1][1], _last(text, bare)
    title = "write `matchLabels` above"
    if _is_flow(text, selector):
        word = '"matchLabels"' if text[first] == '"' else "matchLabels"
        return Fix(title, (Edit(first, first, f"{word}: {{"), Edit(last, last, "}")))
    indent = first - _line_start(text, first)
    lead = Edit(first, first, f"matchLabels:{_newline(text, first)}{' ' * (indent + _STEP)}")
    return Fix(title, (lead, *_indented(text, first, last)))


def _priority(documents: Documents, offset: int) -> Fix | None:
    """SR403: write the priority that is used."""
    text = documents.source.text
    node = documents.value(offset)
    if node is None or not isinstance(node[0], str):
        return None
    number = str(min(NICE_MAX, max(NICE_MIN, int(node[0]))))
    quote = text[offset] if text[offset] in "'\"" else ""
    return Fix(f"write `{number}`", (Edit(node[1], node[2], f"{quote}{number}{quote}"),))


def _mode(documents: Documents, offset: int) -> Fix | None:
    """SR404: add ``mode: audit``, which is the mode that is used."""
    text = documents.source.text
    spec = child(documents.mapping_of(offset), "spec")
    pairs = _pairs(spec) if spec is not None and isinstance(spec[0], dict) else None
    if spec is None or not pairs:
        return None
    first = pairs[0][1][1]
    start = _line_start(text, first)
    between = _newline(text, first) + text[start:first] if not text[start:first].strip() else " "
    if _is_flow(text, spec):
        pair = '"mode": "audit"' if text[first] == '"' else "mode: audit"
        return Fix("add `mode: audit`", (Edit(first, first, f"{pair},{between}"),))
    if text[start:first].strip():
        return None
    return Fix("add `mode: audit`", (Edit(first, first, f"mode: audit{between}"),))


_BUILDERS: Final[dict[str, Callable[[Documents, int], Fix | None]]] = {
    "SR401": _siblings,
    "SR402": _labels,
    "SR403": _priority,
    "SR404": _mode,
}
