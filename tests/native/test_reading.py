"""The native readers: what JSON says, where it stands, what is wrong with it; lines; the texts of a load."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spyderresp.policies._document import LineTable, Texts, read_json
from spyderresp.policies._schema import write_json
from spyderresp.policies.document_limits import MAX_DEPTH, DocumentError, NotJsonError
from spyderresp.policies.yaml_reader import read_yaml

characters = st.characters(codec="utf-8")
texts = st.text(characters, max_size=6)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner))


def leaves(node: Any) -> Iterator[tuple[str | None, int, int]]:
    held, _, _ = node
    if isinstance(held, list):
        for item in held:
            yield from leaves(item)
    elif isinstance(held, dict):
        for key, value in held.values():
            yield key
            yield from leaves(value)
    else:
        yield node


@given(values, st.sampled_from((None, 0, 3)), st.booleans())
def test_every_node_stands_where_its_text_is(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    for said, start, end in leaves(read_json(text).nodes()):
        word = json.loads(text[start:end])
        assert said == (word if word is None or isinstance(word, str) else text[start:end])


@given(st.lists(values, max_size=4))
def test_texts_that_are_read_with_the_same_load(documents: list[Any]) -> None:
    """What was read before, in texts of other widths too, changes nothing."""
    shared = Texts()
    for document in documents:
        text = json.dumps(document, ensure_ascii=False)
        assert read_json(text, shared).nodes() == read_json(text).nodes()
        shared.forget()


@given(values)
def test_a_host_document_is_written_as_the_json_module_writes_it(value: Any) -> None:
    assert write_json(value) == json.dumps(value, indent=2, ensure_ascii=False)


NOT_JSON = [
    ("", "expected a value", 0),
    (" ", "expected a value", 1),
    ("{", "expected a key in double quotes", 1),
    ("[", "expected a value", 1),
    ('{"a"', "expected `:`", 4),
    ('{"a":', "expected a value", 5),
    ('{"a": 1', "expected `,` or the end of the collection", 7),
    ('{"a": 1,', "expected a key in double quotes", 8),
    ('{"a": 1,}', "expected a key in double quotes", 8),
    ("{a: 1}", "expected a key in double quotes", 1),
    ("[1,]", "expected a value", 3),
    ("[1 2]", "expected `,` or the end of the collection", 3),
    ("[01]", "expected `,` or the end of the collection", 2),
    ("[1.]", "expected `,` or the end of the collection", 2),
    ("[-]", "expected a value", 1),
    ("[1e]", "expected `,` or the end of the collection", 2),
    ("[+1]", "expected a value", 1),
    ("[NaN]", "expected a value", 1),
    ("[truex]", "expected `,` or the end of the collection", 5),
    ("[nul]", "expected a value", 1),
    ("{} x", "extra data after the document", 3),
    ("[1}", "expected `,` or the end of the collection", 2),
    ('{"a": 1]', "expected `,` or the end of the collection", 7),
    ('"abc', "unterminated string starting at", 0),
    ('"a\tb"', "invalid control character at", 2),
    ('"a\\u12"', "invalid \\uxxxx escape", 3),
    ('"a\\', "unterminated string starting at", 0),
    ('{"a" 1}', "expected `:`", 5),
    ("\0", "expected a value", 0),
    ("[\v1]", "expected a value", 1),
    ("[1]\u2028", "extra data after the document", 3),
    ('"\u20ac', "unterminated string starting at", 0),
    ('["\U0001f600" 1]', "expected `,` or the end of the collection", 5),
    ('{"a": 1, "a": 2', "expected `,` or the end of the collection", 15),
]


@pytest.mark.parametrize(("text", "message", "offset"), NOT_JSON, ids=[ascii(row[0]) for row in NOT_JSON])
def test_what_is_not_json(text: str, message: str, offset: int) -> None:
    with pytest.raises(NotJsonError) as caught:
        read_json(text)
    assert (caught.value.message, caught.value.offset) == (message, offset)


@pytest.mark.parametrize(
    ("text", "code", "start", "end"),
    [
        ('{"a": 1, "a": 2} x', "SR012", 9, 12),
        ('{"b": {"c": 1, "c": 2}, "b": 3}', "SR012", 15, 18),
        ('{"b": 1, "b": {"c": 1, "c": 2}}', "SR012", 9, 12),
        ('["\\ud800", {"a": 1, "a": 2}]', "SR018", 1, 9),
        ('{"\\ud800": 1, "\\ud800": 2}', "SR018", 1, 9),
        ('[{"a": 1, "a": 2}, "\\udc00"]', "SR012", 10, 13),
        ('{"\u20ac": 1, "\\u20ac": 2}', "SR012", 9, 17),
        ('{"a": 1, "\\u0061": "\U0001f600"}', "SR012", 9, 17),
        ('"\ud800"', "SR018", 0, 3),
    ],
    ids=ascii,
)
def test_the_first_fault_by_place_is_named(text: str, code: str, start: int, end: int) -> None:
    with pytest.raises(DocumentError) as caught:
        read_json(text)
    assert (caught.value.code, caught.value.start, caught.value.end) == (code, start, end)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_depth(opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    read_json(opening * MAX_DEPTH + "1" + closing * MAX_DEPTH)
    with pytest.raises(DocumentError, match="nested more than 200 levels deep"):
        read_json(opening * 1_000_000)


def test_many_keys() -> None:
    """More than any table here holds: no key is mistaken for another, and a second one is found."""
    keys = [f"key-{i}" for i in range(200_000)]
    document = "{" + ",".join(f'"{key}":{i}' for i, key in enumerate(keys)) + "}"
    assert list(read_json(document).plain().items()) == [(key, str(i)) for i, key in enumerate(keys)]
    with pytest.raises(DocumentError, match="duplicate key `key-7`"):
        read_json(document[:-1] + ',"key-7":0}')


def test_yaml_merges_are_written_out() -> None:
    text = """\
