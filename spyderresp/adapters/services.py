"""From a cgroup to the ``service`` scope."""

from __future__ import annotations

from typing import Any

from spyderresp.adapters.fields import filled

_PREFIX = "systemd:"
_SUFFIX = ".service"


def service(cgroup: str | None, *, contained: bool = False, name: str | None = None) -> dict[str, Any]:
    """Return the service of a process from its cgroup, or an empty mapping.

    The cgroup keeps or gains the ``systemd:`` prefix (docs/POLICY.md, section 2): the vendor's policies have it, and
    its records come with and without. The name, unless given, is the last part of the path that ends in ``.service``,
    so ``/system.slice/docker.service/abc`` belongs to ``docker.service``.

    Args:
        cgroup: the path, or None.
        contained: the process runs in a container.
        name: the service's name, where the record gives it.
    """
    if not cgroup:
        return filled(name=name)
    path = cgroup.removeprefix(_PREFIX)
    if name is None:
        name = next((part for part in reversed(path.split("/")) if part.endswith(_SUFFIX)), None)
    if contained and name is None:
        # This is the container's own scope, not a Linux service. As one, a serviceSelector with NotIn would take in
        # every process of every container.
        return {}
    return filled(name=name, cgroup=_PREFIX + path)
