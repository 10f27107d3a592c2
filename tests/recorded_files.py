"""Recorded events, and the same in every kind of file."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

GOOD = [
    {
        "id": f"e{number}",
        "time": f"2026-11-24T01:{number:02}:03Z",
        "cluster": {"name": "prod-1"},
        "namespace": {"name": "shop"},
        "pod": {"name": f"pay-{number % 3}", "labels": {"app": "payments"}},
        "process": {"exe": "/bin/bash", "name": "bash", "uid": f"proc:{number % 5}"},
    }
    for number in range(20)
]


def lines(events: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(event) + "\n" for event in events).encode()


KINDS = ("a.jsonl", "b.jsonl.gz", "c.jsonl.zst", "d.parquet", "e.arrow", "f.arrows")


def write_every_kind() -> None:
    """Write the events in every kind of file to `kinds/`."""
    table = pa.Table.from_pylist(GOOD)
    Path("kinds").mkdir()
    Path("kinds/a.jsonl").write_bytes(lines(GOOD))
    Path("kinds/b.jsonl.gz").write_bytes(gzip.compress(lines(GOOD[:9])) + gzip.compress(lines(GOOD[9:])))
    packer = zstandard.ZstdCompressor()
    Path("kinds/c.jsonl.zst").write_bytes(packer.compress(lines(GOOD[:9])) + packer.compress(lines(GOOD[9:])))
    pq.write_table(table, "kinds/d.parquet", row_group_size=7)
    with pa.OSFile("kinds/e.arrow", "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=6)
    with pa.OSFile("kinds/f.arrows", "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=6)


def write_texts_that_are_none(path: str) -> None:
    """Write four rows, of which the second's id and the fourth's name of a process are not UTF-8."""

    def texts(*values: bytes) -> pa.Array:
        return pa.array(values, pa.binary()).view(pa.string())

    process = pa.StructArray.from_arrays(
        [pa.array(["/bin/bash"] * 4), texts(b"a", b"b", b"c", b"\xff"), pa.array(["u1", "u2", "u3", "u4"])],
        ["exe", "name", "uid"],
    )
    ids = texts(b"e1", b"\xff\xfe", b"e3", b"e4")
    pq.write_table(pa.table({"id": ids, "cluster": pa.array([{"name": "prod-1"}] * 4), "process": process}), path)
