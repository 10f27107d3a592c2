"""The first process of a namespace: runs the second, and reaps whatever is left to it, as an init does."""

from __future__ import annotations

import os
import sys


def main() -> int:
    child = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            return 1
        if pid == child:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
