"""Flags as OpenTelemetry log records, over OTLP or whatever exporter the host hands in. Extra ``otel``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import requests
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from spyderresp.errors import __version__
from spyderresp.execution.backoff import Backoff
from spyderresp.execution.flags.redaction import clean
from spyderresp.execution.interfaces import DeliveryError
from spyderresp.executors.sinks.delivery_queue import PATIENT, RemoteFlagSink
from spyderresp.policies.vocabulary import FLAGS

# The numbers that OpenTelemetry's log data model gives to syslog's severities (its appendix B), as Syslog maps them.
_SEVERITIES: Final = {
    "critical": SeverityNumber.ERROR2,
    "high": SeverityNumber.ERROR,
    "medium": SeverityNumber.WARN,
    "low": SeverityNumber.INFO2,
    "info": SeverityNumber.INFO,
}
_EVENT: Final = "spyderresp.flag"
# By the semantic conventions, where they have a name for it.
_ATTRIBUTES: Final = {
    "id": "log.record.uid",
    "schema": "spyderresp.flag.schema",
    "severity": "spyderresp.flag.severity",
    "event_id": "spyderresp.event.id",
    "policy_name": "spyderresp.policy.name",
    "policy_uid": "spyderresp.policy.uid",
    "policy_set": "spyderresp.policy.set",
    "plan_id": "spyderresp.plan.id",
    "rule": "spyderresp.guard.rule",
    "ref": "spyderresp.flag.ref",
    "muid": "host.id",
    "hostname": "host.name",
    "cluster_name": "k8s.cluster.name",
    "cluster_uid": "k8s.cluster.uid",
    "pod_namespace": "k8s.namespace.name",
    "pod_name": "k8s.pod.name",
    "pod_kuid": "k8s.pod.uid",
    "container": "container.id",
    "container_name": "container.name",
    "image": "container.image.name",
    "image_id": "container.image.id",
    "cgroup": "process.linux.cgroup",
    "name": "process.executable.name",
    "exe": "process.executable.path",
    "euser": "process.user.name",
    "pid": "process.pid",
    "ppid": "process.parent_pid",
}


class Otel(RemoteFlagSink):
    """Exports each flag as a log record: the record as JSON in the body, its ids as attributes.

    Args:
        endpoint: of OTLP over HTTP, with its path: ``http://collector:4318/v1/logs``; default: as the environment
            (``OTEL_EXPORTER_OTLP_ENDPOINT``) and the SDK say.
        headers: sent with each request. Shown nowhere.
        timeout: seconds for one attempt.
        ca: path of the authorities to trust.
        certificate: paths of a client certificate and of its key.
        exporter: exports in place of OTLP over HTTP: gRPC say, or one in memory. It is the host's to shut down.
        resource: attributes of the sender beside ``service.name`` and those of the environment.
        queue: how many records may wait in memory.
        backoff: how long its own queue waits after a failure.
        name: what reports call it.
        actions: what it takes.
        envelope: ``cloudevents``, ``ocsf`` or None: the shape of the body.
        now: epoch seconds.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        ca: str | None = None,
        certificate: tuple[str, str] | None = None,
        exporter: LogRecordExporter | None = None,
        resource: Mapping[str, str] | None = None,
        queue: int = 10_000,
        backoff: Backoff = PATIENT,
        name: str = "otel",
        actions: Iterable[str] = FLAGS,
        envelope: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(name, actions, envelope, queue, backoff)
        self._now = now
        self._lock = threading.Lock()
        self._ours: OTLPLogExporter | None = None
        if exporter is None:
            session = requests.Session()
            # Followed, a redirect of a POST becomes a GET without the flags, and counts as taken.
            session.max_redirects = 0
            self._ours = exporter = OTLPLogExporter(
                endpoint,
                certificate_file=ca,
                client_certificate_file=certificate[0] if certificate else None,
                client_key_file=certificate[1] if certificate else None,
                headers=dict(headers) if headers else None,
                timeout=timeout,  # type: ignore[arg-type,unused-ignore]
                session=session,
            )
        self._exporter = exporter
        self._resource = Resource.create({"service.name": "spyderresp", **(resource or {})})
        self._scope = InstrumentationScope("spyderresp", __version__)

    def deliver(self, records: list[Mapping[str, Any]]) -> None:
        """Export records in one request.

        Raises:
            DeliveryError: the exporter did not bring them there; why it logs itself.
        """
        batch = [ReadableLogRecord(self._log_record(record), self._resource, self._scope) for record in records]
        if not batch:
            return
        with self._lock:
            try:
                result = self._exporter.export(batch)
            except Exception as error:
                raise DeliveryError(f"the exporter failed: {type(error).__name__}") from error
        if result is not LogRecordExportResult.SUCCESS:
            raise DeliveryError("the exporter did not bring it there; its log says why")

    def close(self, timeout: float = 10.0) -> None:
        """Deliver what waits, for at most ``timeout`` seconds, and take no more."""
        super().close(timeout)
        if self._ours is not None:
            self._ours.shutdown()  # type: ignore[no-untyped-call,unused-ignore]

    def _log_record(self, record: Mapping[str, Any]) -> LogRecord:
        attributes = {
            name: value if isinstance(value, (bool, int, float)) else clean(str(value))
            for field, name in _ATTRIBUTES.items()
            if (value := record.get(field)) is not None
        }
        when = record.get("time")
        severity = record.get("severity")
        return LogRecord(
            timestamp=_nanoseconds(when),
            observed_timestamp=_nanoseconds(self._now()),
            severity_text=None if severity is None else str(severity),
            severity_number=_SEVERITIES.get(str(severity)),
            body=self.text(record),
            attributes=attributes,
            event_name=_EVENT,
        )


def _nanoseconds(seconds: Any) -> int | None:
    """Return epoch seconds as nanoseconds; None where OTLP has no number for them."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return None
    try:
        found = int(seconds * 1_000_000) * 1_000
    except (OverflowError, ValueError):
        return None
    return found if 0 <= found < 2**64 else None
