"""``Protection``: the processes and pods that no action may touch. Executors compare each target with it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

# Programs that keep a host alive: init, container runtime, kubelet, sshd, the agent. Distributions install them in one
# of `_FOLDERS`.
_NAMES: Final = (
    "systemd/systemd", "systemd/systemd-journald", "systemd/systemd-logind", "systemd/systemd-udevd", "containerd",
    "containerd-shim", "containerd-shim-runc-v2", "dockerd", "runc", "crun", "crio", "conmon", "kubelet", "k3s", "sshd",
    "dbus-daemon", "spyderbat-nanoagent", "nano_agent",
)  # fmt: skip
_FOLDERS: Final = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/lib", "/usr/lib")
DEFAULT_EXECUTABLES: Final = (
    *(f"{folder}/{name}" for folder in _FOLDERS for name in _NAMES),
    "/usr/lib/openssh/sshd-session",
    "/usr/libexec/openssh/sshd-session",
    "/usr/libexec/crio/conmon",
    "/opt/spyderbat/bin/nano_agent",
    "/opt/spyderbat/bin/spyderbat-nanoagent",
)
#: Units that hold only processes of the runtime itself. Processes of workloads are in other cgroups.
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
    """The processes and pods that no action may touch.

    A process name protects nothing, because any process can change its own name.

    ::

        guard = Guard(protection=Protection().including(executables=("/usr/sbin/haproxy",)))

    Attributes:
        executables: absolute paths in the host's mount namespace. A process is protected if its executable is the same
            file (device and inode) and it runs as root or in the system service of that name, such as ``ssh.service``
            for ``sshd``: any user can run the file. A copy, or another program of the same name, is not protected.
        cgroups: cgroup paths as the host sees them. The processes in these cgroups and below them are protected.
        users: names or uids of users whose processes are protected.
        namespaces: Kubernetes namespaces whose pods, and the processes in them, are protected.
        unknown_namespaces: whether processes in pods are protected when the event does not name their namespace.
    """

    executables: tuple[str, ...] = DEFAULT_EXECUTABLES
    cgroups: tuple[str, ...] = DEFAULT_CGROUPS
    users: frozenset[str | int] = field(default_factory=frozenset)
    namespaces: frozenset[str] = DEFAULT_NAMESPACES
    unknown_namespaces: bool = True

    def including(
        self,
        *,
        executables: tuple[str, ...] = (),
        cgroups: tuple[str, ...] = (),
        users: frozenset[str | int] = frozenset(),
        namespaces: frozenset[str] = frozenset(),
        unknown_namespaces: bool | None = None,
    ) -> Protection:
        """Return a copy that protects these too. The arguments are the attributes of the class; None: as before."""
        return replace(
            self,
            executables=(*self.executables, *executables),
            cgroups=(*self.cgroups, *cgroups),
            users=self.users | users,
            namespaces=self.namespaces | namespaces,
            unknown_namespaces=self.unknown_namespaces if unknown_namespaces is None else unknown_namespaces,
        )
