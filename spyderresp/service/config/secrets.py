"""Reads secrets from files and environment variables; a configuration or a command line never contains one."""

from __future__ import annotations

import os
import stat
from typing import Final

from spyderresp.errors import SpyderrespError
from spyderresp.service.config.source_settings import Secret

#: The fewest bytes of a token: a shorter one can be guessed.
LEAST: Final = 16
_MOST: Final = 65_536


class SecretError(SpyderrespError):
    """A secret cannot be read, or cannot be one; the message contains no part of it."""


def read_secret(secret: Secret, *, least: int = 1) -> bytes:
    """Return a secret without the white space around it.

    Args:
        secret: where it is.
        least: the fewest bytes that it may have.

    Raises:
        SecretError: it is missing, cannot be read, is too short, or every user can read it.
    """
    if secret.env is not None:
        where = f"the variable `{secret.env}`"
        value = os.environ.get(secret.env)
        if value is None:
            raise SecretError(f"{where} is not set")
        data = os.fsencode(value)
    else:
        where = secret.file or ""
        data = _read(where)
    data = data.strip()
    if len(data) < least:
        raise SecretError(f"{where} holds {len(data)} bytes; a secret has {least} or more")
    return data


def _read(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise SecretError(f"{path}: {(getattr(error, 'strerror', None) or str(error)).lower()}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SecretError(f"{path}: not a regular file")
        # Kubernetes mounts secrets read-only and readable for all; the container has no other users.
        if status.st_mode & stat.S_IROTH and not os.fstatvfs(descriptor).f_flag & os.ST_RDONLY:
            raise SecretError(f"{path}: everybody can read it; `chmod o= {path}`")
        data = os.read(descriptor, _MOST + 1)
    except OSError as error:
        raise SecretError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    finally:
        os.close(descriptor)
    if len(data) > _MOST:
        raise SecretError(f"{path}: larger than {_MOST:,} bytes")
    return data
