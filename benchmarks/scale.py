"""``python -m benchmarks.scale DIR``: events by the million through local processes, replay, Dask and Spark.

Writes the events into the directory first, where they are not there yet: the same for the same numbers. Where
PySpark is that of the JVM Spark runs there, else on a Connect server (``pysail``).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parent
if str(_HERE) not in sys.path:
    sys.path[:] = [str(_HERE), *(path for path in sys.path if path not in ("", str(_ROOT))), str(_ROOT)]

from environment import child_environment, machine, versions  # noqa: E402
from scaling import equality, local, spark  # noqa: E402
from scaling.generated import generate  # noqa: E402
from workloads import Workload, synthetic  # noqa: E402

from spyderresp.distributed import Decide  # noqa: E402
from spyderresp.distributed.spark import decide as by_spark  # noqa: E402

_FIGURES = ("local", "replay", "dask", "spark", "equal")
Figure = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Measure what is asked for, and print a line of JSON for each figure."""
    args = _parser().parse_args(arguments)
    chosen = args.only or list(_FIGURES)
    workload = synthetic(args.policies)
    events = args.directory / f"events-{args.policies}-{args.events}"
    begun = time.perf_counter()
    generate(workload, events, args.events)
    about = {"events": args.events, "policies": args.policies, "machine": machine(), **versions()}
    _tell({"figure": "events", "seconds": time.perf_counter() - begun, **about})
    cores = [count for count in (1, 2, 4, 8, 16, 32, 64) if count <= (os.cpu_count() or 1)]
    made = {
        "local": lambda: _local(workload, events, cores, "local"),
        "dask": lambda: _local(workload, events, cores, "dask"),
        "replay": lambda: _replay(workload, events, args),
        "spark": lambda: _spark(workload, events, cores[-1], args),
        "equal": lambda: _equal(workload, events, cores[-1], args),
    }
    for name in chosen:
        for figure in made[name]():
            _tell(figure)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("directory", type=Path, help="where events and results go")
    parser.add_argument("--events", type=int, default=1_000_000, help="how many (default: 1000000)")
    parser.add_argument("--policies", type=int, default=10_000, help="how many (default: 10000)")
    parser.add_argument("--rounds", type=int, default=5, help="of Spark's jobs, after one to warm up (default: 5)")
    parser.add_argument("--sink", action="append", choices=spark.SINKS, help="how Spark's jobs end (default: all ways)")
    parser.add_argument("--only", action="append", choices=_FIGURES, help="one of these; may be repeated")
    return parser


def _tell(figure: Figure) -> None:
    print(json.dumps(figure), flush=True)


def _rate(name: str, cores: int, took: float, spent: float, events: int, rows: int) -> Figure:
    return {
        "figure": name,
        "cores": cores,
        "rows": rows,
        "seconds": took,
        "of processors": spent,
        "per second": events / took,
        "a second of a processor": events / spent,
    }


def _local(workload: Workload, events: Path, cores: list[int], name: str) -> Iterator[Figure]:
    decide, chosen = Decide(workload.policies), local.parts(events)
    for count in cores:
        run = local.in_processes if name == "local" else local.in_dask
        yield _rate(name, count, *run(decide, chosen, count))


def _replay(workload: Workload, events: Path, args: argparse.Namespace) -> Iterator[Figure]:
    """Yield what the verb takes, with and without events: what is left over is theirs."""
    policies = args.directory / f"policies-{args.policies}.json"
    policies.write_text(workload.text, encoding="utf-8")
    nothing = args.directory / "nothing.jsonl"
    nothing.write_text("")
    took = {}
    for name, path in (("start", nothing), ("all", events)):
        command = [
            sys.executable,
            "-m",
            "spyderresp",
            "replay",
            "--policies",
            str(policies),
            "--format",
            "json",
            str(path),
        ]
        before, begun = os.times(), time.perf_counter()
        done = subprocess.run(command, env=child_environment(), capture_output=True, check=True)
        after = os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        took[name] = time.perf_counter() - begun, spent
    report = json.loads(done.stdout)
    assert report["events"] == args.events
    yield {
        "figure": "replay",
        "seconds": took["all"][0],
        "of them to start": took["start"][0],
        "per second": args.events / (took["all"][0] - took["start"][0]),
        "a second of a processor": args.events / (took["all"][1] - took["start"][1]),
    }


def _spark(workload: Workload, events: Path, cores: int, args: argparse.Namespace) -> Iterator[Figure]:
    kind = "Spark on the JVM" if spark.has_jvm() else "Spark Connect (pysail)"
    with spark.session(cores) as session:
        for sink in args.sink or spark.SINKS:
            found = spark.timed(session, events, workload.policies, sink, args.directory / "written", args.rounds)
            for name, rounds in found.items():
                clock, spent = (statistics.median(part) for part in zip(*rounds, strict=True))
                pairs = list(zip(rounds, found["identity"], strict=True))
                yield {
                    "figure": f"{kind}, {sink}: {name}",
                    "seconds": clock,
                    "of processors": spent,
                    "per second": args.events / clock,
                    "over identity": statistics.median(mine[0] / other[0] for mine, other in pairs),
                    "of processors, over identity": statistics.median(mine[1] / other[1] for mine, other in pairs),
                }


def _equal(workload: Workload, events: Path, cores: int, args: argparse.Namespace) -> Iterator[Figure]:
    """Yield whether Dask and Spark wrote the rows that this process decides."""
    decide = Decide(workload.policies, keep=equality.KEPT)
    wanted = equality.digests(equality.local(decide, events))
    rows = sum(count for count, _ in wanted.values())
    for name in ("dask", "spark"):
        folder = args.directory / f"decided-by-{name}"
        spark.emptied(folder)
        if name == "dask":
            folder.mkdir()
            local.in_dask(decide, local.parts(events), cores, str(folder))
        else:
            with spark.session(cores) as session:
                made = by_spark(session.read.parquet(str(events)), workload.policies, keep=equality.KEPT)
                spark.ended(made, "parquet", folder)
        found = equality.digests(equality.written(folder))
        differ = [group for group in {*wanted, *found} if wanted.get(group) != found.get(group)]
        yield {
            "figure": f"{name} equal to local",
            "groups": len(wanted),
            "rows": rows,
            "groups that differ": len(differ),
        }
        assert not differ, differ[:10]
        spark.emptied(folder)


if __name__ == "__main__":
    sys.exit(main())
