"""``Webhook``: posts flags over HTTP, signed. Needs the extra ``webhook``."""

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
from spyderresp.executors.sinks.delivery_queue import FOREVER, RemoteFlagSink
from spyderresp.policies.vocabulary import FLAGS

# Signatures. Source: Standard Webhooks 1.0.0 (symmetric signatures, `v1`). Receivers verify them with a library of that
# standard, or with the ten lines in docs/FLAGS.md.

_PREFIX: Final = "whsec_"
_MIN_SECRET: Final = 16


class Secret:
    """A shared secret that signs messages. It cannot be printed or pickled.

    Args:
        secret: bytes; or a text, which is base64 after ``whsec_``, or else encoded as UTF-8.

    Raises:
        ValueError: it is shorter than 16 bytes, or the text after ``whsec_`` is not base64.
    """

    __slots__ = ("_key",)

    def __init__(self, secret: str | bytes) -> None:
        self._key = _bytes(secret) if isinstance(secret, str) else bytes(secret)
        if len(self._key) < _MIN_SECRET:
            raise ValueError(f"a webhook's secret must have at least {_MIN_SECRET} bytes")

    def headers(self, message: str, timestamp: int, body: bytes) -> dict[str, str]:
        """Return the headers that identify and sign a message.

        Args:
            message: the id of the message.
            timestamp: the time of this attempt, in epoch seconds.
            body: the body that is sent.
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
        raise TypeError("a secret cannot be pickled")


def _bytes(secret: str) -> bytes:
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"the secret after `{_PREFIX}` is not base64") from None


# Limits of one request. A record has a few kilobytes, and receivers often accept a megabyte.
_MAX_BYTES: Final = 512_000
_MAX_RECORDS: Final = 100
# The most bytes of a response that are read. Its content is not used.
_MAX_RESPONSE: Final = 65_536
# Statuses about the receiver or the permission, and not about the record: another attempt may succeed, for example
# after the token is renewed. Every other 4xx is permanent.
_RETRYABLE: Final = frozenset({401, 403, 404, 407, 408, 409, 421, 423, 425, 429})
_TOO_LARGE: Final = 413


class Webhook(RemoteFlagSink):
    """Posts flags as a JSON array, signed by Standard Webhooks.

    Each request has a connection of its own. Redirects are not followed, and proxies of the environment are not used.

    Args:
        url: an ``https`` URL. It may contain a token, so messages show only its host.
        secret: the secret that signs, at least 16 bytes; None: requests are not signed.
        headers: further headers, such as ``Authorization``. They are in no message.
        timeout: seconds for one request, including its response.
        plaintext: allow ``http`` to other hosts. Anyone on the network path can then read the flags.
        ca: the path of the certificates of trusted authorities; None: those of certifi.
        certificate: the paths of a client certificate and of its key.
        queue: the most records in the queue in memory.
        backoff: the waits of the queue after failures.
        name: the name in reports and in the journal.
        actions: ``makeRedFlag``, ``makeOpsFlag``, or both.
        envelope: ``cloudevents`` (batched JSON), ``ocsf``, or None for the record itself.
        now: returns epoch seconds, for the signature.

    Raises:
        ValueError: the URL is invalid or not safe, the secret is too short, or a header cannot be sent.
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
        backoff: Backoff = FOREVER,
        name: str = "webhook",
        actions: Iterable[str] = FLAGS,
        envelope: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(name, actions, envelope, queue, backoff)
        self._url = _checked_url(url, plaintext=plaintext)
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
            DeliveryError: the receiver did not accept all records; it may have accepted those of the first requests.
        """
        part: list[tuple[str, str]] = []
        size = 0
        for record in records:
            text = self.text(record)
            if part and (size + len(text) > _MAX_BYTES or len(part) == _MAX_RECORDS):
                self._send(part)
                part, size = [], 0
            part.append((str(record["id"]), text))
            size += len(text) + 1
        if part:
            self._send(part)

    def _send(self, part: list[tuple[str, str]]) -> None:
        try:
            status, asked = asyncio.run(self._post_in_time(part))
        except (asyncio.TimeoutError, TimeoutError):
            raise DeliveryError(f"`{self._url.host}` did not answer within {self._timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # Not chained: the original error may contain the URL and the headers, which are secret.
            raise DeliveryError(f"`{self._url.host}`: {_reason(error)}") from None
        if 200 <= status < 300:
            return
        if status == _TOO_LARGE and len(part) > 1:
            middle = len(part) // 2
            self._send(part[:middle])
            self._send(part[middle:])
            return
        permanent = 400 <= status < 500 and status not in _RETRYABLE
        more = ", and redirects are not followed" if 300 <= status < 400 else ""
        wait = retry_after(asked, self._now())
        raise DeliveryError(
            f"`{self._url.host}` answered with status {status}{more}", permanent=permanent, retry_after=wait
        )

    async def _post_in_time(self, part: list[tuple[str, str]]) -> tuple[int, str | None]:
        # The timeouts of httpx limit single reads; a receiver that sends one byte a second would never exceed them.
        return await asyncio.wait_for(self._post(part), self._timeout)

    async def _post(self, part: list[tuple[str, str]]) -> tuple[int, str | None]:
        body = f"[{','.join(text for _, text in part)}]".encode("ascii")
        headers = dict(self._headers)
        if self._secret is not None:
            headers.update(self._secret.headers(_message_id([flag for flag, _ in part]), int(self._now()), body))
        # Only the transport: a client of httpx would use proxies of the environment and log the URL.
        request = httpx.Request("POST", self._url, headers=headers, content=body)
        async with httpx.AsyncHTTPTransport(verify=self._trust) as transport:
            response = await transport.handle_async_request(request)
            try:
                read = 0
                async for chunk in response.aiter_raw():
                    read += len(chunk)
                    if read > _MAX_RESPONSE:
                        break
            finally:
                await response.aclose()
            return response.status_code, response.headers.get("retry-after")


def _message_id(ids: list[str]) -> str:
    """Return the id of a message. It depends on the flags only, so that the receiver recognises a repeat."""
    if len(ids) == 1 and ids[0].isascii() and ids[0].isprintable():
        return ids[0]
    return f"batch:{hashlib.sha256(chr(10).join(ids).encode('utf-8', 'backslashreplace')).hexdigest()}"


def _checked_url(url: str, *, plaintext: bool) -> httpx.URL:
    try:
        checked = httpx.URL(url)
    except (httpx.InvalidURL, TypeError, ValueError):
        # Not chained and not quoted: the URL may contain a token.
        raise ValueError("the webhook's `url` is not a valid URL") from None
    if checked.scheme not in ("https", "http") or not checked.host:
        raise ValueError("the webhook's `url` must begin with `https://` and a host")
    if checked.userinfo:
        raise ValueError("the webhook's `url` must not contain a user; pass an `Authorization` header instead")
    if checked.scheme == "http" and not plaintext and not _is_loopback(checked.host):
        raise ValueError(f"`http://` to `{checked.host}` is not encrypted; use `https://`, or set `plaintext`")
    return checked


def _is_loopback(host: str) -> bool:
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
    """Return the reason of a failed request, without any part of the request."""
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
    "RemoteProtocolError": "the response is not HTTP, or was cut off",
}
