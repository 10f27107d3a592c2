"""What carries steps out. Each real one has a module of its own, which is loaded when its name is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from spyderresp.executors.base import DeliveryError, Executor, Held, RemoteSink, Sink
from spyderresp.executors.dry_run import DryRun, Recording
from spyderresp.extras import needed

if TYPE_CHECKING:
    from spyderresp.executors.jsonlines import JsonLines
    from spyderresp.executors.kubernetes import Kubernetes
    from spyderresp.executors.local_host import LocalHost
    from spyderresp.executors.otel import Otel
    from spyderresp.executors.spyderbat_api import SpyderbatApi
    from spyderresp.executors.sqlite import Sqlite
    from spyderresp.executors.syslog import Syslog
    from spyderresp.executors.webhook import Webhook

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

# Loading an HTTP client, SQLite or the Kubernetes client costs more than deciding a day's events.
_MODULES: Final = {
    "JsonLines": "spyderresp.executors.jsonlines",
    "Kubernetes": "spyderresp.executors.kubernetes",
    "Otel": "spyderresp.executors.otel",
    "SpyderbatApi": "spyderresp.executors.spyderbat_api",
    "LocalHost": "spyderresp.executors.local_host",
    "Sqlite": "spyderresp.executors.sqlite",
    "Syslog": "spyderresp.executors.syslog",
    "Webhook": "spyderresp.executors.webhook",
}
_EXTRAS: Final = {"Otel": "otel", "Webhook": "webhook"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    extra = _EXTRAS.get(name)
    module = needed(_MODULES[name], extra, f"`{name}`") if extra else importlib.import_module(_MODULES[name])
    return getattr(module, name)
