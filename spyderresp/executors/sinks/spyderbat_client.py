"""Requests to the vendor's REST API, with httpx."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx

from spyderresp.errors import __version__
from spyderresp.execution.backoff import retry_after
from spyderresp.execution.report import error_text
from spyderresp.executors.sinks.http_call import Calls, HttpResponse, NoResponseError, PermanentError

# The most bytes of a response that are read.
_MAX_BYTES: Final = 1 << 20


class VendorApi:
    """The vendor's API. Safe to use from several threads. ``timeout``: seconds for a connection, and for a response."""

    def __init__(
        self, url: str, token: Callable[[], str], client: httpx.Client | None, timeout: tuple[float, float]
    ) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._own = client is None
        self._client = client or httpx.Client()
        self._limit = sum(timeout)
        self._timeout = httpx.Timeout(timeout[1], connect=timeout[0])
        self._calls = Calls()

    def post(self, path: str, body: Mapping[str, Any], most: float) -> HttpResponse:
        """Post JSON to a quoted path and return the response, after at most ``most`` seconds.

        Raises:
            NoResponseError: no response came.
            PermanentError: the token cannot be sent.
        """
        return self._calls(lambda: self._post(path, body), min(most, self._limit))

    def close(self) -> None:
        """Close the connections, except those of a client that was passed in."""
        if self._own:
            self._client.close()

    def _post(self, path: str, body: Mapping[str, Any]) -> HttpResponse:
        token = self._token().strip()
        if not (token and token.isascii() and token.isprintable()):
            raise PermanentError("the token is empty, or not printable ASCII")
        headers = {"Authorization": f"Bearer {token}", "User-Agent": f"spyderresp/{__version__}"}
        try:
            with self._client.stream(
                "POST", self._url + path, json=body, headers=headers, timeout=self._timeout, follow_redirects=False
            ) as response:
                raw = bytearray()
                for part in response.iter_bytes():
                    raw += part
                    if len(raw) > _MAX_BYTES:
                        break
                asked = retry_after(response.headers.get("Retry-After"), time.time())
                # A server may quote the token in an error.
                text = bytes(raw[:_MAX_BYTES]).decode("utf-8", "replace").replace(token, "[token]")
                return HttpResponse(response.status_code, text, asked)
        except (httpx.HTTPError, OSError) as error:
            # The message may contain the URL, but no header.
            raise NoResponseError(error_text(error)) from None
