"""A service that reads from a broker, in a thread of its own."""

from __future__ import annotations

import threading
from typing import Any

from spyderresp.executors import Recording
from spyderresp.service.config.build import SourceFactory
from spyderresp.service.config.settings import SenderLimits, Settings
from spyderresp.service.config.source_settings import KafkaSource, NatsSource
from spyderresp.service.intake import Intake
from spyderresp.service.loop import ServiceContext
from spyderresp.service.metrics import StateReader
from spyderresp.service.service import Ending, Service
from spyderresp.service.sources.file import Positions


class Brokered:
    """Runs from when it is made."""

    def __init__(self, said: KafkaSource | NatsSource, context: ServiceContext, **limits: Any) -> None:
        self.context = context
        settings = Settings(events=(said,), limits=SenderLimits(**limits))
        intake = Intake(settings.limits.events, settings.limits.bytes)
        watch = StateReader(context.engine, context.guard, intake)
        self.sources = SourceFactory(settings, Positions(None), context.observer, context.counts, watch).sources()
        self.service = Service(self.sources, intake, context)
        self.ending: list[Ending] = []
        self.thread = threading.Thread(target=lambda: self.ending.append(self.service.run()), daemon=True)
        self.thread.start()

    def stop(self) -> Ending:
        """End it, and say how it ended."""
        self.service.stop(15)
        self.thread.join(240)
        return self.ending[0]


def flagged(recording: Recording) -> list[str]:
    """Return the events that were flagged: beside an ops flag, that nobody's event caused, for a breaker opens."""
    return sorted(step.event for step in recording.acted if step.is_flag and step.event is not None)
