"""Trials on real processes, servers and crashes: ``python -m rig VERB`` in tests/, or ``python -m tests.trials``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from trials import accident, brokers, corners, crash, flood, kubernetes, reuse, trees

VERBS = {
    "accident": accident,
    "brokers": brokers,
    "corners": corners,
    "crash": crash,
    "flood": flood,
    "kubernetes": kubernetes,
    "reuse": reuse,
    "trees": trees,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.trials", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for module in VERBS.values():
        module.add_parser(verbs)
    args = parser.parse_args()
    return VERBS[args.verb].run(args)


if __name__ == "__main__":
    sys.exit(main())