a: &a {x: 1, y: &y {z: 2}}
b: &b
  <<: *a
  x: 3
c: {<<: [*b, {w: 4, y: 5}], v: *y}
"<<": {x: 1}
"""
    (tree,) = read_yaml(text)
    a, y = {"x": "1", "y": {"z": "2"}}, {"z": "2"}
    c = {"v": y, "x": "3", "y": y, "w": "4"}
    assert tree.plain() == {"a": a, "b": {"x": "3", "y": y}, "c": c, "<<": {"x": "1"}}
    mapping, _, _ = tree.nodes()
    assert list(mapping["c"][1][0]) == ["v", "x", "y", "w"]
    # What is merged stands where it was written.
    _, (said, start, end) = mapping["b"][1][0]["y"][1][0]["z"]
    assert (said, text[start:end], start) == ("2", "2", text.index("2"))


def test_a_key_may_be_an_alias() -> None:
    (tree,) = read_yaml("- &k key\n- {*k : 1}\n- *k\n")
    assert tree.plain() == ["key", {"key": "1"}, "key"]


BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


@given(st.text(st.sampled_from("a\n\r\x85\u2028\u2029é\U0001f600\x0b\x1c"), max_size=12))
def test_lines(text: str) -> None:
    table = LineTable(text)
    starts = [0, *(match.end() for match in BREAK.finditer(text))]
    # Asked in any order.
    for offset in [*range(len(text) + 1), *reversed(range(len(text) + 1)), *range(0, len(text), 3)]:
        line = sum(start <= offset for start in starts)
        assert table.position(offset) == (line, offset - starts[line - 1] + 1)
        assert table.bounds(line) == (starts[line - 1], [*starts, len(text)][line])
    for line in (0, len(starts) + 1):
        with pytest.raises(IndexError):
            table.bounds(line)
