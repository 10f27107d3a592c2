"""What no action may touch: the host's words for it. Executors that know a target's facts hold it against these."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

#: The container runtime, kubelet, sshd, the agent, and what keeps a host alive: where distributions put them.
_NAMES: Final = (
    "systemd/systemd",
    "systemd/systemd-journald",
    "systemd/systemd-logind",
    "systemd/systemd-udevd",
    "containerd",
    "containerd-shim",
    "containerd-shim-runc-v2",
    "dockerd",
    "runc",
    "crun",
    "crio",
    "conmon",
    "kubelet",
    "k3s",
    "sshd",
    "dbus-daemon",
    "spyderbat-nanoagent",
    "nano_agent",
)
_FOLDERS: Final = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/lib", "/usr/lib")
DEFAULT_EXECUTABLES: Final = (
    *(f"{folder}/{name}" for folder in _FOLDERS for name in _NAMES),
    "/usr/lib/openssh/sshd-session",
    "/usr/libexec/openssh/sshd-session",
    "/usr/libexec/crio/conmon",
    "/opt/spyderbat/bin/nano_agent",
    "/opt/spyderbat/bin/spyderbat-nanoagent",
)
#: Units whose every process is the runtime itself; a workload's processes live in cgroups of their own.
DEFAULT_CGROUPS: Final = (
    "/system.slice/containerd.service",
    "/system.slice/docker.service",
    "/system.slice/crio.service",
    "/system.slice/kubelet.service",
    "/system.slice/k3s.service",
)
DEFAULT_NAMESPACES: Final = frozenset({"kube-system", "kube-public", "kube-node-lease", "spyderbat"})


@dataclass(frozen=True, slots=True)
class Protection:
    """What no action may touch. A name is never enough: anyone can take one.

    Attributes:
        executables: absolute paths in the host's mount namespace; a process is recognised by the device and inode of
            its executable, so that a copy, a link of that name or a renamed process is not protected.
        cgroups: cgroup paths as the host sees them; a process in one of them, or below it, is protected.
        users: names or numbers of users whose processes are protected.
        namespaces: Kubernetes namespaces whose pods are protected.
    """

    executables: tuple[str, ...] = DEFAULT_EXECUTABLES
    cgroups: tuple[str, ...] = DEFAULT_CGROUPS
    users: frozenset[str | int] = field(default_factory=frozenset)
    namespaces: frozenset[str] = DEFAULT_NAMESPACES

    def including(
        self,
        *,
        executables: tuple[str, ...] = (),
        cgroups: tuple[str, ...] = (),
        users: frozenset[str | int] = frozenset(),
        namespaces: frozenset[str] = frozenset(),
    ) -> Protection:
        """Return one that protects these too."""
        return Protection(
            (*self.executables, *executables),
            (*self.cgroups, *cgroups),
            self.users | users,
            self.namespaces | namespaces,
        )
