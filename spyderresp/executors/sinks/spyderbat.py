"""``SpyderbatApi``: kills through the vendor's agent. docs/decisions/0039-the-vendors-api.md gives the reasons.

The vendor never reuses the uid of a process or pod, so a request with a uid cannot kill another target. The result of
the agent is not visible here, so the outcome is ``accepted`` and never ``done``.
"""

from __future__ import annotations

import re
import time
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any, Final

from spyderresp.errors import needs_extra
from spyderresp.execution.backoff import Backoff, call_with_retries
from spyderresp.execution.interfaces import Executor, Held
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result, refused
from spyderresp.execution.steps import Step
from spyderresp.executors.held_target import HeldTarget
from spyderresp.executors.sinks.http_call import (
    RETRY,
    TRANSIENT,
    NoResponseError,
    PermanentError,
    RetryableError,
    retry_wait,
)

_KILL_POD: Final = "agentKillPod"
_KILL_GROUP: Final = "agentKillProcessGroup"
_KILL_TREE: Final = "agentKillProcessTree"
_UID: Final = re.compile(r"(pod|proc):[A-Za-z0-9_-][A-Za-z0-9_.:-]{0,199}", re.ASCII)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
# No request gets fewer seconds than this.
_MIN_SECONDS: Final = 1.0
_MAX_TEXT: Final = 500


class SpyderbatApi(Executor):
    """Kills pods and processes through the vendor's API. Needs the extra ``spyderbat-api``. Safe to use from threads.

    Args:
        org: the uid of the organization.
        token: the API key, or a function that returns it before each request.
        url: the URL of the API. It must be ``https``, except on the loopback interface.
        client: an ``httpx.Client`` to use; None: a new one. Redirects are not followed.
        reason: a text for the vendor's audit log, written before the names of the policies.
        timeout: seconds to wait for a connection, and for a response.
        retry: the waits between attempts after 408, 409, 429, 5xx and missing responses, and when to give up.
        name: the name in reports.

    Raises:
        ImportError: the extra is not installed.
        ValueError: a setting is invalid.
    """

    name: str = "spyderbat-api"
    actions: frozenset[str] = frozenset({_KILL_POD, "agentKillProcess", _KILL_GROUP, _KILL_TREE})

    def __init__(
        self,
        org: str,
        token: str | Callable[[], str],
        *,
        url: str = "https://api.spyderbat.com",
        client: Any = None,
        reason: str = "spyderresp",
        timeout: tuple[float, float] = (3.05, 10.0),
        retry: Backoff = RETRY,
        name: str = "spyderbat-api",
    ) -> None:
        if not isinstance(org, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", org, re.ASCII):
            raise ValueError(f"`org` must be an organization's uid, not {org!r}")
        if not callable(token) and not (isinstance(token, str) and token.isascii() and token.isprintable() and token):
            raise ValueError("`token` must be an API key")
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ValueError(f"`url` must be https, because it transports the token, not {url!r}")
        if not all(0 < seconds < float("inf") for seconds in timeout):
            raise ValueError(f"`timeout` must be seconds, not {timeout!r}")
        if retry.within is None and retry.attempts is None:
            raise ValueError("`retry` must have a limit: set `within` or `attempts`")
        with needs_extra("spyderbat-api", "the executor `SpyderbatApi`"):
            from spyderresp.executors.sinks.spyderbat_client import VendorApi
        self.name = name
        self._org = org
        self._reason = reason
        self._retry = retry
        self._api = VendorApi(url, token if callable(token) else lambda: token, client, timeout)

    def resolve(self, step: Step, protection: Protection) -> Held | Result:
        """Return the target that the event names by the vendor's uid, or a refusal."""
        namespace = step.value("namespace.name")
        in_pod = step.action == _KILL_POD or any(
            step.value(path) is not None for path in ("pod.name", "pod.uid", "pod.kuid")
        )
        if namespace in protection.namespaces:
            return refused("protected:namespace", f"the namespace `{namespace}` is protected")
        if in_pod and namespace is None:
            reason = "the event has no `namespace.name`, so it is not known whether the pod is protected"
            return refused("protected:namespace", reason)
        scope, prefix = ("pod", "pod") if step.action == _KILL_POD else ("process", "proc")
        uid = step.value(f"{scope}.uid")
        if uid is None:
            return refused("identity", f"the event has no `{scope}.uid`, which the vendor's API needs")
        match = _UID.fullmatch(uid) if isinstance(uid, str) else None
        if match is None or match[1] != prefix:
            return refused("identity", f"`{scope}.uid` must be a uid of the vendor, `{prefix}:...`, not `{uid}`")
        if scope == "process" and (
            _number(step.value("process.pid")) in (1, 2) or _number(step.value("process.ppid")) == 2
        ):
            return refused("never:system", "the event's process is init or a kernel thread")
        uid = match[0]
        known = namespace if isinstance(namespace, str) else None
        return HeldTarget(f"vendor:{uid}", known, {"uid": uid}, lambda: self._kill(step, uid))

    def follow(self, step: Step, details: Mapping[str, Any]) -> Result:
        """Return ``incomplete``: the result of the agent is not visible here, so a person must look."""
        uid = details.get("uid", step.value("pod.uid" if step.action == _KILL_POD else "process.uid"))
        reason = f"the vendor accepted it; look in its console whether `{uid}` ended"
        return Result("incomplete", reason, details=details)

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def _kill(self, step: Step, uid: str) -> Result:
        """Request the kill of the target with a uid."""
        kind = "killpod" if step.action == _KILL_POD else "killprocess"
        path = f"/api/v1/org/{self._org}/response/agent/{kind}/{urllib.parse.quote(uid, safe=':')}"
        body: dict[str, Any] = {"reason": f"{self._reason}: {', '.join(step.policies)}"[:_MAX_TEXT]}
        if kind == "killprocess":
            body["kill_process_group"] = step.action == _KILL_GROUP
            body["kill_process_tree"] = step.action == _KILL_TREE
        until = float("inf") if self._retry.within is None else time.monotonic() + self._retry.within
        try:
            return call_with_retries(lambda: self._request(path, body, uid, until), self._retry, retry_wait)
        except (RetryableError, PermanentError) as error:
            return Result("failed", f"`{uid}`: {error}", details={"uid": uid})

    def _request(self, path: str, body: Mapping[str, Any], uid: str, until: float) -> Result:
        try:
            answer = self._api.post(path, body, max(_MIN_SECONDS, until - time.monotonic()))
        except NoResponseError as error:
            # A repeated request is for the same process or pod, so it cannot kill another one.
            raise RetryableError(str(error)) from error
        if answer.ok:
            details = {"uid": uid, "answer": answer.text[:_MAX_TEXT]}
            return Result(
                "accepted", f"the vendor accepted it; its agent does not report whether `{uid}` ended", details=details
            )
        if answer.status == 410:
            return Result("already", f"the vendor reports that `{uid}` is gone", details={"uid": uid})
        if answer.status == 404:
            reason = f"the vendor has no `{uid}` in `{self._org}`, or no such request"
            raise PermanentError(f"{reason} ({answer.message()})")
        if answer.status == 409 or answer.status in TRANSIENT:
            raise RetryableError(answer.message(), answer.retry_after)
        raise PermanentError(answer.message())


def _number(value: Any) -> Any:
    """Return a pid that is given as a text as the number that it is."""
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else value
