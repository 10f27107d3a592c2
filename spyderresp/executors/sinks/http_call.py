"""Asking another machine over HTTP: what came back, and a bound on every wait."""

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
#: How patiently executors try again by themselves: no last attempt begins later than 30 s after the first.
RETRY: Final = Backoff(first=0.25, longest=5.0, attempts=None, within=30.0, obeyed=30.0)
#: Statuses of which another attempt may come out better.
TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_SHOWN: Final = 300
_MOST_CALLS: Final = 32


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What a server answered.

    Attributes:
        status: the HTTP status.
        text: the body.
        retry_after: for how many seconds the server wants to be left alone, where it said so.
    """

    status: int
    text: str = ""
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the server took it."""
        return 200 <= self.status < 300

    def data(self) -> Mapping[str, Any]:
        """Return the body's JSON object; empty where it is none."""
        try:
            said = json.loads(self.text)
        except (ValueError, RecursionError):
            return {}
        return said if isinstance(said, dict) else {}

    def said(self) -> str:
        """Return the status and what the server says of it, for people, on one line and not long."""
        told = self.data().get("message")
        text = " ".join((told if isinstance(told, str) else self.text).split())
        return f"HTTP {self.status}: {text[:_SHOWN]}" if text else f"HTTP {self.status}"


class NoResponseError(SpyderrespError):
    """No answer came: not connected, cut off, too late. Whether the request was carried out is not known."""


class RetryableError(SpyderrespError):
    """It did not work; another attempt may.

    Attributes:
        retry_after: for how many seconds the server wants to be left alone, where it said so.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class PermanentError(SpyderrespError):
    """It did not work, and another attempt will not."""


def patience(error: Exception) -> float | None:
    """Return what ``backoff.repeated`` wants to know of an exception."""
    return (error.retry_after or 0.0) if isinstance(error, RetryableError) else None


class Calls:
    """Makes calls that end in time for the caller, whatever hangs: a name look-up, a login, a dripping answer.

    The timeouts of HTTP clients bound each read, not the whole. A call that is over its time is left to itself in a
    thread of its own, and its result is thrown away; so many of them may be left at once.
    """

    def __init__(self, most: int = _MOST_CALLS) -> None:
        self._room = threading.BoundedSemaphore(most)

    def __call__(self, call: Callable[[], T], seconds: float) -> T:
        """Return what a call returns.

        Raises:
            NoResponseError: it did not return in time.
            Exception: what it raises.
        """
        if not self._room.acquire(timeout=seconds):
            raise NoResponseError("too many calls hang already")
        answered: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

        def work() -> None:
            try:
                answered.put((True, call()))
            except BaseException as error:  # noqa: BLE001 - handed to the caller
                answered.put((False, error))
            finally:
                self._room.release()

        try:
            threading.Thread(target=work, name="spyderresp-call", daemon=True).start()
        except RuntimeError as error:
            self._room.release()
            raise NoResponseError(f"no thread to call with: {error}") from None
        try:
            good, result = answered.get(timeout=seconds)
        except queue.Empty:
            raise NoResponseError(f"no answer within {seconds:.3g} s") from None
        if good:
            return result  # type: ignore[no-any-return]
        raise result
