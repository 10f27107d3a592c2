"""``SpyderbatApi``: has the vendor's agent kill. Why it does what: docs/decisions/0039-the-vendors-api.md.

The vendor names processes and pods by uids that no other ever has, so that the request itself says which one is meant.
What its agent does with it cannot be seen from here: the answer is ``accepted``, never ``done``.
"""

from __future__ import annotations

import re
import time
import urllib.parse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from spyderresp.errors import needs_extra
from spyderresp.execution.backoff import Backoff, call_with_retries
from spyderresp.execution.interfaces import Held
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result, refused
from spyderresp.execution.steps import Step
from spyderresp.executors.sinks.http_call import (
    RETRY,
    TRANSIENT,
    NoResponseError,
    PermanentError,
    RetryableError,
    patience,
)

if TYPE_CHECKING:
    pass

_KILL_POD: Final = "agentKillPod"
_KILL_GROUP: Final = "agentKillProcessGroup"
_KILL_TREE: Final = "agentKillProcessTree"
_UID: Final = re.compile(r"(pod|proc):[A-Za-z0-9_-][A-Za-z0-9_.:-]{0,199}", re.ASCII)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_LEAST: Final = 1.0
_SHOWN: Final = 500


class SpyderbatApi:
    """Kills pods and processes through the vendor's API. Needs the extra ``spyderbat-api``. Safe to use from threads.

    Args:
        org: the uid of the organization.
        token: the API key, or what returns it whenever it is needed.
        url: where the API is; ``https``, but on loopback.
        client: an ``httpx.Client``, used as it is, but follows no redirects.
        reason: what the vendor's audit log is told, before the names of the policies.
        timeout: seconds to wait for a connection, and for an answer.
        retry: how patiently to try again: 408, 409, 429, 5xx, no answer. ``within`` bounds it all.
        name: what reports call it.

    Raises:
        ImportError: the extra is not installed.
        ValueError: a setting makes no sense.
    """

    actions: Final = frozenset({_KILL_POD, "agentKillProcess", _KILL_GROUP, _KILL_TREE})

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
            raise ValueError(f"`url` must be https, or the token could be read on the way, not {url!r}")
        if not all(0 < seconds < float("inf") for seconds in timeout):
            raise ValueError(f"`timeout` must be seconds, not {timeout!r}")
        if retry.within is None and retry.attempts is None:
            raise ValueError("`retry` must end: give it `within` or `attempts`")
        with needs_extra("spyderbat-api", "the executor `SpyderbatApi`"):
            from spyderresp.executors.sinks.spyderbat_client import VendorApi
        self.name = name
        self._org = org
        self._reason = reason
        self._retry = retry
        self._api = VendorApi(url, token if callable(token) else lambda: token, client, timeout)

    def resolve(self, step: Step, protection: Protection) -> Held | Result:
        """Take the vendor's uid for the target: nobody else ever has it."""
        namespace = step.value("namespace.name")
        in_pod = step.action == _KILL_POD or any(
            step.value(path) is not None for path in ("pod.name", "pod.uid", "pod.kuid")
        )
        if namespace in protection.namespaces:
            return refused("protected:namespace", f"the namespace `{namespace}` is protected")
        if in_pod and namespace is None:
            reason = "the event gives no `namespace.name`: whether the pod is protected cannot be told"
            return refused("protected:namespace", reason)
        scope, prefix = ("pod", "pod") if step.action == _KILL_POD else ("process", "proc")
        uid = step.value(f"{scope}.uid")
        if uid is None:
            return refused("identity", f"the event gives no `{scope}.uid`, by which the vendor knows it")
        found = _UID.fullmatch(uid) if isinstance(uid, str) else None
        if found is None or found[1] != prefix:
            return refused("identity", f"`{scope}.uid` must be a uid of the vendor's, `{prefix}:...`, not `{uid}`")
        if scope == "process" and (step.value("process.pid") in (1, 2) or step.value("process.ppid") == 2):
            return refused("never:system", "the event's process is the system's first, or the kernel's")
        return _Named(self, step, found[0], namespace if isinstance(namespace, str) else None)

    def follow(self, step: Step, details: Mapping[str, Any]) -> Result:
        """Say that what the agent did cannot be seen from here: ``incomplete``, so that somebody looks."""
        uid = details.get("uid", step.value("pod.uid" if step.action == _KILL_POD else "process.uid"))
        reason = f"the vendor took it; whether `{uid}` ended cannot be seen from here: look in its console"
        return Result("incomplete", reason, details=details)

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def ask(self, step: Step, uid: str) -> Result:
        """Ask for the kill of what has a uid, and say what the vendor answers."""
        kind = "killpod" if step.action == _KILL_POD else "killprocess"
        path = f"/api/v1/org/{self._org}/response/agent/{kind}/{urllib.parse.quote(uid, safe=':')}"
        body: dict[str, Any] = {"reason": f"{self._reason}: {', '.join(step.policies)}"[:_SHOWN]}
        if kind == "killprocess":
            body["kill_process_group"] = step.action == _KILL_GROUP
            body["kill_process_tree"] = step.action == _KILL_TREE
        until = float("inf") if self._retry.within is None else time.monotonic() + self._retry.within
        try:
            return call_with_retries(lambda: self._asked(path, body, uid, until), self._retry, patience)
        except (RetryableError, PermanentError) as error:
            return Result("failed", f"`{uid}`: {error}", details={"uid": uid})

    def _asked(self, path: str, body: Mapping[str, Any], uid: str, until: float) -> Result:
        try:
            answer = self._api.post(path, body, max(_LEAST, until - time.monotonic()))
        except NoResponseError as error:
            # Asked once more it is the same process or pod, which dies once.
            raise RetryableError(str(error)) from error
        if answer.ok:
            details = {"uid": uid, "answer": answer.text[:_SHOWN]}
            return Result("accepted", f"the vendor took it: whether `{uid}` ends, its agent knows", details=details)
        if answer.status == 410:
            return Result("already", f"the vendor says that `{uid}` is gone", details={"uid": uid})
        if answer.status == 404:
            raise PermanentError(f"the vendor knows no `{uid}` in `{self._org}`, or no such request ({answer.said()})")
        if answer.status == 409 or answer.status in TRANSIENT:
            raise RetryableError(answer.said(), answer.retry_after)
        raise PermanentError(answer.said())


class _Named:
    """A target that the vendor's uid names."""

    def __init__(self, owner: SpyderbatApi, step: Step, uid: str, namespace: str | None) -> None:
        self._owner = owner
        self._step = step
        self._uid = uid
        self._namespace = namespace

    @property
    def identity(self) -> str:
        return f"vendor:{self._uid}"

    @property
    def namespace(self) -> str | None:
        return self._namespace

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"uid": self._uid}

    def act(self) -> Result:
        return self._owner.ask(self._step, self._uid)

    def release(self) -> None:
        pass
