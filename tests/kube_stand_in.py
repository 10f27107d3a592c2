"""A stand-in for kube-apiserver: it answers as version 1.20 was seen to, and refuses what the published schema refuses.

``python -m tests.trials.kubernetes`` runs the same tests against the real one. Faults can be planted here only.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jsonschema
from kubernetes import client as official

POD = re.compile(r"/api/v1/namespaces/([^/]+)/pods(?:/([^/]+)(?:/(eviction|status))?)?")
BUDGET = re.compile(r"/apis/policy/([^/]+)/namespaces/([^/]+)/poddisruptionbudgets(?:/([^/]+)(?:/(status))?)?")
RIGHTS = re.compile(r"/apis/rbac.authorization.k8s.io/v1/namespaces/([^/]+)/(roles|rolebindings)(?:/([^/]+))?")


def schema_of(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a kind, from the official client's models, which the OpenAPI document makes."""
    model = getattr(official, kind)
    named = {model.attribute_map[name]: type_ for name, type_ in model.openapi_types.items()}
    return {
        "type": "object",
        "properties": {name: _type(said) for name, said in named.items()},
        "additionalProperties": False,
    }


def _type(said: str) -> dict[str, Any]:
    plain = {"str": "string", "int": "integer", "bool": "boolean", "datetime": "string", "object": "object"}
    if said in plain:
        return {"type": plain[said]}
    if said.lower().startswith("list["):
        return {"type": "array", "items": _type(said[5:-1])}
    if said.lower().startswith("dict"):
        return {"type": "object", "additionalProperties": _type(said[5:-1].split(",", 1)[1].strip())}
    return schema_of(said)


def status(code: int, reason: str, message: str, **details: Any) -> tuple[int, dict[str, Any]]:
    said: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    said.update(message=message, reason=reason, code=code)
    if details:
        said["details"] = details
    return code, said


def not_found(name: str) -> tuple[int, dict[str, Any]]:
    return status(404, "NotFound", f'pods "{name}" not found', name=name, kind="pods")


@dataclass
class Fault:
    """What happens to requests instead of, or after, what should.

    ``answer``: this is answered; ``first``: and yet the request is carried out first; ``cut``: the connection is
    closed without an answer; ``delay``: seconds before anything; ``drip``: the answer comes a byte in so many seconds.
    """

    method: str
    times: int = 1
    answer: tuple[int, Any] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    first: bool = False
    cut: bool = False
    delay: float = 0.0
    drip: float = 0.0
    path: str = ""
    then: Callable[[], object] | None = None


