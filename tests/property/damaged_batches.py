"""``python damaged_batches.py SEED COUNT``: Arrow batches with damaged memory, decided. Ends with 0 unless one crashes.

A program of its own, so that a crash of the process is seen. Prints how many batches and rows were refused, and how
many plans there are.
"""

from __future__ import annotations

import random
import struct
import sys
from typing import Any

import pyarrow as pa

import spyderresp

POLICY = """
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: p, type: cluster}
spec:
  mode: enforce
  clusterSelector: {name: [a, "b*"]}
  namespaceSelector: {matchExpressions: [{key: app, operator: NotIn, values: [x]}]}
  response: {default: [{agentKillProcess: null}, {agentKillPod: null}]}
"""
TEXTS = ("a", "b", "é" * 9, "a longer text than a view holds inline", "", None)


def array(chance: random.Random, kind: pa.DataType, rows: int) -> pa.Array:
    if pa.types.is_struct(kind):
        return pa.StructArray.from_arrays([array(chance, field.type, rows) for field in kind], fields=list(kind))
    if pa.types.is_map(kind):
        entries = [[("app", chance.choice(TEXTS)), ("x", "y")][: chance.randrange(3)] for _ in range(rows)]
        return pa.array(entries, kind)
    if pa.types.is_dictionary(kind):
        return array(chance, kind.value_type, rows).dictionary_encode()
    if pa.types.is_list(kind):
        return pa.array([[chance.choice(TEXTS)] for _ in range(rows)], kind)
    if pa.types.is_integer(kind):
        return pa.array([chance.randrange(100) for _ in range(rows)], kind)
    return pa.array([chance.choice(TEXTS) for _ in range(rows)], kind)


def damaged(chance: random.Random, column: pa.Array) -> pa.Array:
    """Return a column of which one buffer, somewhere in it, has other bytes."""
    if pa.types.is_struct(column.type) and chance.random() < 0.9:
        place = chance.randrange(column.type.num_fields)
        fields = [column.field(i) for i in range(column.type.num_fields)]
        fields[place] = damaged(chance, fields[place])
        return pa.StructArray.from_arrays(fields, fields=list(column.type))
    if pa.types.is_dictionary(column.type) and chance.random() < 0.5:
        return pa.DictionaryArray.from_arrays(column.indices, damaged(chance, column.dictionary), safe=False)
    if pa.types.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(damaged(chance, column.indices), column.dictionary, safe=False)
    if pa.types.is_nested(column.type):
        return column
    buffers = list(column.buffers())
    places = [place for place, buffer in enumerate(buffers) if place and buffer is not None and buffer.size]
    if not places:
        return column
    place = chance.choice(places)
    data = bytearray(buffers[place].to_pybytes())
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(data))
        wild = chance.choice((b"\xff", b"\x80", struct.pack("=i", chance.choice((-1, 2**31 - 1, 2**20, 7)))))
        data[at : at + len(wild)] = wild[: len(data) - at]
    buffers[place] = pa.py_buffer(bytes(data))
    try:
        return pa.Array.from_buffers(column.type, len(column), buffers)
    except pa.ArrowInvalid:
        return column  # Arrow itself sees this damage


def kinds(chance: random.Random) -> list[tuple[str, pa.DataType]]:
    def text() -> pa.DataType:
        plain = chance.choice((pa.string(), pa.large_string(), pa.string_view()))
        return (
            plain
            if chance.random() < 0.7
            else pa.dictionary(pa.int32(), chance.choice((pa.string(), pa.large_string())))
        )

    labels = chance.choice((pa.map_(pa.string(), pa.string()), pa.struct([("app", text()), ("x", text())])))
    odd = chance.choice((pa.int64(), text(), pa.list_(pa.string())))
    return [
        ("id", text()),
        ("time", chance.choice((pa.int64(), text()))),
        ("policy_name", text()),
        ("cluster", pa.struct([("name", text()), ("uid", text())])),
        ("namespace", pa.struct([("name", text()), ("labels", labels)])),
        ("pod", pa.struct([("name", text()), ("kuid", text())])),
        ("process", pa.struct([("name", text()), ("pid", odd)])),
    ]


def main(seed: int, count: int) -> None:
    engine = spyderresp.Engine(spyderresp.loads(POLICY))
    refused = rows_refused = plans = 0
    for number in range(seed, seed + count):
        chance = random.Random(number)
        columns = {name: array(chance, kind, 20) for name, kind in kinds(chance)}
        name = chance.choice(list(columns))
        columns[name] = damaged(chance, columns[name])
        batch = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
        try:
            result = engine.evaluate_batch(batch)
        except spyderresp.EventError:
            refused += 1
            continue
        iterator = iter(result)
        while True:
            try:
                plan: Any = next(iterator)
            except StopIteration:
                break
            except spyderresp.EventError:
                rows_refused += 1
            else:
                plans += 1
                plan.to_dict()
        assert result.table.num_rows >= 0
    print(refused, rows_refused, plans)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
