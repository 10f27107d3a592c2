"""The executors that ship. A module is loaded when its executor is used for the first time."""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING, Any, Final

from spyderresp.errors import needs_extra
from spyderresp.execution.interfaces import DeliveryError, Executor, Held, RemoteSink, Sink
from spyderresp.executors.dry_run import DryRun, Recording

if TYPE_CHECKING:
    from spyderresp.executors.kubernetes import Kubernetes
    from spyderresp.executors.local_host import LocalHost
    from spyderresp.executors.sinks.jsonlines import JsonLines
    from spyderresp.executors.sinks.otel import Otel
    from spyderresp.executors.sinks.spyderbat import SpyderbatApi
    from spyderresp.executors.sinks.sqlite import Sqlite
    from spyderresp.executors.sinks.syslog import Syslog
    from spyderresp.executors.sinks.webhook import Webhook

__all__ = [
    "DeliveryError",
    "DryRun",
    "Executor",
    "Held",
    "JsonLines",
    "Kubernetes",
    "LocalHost",
    "Otel",
    "Recording",
    "RemoteSink",
    "Sink",
    "SpyderbatApi",
    "Sqlite",
    "Syslog",
    "Webhook",
]

# The imports of the HTTP, SQLite and Kubernetes clients take long.
_MODULES: Final = {
    "JsonLines": "spyderresp.executors.sinks.jsonlines",
    "Kubernetes": "spyderresp.executors.kubernetes",
    "Otel": "spyderresp.executors.sinks.otel",
    "SpyderbatApi": "spyderresp.executors.sinks.spyderbat",
    "LocalHost": "spyderresp.executors.local_host",
    "Sqlite": "spyderresp.executors.sinks.sqlite",
    "Syslog": "spyderresp.executors.sinks.syslog",
    "Webhook": "spyderresp.executors.sinks.webhook",
}
_EXTRAS: Final = {"Otel": "otel", "Webhook": "webhook"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    extra = _EXTRAS.get(name)
    with needs_extra(extra, f"`{name}`") if extra else contextlib.nullcontext():
        return getattr(importlib.import_module(_MODULES[name]), name)
