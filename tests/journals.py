"""Steps and sinks for the tests of the journal."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from spyderresp.execution.interfaces import DeliveryError, Intent
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result, Status, StepOutcome
from spyderresp.execution.steps import Step


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


class World:
    """An executor of kills, and what there is to kill: a target is gone once it was acted on, as real ones are."""

    actions = frozenset({"agentKillProcess", "agentKillPod"})

    def __init__(self, *alive: str, name: str = "local") -> None:
        self.name = name
        self.alive = set(alive)
        self.killed: list[str] = []
        self.released: list[str] = []
        self.answer: Status = "done"
        self.broken: Exception | None = None
        self.strangers: set[str] = set()

    def resolve(self, step: Step, protection: Protection) -> Result | Prey:
        if self.broken is not None:
            raise self.broken
        if step.key in self.strangers:
            return Result("mismatch", "somebody else has its place")
        return Prey(self, step.key) if step.key in self.alive else Result("already", "no such process")

    def follow(self, step: Step, details: Mapping[str, Any]) -> Result:
        return Result("accepted") if step.key in self.alive else Result("done", "seen gone")

    def close(self) -> None: ...


class Prey:
    namespace = None

    def __init__(self, world: World, key: str) -> None:
        self._world = world
        self._key = key
        self.identity = f"process:{key}"
        self.facts = {"pid": 7}

    def act(self) -> Result:
        self._world.killed.append(self._key)
        if self._world.answer == "done":
            self._world.alive.discard(self._key)
        return Result(self._world.answer)

    def release(self) -> None:
        self._world.released.append(self._key)
