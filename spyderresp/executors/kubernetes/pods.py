"""A pod as the API server tells of it: names that may stand in a path, and the facts that matter for its end."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spyderresp.execution.backoff import Backoff, call_with_retries
from spyderresp.execution.report import Result
from spyderresp.executors.sinks.http_call import (
    TRANSIENT,
    HttpResponse,
    NoResponseError,
    PermanentError,
    RetryableError,
    patience,
)

if TYPE_CHECKING:
    from spyderresp.executors.kubernetes.api import PodApi


# RFC 1123, as the API server checks names. Nothing else gets into a path: `..` would name another resource.
_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_NAMESPACE: Final = re.compile(_LABEL, re.ASCII)
_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*", re.ASCII)
# What the node's agent marks the API's picture of a static pod with. It cannot be added to a pod later.
_MIRROR: Final = "kubernetes.io/config.mirror"


def is_namespace(value: Any) -> bool:
    """Tell whether a value can be a namespace's name."""
    return isinstance(value, str) and _NAMESPACE.fullmatch(value) is not None


def is_pod_name(value: Any) -> bool:
    """Tell whether a value can be a pod's name."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod.

    Attributes:
        namespace: where it is.
        name: its name, which another may have later.
        uid: which no other ever has.
        node: the node that it is bound to; None: none.
        owner: its controller, such as ``ReplicaSet/web-7f``; None: none.
        grace: how many seconds its containers have to end by themselves.
        ends: by when it is to be gone, where it is being deleted already; RFC 3339.
        left: how many seconds its containers had from then on.
        finalizers: what keeps its record after its containers have ended.
        mirror: whether it is the picture of a static pod, which the node's agent runs whatever the API says.
    """

    namespace: str
    name: str
    uid: str
    node: str | None = None
    owner: str | None = None
    grace: int | None = None
    ends: str | None = None
    left: int | None = None
    finalizers: tuple[str, ...] = ()
    mirror: bool = False

    @property
    def path(self) -> str:
        """Where the API server has it."""
        return pod_path(self.namespace, self.name)

    @property
    def facts(self) -> dict[str, Any]:
        """JSON data about it: what is known."""
        facts = {
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
            "node": self.node,
            "owner": self.owner,
            "grace": self.grace,
            "ends": self.ends,
            "finalizers": list(self.finalizers) or None,
        }
        return {name: value for name, value in facts.items() if value is not None}


