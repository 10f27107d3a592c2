"""``Kubernetes``: kills pods through the API server. Why it does what: docs/decisions/0038-pods.md.

A pod is held by its UID: every request that changes something carries it as a precondition, so that a pod recreated
under the same name is never touched, however late the request arrives.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spyderresp.errors import needs_extra
from spyderresp.execution.backoff import Backoff, call_with_retries
from spyderresp.execution.interfaces import Held
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result, refused
from spyderresp.execution.steps import Step
from spyderresp.executors.kubernetes.pods import (
    LEAST,
    Deletion,
    Pod,
    eviction_version,
    is_namespace,
    is_pod_name,
    look,
    other,
)
from spyderresp.executors.sinks.http_call import RETRY, PermanentError, RetryableError, patience

if TYPE_CHECKING:
    from spyderresp.executors.kubernetes.api import PodApi

#: Other steps of the plan stand behind a look-up.
_LOOK_WITHIN: Final = 10.0
_POLL_FIRST: Final = 0.1
_POLL_LONGEST: Final = 2.0
_OWN_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Kubernetes:
    """Kills pods: deletes them, or evicts them on request. Needs the extra ``kubernetes``. Safe to use from threads.

    Args:
        cluster: the name of the cluster that it acts in, as events give it, or its uid. An event of another cluster,
            and one that does not say, is refused.
        cluster_uid: the cluster's uid too; then whatever an event gives of the two must agree.
        client: an ``ApiClient`` of the official client, used as it is.
        kubeconfig: a kubeconfig file; default: ``$KUBECONFIG``, else the service account of the pod that this runs in,
            else ``~/.kube/config``. Looked at when it is first needed.
        context: which context of that file.
        evict: ask for an eviction, which disruption budgets can turn down.
        grace_period: how many seconds the containers have to end by themselves; default: what the pod says. With 0 the
            pod's record goes at once and nobody sees its containers end, which is then ``incomplete``.
        wait: how many seconds to wait for the pod to be gone, which makes it ``done`` and not only ``accepted``.
        timeout: seconds to wait for a connection, and for an answer.
        retry: how patiently to try again: 409, 429, 5xx, no answer. ``within`` bounds it all.
        own_uid: the UID of the pod that this runs in, which it never kills; default: ``$POD_UID``.
        name: what reports call it.

    Raises:
        ImportError: the extra is not installed.
        ValueError: a setting makes no sense.
    """

    actions: Final = frozenset({"agentKillPod"})

    def __init__(
        self,
        cluster: str,
        *,
        cluster_uid: str | None = None,
        client: Any = None,
        kubeconfig: str | os.PathLike[str] | None = None,
        context: str | None = None,
        evict: bool = False,
        grace_period: int | None = None,
        wait: float = 0.0,
        timeout: tuple[float, float] = (3.05, 10.0),
        retry: Backoff = RETRY,
        own_uid: str | None = None,
        name: str = "kubernetes",
    ) -> None:
        if not isinstance(cluster, str) or not cluster:
            raise ValueError(f"`cluster` must be a cluster's name or uid, not {cluster!r}")
        if grace_period is not None and (not isinstance(grace_period, int) or grace_period < 0):
            raise ValueError(f"`grace_period` must be whole seconds, not {grace_period!r}")
        if not 0 <= wait < float("inf") or not all(0 < seconds < float("inf") for seconds in timeout):
            raise ValueError(f"`wait` and `timeout` must be seconds, not {wait!r} and {timeout!r}")
        if retry.within is None and retry.attempts is None:
            raise ValueError("`retry` must end: give it `within` or `attempts`")
        with needs_extra("kubernetes", "the executor `Kubernetes`"):
            from spyderresp.executors.kubernetes import api
        self.name = name
        self._cluster = cluster
        self._cluster_uid = cluster_uid
        self._evict = evict
        self._grace = grace_period
        self._wait = wait
        self._retry = retry
        self._own_uid = own_uid if own_uid is not None else os.environ.get("POD_UID") or None
        path = None if kubeconfig is None else os.fspath(kubeconfig)
        self._api: PodApi = api.PodApi(client, path, context, timeout)
        # Which version evictions have here, once the server has said.
        self._eviction: str | None = None

    def resolve(self, step: Step, protection: Protection) -> Held | Result:
        """Look the pod up and compare it with the event."""
        refusal = self._elsewhere(step) or _unaddressed(step, protection)
        if refusal is not None:
            return refusal
        namespace, name, uid = (str(step.value(path)) for path in ("namespace.name", "pod.name", "pod.kuid"))
        within = _LOOK_WITHIN if self._retry.within is None else min(_LOOK_WITHIN, self._retry.within)
        until = time.monotonic() + within
        try:
            pod = call_with_retries(
                lambda: look(self._api, namespace, name, max(LEAST, until - time.monotonic())),
                replace(self._retry, within=within),
                patience,
            )
        except (RetryableError, PermanentError) as error:
            return Result("failed", f"pod `{namespace}/{name}` cannot be looked up: {error}")
        if pod is None:
            return Result("already", f"pod `{namespace}/{name}` is gone", details=_address(namespace, name, uid))
        if pod.uid != uid:
            return other(pod, uid)
        if pod.mirror:
            reason = f"pod `{namespace}/{name}` is the picture of a static pod: its node runs it whatever the API says"
            return refused("static", reason, **pod.facts)
        if self._is_own(pod):
            return refused("never:self", f"pod `{namespace}/{name}` is the one that this runs in", **pod.facts)
        return _HeldPod(self, pod)

    def follow(self, step: Step, details: Mapping[str, Any]) -> Result:
        """Say whether a pod whose deletion is under way is gone by now."""
        address = [
            details.get(key, step.value(path))
            for key, path in (("namespace", "namespace.name"), ("name", "pod.name"), ("uid", "pod.kuid"))
        ]
        namespace, name, uid = address
        if not is_namespace(namespace) or not is_pod_name(name) or not isinstance(uid, str):
            return Result("failed", "which pod it was is not known any more")
        gone = Result("done", f"pod `{namespace}/{name}` is gone", details=_address(namespace, name, uid))
        try:
            pod = look(self._api, namespace, name)
        except (RetryableError, PermanentError) as error:
            return Result("accepted", f"whether pod `{namespace}/{name}` is gone is not known: {error}", "", details)
        if pod is None or pod.uid != uid:
            return gone
        if pod.ends is None:
            return Result("failed", f"pod `{namespace}/{name}` is there, and nothing deletes it", details=pod.facts)
        return _under_way(pod, "is being deleted")

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def _elsewhere(self, step: Step) -> Result | None:
        name, uid = step.value("cluster.name"), step.value("cluster.uid")
        if name is None and uid is None:
            return refused("host", "the event does not say which cluster it is of")
        if self._cluster_uid is None:
            ours = self._cluster in (name, uid)
        else:
            ours = name in (None, self._cluster) and uid in (None, self._cluster_uid)
        if ours:
            return None
        return refused("host", f"the event is of cluster `{name if name is not None else uid}`, not `{self._cluster}`")

    def _is_own(self, pod: Pod) -> bool:
        if pod.uid == self._own_uid:
            return True
        try:
            return _OWN_NAMESPACE.read_text().strip() == pod.namespace and socket.gethostname() == pod.name
        except (OSError, UnicodeDecodeError):
            return False

    def carry_out(self, pod: Pod) -> Result:
        """Have a pod deleted that was found by ``resolve``, and say what became of it."""
        deletion = Deletion(self._api, pod, self._retry, self._grace, self._version if self._evict else None)
        if deletion.ends_early(pod):
            return self._watch(pod, "was being deleted already")
        ended = deletion.carry_out()
        if ended is not None:
            return ended
        if self._grace == 0 and pod.node is not None:
            reason = f"its record went at once; whether its containers on node `{pod.node}` have ended, nobody saw"
            return Result("incomplete", f"pod `{pod.namespace}/{pod.name}`: {reason}", details=pod.facts)
        return self._watch(pod, "is being deleted")

    def _version(self) -> str:
        if self._eviction is None:
            self._eviction = eviction_version(self._api)
        return self._eviction

    def _watch(self, pod: Pod, told: str) -> Result:
        """Look until the pod is gone or the wait is over; at least once."""
        until = time.monotonic() + self._wait
        pause = _POLL_FIRST
        latest = pod
        while True:
            # Where it cannot be told now, its deletion is under way all the same; `follow` looks again.
            with contextlib.suppress(RetryableError, PermanentError):
                seen = look(self._api, pod.namespace, pod.name, max(LEAST, until - time.monotonic()))
                if seen is None or seen.uid != pod.uid:
                    return Result("done", f"pod `{pod.namespace}/{pod.name}` is gone", details=pod.facts)
                latest = seen
            left = until - time.monotonic()
            if left <= 0:
                return _under_way(latest, told)
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, _POLL_LONGEST)


class _HeldPod:
    """A pod that was found with the event's UID."""

    def __init__(self, owner: Kubernetes, pod: Pod) -> None:
        self._owner = owner
        self._pod = pod

    @property
    def identity(self) -> str:
        return f"pod:{self._pod.uid}"

    @property
    def namespace(self) -> str | None:
        return self._pod.namespace

    @property
    def facts(self) -> Mapping[str, Any]:
        return self._pod.facts

    def act(self) -> Result:
        return self._owner.carry_out(self._pod)

    def release(self) -> None:
        pass