class StandIn:
    """The server's state. Safe to use from several threads."""

    def __init__(self, eviction: str = "policy/v1", stall: float = 0.2) -> None:
        self.eviction = eviction
        self.stall = stall
        self.lock = threading.RLock()
        self.pods: dict[tuple[str, str], dict[str, Any]] = {}
        self.budgets: dict[tuple[str, str], dict[str, Any]] = {}
        self.roles: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.bindings: dict[tuple[str, str], tuple[str, str]] = {}
        self.faults: list[Fault] = []
        self.log: list[tuple[str, str]] = []
        self.schemas = {kind: schema_of(kind) for kind in ("V1DeleteOptions", "V1Eviction")}
        self.released = threading.Event()

    def fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.method == method and fault.path in path and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def answer(self, method: str, path: str, body: Any, user: str | None) -> tuple[int, Any]:
        if path == "/api/v1":
            group, _, version = self.eviction.partition("/")
            name = {"name": "pods/eviction", "namespaced": True, "group": group, "version": version, "kind": "Eviction"}
            listed = [{"name": "pods", "kind": "Pod"}, *([name] if self.eviction else [])]
            return 200, {"kind": "APIResourceList", "groupVersion": "v1", "resources": listed}
        if path == "/apis/policy":
            groups = [{"groupVersion": self.eviction, "version": self.eviction.partition("/")[2]}]
            return 200, {"kind": "APIGroup", "apiVersion": "v1", "name": "policy", "versions": groups}
        if found := POD.fullmatch(path):
            namespace, name, part = found.groups()
            resource = "pods" + (f"/{part}" if part else "")
            if refusal := self.forbidden(user, method, resource, namespace, name):
                return refusal
            if part == "eviction" and self.stale(namespace, name or "", body):
                self.released.wait(self.stall)
            with self.lock:
                return self.pod(method, namespace, name, part, body)
        if found := BUDGET.fullmatch(path):
            return self.budget(method, found[2], found[3], found[4], body)
        if found := RIGHTS.fullmatch(path):
            return self.right(method, *found.groups(), body)
        return status(404, "NotFound", "the server could not find the requested resource")

    def stale(self, namespace: str, name: str, body: Any) -> bool:
        """Tell whether an eviction names a UID that the pod no longer has: a real server tries for 10 s."""
        wanted = ((body.get("deleteOptions") or {}).get("preconditions") or {}).get("uid")
        with self.lock:
            pod = self.pods.get((namespace, name))
            return pod is not None and wanted not in (None, pod["metadata"]["uid"])

    def forbidden(self, user: str | None, method: str, resource: str, namespace: str, name: str | None) -> Any:
        if user is None:
            return None
        verb = {"GET": "get", "POST": "create", "DELETE": "delete", "PATCH": "patch"}[method]
        for (where, binding), (bound, role) in self.bindings.items():
            rules = self.roles.get((where, role), [])
            if where == namespace and bound == user and binding:
                for rule in rules:
                    if verb in rule["verbs"] and resource in rule["resources"] and "" in rule["apiGroups"]:
                        return None
        what = f'pods "{name}" is forbidden: User "{user}" cannot {verb} resource "{resource}"'
        said = f'{what} in API group "" in the namespace "{namespace}"'
        return status(403, "Forbidden", said, name=name, kind="pods")

    def refusal(self, kind: str, body: Any) -> Any:
        """Return what the schema says against a body."""
        errors = list(jsonschema.Draft202012Validator(self.schemas[kind]).iter_errors(body))
        return status(400, "BadRequest", errors[0].message) if errors else None

    def pod(self, method: str, namespace: str, name: str | None, part: str | None, body: Any) -> tuple[int, Any]:
        if method == "POST" and name is None:
            return self.create(namespace, body)
        pod = self.pods.get((namespace, name or ""))
        if part == "eviction" and method == "POST":
            return self.evict(pod, namespace, name or "", body)
        if pod is None:
            return not_found(name or "")
        if method == "GET":
            return 200, pod
        if method == "PATCH":
            _merge(pod, body)
            return 200, pod
        if method == "DELETE":
            return self.refusal("V1DeleteOptions", body or {}) or self.delete(pod, body or {})
        return status(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    def create(self, namespace: str, body: Any) -> tuple[int, Any]:
        meta = body["metadata"]
        if (namespace, meta["name"]) in self.pods:
            return status(409, "AlreadyExists", f'pods "{meta["name"]}" already exists')
        made = {"namespace": namespace, "uid": str(uuid.uuid4()), "creationTimestamp": _time(0.0)}
        pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {**meta, **made}, "spec": dict(body["spec"])}
        pod["spec"].setdefault("terminationGracePeriodSeconds", 30)
        pod["status"] = {"phase": "Pending"}
        self.pods[namespace, meta["name"]] = pod
        return 201, pod

    def delete(self, pod: dict[str, Any], options: dict[str, Any]) -> tuple[int, Any]:
        meta, spec = pod["metadata"], pod["spec"]
        wanted = (options.get("preconditions") or {}).get("uid")
        if wanted not in (None, meta["uid"]):
            said = f"the UID in the precondition ({wanted}) does not match the UID in record ({meta['uid']})"
            told = f'Operation cannot be fulfilled on Pod "{meta["name"]}": {said}.'
            more = "The object might have been deleted and then recreated"
            return status(409, "Conflict", f"{told} {more}", name=meta["name"], kind="Pod")
        grace = options.get("gracePeriodSeconds")
        grace = spec["terminationGracePeriodSeconds"] if grace is None else max(grace, 0)
        if not spec.get("nodeName"):
            grace = 0
        if "deletionTimestamp" not in meta or grace < meta["deletionGracePeriodSeconds"]:
            meta["deletionTimestamp"], meta["deletionGracePeriodSeconds"] = _time(grace), grace
        if grace == 0 and not meta.get("finalizers"):
            del self.pods[meta["namespace"], meta["name"]]
        return 200, pod

    def evict(self, pod: dict[str, Any] | None, namespace: str, name: str, body: Any) -> tuple[int, Any]:
        if body.get("apiVersion") != self.eviction or body.get("kind") != "Eviction":
            said = (
                f'Eviction in version "{body.get("apiVersion")}" cannot be handled as a Eviction: no kind is registered'
            )
            return status(400, "BadRequest", said)
        if refusal := self.refusal("V1Eviction", body):
            return refusal  # type: ignore[no-any-return]
        if body["metadata"].get("name") != name:
            return status(400, "BadRequest", "name in URL does not match name in Eviction object")
        if pod is None:
            return not_found(name)
        options = body.get("deleteOptions") or {}
        if (options.get("preconditions") or {}).get("uid") not in (None, pod["metadata"]["uid"]):
            return self.delete(pod, options)
        labels = pod["metadata"].get("labels") or {}
        meeting = [
            budget
            for (where, _), budget in self.budgets.items()
            if where == namespace and budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
        ]
        if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"] and meeting:
            if len(meeting) > 1:
                said = (
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
                )
                return status(500, "InternalError", said)
            held = meeting[0]["status"]
            if held.get("disruptionsAllowed", 0) < 1:
                label = meeting[0]["metadata"]["name"]
                needs = f"needs {held.get('desiredHealthy', 0)} healthy pods and has {held.get('currentHealthy', 0)}"
                cause = {"reason": "DisruptionBudget", "message": f"The disruption budget {label} {needs} currently"}
                said = "Cannot evict pod as it would violate the pod's disruption budget."
                return status(429, "TooManyRequests", said, causes=[cause])
            held["disruptionsAllowed"] -= 1
        code, said_of = self.delete(pod, options)
        if code != 200:
            return code, said_of
        return 201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

    def budget(self, method: str, namespace: str, name: str | None, part: str | None, body: Any) -> tuple[int, Any]:
        with self.lock:
            if method == "POST":
                self.budgets[namespace, body["metadata"]["name"]] = {**body, "status": {}}
                return 201, body
            key = (namespace, name or "")
            if method == "DELETE":
                return 200, self.budgets.pop(key, {})
            _merge(self.budgets[key], body)
            return 200, self.budgets[key]

    def right(self, method: str, namespace: str, kind: str, name: str | None, body: Any) -> tuple[int, Any]:
        with self.lock:
            if method == "DELETE":
                (self.roles if kind == "roles" else self.bindings).pop((namespace, name or ""), None)
                return 200, {}
            key = (namespace, body["metadata"]["name"])
            if kind == "roles":
                self.roles[key] = body["rules"]
            else:
                self.bindings[key] = (body["subjects"][0]["name"], body["roleRef"]["name"])
            return 201, body


