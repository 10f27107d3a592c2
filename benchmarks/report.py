"""``python -m benchmarks.report``: measures every row and writes docs/performance.

Each row runs in a process of its own, so that none finds another's caches, memory or crash.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parent
# The benchmarks' modules are imported by their bare names, as pytest has them. What is installed goes before the
# checkout, which may not be built.
if str(_HERE) not in sys.path:
    sys.path[:] = [str(_HERE), *(path for path in sys.path if path not in ("", str(_ROOT))), str(_ROOT)]

from environment import child_environment, machine, versions  # noqa: E402
from rows import ROWS, Settings  # noqa: E402
from rows.model import not_run  # noqa: E402
from writing import write_charts, write_markdown  # noqa: E402

_SIZES = (12, 1_000, 10_000, 100_000)
_QUICK_SIZES = (12, 1_000, 10_000)
_LONGEST = 3_600


def main(arguments: list[str] | None = None) -> int:
    """Run the report."""
    args = _parser().parse_args(arguments)
    sizes = tuple(sorted({int(size) for size in args.sizes.split(",")})) if args.sizes else None
    settings = Settings(args.quick, sizes or (_QUICK_SIZES if args.quick else _SIZES))
    if args.child:
        row = next(row for row in ROWS if row.key == args.child)
        for figure in row.measure(settings):
            print(json.dumps(figure.to_dict()), flush=True)
        return 0
    chosen = [row for row in ROWS if not args.only or row.key in args.only]
    results: list[dict[str, Any]] = []
    for row in chosen:
        begun = time.monotonic()
        figures = _run(row.key, settings)
        results.append({"key": row.key, "title": row.title, "figures": figures})
        print(f"{row.title} ({time.monotonic() - begun:.0f} s)", flush=True)
        for figure in figures:
            _show(figure)
    report = {
        "machine": machine(),
        "versions": versions(),
        "quick": settings.quick,
        "sizes": settings.sizes,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "rows": results,
    }
    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if args.out:
        out = Path(args.out)
        out.mkdir(parents=True, exist_ok=True)
        charts = write_charts(report, out)
        (out / "results.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        write_markdown(report, charts, out / "README.md")
        print(f"written to {out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    keys = [row.key for row in ROWS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and nothing of 100,000 policies")
    parser.add_argument("--sizes", help="policy counts, with commas between; by default 12,1000,10000,100000")
    parser.add_argument("--only", action="append", choices=keys, metavar="ROW", help=f"one of {', '.join(keys)}")
    parser.add_argument("--out", help="where the page and its charts go; without it nothing is written")
    parser.add_argument("--json", help="a file for the results, as JSON")
    parser.add_argument("--child", choices=keys, help=argparse.SUPPRESS)
    return parser


def _run(key: str, settings: Settings) -> list[dict[str, Any]]:
    """Run a row in a process of its own and return its figures; how it failed is a figure too."""
    command = [sys.executable, str(_HERE / "report.py"), "--child", key, "--sizes", ",".join(map(str, settings.sizes))]
    command += ["--quick"] if settings.quick else []
    environment = child_environment(PYTHONHASHSEED="0")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LONGEST, env=environment)
        said, errors, code = done.stdout, done.stderr, done.returncode
    except subprocess.TimeoutExpired as error:
        said, errors, code = _text(error.stdout), f"stopped after {_LONGEST} s", -1
    figures = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    if code:
        why = (errors.strip().splitlines() or [f"the process ended with {code}"])[-1]
        figures.append(not_run(f"the rest of {key}", why).to_dict())
    return figures


def _text(output: Any) -> str:
    return output.decode() if isinstance(output, bytes) else output or ""


def _show(figure: dict[str, Any]) -> None:
    value = "-" if figure["value"] is None else f"{figure['value']:,.2f} {figure['unit']}"
    bounds = f"{figure['sense']} {figure['must']} / {figure['aim']}" if figure["must"] or figure["aim"] else ""
    detail = ", ".join(f"{name} {value:,.6g}" for name, value in figure["detail"].items())
    print(f"  {figure['verdict']:<8} {value:>14}  {figure['label']}  {bounds}  {figure['note']}  {detail}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