def _unaddressed(step: Step, protection: Protection) -> Result | None:
    """Return why an event's pod must not be looked for."""
    namespace, name, uid = step.value("namespace.name"), step.value("pod.name"), step.value("pod.kuid")
    if namespace in protection.namespaces:
        return refused("protected:namespace", f"the namespace `{namespace}` is protected")
    if not isinstance(uid, str) or not uid:
        return refused("identity", "the event gives no `pod.kuid`: another pod may have that name by now")
    for path, given, fits in (("namespace.name", namespace, is_namespace), ("pod.name", name, is_pod_name)):
        if given is None:
            return refused("identity", f"the event gives no `{path}`: the pod cannot be looked up")
        if not fits(given):
            return refused("identity", f"the event's `{path}` cannot be a name: `{given}`")
    return None


def _address(namespace: str, name: str, uid: str) -> dict[str, str]:
    return {"namespace": namespace, "name": name, "uid": uid}


def _under_way(pod: Pod, told: str) -> Result:
    kept = (
        f"; finalizers keep its record: {', '.join(f'`{name}`' for name in pod.finalizers)}" if pod.finalizers else ""
    )
    by = f", by {pod.ends}" if pod.ends else ""
    return Result("accepted", f"pod `{pod.namespace}/{pod.name}` {told}{by}{kept}", details=pod.facts)
