"""Evaluates events for callgrind to count, or goes through them without."""

from __future__ import annotations

import gc
import sys

from native import native_module
from workloads import decoder, synthetic

_CONTEXTS = 300
_WARM = 50


def main(kind: str, stream: str, size: int, count: int) -> None:
    workload, decode = synthetic(size, contexts=_CONTEXTS), decoder()
    engine, fresh = workload.engine(), stream == "never-seen"
    for text in workload.fresh(_WARM) if fresh else workload.each_context():
        for action in engine.evaluate(decode(text)):
            action.name
    texts = workload.fresh(count, start=_WARM) if fresh else workload.repeating(count)
    events = [decode(text) for text in texts]
    counting = native_module("counting")
    gc.disable()
    counting.begin()
    if kind == "evaluate":
        for event in events:
            engine.evaluate(event)
    elif kind == "walk":
        for event in events:
            for action in engine.evaluate(event):
                action.name
                action.disposition
    else:
        for _ in events:
            pass
    counting.end()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
