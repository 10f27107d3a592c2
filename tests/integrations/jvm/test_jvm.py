"""Spark on the JVM: batch, bad rows, and a stream that is killed. Opt-in: ``SPYDERRESP_JVM_SPARK=1``.

``SPYDERRESP_JVM_SPARK_KILLS`` says how often the stream is killed: the driver with all of its own, or a worker only.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import spark_cases as cases

import spyderresp

if os.environ.get("SPYDERRESP_JVM_SPARK") != "1":
    pytest.skip("SPYDERRESP_JVM_SPARK is not 1: Spark on the JVM is tested where asked for", allow_module_level=True)

from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it

from spyderresp.distributed import Decide
from spyderresp.distributed.spark import decide

HERE = Path(__file__).parent
KILLS = int(os.environ.get("SPYDERRESP_JVM_SPARK_KILLS", "6"))
# Files are taken one at a time, and a stream that has taken them all cannot be killed.
FILES, EVENTS = max(24, 4 * KILLS), 500
pytestmark = pytest.mark.filterwarnings("ignore")


def environment() -> dict[str, str]:
    path = [str(HERE.parents[1]), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYSPARK_PYTHON": sys.executable}


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        for key, value in environment().items():
            patch.setenv(key, value)
        patch.syspath_prepend(HERE)
        import stream

        spark = stream.session()
        yield spark
        spark.stop()


def test_actions_are_those_of_evaluate(session: Any, tmp_path: Path) -> None:
    said = cases.events(5_000)
    cases.write(said, tmp_path / "events.jsonl")
    engine = spyderresp.Engine(cases.policies())
    events = session.read.schema(cases.SCHEMA).json(str(tmp_path / "events.jsonl")).repartition(7)
    assert cases.found(decide(events, engine.policies).collect()) == cases.wanted(engine, said)


def test_texts_that_are_none_stand_aside_and_fail_no_job(session: Any) -> None:
    name = F.when(F.col("id") % 10 == 3, F.expr("cast(X'62ff' as string)")).otherwise(F.lit("prod-1"))
    events = session.range(1_000).withColumn("cluster", F.struct(name.alias("name")))
    rows = decide(events, cases.policies(), explode=False).collect()
    assert len(rows) == 1_000
    assert {row["error"] for row in rows if row["id"] % 10 == 3} == {"cluster.name: a text is not valid UTF-8"}
    assert all(row["error"] is None and row["actions"] for row in rows if row["id"] % 10 != 3)


def test_a_worker_compiles_once_whatever_the_number_of_partitions(session: Any) -> None:
    function = Decide(cases.policies("once"))

    def count(batches: Iterator[Any]) -> Iterator[Any]:
        # What travels with this function was unpickled here, in this process.
        import pyarrow as pa

        from spyderresp.distributed import serialised_engine as module

        for batch in batches:
            function(batch)
        info = module.compiled.cache_info()
        yield pa.record_batch(
            {
                "pid": [os.getpid()],
                "compiled": [info.misses],
                "held": [info.currsize],
                "asked": [info.hits + info.misses],
            }
        )

    events = session.range(400).withColumn("cluster", F.struct(F.lit("prod-1").alias("name"))).repartition(40)
    counted = events.mapInArrow(count, "pid long, compiled long, held long, asked long").collect()
    # Workers may have served the tests before this one: by one other policy set.
    assert all(row["compiled"] == row["held"] <= 2 for row in counted)
    # The same worker was sent the policies again and again.
    assert max(row["asked"] for row in counted) > 5
    assert len({row["pid"] for row in counted}) < len(counted)


def descendants(pid: int, what: str) -> list[int]:
    """Return the processes below one whose command line holds a word."""
    found, known = [], {pid}
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    while more := {child for child, parent in parents.items() if parent in known} - known:
        known |= more
    for child in known - {pid}:
        with contextlib.suppress(OSError):
            if what in Path(f"/proc/{child}/cmdline").read_text():
                found.append(child)
    return found


def test_killed_at_any_moment_a_stream_loses_no_plan_and_has_none_twice(tmp_path: Path, session: Any) -> None:
    (tmp_path / "events").mkdir()
    said = cases.events(FILES * EVENTS)
    for number in range(FILES):
        cases.write(said[number * EVENTS : (number + 1) * EVENTS], tmp_path / "events" / f"{number:03}.jsonl")
    draw = random.Random()
    killed = {"driver": 0, "worker": 0}
    command = [sys.executable, str(HERE / "stream.py"), str(tmp_path), "1"]
    with (tmp_path / "log").open("w") as log:
        while sum(killed.values()) < KILLS:
            with subprocess.Popen(command, env=environment(), stderr=log, start_new_session=True) as child:
                what = draw.choice(("driver", "worker"))
                written = len(list((tmp_path / "actions").glob("*.parquet")))
                deadline = time.monotonic() + 120
                # It has begun to write, or has been told to end by itself.
                while child.poll() is None and time.monotonic() < deadline:
                    if len(list((tmp_path / "actions").glob("*.parquet"))) > written:
                        break
                    time.sleep(0.02)
                time.sleep(draw.random())
                if child.poll() is not None:
                    break
                if what == "worker":
                    for pid in descendants(child.pid, "pyspark.daemon"):
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                    killed["worker"] += 1
                    time.sleep(draw.random() * 2)
                os.killpg(child.pid, signal.SIGKILL)
                killed["driver"] += 1
        done = subprocess.run(command, env=environment(), stderr=log, timeout=300, check=False)
    assert done.returncode == 0, (tmp_path / "log").read_text()[-5_000:]
    print(killed)
    assert sum(killed.values()) >= KILLS, killed
    rows = session.read.parquet(str(tmp_path / "actions")).collect()
    assert cases.found(rows) == cases.wanted(spyderresp.Engine(cases.policies()), said)
