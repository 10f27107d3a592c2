"""Pods: valid names, lookups, and the deletion of one pod."""

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
    retry_wait,
)

if TYPE_CHECKING:
    from spyderresp.executors.kubernetes.api import PodApi


# Names of RFC 1123, as the API server checks them. Other texts in a path, such as `..`, could name another resource.
_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_NAMESPACE: Final = re.compile(_LABEL, re.ASCII)
_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*", re.ASCII)
# The annotation of the kubelet for the mirror of a static pod. It cannot be added to a pod later.
_MIRROR: Final = "kubernetes.io/config.mirror"


def is_namespace(value: Any) -> bool:
    """Return whether a value is a valid name of a namespace."""
    return isinstance(value, str) and _NAMESPACE.fullmatch(value) is not None


def is_pod_name(value: Any) -> bool:
    """Return whether a value is a valid name of a pod."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod, as the API server describes it.

    Attributes:
        namespace: its namespace.
        name: its name; another pod may get this name later.
        uid: its UID, which no other pod ever gets.
        node: its node, or None.
        owner: its controller, such as ``ReplicaSet/web-7f``, or None.
        grace: the seconds that its containers get to end by themselves, or None.
        ends: the time by which it is to be gone, in RFC 3339; None: it is not being deleted.
        left: the seconds that its containers got when its deletion began, or None.
        finalizers: the finalizers that keep its record after its containers have ended.
        mirror: whether it is the mirror of a static pod. The kubelet runs a static pod whatever the API says.
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
        """The path of the pod on the API server."""
        return pod_path(self.namespace, self.name)

    @property
    def facts(self) -> dict[str, Any]:
        """The values that are known, as JSON data."""
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
    """Return the path of a pod on the API server."""
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def pod_of(data: Mapping[str, Any]) -> Pod | None:
    """Return the pod that the JSON of a response describes; None if it is not a pod."""
    meta, spec = _mapping(data.get("metadata")), _mapping(data.get("spec"))
    namespace, name, uid = meta.get("namespace"), meta.get("name"), meta.get("uid")
    if data.get("kind") != "Pod" or not isinstance(uid, str) or not uid:
        return None
    if not isinstance(namespace, str) or not isinstance(name, str):
        return None
    owners = [_mapping(owner) for owner in _list(meta.get("ownerReferences"))]
    controllers = [f"{owner.get('kind')}/{owner.get('name')}" for owner in owners if owner.get("controller")]
    grace, left = spec.get("terminationGracePeriodSeconds"), meta.get("deletionGracePeriodSeconds")
    ends = meta.get("deletionTimestamp")
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


#: No request gets fewer seconds than this.
MIN_SECONDS: Final = 1.0


class Deletion:
    """Deletes or evicts one pod. An attempt takes into account what the attempts before may have done.

    ``grace`` are the seconds that its containers get; None: as the pod specifies. ``version`` returns the API version
    of evictions; None: delete the pod, do not evict it.
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
        # Whether an earlier attempt may have begun the deletion, although no success came back.
        self._unsure = False

    def carry_out(self) -> Result | None:
        """Delete or evict the pod; return None if its deletion is under way, else the result."""
        if self._retry.within is not None:
            self._until = time.monotonic() + self._retry.within
        try:
            return call_with_retries(self._attempt, self._retry, retry_wait)
        except (RetryableError, PermanentError) as error:
            return self._given_up(error)

    def ends_early(self, pod: Pod) -> bool:
        """Return whether a pod is being deleted already, with a grace period that is not longer than ``grace``."""
        return pod.ends is not None and (self._grace is None or pod.left is None or pod.left <= self._grace)

    def _attempt(self) -> Result | None:
        # An eviction with an old UID makes a server wait for 10 s, so look at the pod first.
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
            raise RetryableError(message_of(answer), answer.retry_after)
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
        """Return the result if the pod is gone, else None; and whether its deletion is under way."""
        pod = find_pod(self._api, self._pod.namespace, self._pod.name, self._left())
        if pod is None:
            return self._gone(), False
        if pod.uid != self._pod.uid:
            return (self._gone() if self._unsure else other_pod(pod, self._pod.uid)), False
        return None, self.ends_early(pod)

    def _gone(self) -> Result:
        where = f"pod `{self._pod.namespace}/{self._pod.name}` is gone"
        if self._unsure:
            return Result("done", f"{where}; the response to its deletion was lost", details=self._pod.facts)
        return Result("already", where, details=self._pod.facts)

    def _given_up(self, error: Exception) -> Result | None:
        where = f"pod `{self._pod.namespace}/{self._pod.name}`"
        if self._unsure:
            self._until = time.monotonic()
            try:
                settled, under_way = self._state()
            except (RetryableError, PermanentError) as again:
                reason = f"{where}: {error}; it is not known whether its deletion began: {again}"
                return Result("failed", reason, details=self._pod.facts)
            if settled is not None or under_way:
                return settled
        return Result("failed", f"{where}: {error}", details=self._pod.facts)

    def _left(self) -> float:
        return max(MIN_SECONDS, self._until - time.monotonic())


def find_pod(api: PodApi, namespace: str, name: str, most: float | None = None) -> Pod | None:
    """Return the pod that has a valid name now, after at most ``most`` seconds; None if there is none.

    Raises:
        RetryableError: the lookup failed; another attempt may succeed.
        PermanentError: the lookup failed.
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
        raise PermanentError("the server returned something other than this pod")
    return pod


def eviction_version(api: PodApi) -> str:
    """Return the API version of a server's evictions, such as ``policy/v1``.

    Raises:
        RetryableError: the lookup failed; another attempt may succeed.
        PermanentError: the lookup failed, or the server has no evictions.
    """
    try:
        answer = api.call("GET", "/api/v1")
    except NoResponseError as error:
        raise RetryableError(str(error)) from error
    if not answer.ok:
        raise failure(answer)
    for item in map(_mapping, _list(answer.data().get("resources"))):
        if item.get("name") == "pods/eviction":
            return f"{item.get('group')}/{item.get('version')}"
    raise PermanentError("the server offers no eviction of pods")


def is_gone(answer: HttpResponse, name: str) -> bool:
    """Return whether the API server itself answered that there is no such pod. A proxy can answer 404 too."""
    data = answer.data()
    details = _mapping(data.get("details"))
    return (
        answer.status == 404
        and (data.get("kind"), data.get("reason")) == ("Status", "NotFound")
        and (details.get("kind"), details.get("name")) == ("pods", name)
    )


def failure(answer: HttpResponse) -> RetryableError | PermanentError:
    """Return the exception for a response that is not a success."""
    if answer.status in TRANSIENT:
        return RetryableError(message_of(answer), answer.retry_after)
    return PermanentError(message_of(answer))


def message_of(answer: HttpResponse) -> str:
    """Return the server's message, with the causes that a disruption budget gives."""
    causes = map(_mapping, _list(_mapping(answer.data().get("details")).get("causes")))
    return "; ".join([answer.message(), *(str(cause.get("message")) for cause in causes if cause)])


def other_pod(pod: Pod, uid: str) -> Result:
    """Return the result if another pod has the name of the expected one. ``uid`` is the expected UID."""
    reason = f"pod `{pod.namespace}/{pod.name}` is another pod now: its UID is `{pod.uid}`, the event's is `{uid}`"
    return Result("mismatch", reason, details={**pod.facts, "expected": uid})
