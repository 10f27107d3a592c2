"""Flags over HTTP: signed, bounded in time, and sent to nobody but the address that was given. Extra ``webhook``."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import os
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import httpx

from spyderresp.errors import __version__
from spyderresp.execution.backoff import Backoff, retry_after
from spyderresp.execution.flags.envelopes import BATCH_CONTENT_TYPE
from spyderresp.execution.interfaces import DeliveryError
from spyderresp.executors.sinks.delivery_queue import PATIENT, RemoteFlagSink
from spyderresp.policies.vocabulary import FLAGS

# Signatures of webhooks.
#
# Source: Standard Webhooks 1.0.0 (symmetric signatures, `v1`): receivers verify with any of its libraries, or with the
# ten lines in docs/FLAGS.md.

_PREFIX: Final = "whsec_"
_SHORTEST: Final = 16


class Secret:
    """A shared secret. Shows itself nowhere.

    Args:
        secret: bytes; or text: ``whsec_`` and base64, else the UTF-8 of the text itself.

    Raises:
        ValueError: it is shorter than 16 bytes, or no base64.
    """

    __slots__ = ("_key",)

    def __init__(self, secret: str | bytes) -> None:
        self._key = _bytes(secret) if isinstance(secret, str) else bytes(secret)
        if len(self._key) < _SHORTEST:
            raise ValueError(f"a webhook's secret has at least {_SHORTEST} bytes")

    def headers(self, message: str, timestamp: int, body: bytes) -> dict[str, str]:
        """Return the headers that identify and sign a message.

        Args:
            message: its id.
            timestamp: epoch seconds of this attempt.
            body: as sent.
        """
        signed = f"{message}.{timestamp}.".encode() + body
        signature = base64.b64encode(hmac.new(self._key, signed, hashlib.sha256).digest()).decode("ascii")
        return {
            "webhook-id": message,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": f"v1,{signature}",
        }

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


def _bytes(secret: str) -> bytes:
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"what follows `{_PREFIX}` is no base64") from None


# Of one request. A record is a few kilobytes, and receivers often take a megabyte.
_MOST_BYTES: Final = 512_000
_MOST_RECORDS: Final = 100
# What is read of an answer: nothing in it is needed.
_MOST_ANSWER: Final = 65_536
# Answers that say something of the receiver's state or of our right to write there, not of the record: they pass, when
# a token is renewed or a route is mended. Every other 4xx is about the record, and stays.
_PASSING: Final = frozenset({401, 403, 404, 407, 408, 409, 421, 423, 425, 429})
_TOO_LARGE: Final = 413


class Webhook(RemoteFlagSink):
    """Posts flags as a JSON array, signed as Standard Webhooks are.

    One attempt is one request on a connection of its own; redirects are not followed, proxies of the environment not
    used.

    Args:
        url: ``https://...``; may hold a token, so it is shown nowhere but for its host.
        secret: what signs, at least 16 bytes; None: nothing is signed.
        headers: more headers, an ``Authorization`` say. Shown nowhere.
        timeout: seconds for the whole of one request, however slowly the receiver answers.
        plaintext: take ``http://`` to another host than this one; then anybody on the way reads along.
        ca: path of the authorities to trust; default: certifi's.
        certificate: paths of a client certificate and of its key.
        queue: how many records may wait in memory.
        backoff: how long its own queue waits after a failure.
        name: what reports call it.
        actions: what it takes.
        envelope: ``cloudevents`` (batched JSON), ``ocsf`` or None.
        now: epoch seconds, for the signature.

    Raises:
        ValueError: the address is none, or not safe; the secret is too short; a header cannot be sent.
        OSError: a certificate cannot be read.
    """

    def __init__(
        self,
        url: str,
        secret: str | bytes | None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        plaintext: bool = False,
        ca: str | None = None,
        certificate: tuple[str, str] | None = None,
        queue: int = 10_000,
        backoff: Backoff = PATIENT,
        name: str = "webhook",
        actions: Iterable[str] = FLAGS,
        envelope: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(name, actions, envelope, queue, backoff)
        self._url = _checked(url, plaintext=plaintext)
        self._secret = None if secret is None else Secret(secret)
        self._headers = _sendable(
            {
                "user-agent": f"spyderresp/{__version__}",
                **(headers or {}),
                "content-type": BATCH_CONTENT_TYPE if envelope == "cloudevents" else "application/json",
                "connection": "close",
            }
        )
        self._timeout = timeout
        self._now = now
        self._trust: ssl.SSLContext = ssl.create_default_context(cafile=ca) if ca else httpx.create_ssl_context()
        if certificate is not None:
            self._trust.load_cert_chain(*certificate)

    def __repr__(self) -> str:
        return f"Webhook({self.name!r}, host={self._url.host!r})"

    def deliver(self, records: list[Mapping[str, Any]]) -> None:
        """Post records, in as few requests as their size allows.

        Raises:
            DeliveryError: the receiver did not take all; those of the first requests it may have.
        """
        part: list[tuple[str, str]] = []
        size = 0
        for record in records:
            text = self.text(record)
            if part and (size + len(text) > _MOST_BYTES or len(part) == _MOST_RECORDS):
                self._send(part)
                part, size = [], 0
            part.append((str(record["id"]), text))
            size += len(text) + 1
        if part:
            self._send(part)

    def _send(self, part: list[tuple[str, str]]) -> None:
        try:
            status, asked = asyncio.run(self._bounded(part))
        except (asyncio.TimeoutError, TimeoutError):
            raise DeliveryError(f"`{self._url.host}` did not answer within {self._timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # Not chained: what is below may quote the request, whose address and headers are nobody's business.
            raise DeliveryError(f"`{self._url.host}`: {_reason(error)}") from None
        if 200 <= status < 300:
            return
        if status == _TOO_LARGE and len(part) > 1:
            middle = len(part) // 2
            self._send(part[:middle])
            self._send(part[middle:])
            return
        permanent = 400 <= status < 500 and status not in _PASSING
        more = ", and redirects are not followed" if 300 <= status < 400 else ""
        wait = retry_after(asked, self._now())
        raise DeliveryError(
            f"`{self._url.host}` answered with status {status}{more}", permanent=permanent, retry_after=wait
        )

    async def _bounded(self, part: list[tuple[str, str]]) -> tuple[int, str | None]:
        # The library's own timeouts are for each read: a receiver that sends a byte a second never runs into them.
        return await asyncio.wait_for(self._posted(part), self._timeout)

    async def _posted(self, part: list[tuple[str, str]]) -> tuple[int, str | None]:
        body = f"[{','.join(text for _, text in part)}]".encode("ascii")
        headers = dict(self._headers)
        if self._secret is not None:
            headers.update(self._secret.headers(_message([number for number, _ in part]), int(self._now()), body))
        # The transport by itself: a client would follow proxies of the environment, and log the address.
        request = httpx.Request("POST", self._url, headers=headers, content=body)
        async with httpx.AsyncHTTPTransport(verify=self._trust) as transport:
            response = await transport.handle_async_request(request)
            try:
                read = 0
                async for chunk in response.aiter_raw():
                    read += len(chunk)
                    if read > _MOST_ANSWER:
                        break
            finally:
                await response.aclose()
            return response.status_code, response.headers.get("retry-after")


def _message(ids: list[str]) -> str:
    """Return what names a message: the same for the same flags, so that a repeat is known before it is read."""
    if len(ids) == 1 and ids[0].isascii() and ids[0].isprintable():
        return ids[0]
    return f"batch:{hashlib.sha256(chr(10).join(ids).encode('utf-8', 'backslashreplace')).hexdigest()}"


def _checked(url: str, *, plaintext: bool) -> httpx.URL:
    try:
        checked = httpx.URL(url)
    except (httpx.InvalidURL, TypeError, ValueError):
        # Not chained, and not quoted: it may hold a token.
        raise ValueError("the webhook's address is no URL") from None
    if checked.scheme not in ("https", "http") or not checked.host:
        raise ValueError("the webhook's address begins with `https://` and a host")
    if checked.userinfo:
        raise ValueError("the webhook's address holds a user; hand in an `Authorization` header instead")
    if checked.scheme == "http" and not plaintext and not _is_here(checked.host):
        raise ValueError(f"`http://` to `{checked.host}` is read by anybody on the way; use https, or `plaintext`")
    return checked


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _sendable(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        plain = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
        if not plain or not value.isascii() or not value.isprintable():
            raise ValueError(f"the header `{name}` cannot be sent")
    return dict(headers)


def _reason(error: Exception) -> str:
    """Return why there was no answer, in words that quote nothing of the request."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return f"no secure connection: {getattr(cause, 'verify_message', '') or cause.reason or 'refused'}"
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno)
        cause = cause.__cause__ or cause.__context__
    return _WORDS.get(type(error).__name__, type(error).__name__)


_WORDS: Final = {
    "ConnectError": "no connection",
    "ReadError": "the connection was cut",
    "WriteError": "the connection was cut",
    "RemoteProtocolError": "what it answered is no HTTP, or was cut",
}
