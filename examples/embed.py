"""A service that embeds spyderresp: it reads events, raises flags and kills processes, each step once.

python examples/embed.py examples/policies node-7 < events.jsonl
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import spyderresp
from spyderresp.executors import Executor, JsonLines, LocalHost
from spyderresp.guards import Guard, Limits, Protection
from spyderresp.journal import Journal


def main(policies: str, machine: str) -> None:
    engine = spyderresp.Engine(spyderresp.load(policies))
    # Keep one guard for the life of the process: the guard counts kills.
    guard = Guard(
        limits=Limits(policy=5, namespace=5, overall=10),
        protection=Protection().including(namespaces=frozenset({"payments"})),
    )
    executors: list[Executor] = [LocalHost(machine), JsonLines("flags.jsonl")]
    with Journal(Path("journal.sqlite")) as journal:
        # Steps that a crash interrupted are checked before new events are read.
        for outcome in spyderresp.reconcile(executors, journal, guard):
            print(outcome.status, outcome.action, outcome.reason, file=sys.stderr)
        for line in sys.stdin:
            try:
                event = spyderresp.adapt(json.loads(line))
                plan = engine.evaluate(event)
            except ValueError as error:
                print("not decided:", error, file=sys.stderr)
                continue
            report = spyderresp.execute(plan, executors, guard, journal, event=event)
            for outcome in report:
                print(report.event, outcome.status, outcome.action, outcome.reason)


if __name__ == "__main__":
    main(*sys.argv[1:])
