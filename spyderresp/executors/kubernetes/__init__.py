"""``Kubernetes``: kills pods through the API server. docs/decisions/0038-pods.md gives the reasons.

A pod is held by its UID: every request that changes something has the UID as a precondition. So a new pod of the same
name is never killed, however late the request arrives.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spyderresp.errors import needs_extra
from spyderresp.execution.backoff import Backoff, call_with_retries
from spyderresp.execution.interfaces import HOST_RULE, Executor, Held
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result, refused
from spyderresp.execution.steps import Step
from spyderresp.executors.held_target import HeldTarget
from spyderresp.executors.kubernetes.pods import (
    MIN_SECONDS,
    Deletion,
    Pod,
    eviction_version,
    find_pod,
    is_namespace,
    is_pod_name,
    other_pod,
)
from spyderresp.executors.sinks.http_call import RETRY, PermanentError, RetryableError, retry_wait

if TYPE_CHECKING:
    from spyderresp.executors.kubernetes.api import PodApi

# The most seconds for a lookup, because other steps of the plan wait for it.
_LOOKUP_SECONDS: Final = 10.0
# The first and the longest pause between two looks at a pod that is being deleted.
_POLL_FIRST: Final = 0.1
_POLL_LONGEST: Final = 2.0
_OWN_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Kubernetes(Executor):
    """Kills pods: deletes or evicts them. Needs the extra ``kubernetes``. Safe to use from several threads.

    ::

        Kubernetes("prod-1", evict=True, grace_period=10)

    Args:
        cluster: the name of the cluster in events, or its uid. Events that name another cluster, or none, are refused.
        cluster_uid: the uid of the cluster, if ``cluster`` is its name. Then both must agree with the event.
        client: an ``ApiClient`` of the official client to use; None: one from the configuration.
        kubeconfig: the path of a kubeconfig file; None: ``$KUBECONFIG``, else the service account of this pod, else
            ``~/.kube/config``. Read before the first request.
        context: the context of that file; None: its current context.
        evict: whether to evict pods, which disruption budgets can prevent, instead of deleting them.
        grace_period: the seconds that containers get to end by themselves; None: as the pod specifies. With 0 the pod's
            record is deleted at once, so the end of its containers is not visible, and the outcome is ``incomplete``.
        wait: the seconds to wait until the pod is gone. If it is gone by then, the outcome is ``done``, else
            ``accepted``.
        timeout: seconds to wait for a connection, and for a response.
        retry: the waits between attempts after 409, 429, 5xx and missing responses, and when to give up.
        own_uid: the UID of the pod that this process runs in, which is never killed; None: ``$POD_UID``.
        name: the name in reports.

    Raises:
        ImportError: the extra is not installed.
        ValueError: a setting is invalid.
    """

    name: str = "kubernetes"
    actions: frozenset[str] = frozenset({"agentKillPod"})

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
            raise ValueError(f"`cluster` must be the name or uid of a cluster, not {cluster!r}")
        if grace_period is not None and (not isinstance(grace_period, int) or grace_period < 0):
            raise ValueError(f"`grace_period` must be whole seconds, not {grace_period!r}")
        if not 0 <= wait < float("inf") or not all(0 < seconds < float("inf") for seconds in timeout):
            raise ValueError(f"`wait` and `timeout` must be seconds, not {wait!r} and {timeout!r}")
        if retry.within is None and retry.attempts is None:
            raise ValueError("`retry` must have a limit: set `within` or `attempts`")
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
        # The API version of evictions on this server.
        self._eviction_version = functools.cache(lambda: eviction_version(self._api))

    def resolve(self, step: Step, protection: Protection) -> Held | Result:
        """Look the pod up and compare its UID with the event."""
        refusal = self._other_cluster(step) or _invalid_target(step, protection)
        if refusal is not None:
            return refusal
        namespace, name, uid = (str(step.value(path)) for path in ("namespace.name", "pod.name", "pod.kuid"))
        within = _LOOKUP_SECONDS if self._retry.within is None else min(_LOOKUP_SECONDS, self._retry.within)
        until = time.monotonic() + within
        try:
            pod = call_with_retries(
                lambda: find_pod(self._api, namespace, name, max(MIN_SECONDS, until - time.monotonic())),
                replace(self._retry, within=within),
                retry_wait,
            )
        except (RetryableError, PermanentError) as error:
            return Result("failed", f"pod `{namespace}/{name}` cannot be looked up: {error}")
        if pod is None:
            return Result("already", f"pod `{namespace}/{name}` is gone", details=_address(namespace, name, uid))
        if pod.uid != uid:
            return other_pod(pod, uid)
        if pod.mirror:
            reason = f"pod `{namespace}/{name}` is the mirror of a static pod; delete its manifest on the node instead"
            return refused("static", reason, **pod.facts)
        if self._is_own(pod):
            return refused("never:self", f"pod `{namespace}/{name}` is the pod of this process", **pod.facts)
        return HeldTarget(f"pod:{uid}", namespace, pod.facts, lambda: self.carry_out(pod))

    def follow(self, step: Step, details: Mapping[str, Any]) -> Result:
        """Return ``accepted`` while the pod is being deleted, ``done`` when it is gone.

        Args:
            step: the accepted step.
            details: the ``details`` of the result that accepted it.
        """
        namespace, name, uid = (
            details.get(key, step.value(path))
            for key, path in (("namespace", "namespace.name"), ("name", "pod.name"), ("uid", "pod.kuid"))
        )
        if not is_namespace(namespace) or not is_pod_name(name) or not isinstance(uid, str):
            return Result("failed", "the details do not name the pod")
        gone = Result("done", f"pod `{namespace}/{name}` is gone", details=_address(namespace, name, uid))
        try:
            pod = find_pod(self._api, namespace, name)
        except (RetryableError, PermanentError) as error:
            return Result("accepted", f"it is not known whether pod `{namespace}/{name}` is gone: {error}", "", details)
        if pod is None or pod.uid != uid:
            return gone
        if pod.ends is None:
            return Result("failed", f"pod `{namespace}/{name}` exists and is not being deleted", details=pod.facts)
        return _under_way(pod, "is being deleted")

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def _other_cluster(self, step: Step) -> Result | None:
        name, uid = step.value("cluster.name"), step.value("cluster.uid")
        if name is None and uid is None:
            return refused(HOST_RULE, "the event does not name its cluster")
        if self._cluster_uid is None:
            ours = self._cluster in (name, uid)
        else:
            ours = name in (None, self._cluster) and uid in (None, self._cluster_uid)
        if ours:
            return None
        return refused(
            HOST_RULE, f"the event is from cluster `{name if name is not None else uid}`, not `{self._cluster}`"
        )

    def _is_own(self, pod: Pod) -> bool:
        if pod.uid == self._own_uid:
            return True
        try:
            return _OWN_NAMESPACE.read_text().strip() == pod.namespace and socket.gethostname() == pod.name
        except (OSError, UnicodeDecodeError):
            return False

    def carry_out(self, pod: Pod) -> Result:
        """Delete or evict a pod that ``resolve`` found."""
        deletion = Deletion(self._api, pod, self._retry, self._grace, self._eviction_version if self._evict else None)
        if deletion.ends_early(pod):
            return self._watch(pod, "was being deleted already")
        ended = deletion.carry_out()
        if ended is not None:
            return ended
        if self._grace == 0 and pod.node is not None:
            reason = f"its record was deleted at once, so the end of its containers on node `{pod.node}` is not visible"
            return Result("incomplete", f"pod `{pod.namespace}/{pod.name}`: {reason}", details=pod.facts)
        return self._watch(pod, "is being deleted")

    def _watch(self, pod: Pod, verb: str) -> Result:
        """Wait until the pod is gone, for at most ``wait`` seconds. ``verb`` describes its state in the message."""
        until = time.monotonic() + self._wait
        pause = _POLL_FIRST
        latest = pod
        while True:
            # If the server does not answer now, the deletion is under way all the same; `follow` asks later.
            with contextlib.suppress(RetryableError, PermanentError):
                found = find_pod(self._api, pod.namespace, pod.name, max(MIN_SECONDS, until - time.monotonic()))
                if found is None or found.uid != pod.uid:
                    return Result("done", f"pod `{pod.namespace}/{pod.name}` is gone", details=pod.facts)
                latest = found
            left = until - time.monotonic()
            if left <= 0:
                return _under_way(latest, verb)
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, _POLL_LONGEST)


def _invalid_target(step: Step, protection: Protection) -> Result | None:
    """Return why the pod of an event must not be looked up, or None."""
    namespace, name, uid = step.value("namespace.name"), step.value("pod.name"), step.value("pod.kuid")
    if namespace in protection.namespaces:
        return refused("protected:namespace", f"the namespace `{namespace}` is protected")
    if not isinstance(uid, str) or not uid:
        return refused("identity", "the event has no `pod.kuid`, and another pod may have the name by now")
    for path, given, fits in (("namespace.name", namespace, is_namespace), ("pod.name", name, is_pod_name)):
        if given is None:
            return refused("identity", f"the event has no `{path}`, so the pod cannot be looked up")
        if not fits(given):
            return refused("identity", f"the event's `{path}` is not a valid name: `{given}`")
    return None


def _address(namespace: str, name: str, uid: str) -> dict[str, str]:
    return {"namespace": namespace, "name": name, "uid": uid}


def _under_way(pod: Pod, verb: str) -> Result:
    names = ", ".join(f"`{name}`" for name in pod.finalizers)
    kept = f"; finalizers keep its record: {names}" if names else ""
    by = f", by {pod.ends}" if pod.ends else ""
    return Result("accepted", f"pod `{pod.namespace}/{pod.name}` {verb}{by}{kept}", details=pod.facts)
