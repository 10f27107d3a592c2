"""How to write what lenient reading repairs, so that strict reading takes it: edits that keep everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from spyderresp.authoring.lint.documents import Documents, Node, child, key_of
from spyderresp.errors import Diagnostic, Edit, Fix
from spyderresp.policies.vocabulary import LABEL_PRIMITIVES, NICE_MAX, NICE_MIN

_STEP: Final = 2


def with_repair(item: Diagnostic, documents: Documents) -> Diagnostic:
    """Return a finding with its fix, where there is one."""
    build = _BUILDERS.get(item.code)
    if build is None or item.fix is not None:
        return item
    fix = build(documents, documents.offset(item.location))
    return item if fix is None else item._replace(fix=fix)


def _pairs(mapping: Node) -> list[tuple[str, Node, Node]] | None:
    """Return the pairs of a mapping in the order typed; None where some stand elsewhere, through a merge."""
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
    """Yield what indents every line that begins after ``first`` and before ``last``, the empty ones apart."""
    start = text.find("\n", first) + 1
    while 0 < start < last:
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        if text[start:end].strip():
            yield Edit(start, start, " " * _STEP)
        start = end + 1


def _last(text: str, pairs: list[tuple[str, Node, Node]]) -> int:
    """Return where the last of these pairs ends."""
    return max(max(key[2], _end(text, value)) for _, key, value in pairs)


def _end(text: str, node: Node) -> int:
    """Return where a node ends: a block mapping or list reaches to what follows, its last value does not."""
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
    """SR401: indent the keys that stand beside an action."""
    text = documents.source.text
    item = documents.holding(offset)
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
    """Return what puts the other pairs into braces of their own, behind the action's key."""
    place = [pair[0] for pair in pairs].index(action)
    _, key, null = pairs[place]
    name = text[key[1] : key[2]]
    lead, closing = f"{name}: {{", Edit(item[2] - 1, item[2] - 1, "}")
    if place == 0:
        return Edit(key[1], pairs[1][1][1], lead), closing
    first = pairs[0][1][1]
    if place + 1 < len(pairs):
        cut = Edit(key[1], pairs[place + 1][1][1], "")
    else:
        cut = Edit(_end(text, pairs[place - 1][2]), max(key[2], null[2]), "")
    return Edit(first, first, lead), cut, closing


def _newline_in(text: str, key: Node, null: Node) -> bool:
    return "\n" in text[key[1] : max(null[2], key[2])]


def _labels(documents: Documents, offset: int) -> Fix | None:
    """SR402: write ``matchLabels`` above labels that stand directly under a selector."""
    text = documents.source.text
    selector = documents.holding(offset)
    pairs = _pairs(selector) if selector is not None else None
    if selector is None or pairs is None or key_of(selector, "matchLabels") is not None:
        return None
    bare = [pair for pair in pairs if pair[0] not in LABEL_PRIMITIVES]
    places = [i for i, pair in enumerate(pairs) if pair in bare]
    if places != list(range(places[0], places[0] + len(places))):
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
    """SR403: write the priority that counts."""
    text = documents.source.text
    node = documents.value(offset)
    if node is None or not isinstance(node[0], str):
        return None
    number = str(min(NICE_MAX, max(NICE_MIN, int(node[0]))))
    quote = text[offset] if text[offset] in "'\"" else ""
    return Fix(f"write `{number}`", (Edit(node[1], node[2], f"{quote}{number}{quote}"),))


def _mode(documents: Documents, offset: int) -> Fix | None:
    """SR404: say ``mode: audit``, which is how it is read."""
    text = documents.source.text
    holder = documents.holding(offset)
    spec = child(holder, "spec")
    pairs = _pairs(spec) if spec is not None and isinstance(spec[0], dict) else None
    if spec is None or not pairs:
        return None
    first = pairs[0][1][1]
    start = _line_start(text, first)
    between = _newline(text, first) + text[start:first] if not text[start:first].strip() else " "
    if _is_flow(text, spec):
        said = '"mode": "audit"' if text[first] == '"' else "mode: audit"
        return Fix("add `mode: audit`", (Edit(first, first, f"{said},{between}"),))
    if text[start:first].strip():
        return None
    return Fix("add `mode: audit`", (Edit(first, first, f"mode: audit{between}"),))


_BUILDERS: Final[dict[str, Callable[[Documents, int], Fix | None]]] = {
    "SR401": _siblings,
    "SR402": _labels,
    "SR403": _priority,
    "SR404": _mode,
}
