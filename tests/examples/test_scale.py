"""The same decision in other engines: the examples run, and every action of every event is that of ``evaluate``."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import spark_cases as cases

import spyderresp
from spyderresp.distributed import Decide

EXAMPLES = Path(__file__).parents[2] / "examples" / "scale"
SAID = cases.events(3_000)
MAP = pa.map_(pa.string(), pa.string())
KINDS = {
    "id": pa.string(),
    "cluster": pa.struct([("name", pa.string())]),
    "process": pa.struct([("exe", pa.string())]),
    "pod": pa.struct([("name", pa.string()), ("labels", MAP)]),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Policies, and their events in three files of four row groups and more."""
    path = tmp_path / "policies.json"
    path.write_text(json.dumps(cases.documents("p")))
    (tmp_path / "events").mkdir()
    for number in range(3):
        rows = [
            {**event, "pod": pod and {**pod, "labels": list(pod["labels"].items())}}
            for event in SAID[number::3]
            for pod in (event["pod"],)
        ]
        table = pa.Table.from_pylist(rows, pa.schema(list(KINDS.items())))
        pq.write_table(table, tmp_path / "events" / f"{number}.parquet", row_group_size=220)
    return tmp_path


def environment(**more: str) -> dict[str, str]:
    root = str(Path(spyderresp.__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **more}


def run(name: str, folder: Path, *more: str) -> str:
    words = [str(folder / "policies.json"), str(folder / "events"), str(folder / "actions"), *more]
    command = [sys.executable, str(EXAMPLES / name), *words]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_all_decided(folder: Path) -> int:
    rows = ds.dataset(folder / "actions", format="parquet").to_table().to_pylist()
    assert cases.found(rows) == cases.wanted(spyderresp.Engine(cases.policies()), SAID)
    return len(rows)


def need(*names: str) -> None:
    for name in names:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{name} is not installed")


def test_pyarrow(folder: Path) -> None:
    run("with_pyarrow.py", folder)
    assert_all_decided(folder)


@pytest.mark.slow
def test_dask_in_processes(folder: Path) -> None:
    need("dask", "pandas")
    said = run("with_dask.py", folder)
    assert said == f"{assert_all_decided(folder)} actions, 0 bad events\n"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_dask_on_a_cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("distributed", "pandas")
    from distributed import LocalCluster

    monkeypatch.setattr(os, "environ", environment())
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        said = run("with_dask.py", folder, cluster.scheduler_address)
    assert said == f"{assert_all_decided(folder)} actions, 0 bad events\n"


@pytest.mark.filterwarnings("ignore")
def test_a_dask_frame(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("dask", "pandas")
    import dask
    import dask.dataframe as dd

    monkeypatch.syspath_prepend(EXAMPLES)
    import with_dask

    events = dd.read_parquet(folder / "events", dtype_backend="pyarrow")
    with dask.config.set(scheduler="sync"):
        rows: Any = with_dask.frame(Decide(cases.policies()), events).compute()
    assert cases.found(pa.Table.from_pandas(rows).to_pylist()) == cases.wanted(
        spyderresp.Engine(cases.policies()), SAID
    )


def test_ray(folder: Path) -> None:
    need("ray")
    run("with_ray.py", folder)
    assert_all_decided(folder)


def test_spark_by_connect(folder: Path) -> None:
    need("pysail", "pyspark-client")
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer(port=0)
    server.start(background=True)
    try:
        said = run("with_spark.py", folder, f"sc://127.0.0.1:{server.listening_address[1]}")
    finally:
        server.stop()
    assert said == f"{assert_all_decided(folder)} actions, 0 bad events\n"
