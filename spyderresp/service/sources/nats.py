"""Events out of a JetStream stream, by a durable pull consumer. Extra ``nats``.

A message is acknowledged when everything about its events is in the journal, or when its dead letter has arrived
(docs/decisions/0053-events-out-of-nats.md). What is not acknowledged comes again. Messages are kept by their place in
the stream, not by their connection: what was decided while there was none is acknowledged over the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js import errors as stream_errors
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from spyderresp.execution.backoff import Backoff
from spyderresp.service.intake import ClosedError, Delivery, DeliveryResult, Intake
from spyderresp.service.metrics import Counts, ServiceObserver
from spyderresp.service.sources.base import SourceError, Stop, Trouble, fault_of, letter_id

# Connections to NATS, and what is said where they fail. Extra ``nats``.

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


def client_tls_context(authorities: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
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


_BATCH: Final = 500
_FETCH: Final = 1.0
# How soon to ask again whether there is room, and whether what could not be sent can be.
_AGAIN: Final = 0.02
_RETRY: Final = 0.2
# How long dead letters, and the last acknowledgements, may take at the end.
_LAST: Final = 5.0
# Around headers.
_ROOM: Final = 64
_MOST_PENDING: Final = 10_000
_BACKOFF: Final = Backoff(first=0.5, longest=15.0, attempts=None)
_ACK, _NAK, _WORKING = b"+ACK", b"-NAK", b"+WPI"
#: Says of a message that it is the same as another; JetStream takes each once within a window.
MESSAGE_ID: Final = "Nats-Msg-Id"


@dataclass(slots=True)
class _PendingMessage:
    """A message that is not acknowledged."""

    sequence: int
    # Its place in the stream, and when it came there: a stream that was made anew counts from 1 again.
    place: tuple[int, datetime]
    # Where to acknowledge it: as it came last.
    reply: str
    subject: str
    data: bytes
    headers: Mapping[str, str]
    time: float
    fault: str = ""


class Nats:
    """Reads a stream for as long as it is let.

    Args:
        name: what messages call it.
        stream: its name.
        connection: of nats-py's options those that say where the servers are, and who we are.
        observer: receives messages about trouble.
        counts: counts dead letters.
        consumer: the name of the durable consumer; it is made where there is none.
        subject: which subjects of the stream a consumer that is made is for; None: all.
        start: where such a one begins: ``beginning``, ``end``.
        dead_letters: the subject that what cannot be decided is published to.
        wait: for how many seconds the server is to wait for an acknowledgement of such a one.
        max_size: the most bytes of a message.
        max_events: how many messages may be read and not acknowledged.
        max_bytes: how many bytes these may have.
    """

    def __init__(
        self,
        name: str,
        stream: str,
        connection: Mapping[str, Any],
        observer: ServiceObserver,
        counts: Counts,
        *,
        consumer: str,
        subject: str | None,
        start: str,
        dead_letters: str,
        wait: float,
        max_size: int,
        max_events: int,
        max_bytes: int,
    ) -> None:
        self._name = name
        self._stream = stream
        self._connection = connection
        self._consumer = consumer
        self._subject = subject
        self._start = start
        self._dead_letters = dead_letters
        self._wait = wait
        self._counts = counts
        self._max_size = max_size
        self._max_events = self._most = max_events
        self._max_bytes = max_bytes
        self._trouble = Trouble(name, observer)
        self._client: Client | None = None
        self._met: Exception | None = None
        self._held: dict[tuple[int, datetime], _PendingMessage] = {}
        self._bytes = 0
        # Read and not handed in; answered; to be acknowledged; to be sent to the dead letters.
        self._waiting: deque[tuple[_PendingMessage, Delivery]] = deque()
        self._answers: deque[tuple[_PendingMessage, DeliveryResult]] = deque()
        self._done: deque[_PendingMessage] = deque()
        self._letters: deque[_PendingMessage] = deque()

    @property
    def name(self) -> str:
        return self._name

    def open(self) -> None:
        """Nothing is opened before it is read: a server may come later."""

    def run(self, intake: Intake, stop: Stop) -> None:
        asyncio.run(self._serve(intake, stop))

    def close(self) -> None:
        """Nothing is left: ``run`` gives everything back."""

    async def _serve(self, intake: Intake, stop: Stop) -> None:
        loop = asyncio.get_running_loop()
        self._loop, self._intake = loop, intake
        self._ended, self._wake, self._lettered = asyncio.Event(), asyncio.Event(), asyncio.Event()
        loop.add_reader(stop.descriptor, self._ended.set)
        helpers = [loop.create_task(work()) for work in (self._settle, self._bury, self._keep)]
        reading = loop.create_task(self._read())
        try:
            done, _ = await asyncio.wait([reading, *helpers], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                # None of the helpers ends but by what nobody foresaw.
                task.result()
            await self._finish()
        except ClosedError:
            pass
        finally:
            loop.remove_reader(stop.descriptor)
            for task in (reading, *helpers):
                task.cancel()
            await asyncio.gather(reading, *helpers, return_exceptions=True)
            await self._disconnect()

    # The connection.

    async def _connect(self) -> Client:
        """Connect once.

        Raises:
            nats.errors.Error, OSError, asyncio.TimeoutError: it does not work.
        """
        self._met = None
        try:
            return await connected(self._connection, self._error)
        except errors.NoServersError:
            if self._met is None:
                raise
            # It says only that there is none; why was told before.
            raise self._met from None

    async def _error(self, error: Exception) -> None:
        """Hear of what the library meets by itself."""
        self._met = error if isinstance(error, TROUBLE) else self._met
        if not isinstance(error, (OSError, errors.UnexpectedEOF, errors.StaleConnectionError)):
            self._trouble.say(type(error).__name__, reason_of(error))

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await closed(client)

    async def _read(self) -> None:
        """Connect and read, again and again, until told to stop."""
        failures = 0
        while not self._ended.is_set():
            try:
                self._client = await self._connect()
                subscription = await self._bind(self._client)
                self._trouble.over("down")
                failures = 0
                self._wake.set()
                await self._read_on(self._client, subscription)
            except TROUBLE as error:  # noqa: PERF203 - what is caught is what the loop is for
                failures += 1
                self._trouble.say("down", f"cannot be read: {reason_of(error)}; trying again")
                await self._disconnect()
                await self._rest(_BACKOFF.wait(failures))

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)

    async def _bind(self, client: Client) -> JetStreamContext.PullSubscription:
        """Find the consumer, or make it.

        Raises:
            SourceError: it is one by which events would be lost, or come in circles.
        """
        jetstream = client.jetstream(timeout=ANSWER)
        try:
            info = await jetstream.consumer_info(self._stream, self._consumer)
        except stream_errors.NotFoundError:
            made = ConsumerConfig(
                durable_name=self._consumer,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=self._wait,
                max_deliver=-1,
                max_ack_pending=min(self._max_events, _MOST_PENDING),
                deliver_policy=DeliverPolicy.ALL if self._start == "beginning" else DeliverPolicy.NEW,
                filter_subject=self._subject,
            )
            info = await jetstream.add_consumer(self._stream, made)
        config = info.config
        if config.ack_policy != AckPolicy.EXPLICIT or config.deliver_subject:
            raise SourceError(
                f"{self._name}: the consumer `{self._consumer}` must be a pull consumer with explicit acks"
            )
        if config.max_deliver is not None and config.max_deliver > 0:
            said = f"the consumer `{self._consumer}` gives a message up after {config.max_deliver} deliveries"
            raise SourceError(f"{self._name}: {said}; its `max_deliver` must be -1")
        self._wait = config.ack_wait or self._wait
        # The server gives no more than it lets lie unacknowledged, once for all who share the consumer.
        allowed = config.max_ack_pending or 0
        self._most = min(self._max_events, allowed) if allowed > 0 else self._max_events
        held = (await jetstream.stream_info(self._stream)).config
        wanted = [config.filter_subject] if config.filter_subject else config.filter_subjects or held.subjects or []
        taken = any(covers(subject, self._dead_letters) for subject in held.subjects or ())
        if taken and any(covers(subject, self._dead_letters) for subject in wanted):
            raise SourceError(f"{self._name}: dead letters in `{self._dead_letters}` would be read again")
        try:
            await jetstream.find_stream_name_by_subject(self._dead_letters)
        except stream_errors.NotFoundError:
            said = f"no stream takes `{self._dead_letters}`: what cannot be decided will not be acknowledged"
            self._trouble.say("dead letters", said)
        return await jetstream.pull_subscribe_bind(consumer=self._consumer, stream=self._stream)

    # Reading.

    async def _read_on(self, client: Client, subscription: JetStreamContext.PullSubscription) -> None:
        """Read as long as the connection lasts."""
        while not self._ended.is_set():
            self._hand_in()
            room = min(_BATCH, self._most - len(self._held))
            # Where there is little room, asking for what fits would be asking for one at a time.
            if self._waiting or 2 * room < min(_BATCH, self._most) or self._bytes >= self._max_bytes:
                await asyncio.sleep(_AGAIN)
            else:
                for message in await self._fetched(subscription, room):
                    self._take(message)
            if client.is_closed:
                raise errors.ConnectionClosedError

    async def _fetched(self, subscription: JetStreamContext.PullSubscription, room: int) -> list[Msg]:
        # A task of its own: a connection that breaks cancels whoever waits for it.
        fetching = self._loop.create_task(subscription.fetch(max(2, room), timeout=_FETCH))
        try:
            await asyncio.wait([fetching])
        finally:
            fetching.cancel()
        if fetching.cancelled():
            return []
        if isinstance(fetching.exception(), asyncio.TimeoutError):
            return []
        return fetching.result()

    def _take(self, message: Msg) -> None:
        about = message.metadata
        sequence = about.sequence.stream
        place = sequence, about.timestamp
        if (known := self._held.get(place)) is not None:
            # Nothing was heard of it for too long; it is on its way all the same.
            known.reply = message.reply
            return
        now = time.time()
        # A message that lay there for long did not come just now: what it asks for may have expired.
        arrived = min(now, about.timestamp.timestamp())
        headers = message.headers or {}
        held = _PendingMessage(sequence, place, message.reply, message.subject, message.data, headers, arrived)
        self._held[place] = held
        self._bytes += len(held.data)
        self._waiting.append((held, self._delivery(held)))

    def _delivery(self, held: _PendingMessage) -> Delivery:
        long = len(held.data) > self._max_size

        def done(answer: DeliveryResult) -> None:
            self._answers.append((held, answer))
            # Where it is set it is cleared before the answers are looked at. The loop may have ended, where draining
            # took too long.
            if not self._wake.is_set():
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._wake.set)

        return Delivery(
            f"nats {self._stream}@{held.sequence}",
            b"" if long else held.data,
            held.time,
            done,
            long=(1,) if long else (),
            limit=self._max_size,
            whole=not long,
            kind="nats",
        )

    def _hand_in(self) -> None:
        """Hand in what was read, as far as there is room."""
        while self._waiting and self._intake.offer(self._waiting[0][1]):
            self._waiting.popleft()

    # Answers.

    async def _settle(self) -> None:
        """Acknowledge what is done, as long as there is a connection; else over the next one."""
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), None if not self._done else _RETRY)
            self._wake.clear()
            while self._answers:
                held, answer = self._answers.popleft()
                fault = fault_of(answer)
                if fault is None:
                    self._done.append(held)
                else:
                    held.fault = fault
                    self._letters.append(held)
                    self._lettered.set()
            while self._done and await self._tell(self._done[0], _ACK):
                held = self._done.popleft()
                self._bytes -= len(held.data)
                self._held.pop(held.place, None)

    async def _tell(self, held: _PendingMessage, word: bytes) -> bool:
        """Tell the server about a message; return whether there was a connection."""
        client = self._client
        if client is None or not client.is_connected:
            return False
        try:
            await client.publish(held.reply, word)
        except TROUBLE:
            return False
        return True

    async def _keep(self) -> None:
        """Say of everything that is under way that it is, well before the server would deliver it again."""
        while True:
            await asyncio.sleep(self._wait / 3)
            for held in list(self._held.values()):
                if held.place in self._held:
                    await self._tell(held, _WORKING)

    async def _bury(self) -> None:
        """Send dead letters, in their order; one that cannot be sent is tried for as long as it takes."""
        failures = 0
        while True:
            if not self._letters:
                self._lettered.clear()
                await self._lettered.wait()
            held = self._letters[0]
            try:
                await self._publish(held)
            except TROUBLE as error:
                failures += 1
                reason = reason_of(error)
                said = f"dead letters cannot be published to `{self._dead_letters}`: {reason}; not acknowledged"
                self._trouble.say("dead letters", said, "error")
                await asyncio.sleep(_BACKOFF.wait(failures))
                continue
            failures = 0
            self._trouble.over("dead letters")
            self._counts.dead_letter("nats")
            self._done.append(self._letters.popleft())
            self._wake.set()

    async def _publish(self, held: _PendingMessage) -> None:
        if self._client is None or not self._client.is_connected:
            raise errors.ConnectionClosedError
        told = {
            "Reason": held.fault,
            "Stream": self._stream,
            "Subject": held.subject,
            "Sequence": str(held.sequence),
        }
        headers = {name: value for name, value in held.headers.items() if not name.startswith("Nats-")}
        headers |= {f"Spyderresp-{name}": value for name, value in told.items()}
        headers[MESSAGE_ID] = letter_id("nats", self._stream, *held.place)
        # A server that is sent more hangs up.
        size = len(held.data) + sum(len(name.encode() + value.encode()) + 4 for name, value in headers.items())
        large = size + _ROOM > self._client.max_payload
        if large:
            headers["Spyderresp-Left-Out"] = f"{len(held.data)} bytes are more than the server takes"
        publishing = self._client.jetstream(timeout=ANSWER).publish(
            self._dead_letters, b"" if large else held.data, headers=headers
        )
        task = self._loop.create_task(publishing)
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
        if task.cancelled():
            raise errors.ConnectionClosedError
        task.result()

    async def _finish(self) -> None:
        """Told to stop: give back what was not handed in, finish what was."""
        for held, _ in self._waiting:
            self._bytes -= len(held.data)
            self._held.pop(held.place, None)
            await self._tell(held, _NAK)
        self._waiting.clear()
        last: float | None = None
        while self._held and not self._intake.closed:
            if len(self._held) > len(self._letters) + len(self._done):
                last = None
            elif last is None:
                last = time.monotonic() + _LAST
            elif time.monotonic() > last:
                break
            await asyncio.sleep(_AGAIN)
        if self._client is not None and self._client.is_connected:
            with contextlib.suppress(*TROUBLE):
                await self._client.flush(int(_LAST))
