"""``spyderresp replay --engine``: workers come to what one process comes to, bad events and files among them."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

import spyderresp

pytestmark = pytest.mark.filterwarnings("ignore")


def need(*names: str) -> None:
    for name in names:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            pytest.skip(f"{name} is not installed")


@pytest.fixture(scope="module")
def workers() -> Iterator[None]:
    """Processes that are started import the package that this one has."""
    root = str(Path(spyderresp.__file__).parents[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])))
        yield


@pytest.fixture(scope="module")
def dask_address(workers: None) -> Iterator[str]:
    need("distributed")
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def spark_address() -> Iterator[str]:
    need("pysail", "pyspark-client")
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer(port=0)
    server.start(background=True)
    yield f"sc://127.0.0.1:{server.listening_address[1]}"
    server.stop()


def event(number: int, draw: random.Random) -> dict[str, Any]:
    return {
        "id": f"e{number}",
        "time": f"2026-11-24T{number % 3:02}:{draw.randrange(60):02}:0{draw.randrange(3)}Z",
        "cluster": {"name": draw.choice(["prod-1", "dev-1"])},
        "namespace": {"name": draw.choice(["shop", "till"])},
        "pod": {"name": f"pay-{draw.randrange(90)}", "labels": {"app": draw.choice(["payments", "shop"])}},
        "process": {"exe": "/bin/bash", "name": "bash", "uid": f"proc:{draw.randrange(200)}"},
    }


@pytest.fixture
def recorded(place: Path) -> Path:
    """A recording in many files: of each kind, in folders, with bad events; kills at one instant in several of them."""
    draw = random.Random(4)
    events = [event(number, draw) for number in range(1_200)]
    Path("events/b").mkdir(parents=True)
    said = [json.dumps(one) for one in events]
    Path("events/0.jsonl").write_text("\n".join([*said[:200], "{not json", *said[200:300], '{"cluster": 3}']) + "\n")
    Path("events/b/1.jsonl.gz").write_bytes(gzip.compress("\n".join(said[300:600]).encode()))
    Path("events/b/2.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress("\n".join(said[600:900]).encode()))
    table = pa.Table.from_pylist(events[900:])
    pq.write_table(table.slice(0, 200), "events/3.parquet", row_group_size=70)
    with pa.OSFile("events/4.arrow", "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table.slice(200))
    return place


@pytest.mark.parametrize("engine", ["dask", "spark"])
@pytest.mark.parametrize("paths", [["events"], ["events/**/*.*", "events/0.jsonl"], ["events/b"]], ids=len)
def test_totals_are_those_of_one_process(run, recorded, request, engine: str, paths: list[str]) -> None:
    address = request.getfixturevalue(f"{engine}_address")
    options = ["replay", "--policies", "policies", "--format", "json"]
    wanted = run(*options, *paths)
    found = run(*options, "--engine", engine, "--cluster", address, *paths)
    assert (found.code, found.err, found.out) == (wanted.code, wanted.err, wanted.out)
    said = json.loads(found.out)
    assert said["events"] >= 600
    assert said["deaths"]["pods"]["executed"] > 0
    assert all(entry["location"].startswith("policies") for entry in said["entries"])


def test_dask_starts_processes_here_where_no_cluster_is_named(run, recorded, workers: None) -> None:
    need("distributed")
    wanted = run("replay", "--policies", "policies", "events/0.jsonl", "events/3.parquet")
    found = run("replay", "--policies", "policies", "--engine", "dask", "events/0.jsonl", "events/3.parquet")
    assert (found.code, found.err, found.out) == (wanted.code, wanted.err, wanted.out)
    assert found.code == 1


@pytest.mark.parametrize("engine", ["dask", "spark"])
def test_a_file_that_cannot_be_read_ends_it_as_it_does_here(run, recorded, request, engine: str) -> None:
    address = request.getfixturevalue(f"{engine}_address")
    cut = Path("events/b/1.jsonl.gz")
    cut.write_bytes(cut.read_bytes()[:-300])
    wanted = run("replay", "--policies", "policies", "events")
    found = run("replay", "--policies", "policies", "--engine", engine, "--cluster", address, "events")
    assert (found.code, found.err, found.out) == (wanted.code, wanted.err, wanted.out)
    assert found.code == 3


def test_policies_that_moved_are_told_where_they_are_now(run, recorded, dask_address: str) -> None:
    options = ["--engine", "dask", "--cluster", dask_address, "--format", "json", "events/0.jsonl"]
    run("replay", "--policies", "policies", *options)
    Path("policies").rename("moved")
    found = json.loads(run("replay", "--policies", "moved", *options).out)
    assert all(entry["location"].startswith("moved") for entry in found["entries"])


def test_what_workers_cannot_do_is_said(run, recorded) -> None:
    need("distributed")
    common = ["replay", "--policies", "policies"]
    stdin = run(*common, "--engine", "dask", "-")
    assert (stdin.code, stdin.err) == (3, "spyderresp: --engine dask: workers cannot read standard input\n")
    local = run(*common, "--cluster", "tcp://127.0.0.1:1", "events")
    assert (local.code, local.err) == (3, "spyderresp: --cluster needs --engine dask or --engine spark\n")