def pod_path(namespace: str, name: str) -> str:
    """Return where the API server has a pod."""
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def pod_of(data: Mapping[str, Any]) -> Pod | None:
    """Return the pod that an answer tells of; None where it tells of none."""
    meta, spec = _mapping(data.get("metadata")), _mapping(data.get("spec"))
    namespace, name, uid = meta.get("namespace"), meta.get("name"), meta.get("uid")
    if data.get("kind") != "Pod" or not isinstance(uid, str) or not uid:
        return None
    if not isinstance(namespace, str) or not isinstance(name, str):
        return None
    owners = [_mapping(owner) for owner in _list(meta.get("ownerReferences"))]
    controllers = [f"{owner.get('kind')}/{owner.get('name')}" for owner in owners if owner.get("controller")]
    grace, left, ends = (
        spec.get("terminationGracePeriodSeconds"),
        meta.get("deletionGracePeriodSeconds"),
        meta.get("deletionTimestamp"),
    )
    return Pod(
        namespace,
        name,
        uid,
        node=spec.get("nodeName") or None,
        owner=controllers[0] if controllers else None,
        grace=grace if isinstance(grace, int) else None,
        ends=str(ends) if ends else None,
        left=left if isinstance(left, int) else None,
        finalizers=tuple(str(name) for name in _list(meta.get("finalizers"))),
        mirror=_MIRROR in _mapping(meta.get("annotations")),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


# Having one pod deleted: each attempt knows what the one before may have done.

#: In less time no request is worth making.
LEAST: Final = 1.0


class Deletion:
    """One pod's deletion or eviction.

    Args:
        api: the server.
        pod: the pod, as it was found with the event's UID.
        retry: how patiently to try.
        grace: how many seconds its containers have; None: what the pod says.
        version: says which API version evictions have; None: it is deleted, not evicted.
    """

    def __init__(
        self, api: PodApi, pod: Pod, retry: Backoff, grace: int | None, version: Callable[[], str] | None = None
    ) -> None:
        self._api = api
        self._pod = pod
        self._retry = retry
        self._grace = grace
        self._version = version
        self._until = float("inf")
        # Whether an attempt may have arrived of which no answer came.
        self._unsure = False

    def carry_out(self) -> Result | None:
        """Return what became of the pod; None where its deletion is under way."""
        if self._retry.within is not None:
            self._until = time.monotonic() + self._retry.within
        try:
            return call_with_retries(self._attempt, self._retry, patience)
        except (RetryableError, PermanentError) as error:
            return self._given_up(error)

    def ends_early(self, pod: Pod) -> bool:
        """Tell whether a pod is being deleted, and no later than was asked for."""
        return pod.ends is not None and (self._grace is None or pod.left is None or pod.left <= self._grace)

    def _attempt(self) -> Result | None:
        # A stale UID stalls a real server's eviction for 10 s, so look before.
        if self._unsure or self._version is not None:
            settled, under_way = self._state()
            if settled is not None or under_way:
                return settled
        method, path, body = self._request()
        try:
            answer = self._api.call(method, path, body, self._left())
        except NoResponseError as error:
            self._unsure = True
            raise RetryableError(str(error)) from error
        if answer.ok:
            return None
        if is_gone(answer, self._pod.name):
            return self._gone()
        if answer.status == 409:
            settled, under_way = self._state()
            if settled is not None or under_way:
                return settled
            raise RetryableError(said(answer), answer.retry_after)
        self._unsure |= answer.status >= 500
        raise failure(answer)

    def _request(self) -> tuple[str, str, Mapping[str, Any]]:
        options: dict[str, Any] = {"preconditions": {"uid": self._pod.uid}}
        if self._grace is not None:
            options["gracePeriodSeconds"] = self._grace
        if self._version is None:
            return "DELETE", self._pod.path, {"kind": "DeleteOptions", "apiVersion": "v1", **options}
        subject = {"name": self._pod.name, "namespace": self._pod.namespace}
        body = {"kind": "Eviction", "apiVersion": self._version(), "metadata": subject, "deleteOptions": options}
        return "POST", f"{self._pod.path}/eviction", body

    def _state(self) -> tuple[Result | None, bool]:
        """Return what became of the pod, where that is settled, and whether its deletion is under way."""
        pod = look(self._api, self._pod.namespace, self._pod.name, self._left())
        if pod is None:
            return self._gone(), False
        if pod.uid != self._pod.uid:
            return (self._gone() if self._unsure else other(pod, self._pod.uid)), False
        return None, self.ends_early(pod)

    def _gone(self) -> Result:
        where = f"pod `{self._pod.namespace}/{self._pod.name}` is gone"
        if self._unsure:
            return Result("done", f"{where}; the answer to its deletion was lost", details=self._pod.facts)
        return Result("already", where, details=self._pod.facts)

    def _given_up(self, error: Exception) -> Result | None:
        where = f"pod `{self._pod.namespace}/{self._pod.name}`"
        if self._unsure:
            self._until = time.monotonic()
            try:
                settled, under_way = self._state()
            except (RetryableError, PermanentError) as again:
                reason = f"{where}: {error}; whether its deletion began is not known: {again}"
                return Result("failed", reason, details=self._pod.facts)
            if settled is not None or under_way:
                return settled
        return Result("failed", f"{where}: {error}", details=self._pod.facts)

    def _left(self) -> float:
        return max(LEAST, self._until - time.monotonic())


def look(api: PodApi, namespace: str, name: str, most: float | None = None) -> Pod | None:
    """Return the pod that has a name now; None where none has.

    Args:
        api: the server.
        namespace: a valid name.
        name: a valid name.
        most: seconds to wait at most.

    Raises:
        RetryableError: it cannot be told now.
        PermanentError: it cannot be told.
    """
    try:
        answer = api.call("GET", pod_path(namespace, name), None, most)
    except NoResponseError as error:
        raise RetryableError(str(error)) from error
    if is_gone(answer, name):
        return None
    if not answer.ok:
        raise failure(answer)
    pod = pod_of(answer.data())
    if pod is None or (pod.namespace, pod.name) != (namespace, name):
        raise PermanentError("the server answers with something else than this pod")
    return pod


def eviction_version(api: PodApi) -> str:
    """Return which API version a server's evictions have, such as ``policy/v1``.

    Raises:
        RetryableError: it cannot be told now.
        PermanentError: there are none, or it cannot be told.
    """
    try:
        answer = api.call("GET", "/api/v1")
    except NoResponseError as error:
        raise RetryableError(str(error)) from error
    if not answer.ok:
        raise failure(answer)
    listed = answer.data().get("resources")
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, dict) and item.get("name") == "pods/eviction":
            return f"{item.get('group')}/{item.get('version')}"
    raise PermanentError("the server offers no eviction of pods")


def is_gone(answer: HttpResponse, name: str) -> bool:
    """Tell whether it is the API server that says that there is no such pod.

    Any proxy, and a wrong address, can answer 404 too.
    """
    data = answer.data()
    details = data.get("details")
    return (
        answer.status == 404
        and data.get("kind") == "Status"
        and data.get("reason") == "NotFound"
        and isinstance(details, dict)
        and (details.get("kind"), details.get("name")) == ("pods", name)
    )


def failure(answer: HttpResponse) -> RetryableError | PermanentError:
    """Return the exception that an answer is."""
    if answer.status in TRANSIENT:
        return RetryableError(said(answer), answer.retry_after)
    return PermanentError(said(answer))


def said(answer: HttpResponse) -> str:
    """Return what a server says, with the causes that a disruption budget gives."""
    details = answer.data().get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    told = [str(cause.get("message")) for cause in causes or () if isinstance(cause, dict)]
    return "; ".join([answer.said(), *told])


def other(pod: Pod, uid: str) -> Result:
    """Return that another pod has the name now."""
    reason = f"pod `{pod.namespace}/{pod.name}` is another one now: its UID is `{pod.uid}`, the event's is `{uid}`"
    return Result("mismatch", reason, details={**pod.facts, "expected": uid})
