"""Prints this process's resident memory after so many events never seen, and after many more."""

from __future__ import annotations

import sys

from measure import resident
from workloads import decoder, synthetic


def main(few: int, many: int) -> None:
    workload, decode = synthetic(10_000), decoder()
    engine = workload.engine()
    stream = workload.stream(fresh=True)
    for number in range(1, many + 1):
        for action in engine.evaluate(decode(next(stream))):
            action.name
        if number == few:
            first = resident()
    print(first, resident())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
