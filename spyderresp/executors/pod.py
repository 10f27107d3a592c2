"""A pod as the API server tells of it: names that may stand in a path, and the facts that matter for its end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

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
