"""What the tests do to a cluster beside the executor: by the API alone, so that it is the same for every server."""

from __future__ import annotations

import json
import os
from typing import Any

import urllib3
from kubernetes import client as official

import spyderresp
from spyderresp.execution.backoff import Backoff
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import StepOutcome
from spyderresp.guards import Guard

NAMESPACE = os.environ.get("SPYDERRESP_KUBE_NAMESPACE", "spyderresp-test")

#: No node is called so: pods that are bound to it are in nobody's hands, and stay until they are removed.
NODE = "spyderresp-no-such-node"
LIMITED = "system:serviceaccount:spyderresp:spyderresp"

POLICY = """
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: kill, type: cluster}
spec:
  mode: enforce
  clusterSelector: {matchFields: {name: "*"}}
  response:
    default: []
    actions:
      - agentKillPod: {processSelector: {matchFields: {name: evil}}}
"""
ENGINE = spyderresp.Engine(spyderresp.loads(POLICY))
QUICK = Backoff(first=0.02, longest=0.1, attempts=None, within=60.0, obeyed=60.0)


def event(name: str | None, kuid: str | None, namespace: str | None = NAMESPACE, **more: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"cluster": {"name": "prod"}, "pod": {}, "process": {"name": "evil", "pid": 7}, **more}
    said["pod"].update({key: value for key, value in (("name", name), ("kuid", kuid)) if value is not None})
    if namespace is not None:
        said["namespace"] = {"name": namespace}
    return said


def kill(executor: Any, said: dict[str, Any], protection: Protection | None = None) -> StepOutcome:
    """Have the event decided and carried out, under a guard of its own."""
    guard = Guard(kill_switch=None, protection=protection)
    (outcome,) = spyderresp.execute(ENGINE.evaluate(said), executor, guard, event=said)
    return outcome


class Cluster:
    """A namespace of a cluster, with an administrator's rights."""

    def __init__(self, client: Any, namespace: str) -> None:
        self.client = client
        self.namespace = namespace
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._made: list[str] = []
        self.policy = ""

    def call(self, method: str, path: str, body: Any = None, good: tuple[int, ...] = (200, 201, 202)) -> Any:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Content-Type": kind, "Accept": "application/json", **self.client.default_headers}
        for setting in self.client.configuration.auth_settings().values():
            headers[setting["key"]] = setting["value"]
        answer = self.client.rest_client.pool_manager.request(
            method,
            self.client.configuration.host + path,
            body=None if body is None else json.dumps(body),
            headers=headers,
            timeout=urllib3.Timeout(240),
        )
        assert answer.status in good, (method, path, answer.status, answer.data)
        return json.loads(answer.data)

    def create(self, name: str, *, bound: bool = True, grace: int = 30, **meta: Any) -> str:
        """Make a pod, and return its UID."""
        spec: dict[str, Any] = {
            "terminationGracePeriodSeconds": grace,
            "containers": [{"name": "c", "image": "registry.k8s.io/pause:3.9"}],
            "tolerations": [{"operator": "Exists"}],
        }
        # Nothing schedules the others within a test: they ask for a node that there is not.
        spec.update({"nodeName": NODE} if bound else {"nodeSelector": {"spyderresp": "none"}})
        self._made.append(name)
        made = self.call("POST", self._pods, {"metadata": {"name": name, **meta}, "spec": spec})
        return str(made["metadata"]["uid"])

    def get(self, name: str) -> dict[str, Any] | None:
        got = self.call("GET", f"{self._pods}/{name}", good=(200, 404))
        return got if got["kind"] == "Pod" else None

    def uid(self, name: str) -> str | None:
        pod = self.get(name)
        return None if pod is None else str(pod["metadata"]["uid"])

    def finish(self, name: str) -> None:
        """Take a pod away at once, as its node's agent does when its containers have ended."""
        self.call("PATCH", f"{self._pods}/{name}", {"metadata": {"finalizers": None}}, good=(200, 404))
        self.call("DELETE", f"{self._pods}/{name}", {"gracePeriodSeconds": 0}, good=(200, 202, 404))

    def recreate(self, name: str, **more: Any) -> str:
        self.finish(name)
        return self.create(name, **more)

    def run(self, name: str) -> None:
        ready = [{"type": "Ready", "status": "True"}]
        self.call("PATCH", f"{self._pods}/{name}/status", {"status": {"phase": "Running", "conditions": ready}})

    def budget(self, name: str, app: str, allowed: int) -> None:
        path = f"/apis/{self._policy()}/namespaces/{self.namespace}/poddisruptionbudgets"
        spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": app}}}
        self.call("POST", path, {"metadata": {"name": name}, "spec": spec})
        told = {"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 1 + allowed}
        told.update(desiredHealthy=1, expectedPods=1 + allowed)
        self.call("PATCH", f"{path}/{name}/status", {"status": told})

    def drop_budget(self, name: str) -> None:
        self.call("DELETE", f"/apis/{self._policy()}/namespaces/{self.namespace}/poddisruptionbudgets/{name}")

    def _policy(self) -> str:
        if not self.policy:
            versions = [item["groupVersion"] for item in self.call("GET", "/apis/policy")["versions"]]
            self.policy = "policy/v1" if "policy/v1" in versions else str(versions[0])
        return self.policy

    def grant(self, rules: list[dict[str, Any]]) -> Any:
        """Return a client of somebody who may do this in the namespace, and nothing else."""
        where = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}"
        self.revoke()
        self.call("POST", f"{where}/roles", {"metadata": {"name": "limited"}, "rules": rules})
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "limited"}
        who = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": LIMITED}
        body = {"metadata": {"name": "limited"}, "roleRef": role, "subjects": [who]}
        self.call("POST", f"{where}/rolebindings", body)
        limited = official.ApiClient(self.client.configuration)
        limited.default_headers.update({"Impersonate-User": LIMITED, "Impersonate-Group": "system:authenticated"})
        return limited

    def revoke(self) -> None:
        where = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}"
        for kind in ("rolebindings", "roles"):
            self.call("DELETE", f"{where}/{kind}/limited", good=(200, 404))

    def clear(self) -> None:
        """Take away what the test made."""
        for name in self._made:
            self.finish(name)
