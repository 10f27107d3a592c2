"""Requests to the vendor's REST API. The only importer of httpx among the agent executors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx

from spyderresp.errors import __version__
from spyderresp.execution.backoff import retry_after
from spyderresp.executors.sinks.http_call import Calls, HttpResponse, NoResponseError, PermanentError

#: An answer is a few words; more of one is not kept.
_MOST: Final = 1 << 20


class VendorApi:
    """The vendor's API, asked with a token. Safe to use from several threads.

    Args:
        url: where it is.
        token: returns the token.
        client: an ``httpx.Client``; None: one of its own.
        timeout: seconds to wait for a connection, and for an answer.
    """

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
        """Return what the server answers.

        Raises:
            NoResponseError: no answer came.
            PermanentError: there is no token to ask with.
        """
        limit = min(most, self._limit)
        return self._calls(lambda: self._post(path, body), limit)

    def close(self) -> None:
        """Close the connections, but not those of a client that was handed in."""
        if self._own:
            self._client.close()

    def _post(self, path: str, body: Mapping[str, Any]) -> HttpResponse:
        token = self._token().strip()
        if not (token and token.isascii() and token.isprintable()):
            raise PermanentError("the token is none that can be sent")
        headers = {"Authorization": f"Bearer {token}", "User-Agent": f"spyderresp/{__version__}"}
        try:
            with self._client.stream(
                "POST", self._url + path, json=body, headers=headers, timeout=self._timeout, follow_redirects=False
            ) as response:
                raw = bytearray()
                for part in response.iter_bytes():
                    raw += part
                    if len(raw) > _MOST:
                        break
                asked = retry_after(response.headers.get("Retry-After"), time.time())
                # Some say in an error what they were sent.
                text = bytes(raw[:_MOST]).decode("utf-8", "replace").replace(token, "[token]")
                return HttpResponse(response.status_code, text, asked)
        except (httpx.HTTPError, OSError) as error:
            # Its text may hold the address, and never a header.
            raise NoResponseError(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__) from None
