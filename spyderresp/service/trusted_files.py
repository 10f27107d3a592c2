"""Checks a service that can kill: only root and its own user can change its files, and all senders authenticate."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import astuple, fields
from typing import Final

from spyderresp.policies.diagnostics import Findings
from spyderresp.policies.loader import walk
from spyderresp.service.config.load import ConfigurationError, diagnosed
from spyderresp.service.config.settings import Settings
from spyderresp.service.config.source_settings import (
    BrokerTls,
    KafkaSource,
    NatsSource,
    NetworkSource,
    Secret,
    SourceSettings,
    Tls,
)

_MAX_LINKS: Final = 40
# The bit of CAP_KILL in CapEff of /proc/self/status. With it, a process may send signals to every process.
_CAP_KILL: Final = 1 << 5
# Paths of inherited file descriptors.
_INHERITED: Final = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")


def privileged() -> bool:
    """Return whether this process may signal processes of other users: it runs as root or has CAP_KILL."""
    if os.geteuid() == 0:
        return True
    with (
        contextlib.suppress(OSError, ValueError),
        open("/proc/self/status", encoding="ascii", errors="replace") as file,
    ):
        for line in file:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) & _CAP_KILL)
    return False


def untrusted_reason(path: str) -> str | None:
    """Return why a file or directory must not be trusted; None: it can be trusted.

    The file, every directory of its path and every symbolic link on the way must belong to root or to this user, and no
    one else may be able to write them. Exceptions: a sticky directory that all may write, because only the owner of an
    entry can replace it; and files on a file system that is mounted read-only.
    """
    try:
        return next(_reasons(path), None)
    except OSError as error:
        # A path that cannot be checked is not trusted.
        return f"{path}: cannot be checked: {(error.strerror or 'it failed').lower()}"


def untrusted_files(path: str) -> Iterator[str]:
    """Yield why policies at a path must not be trusted: for the path itself, or for each file below it."""
    if (reason := untrusted_reason(path)) is not None:
        yield reason
    elif os.path.isdir(path):
        yield from filter(None, map(untrusted_reason, walk(path, Findings())))


def _reasons(path: str) -> Iterator[str]:
    ours = {0, os.geteuid()}
    left = [part for part in reversed(os.path.abspath(path).split("/")) if part]
    current, links = "/", 0
    while True:
        status = os.lstat(current)
        if status.st_uid not in ours:
            yield f"{path}: {_name(current, path)} belongs to user {status.st_uid}"
        link = stat.S_ISLNK(status.st_mode)
        writable = not link and bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
        # In a sticky directory, only the owner of an entry can replace it; the next iteration checks that owner.
        sticky = stat.S_ISDIR(status.st_mode) and bool(status.st_mode & stat.S_ISVTX) and bool(left)
        if writable and not sticky and not os.statvfs(current).f_flag & os.ST_RDONLY:
            writers = "everybody" if status.st_mode & stat.S_IWOTH else f"group {status.st_gid}"
            yield f"{path}: {_name(current, path)} may be written by {writers}"
        if link:
            links += 1
            if links > _MAX_LINKS:
                yield f"{path}: too many links"
                return
            target = os.readlink(current)
            left += [part for part in reversed(target.split("/")) if part and part != "."]
            current = "/" if target.startswith("/") else os.path.dirname(current)
        if not left:
            return
        part = left.pop()
        current = os.path.dirname(current) if part == ".." else os.path.join(current, part)


def _name(current: str, path: str) -> str:
    return "it" if current == os.path.abspath(path) else current


# The files and the sources of a service that can kill.


def untrusted_policies(settings: Settings) -> Iterator[str]:
    """Yield why the policies must not be trusted; nothing if this process may not signal processes of other users."""
    if privileged():
        for path in settings.policies:
            yield from untrusted_files(path)


def require_trusted_files(settings: Settings, configuration: str | None) -> None:
    """Check a service that can kill: only root and this user can change its files, and all senders authenticate.

    Args:
        settings: the settings of the service.
        configuration: the path of its configuration; None: it has none.

    Raises:
        ConfigurationError: other users can change a file, or a sender need not authenticate.
    """
    if not privileged():
        return
    files = [configuration, settings.journal, settings.positions_path]
    for source in settings.events:
        files += _files_of(source)
    hint = "make root or this user its owner, and `chmod go-w` it"
    found = []
    for reason in (*untrusted_policies(settings), *filter(None, (_untrusted_place(path) for path in files if path))):
        path, _, message = reason.partition(": ")
        found.append(diagnosed("SR613", path, message, hint))
    for source in settings.events:
        if isinstance(source, NetworkSource) and not (source.token or (source.tls and source.tls.clients)):
            where = f"{source.kind} {source.address.host}:{source.address.port}"
            message, hint = "senders need not authenticate", "set `token`, or `tls` with `clients`"
            found.append(diagnosed("SR610", where, message, hint))
        elif isinstance(source, (KafkaSource, NatsSource)) and not (
            source.logs_in or source.plain or (source.tls and source.tls.certificate)
        ):
            message = "the broker does not authenticate clients, so anybody can send events"
            hint = "log in, or set `tls` with a `certificate`; or `plain: true` where something else authenticates"
            found.append(diagnosed("SR610", f"{source.kind} {source.servers[0]}", message, hint))
    if found:
        raise ConfigurationError(tuple(found))


def _files_of(source: SourceSettings) -> Iterator[str]:
    """Yield the files and sockets of a source: those that hold events, secrets, keys and certificates."""
    for each in fields(source):
        value = getattr(source, each.name)
        if isinstance(value, (Tls, BrokerTls)):
            yield from filter(None, astuple(value))
        elif isinstance(value, Secret):
            yield from filter(None, [value.file])
        elif each.name == "credentials" and value is not None:
            yield value
        elif each.name == "path" and not value.startswith(_INHERITED):
            # An inherited descriptor is trusted like standard input.
            yield value


def _untrusted_place(path: str) -> str | None:
    """Return why a file, existing or yet to be created, must not be trusted; None: it can be trusted."""
    reason = untrusted_reason(path)
    if reason is not None and "no such file" in reason:
        return untrusted_reason(path.rpartition("/")[0] or ("/" if path.startswith("/") else "."))
    return reason
