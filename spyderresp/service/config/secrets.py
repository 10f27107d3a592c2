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
    """A secret or a certificate cannot be read. The message contains no part of a secret."""


def read_secret(secret: Secret, *, least: int = 1) -> bytes:
    """Return a secret without the white space around it.

    Args:
        secret: where it is.
        least: the fewest bytes that it may have.

    Raises:
        SecretError: it is missing, cannot be read, is too short, or every user can read it.
    """
    if secret.env is None:
        where = secret.file or ""
        data = _read(where)
    else:
        where = f"the variable `{secret.env}`"
        value = os.environ.get(secret.env)
        if value is None:
            raise SecretError(f"{where} is not set")
        data = os.fsencode(value)
    data = data.strip()
    if len(data) < least:
        raise SecretError(f"{where} holds {len(data)} bytes; a secret has {least} or more")
    return data


def secret_text(secret: Secret | None) -> str:
    """Return a secret as a text; an empty one if there is no secret.

    Raises:
        SecretError: as for ``read_secret``.
    """
    return "" if secret is None else read_secret(secret).decode("utf-8", "surrogateescape")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK), buffering=0) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SecretError(f"{path}: not a regular file")
            # Kubernetes mounts secrets read-only and readable for all; the container has no other users.
            if status.st_mode & stat.S_IROTH and not os.fstatvfs(file.fileno()).f_flag & os.ST_RDONLY:
                raise SecretError(f"{path}: everybody can read it; `chmod o= {path}`")
            data = file.read(_MOST + 1)
    except (OSError, ValueError) as error:
        raise SecretError(f"{path}: {(getattr(error, 'strerror', None) or str(error)).lower()}") from None
    if len(data) > _MOST:
        raise SecretError(f"{path}: larger than {_MOST:,} bytes")
    return data
