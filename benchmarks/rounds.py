"""Rounds of a benchmark, each over events decoded for it alone."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

from workloads import decoder

COUNT = 2_000
_ROUNDS = 10


def decoded_rounds(
    benchmark: Any, run: Callable[[Any], None], stream: Iterator[bytes], *, decoded: bool = True
) -> None:
    """Benchmark ``run`` over lists of ``COUNT`` events, or of their texts; the time is that of a whole list.

    No event is used twice: a text that was hashed once would be cheaper the second time.
    """
    decode = decoder()

    def setup() -> tuple[Any, Any]:
        texts = [next(stream) for _ in range(COUNT)]
        held = [decode(text) for text in texts] if decoded else texts
        gc.collect()
        return (held,), {}

    benchmark.extra_info["events"] = COUNT
    benchmark.pedantic(run, setup=setup, rounds=_ROUNDS, warmup_rounds=3)