def _time(ahead: float) -> str:
    return datetime.fromtimestamp(time.time() + ahead, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _merge(into: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if isinstance(value, dict):
            _merge(into.setdefault(key, {}), value)
        elif value is None:
            into.pop(key, None)
        else:
            into[key] = value


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    stand_in: StandIn

    def _serve(self) -> None:
        state = self.stand_in
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        user = self.headers.get("Impersonate-User")
        if path.startswith("/api/"):
            state.log.append((self.command, path))
        fault = state.fault(self.command, path) or Fault(self.command)
        if fault.delay:
            state.released.wait(fault.delay)
        if self.headers.get("Authorization") not in (None, "Bearer good"):
            code, said = status(401, "Unauthorized", "Unauthorized")
        elif fault.answer is not None or fault.cut:
            code, said = fault.answer or (0, None)
            if fault.first:
                state.answer(self.command, path, json.loads(raw or b"null"), user)
        else:
            code, said = state.answer(self.command, path, json.loads(raw or b"null"), user)
        with state.lock:
            body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
        if fault.then is not None:
            fault.then()
        if fault.cut:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in fault.headers:
            self.send_header(name, value)
        self.end_headers()
        if not fault.drip:
            self.wfile.write(body)
            return
        for byte in body:
            if state.released.wait(fault.drip):
                return
            self.wfile.write(bytes([byte]))
            self.wfile.flush()

    do_GET = do_POST = do_DELETE = do_PATCH = _serve  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: Any) -> None: ...


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up closes its end: not the server's fault."""


@contextmanager
def served(state: StandIn) -> Iterator[str]:
    """Serve it on loopback; give its address."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"stand_in": state}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
