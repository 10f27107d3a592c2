"""Prints what reading, compiling and holding one large policy set takes, as JSON."""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import time

from measure import resident
from workloads import synthetic

import spyderresp


def settled() -> int:
    """Return resident memory once what is free has gone back to the system."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return resident()


def main(size: int) -> None:
    text = synthetic(size).text
    before = settled()
    begun = time.process_time()
    policies = spyderresp.loads(text)
    loaded = time.process_time() - begun
    # Whether the policy set holds on to it or not, the host has no more use for it.
    length = len(text)
    del text
    held = settled() + length - before
    middle = settled()
    begun = time.process_time()
    engine = spyderresp.Engine(policies)
    compiled = time.process_time() - begun
    index = settled() - middle
    assert len(engine.policies) == size
    print(json.dumps({"load": loaded, "compile": compiled, "policies": held, "index": index}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
