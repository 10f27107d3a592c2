"""Connections to NATS, and what is said where they fail. Extra ``nats``."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from nats import errors
from nats.aio.client import Client
from nats.js import errors as stream_errors

#: How long an answer may take, in seconds.
ANSWER: Final = 5.0
#: What can go wrong with a connection, and be better over the next one.
TROUBLE: Final = (errors.Error, OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, ValueError)


class _Client(Client):
    """Shows nobody who it is in the clear, where TLS is wanted: the library would, if a server did not ask for TLS."""

    wants_tls = False

    def _connect_command(self) -> Any:
        if self.wants_tls and not self._server_info.get("tls_required"):
            raise errors.SecureConnWantedError
        return super()._connect_command()


async def connected(connection: Mapping[str, Any], heard: Callable[[Exception], Awaitable[None]]) -> Client:
    """Connect once, to whichever of the servers answers.

    Args:
        connection: of nats-py's options those that say where the servers are, and who we are.
        heard: hears of what the library meets by itself.

    Raises:
        nats.errors.Error, OSError, asyncio.TimeoutError: it does not work.
    """
    client = _Client()
    client.wants_tls = "tls" in connection
    try:
        # Made anew by its user, with a growing pause: the library's own is fixed, and it keeps what it could not send.
        await client.connect(
            **connection,
            name="spyderresp",
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=int(ANSWER),
            ping_interval=10,
            error_cb=heard,
        )
    except BaseException:
        await closed(client)
        raise
    return client


async def closed(client: Client) -> None:
    """Close a connection, be it broken."""
    if not client.is_closed:
        with contextlib.suppress(*TROUBLE):
            await asyncio.wait_for(client.close(), ANSWER)


def covers(pattern: str, subject: str) -> bool:
    """Tell whether a subject is among those that a pattern with ``*`` and ``>`` means.

    Source: https://docs.nats.io/nats-concepts/subjects
    """
    wanted, given = pattern.split("."), subject.split(".")
    for place, part in enumerate(wanted):
        if part == ">":
            return len(given) > place
        if place >= len(given) or part not in ("*", given[place]):
            return False
    return len(wanted) == len(given)


def context_of(authorities: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """Return the TLS settings of a connection.

    Raises:
        OSError: a certificate or key cannot be read, or does not fit.
    """
    context = ssl.create_default_context(cafile=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def reason_of(error: BaseException) -> str:
    """Return why something failed, in lower case."""
    if isinstance(error, stream_errors.APIError) and error.description:
        text = error.description
    elif isinstance(error, errors.SecureConnWantedError):
        text = "the server does not speak TLS"
    elif isinstance(error, ConnectionRefusedError):
        text = "connection refused"
    elif isinstance(error, asyncio.TimeoutError):
        text = "no answer in time"
    else:
        text = (getattr(error, "strerror", None) or str(error)).removeprefix("nats: ").strip("'") or type(
            error
        ).__name__
    return text[:1].lower() + text[1:]
