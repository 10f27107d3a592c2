"""Evaluates events, or does everything but that: callgrind counts both, and the difference is the evaluations."""

from __future__ import annotations

import sys

from workloads import decoder, synthetic


def main(kind: str, count: int) -> None:
    workload, decode = synthetic(1_000), decoder()
    engine = workload.engine()
    for text in workload.each_context():
        for action in engine.evaluate(decode(text)):
            action.name
    events = [decode(text) for text in workload.repeating(count, start=10_000)]
    if kind == "evaluate":
        for event in events:
            engine.evaluate(event)
    elif kind == "walk":
        for event in events:
            for action in engine.evaluate(event):
                action.name
                action.disposition


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
