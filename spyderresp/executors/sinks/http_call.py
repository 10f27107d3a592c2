"""Results and errors of HTTP calls, and a time limit for a whole call."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from spyderresp.errors import SpyderrespError
from spyderresp.execution.backoff import Backoff

T = TypeVar("T")
#: The default waits of executors between attempts. The last attempt begins at most 30 s after the first.
RETRY: Final = Backoff(first=0.25, longest=5.0, attempts=None, within=30.0, obeyed=30.0)
#: HTTP statuses after which another attempt may succeed.
TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
# The most characters of a response in a message.
_MAX_SHOWN: Final = 300
_MAX_CALLS: Final = 32


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The response of a server.

    Attributes:
        status: the HTTP status.
        text: the body.
        retry_after: the seconds of the header ``Retry-After``, or None.
    """

    status: int
    text: str = ""
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the status is a success."""
        return 200 <= self.status < 300

    def data(self) -> Mapping[str, Any]:
        """Return the JSON object in the body; an empty one if there is none."""
        try:
            data = json.loads(self.text)
        except (ValueError, RecursionError):
            return {}
        return data if isinstance(data, dict) else {}

    def message(self) -> str:
        """Return the status and the server's message for people, on one short line."""
        message = self.data().get("message")
        text = " ".join((message if isinstance(message, str) else self.text).split())
        return f"HTTP {self.status}: {text[:_MAX_SHOWN]}" if text else f"HTTP {self.status}"


class NoResponseError(SpyderrespError):
    """No response came: no connection, a broken one, or a timeout. The server may have carried the request out."""


class RetryableError(SpyderrespError):
    """A call failed; another attempt may succeed.

    Attributes:
        retry_after: the seconds that the server asks to wait, or None.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class PermanentError(SpyderrespError):
    """A call failed, and another attempt cannot succeed."""


def retry_wait(error: Exception) -> float | None:
    """Return the argument ``again`` of ``call_with_retries``: the wait after a RetryableError, else None."""
    return (error.retry_after or 0.0) if isinstance(error, RetryableError) else None


class Calls:
    """Makes calls with a time limit for the whole call, even if a name lookup, a login or a slow response hangs.

    The timeouts of HTTP clients limit single reads. Here each call runs in a thread; after the limit the thread is
    abandoned and its result is dropped. At most ``most`` threads run at once, abandoned ones included.
    """

    def __init__(self, most: int = _MAX_CALLS) -> None:
        self._room = threading.BoundedSemaphore(most)

    def __call__(self, call: Callable[[], T], seconds: float) -> T:
        """Call ``call`` and return its value.

        Raises:
            NoResponseError: the call did not return within ``seconds``, or no thread is free.
            Exception: the exception of ``call``.
        """
        if not self._room.acquire(timeout=seconds):
            raise NoResponseError("too many calls hang already")
        results: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

        def work() -> None:
            try:
                results.put((True, call()))
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                results.put((False, error))
            finally:
                self._room.release()

        try:
            threading.Thread(target=work, name="spyderresp-call", daemon=True).start()
        except RuntimeError as error:
            self._room.release()
            raise NoResponseError(f"no thread can be started: {error}") from None
        try:
            succeeded, result = results.get(timeout=seconds)
        except queue.Empty:
            raise NoResponseError(f"no answer within {seconds:.3g} s") from None
        if succeeded:
            return result  # type: ignore[no-any-return]
        raise result
