"""Steps and sinks for the tests of the journal."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from spyderresp.executors.base import DeliveryError
from spyderresp.journal.base import Intent
from spyderresp.protection import Protection
from spyderresp.report import Result, Status, StepOutcome
from spyderresp.steps import Step


def step(key: str, action: str = "agentKillProcess", **more: Any) -> Step:
    said: dict[str, Any] = {
        "key": key,
        "place": 0,
        "action": action,
        "items": (),
        "disposition": "execute",
        "sources": (),
        "target": None,
        "event": f"event of {key}",
        "event_time": None,
        "arrived": 1_000_000.0,
        "policy_set": "set",
        "plan": "plan",
    }
    return Step(**{**said, **more})


def kill(key: str) -> Intent:
    return Intent(step(key), "local", f"process:{key}", {"pid": 7})


def flag(key: str, *sinks: str) -> Intent:
    return Intent(step(key, "makeRedFlag"), ", ".join(sinks), sinks=sinks, record={"id": f"flag:{key}"})


def outcome(intent: Intent | str, status: Status = "done", **details: Any) -> StepOutcome:
    what = step(intent) if isinstance(intent, str) else intent.step
    return StepOutcome(what, Result(status, "said", details=details), "local")


class Shelf:
    """A sink that keeps what it is given, and can be told to fail."""

    actions = frozenset({"makeRedFlag", "makeOpsFlag"})

    def __init__(self, name: str = "shelf", *, local: bool = True) -> None:
        self.name = name
        self.local = local
        self.took: list[str] = []
        self.batches: list[int] = []
        self.error: Exception | None = None
        self.poison: frozenset[str] = frozenset()
        self.tried = threading.Event()

    def resolve(self, step: Step, protection: Protection) -> Result:
        return Result("failed", "a sink is not asked")

    def deliver(self, records: list[Mapping[str, Any]]) -> None:
        self.tried.set()
        if self.error is not None:
            raise self.error
        ids = [record["id"] for record in records]
        if self.poison & set(ids):
            raise DeliveryError("a record is bad", permanent=True)
        self.took += ids
        self.batches.append(len(ids))

    def offer(self, records: list[Mapping[str, Any]]) -> None:
        self.deliver(records)

    def close(self) -> None: ...
