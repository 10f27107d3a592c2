"""``Otel``: exports flags as OpenTelemetry log records, by OTLP or another exporter. Needs the extra ``otel``."""

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
from spyderresp.executors.sinks.delivery_queue import FOREVER, RemoteFlagSink
from spyderresp.policies.vocabulary import FLAGS

# The severities of `Syslog`, by appendix B of OpenTelemetry's log data model.
_SEVERITIES: Final = {
    "critical": SeverityNumber.ERROR2,
    "high": SeverityNumber.ERROR,
    "medium": SeverityNumber.WARN,
    "low": SeverityNumber.INFO2,
    "info": SeverityNumber.INFO,
}
_EVENT: Final = "spyderresp.flag"
# Names of the semantic conventions, where they define one.
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
    """Exports each flag as a log record, with the flag as JSON in the body and its ids as attributes.

    Args:
        endpoint: the URL of OTLP over HTTP with its path, such as ``http://collector:4318/v1/logs``; None: as the
            environment (``OTEL_EXPORTER_OTLP_ENDPOINT``) and the SDK define it.
        headers: headers of each request. They are in no message.
        timeout: seconds for one attempt.
        ca: the path of the certificates of trusted authorities.
        certificate: the paths of a client certificate and of its key.
        exporter: an exporter to use instead of OTLP over HTTP, for example over gRPC. The caller shuts it down.
        resource: attributes of the sender, in addition to ``service.name`` and those of the environment.
        queue: the most records in the queue in memory.
        backoff: the waits of the queue after failures.
        name: the name in reports and in the journal.
        actions: ``makeRedFlag``, ``makeOpsFlag``, or both.
        envelope: ``cloudevents``, ``ocsf``, or None: the form of the body.
        now: returns epoch seconds.
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
        backoff: Backoff = FOREVER,
        name: str = "otel",
        actions: Iterable[str] = FLAGS,
        envelope: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(name, actions, envelope, queue, backoff)
        self._now = now
        self._lock = threading.Lock()
        self._own: OTLPLogExporter | None = None
        if exporter is None:
            session = requests.Session()
            # A redirected POST becomes a GET without the flags, and its success would count as a delivery.
            session.max_redirects = 0
            self._own = exporter = OTLPLogExporter(
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
            DeliveryError: the exporter did not deliver them; it logs the reason.
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
            raise DeliveryError("the exporter did not deliver it; its log says why")

    def close(self, timeout: float = 10.0) -> None:
        """Deliver for at most ``timeout`` seconds, then close. Records that are left are logged and lost."""
        super().close(timeout)
        if self._own is not None:
            self._own.shutdown()  # type: ignore[no-untyped-call,unused-ignore]

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
    """Return epoch seconds as nanoseconds; None if OTLP cannot represent them."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return None
    try:
        nanoseconds = int(seconds * 1_000_000) * 1_000
    except (OverflowError, ValueError):
        return None
    return nanoseconds if 0 <= nanoseconds < 2**64 else None
