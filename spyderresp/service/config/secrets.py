"""Secrets, from where they stand into memory; never from a command line or a configuration's own text."""

from __future__ import annotations

import os
import stat
from typing import Final

from spyderresp.errors import SpyderrespError
from spyderresp.policies.document_reader import Node, Reader
from spyderresp.service.config.settings import Secret

#: The fewest bytes of a token: fewer can be guessed.
LEAST: Final = 16
_MOST: Final = 65_536


class SecretError(SpyderrespError):
    """A secret cannot be read, or is none; the message is for people and holds nothing of it."""


def read_secret(secret: Secret, *, least: int = 1) -> bytes:
    """Return a secret without the white space around it.

    Args:
        secret: where it stands.
        least: the fewest bytes that it may have.

    Raises:
        SecretError: it is not there, cannot be read, is too short, or everybody can read it.
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
        # Secrets of Kubernetes are mounted read-only and readable: there, nobody else is in the container.
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


# Where a configuration says secrets stand: never in its own text.


def in_plain_sight(node: Node, what: str, reader: Reader) -> None:
    """Record that a secret is written down."""
    hint = f"write `{what}: {{file: PATH}}` or `{what}: {{env: NAME}}`"
    reader.wrong("SR611", node, f"`{what}` stands here for everybody to read", hint)


def read_place(node: Node, what: str, reader: Reader) -> Secret | None:
    """Return where a secret stands, or None after recording what is wrong."""
    if isinstance(node.value, str):
        in_plain_sight(node, what, reader)
        return None
    keys = reader.keys(node, f"`{what}`", ("file", "env"))
    if keys is None:
        return None
    file, env = reader.given(keys, "file", reader.path), reader.given(keys, "env", reader.text)
    if (file is None) == (env is None):
        if (keys.get("file") is None) == (keys.get("env") is None):
            reader.wrong("SR606", node, f"`{what}` is one of `file`, `env`")
        return None
    return Secret(file, env)
