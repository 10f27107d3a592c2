"""Values that YAML reads otherwise than they look."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from spyderresp.errors import Edit, Fix
from spyderresp.findings import quoted
from spyderresp.linting.documents import Node, child, key_of
from spyderresp.linting.subject import Remark, Subject
from spyderresp.vocabulary import FLAG_TEXTS

_BLOCK: Final = re.compile(r"(#{1,6} |[-*+] |\d{1,3}[.)] |> |```)")
_HEADING: Final = re.compile(r"#{1,6} ")
_ITEM: Final = re.compile(r"([-*+]|\d{1,3}[.)]) ")
_CLASS: Final = re.compile(r"\[!?(?:[a-z]-[a-z]|[A-Z]-[A-Z]|\d-\d)+\]|\[![^\s,'\"\[\]{}]+\]")


def folded_markdown(subject: Subject) -> Iterator[Remark]:
    """Headings and lists written on lines of their own, in a scalar that YAML folds into one line."""
    for entry in subject.policy.entries:
        for field, text in entry.parameters:
            # What is one line long was folded, if it holds what would have begun another.
            if field not in FLAG_TEXTS or not isinstance(text, str) or not _BLOCK.search(text):
                continue
            node = child(subject.body(entry), field)
            if node is None or not isinstance(node[0], str):
                continue
            typed = subject.documents.source.text[node[1] : node[2]]
            lost = _lost(typed, text)
            if lost is not None:
                message = (
                    f"{quoted(field)} is Markdown, and {quoted(lost)} does not begin a line once YAML has folded it"
                )
                key = key_of(subject.body(entry), field)
                start = key[1] if key is not None else node[1]
                fix = _unfolded(subject, node, start)
                yield Remark("SR812", message, start, subject.documents.word(start), f"write `{field}: |`", fix)


def _lost(typed: str, text: str) -> str | None:
    """Return a line that was typed with a mark at its beginning, or after a heading, and begins none of the text."""
    if typed.startswith("|") or "\n" not in typed:
        return None
    lines = [line.strip() for line in typed.strip("'\"").splitlines()]
    if lines[0].startswith(">"):
        lines = lines[1:]
    got = {line.strip() for line in text.splitlines()}
    lost = [
        i
        for i, line in enumerate(lines)
        if line and line not in got and not any(item.startswith(line) for item in got) and _begins(lines, i)
    ]
    # One dash or number may well stand where the author's editor broke a line of prose.
    sure = [i for i in lost if not _ITEM.match(lines[i]) or _leads_on(lines, i)]
    if sure:
        return lines[min(lost)]
    return lines[lost[0]] if sum(1 for line in lines if _ITEM.match(line)) > 1 and lost else None


def _begins(lines: list[str], i: int) -> bool:
    return i > 0 and (_BLOCK.match(lines[i]) is not None or _HEADING.match(lines[i - 1]) is not None)


def _leads_on(lines: list[str], i: int) -> bool:
    """Tell whether what stands before a line ends there."""
    return i > 0 and (not lines[i - 1] or lines[i - 1].endswith(":") or _HEADING.match(lines[i - 1]) is not None)


def _unfolded(subject: Subject, node: Node, key: int) -> Fix | None:
    """Return what writes the text line by line; not where it escapes, or stands in braces."""
    text = subject.documents.source.text
    typed = text[node[1] : node[2]]
    quote = typed[:1]
    line = text[text.rfind("\n", 0, key) + 1 : key]
    if line.strip(" -") or "\t" in line or (quote == '"' and "\\" in typed):
        return None
    if quote == ">":
        return Fix("write it as a literal text", (Edit(node[1], node[1] + 1, "|"),), safe=False)
    inner = typed[1:-1] if quote in ("'", '"') else typed
    if quote == "'":
        inner = inner.replace("''", "'")
    lines = [item.strip() for item in inner.strip().splitlines()]
    if not lines or lines[0] == "":
        return None
    indent = " " * (len(line) + 2)
    newline = "\r\n" if "\r\n" in typed else "\n"
    block = newline.join(["|-", *(f"{indent}{item}".rstrip() for item in lines)])
    return Fix("write it as a literal text", (Edit(node[1], node[2], block),), safe=False)


def unquoted_globs(subject: Subject) -> Iterator[Remark]:
    """``name: [a-z]`` is a list of one text for YAML, and was meant as a glob."""
    document = subject.document
    if document is None or not _CLASS.search(subject.documents.source.text, document[1], document[2]):
        return
    spec = child(document, "spec")
    bodies = [spec, *(subject.body(entry) for entry in subject.policy.entries)]
    for body in bodies:
        held: Any = body[0] if body is not None else None
        if not isinstance(held, dict):
            continue
        for key, pair in held.items():
            if key.endswith("Selector"):
                yield from _lists(subject, pair[1])


def _lists(subject: Subject, node: Node) -> Iterator[Remark]:
    value, start, end = node
    if isinstance(value, dict):
        for _, below in value.values():
            yield from _lists(subject, below)
    elif isinstance(value, list):
        typed = subject.documents.source.text[start:end]
        if _CLASS.fullmatch(typed):
            message = f"{quoted(typed)} is a list of one text for YAML, not a glob"
            yield Remark("SR815", message, start, end, f"write `'{typed}'` if a glob is meant, `- ` items if not")
        else:
            for item in value:
                yield from _lists(subject, item)
