"""The types of executors, as strict mypy sees them in a user's code."""

from __future__ import annotations

from pathlib import Path

import pytest

PROGRAM = """
import spyderresp
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result
from spyderresp.execution.steps import Step
from spyderresp.executors import (
    DryRun, Executor, Held, JsonLines, Kubernetes, LocalHost, Otel, Recording, SpyderbatApi, Sqlite, Syslog, Webhook
)


class Own:
    name = "own"

    @property
    def actions(self) -> frozenset[str]:
        return frozenset()

    def resolve(self, step: Step, protection: Protection) -> Held | Result:
        return Result("done")

    def close(self) -> None: ...


class Derived(Executor):
    name: str = "derived"
    actions = frozenset({"agentKillPod"})

    def __init__(self, name: str) -> None:
        self.name = name

    def resolve(self, step: Step, protection: Protection) -> Result:
        return Result("done")

    def close(self) -> None: ...


def carry_out(plan: spyderresp.ActionPlan) -> None:
    executors = [LocalHost("web-1"), JsonLines("flags.jsonl")]
    spyderresp.execute(plan, executors)
    executors.append(Own())
    every = [
        DryRun(), JsonLines("-"), Kubernetes("c"), LocalHost("m"), Otel(), Recording(), SpyderbatApi("o", "t"),
        Sqlite("f"), Syslog(), Webhook("u", None), Derived("d"),
    ]
    spyderresp.execute(plan, every)
    reveal_type(executors)
    reveal_type(every)
"""


def test_a_list_of_executors_is_a_list_of_the_protocol(tmp_path: Path) -> None:
    mypy = pytest.importorskip("mypy.api")
    (tmp_path / "use.py").write_text(PROGRAM)
    out, _, code = mypy.run([str(tmp_path / "use.py"), "--strict", "--cache-dir", str(tmp_path / "cache")])
    assert code == 0, out
    assert out.count("list[spyderresp.execution.interfaces.Executor]") == 2, out
