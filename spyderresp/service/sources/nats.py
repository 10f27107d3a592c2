"""Events out of a JetStream stream, by a durable pull consumer. Extra ``nats``.

A message is acknowledged by the rules of ``acknowledgement.py`` (docs/decisions/0053-events-out-of-nats.md). Pending
messages outlive the connection: what is decided while there is no connection is acknowledged over the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js import errors as stream_errors
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from spyderresp.execution.backoff import Backoff
from spyderresp.service.config.secrets import SecretError, secret_text
from spyderresp.service.config.settings import SenderLimits
from spyderresp.service.config.source_settings import NatsSource
from spyderresp.service.intake import ClosedError, Intake
from spyderresp.service.metrics import Counts, ServiceObserver
from spyderresp.service.sources.acknowledgement import BATCH, ROOM_CHECK, BrokerReader, PendingMessage, letter_id
from spyderresp.service.sources.base import SourceError, Stop

T = TypeVar("T")
# Seconds that an answer of the server may take.
_ANSWER: Final = 5.0
# Seconds that one fetch waits for messages.
_FETCH: Final = 1.0
# Seconds between attempts to acknowledge while there is no connection.
_RETRY: Final = 0.2
# Seconds for the last acknowledgements to leave.
_FLUSH: Final = 5
# Bytes of a message that are neither content nor headers.
_FRAME: Final = 64
_MOST_PENDING: Final = 10_000
_BACKOFF: Final = Backoff(first=0.5, longest=15.0, attempts=None)
_ACK, _NAK, _WORKING = b"+ACK", b"-NAK", b"+WPI"
# The header by which JetStream recognises a message that is published twice.
_MESSAGE_ID: Final = "Nats-Msg-Id"
# Errors that a new connection may solve.
_RETRYABLE: Final = (errors.Error, OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, ValueError)


@dataclass(slots=True, eq=False, kw_only=True)
class NatsMessage(PendingMessage):
    """A pending message of a stream, with its latest delivery: only that one can be acknowledged."""

    delivery: Msg


class Nats(BrokerReader[NatsMessage]):
    """Reads a stream until it is stopped. See ``BrokerReader`` for the arguments.

    Raises:
        SecretError: a secret or a certificate cannot be read.
    """

    kind = "nats"

    def __init__(self, source: NatsSource, observer: ServiceObserver, counts: Counts, limits: SenderLimits) -> None:
        name = f"nats {','.join(source.servers)}/{source.stream}"
        super().__init__(name, observer, counts, source.dead_letter_name, limits)
        self._source = source
        self._stream = source.stream
        self._connection = connection_options(source)
        # Seconds that the server waits for an acknowledgement.
        self._wait = source.ack_wait
        # The most pending messages that consumer and settings both allow.
        self._most = limits.events
        self._client: Client | None = None
        self._connection_error: Exception | None = None
        self._unacknowledged: deque[NatsMessage] = deque()

    def open(self) -> None:
        """Do nothing: the server may start later than the service."""

    def run(self, intake: Intake, stop: Stop) -> None:
        asyncio.run(self._run(intake, stop))

    async def _run(self, intake: Intake, stop: Stop) -> None:
        loop = asyncio.get_running_loop()
        self._loop, self._intake = loop, intake
        self._stopped, self._wake, self._new_letters = asyncio.Event(), asyncio.Event(), asyncio.Event()
        loop.add_reader(stop.descriptor, self._stopped.set)
        helpers = [loop.create_task(work()) for work in (self._process_results, self._write_letters, self._keep_alive)]
        reading = loop.create_task(self._read())
        try:
            done, _ = await asyncio.wait([reading, *helpers], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                # Raises the error of a task. Without an error only `reading` ends.
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
            nats.errors.Error, OSError, asyncio.TimeoutError: it fails.
        """
        self._connection_error = None
        try:
            return await _open_client(self._connection, self._error)
        except errors.NoServersError:
            if self._connection_error is None:
                raise
            # This error gives no reason. The library passed the reason to `_error` before.
            raise self._connection_error from None

    async def _error(self, error: Exception) -> None:
        """Receive an error that occurred in the background of the library."""
        if isinstance(error, _RETRYABLE):
            self._connection_error = error
        if not isinstance(error, (OSError, errors.UnexpectedEOF, errors.StaleConnectionError)):
            self._problems.report(type(error).__name__, reason_of(error))

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await _close_client(client)

    async def _read(self) -> None:
        """Connect and read until stopped; connect again after an error."""
        failures = 0
        while not self._stopped.is_set():
            try:
                self._client = await self._connect()
                subscription = await self._bind(self._client)
                self._problems.solved("down")
                failures = 0
                self._wake.set()
                await self._read_on(self._client, subscription)
            except _RETRYABLE as error:  # noqa: PERF203 - each turn of the loop is one attempt
                failures += 1
                self._problems.report("down", f"cannot be read: {reason_of(error)}; trying again")
                await self._disconnect()
                await _wait_for(self._stopped, _BACKOFF.wait(failures))

    async def _bind(self, client: Client) -> JetStreamContext.PullSubscription:
        """Subscribe by the consumer; create it if it does not exist.

        Raises:
            SourceError: the consumer would lose events, or read its own dead letters.
        """
        jetstream, consumer = client.jetstream(timeout=_ANSWER), self._source.consumer
        try:
            info = await jetstream.consumer_info(self._stream, consumer)
        except stream_errors.NotFoundError:
            new = ConsumerConfig(
                durable_name=consumer,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=self._wait,
                max_deliver=-1,
                max_ack_pending=min(self._max_events, _MOST_PENDING),
                deliver_policy=DeliverPolicy.ALL if self._source.start == "beginning" else DeliverPolicy.NEW,
                filter_subject=self._source.subject,
            )
            info = await jetstream.add_consumer(self._stream, new)
        config = info.config
        if config.ack_policy != AckPolicy.EXPLICIT or config.deliver_subject:
            raise SourceError(f"{self._name}: the consumer `{consumer}` must be a pull consumer with explicit acks")
        if config.max_deliver is not None and config.max_deliver > 0:
            problem = f"the consumer `{consumer}` gives a message up after {config.max_deliver} deliveries"
            raise SourceError(f"{self._name}: {problem}; its `max_deliver` must be -1")
        self._wait = config.ack_wait or self._wait
        # The server stops delivering at `max_ack_pending`, which counts for all members of the consumer together.
        allowed = config.max_ack_pending or 0
        self._most = min(self._max_events, allowed) if allowed > 0 else self._max_events
        subjects = (await jetstream.stream_info(self._stream)).config.subjects or []
        received = [config.filter_subject] if config.filter_subject else config.filter_subjects or subjects
        if all(any(covers(each, self._dead_letters) for each in patterns) for patterns in (subjects, received)):
            raise SourceError(f"{self._name}: dead letters in `{self._dead_letters}` would be read again")
        try:
            await jetstream.find_stream_name_by_subject(self._dead_letters)
        except stream_errors.NotFoundError:
            problem = f"no stream takes `{self._dead_letters}`: messages that cannot be decided stay unacknowledged"
            self._problems.report("dead letters", problem)
        return await jetstream.pull_subscribe_bind(consumer=consumer, stream=self._stream)

    # Reading.

    async def _read_on(self, client: Client, subscription: JetStreamContext.PullSubscription) -> None:
        """Read while the connection lasts."""
        while not self._stopped.is_set():
            self._hand_in()
            room = min(BATCH, self._most - len(self._pending))
            # With little room, wait for more. Otherwise each fetch would get only a few messages.
            if self._full() or 2 * room < min(BATCH, self._most):
                await asyncio.sleep(ROOM_CHECK)
            else:
                for message in await self._fetch(subscription, room):
                    self._take(message)
            if client.is_closed:
                raise errors.ConnectionClosedError

    async def _fetch(self, subscription: JetStreamContext.PullSubscription, room: int) -> list[Msg]:
        with contextlib.suppress(asyncio.TimeoutError):
            return await _shielded(subscription.fetch(max(2, room), timeout=_FETCH)) or []
        return []

    def _take(self, delivery: Msg) -> None:
        sequence, timestamp = delivery.metadata.sequence.stream, delivery.metadata.timestamp
        # A stream that was deleted and created again counts from 1 again: the time tells its messages apart.
        identity = sequence, timestamp
        if (pending := self._pending.get(identity)) is not None:
            # Delivered again, because the server got no acknowledgement in time.
            pending.delivery = delivery
            return
        # A message is as old as the stream says: a kill that it asks for may have expired.
        arrived = min(time.time(), timestamp.timestamp())
        source = f"nats {self._stream}@{sequence}"
        self._add(NatsMessage(source, delivery.data, arrived, identity=identity, delivery=delivery))

    # Results and acknowledgements.

    def _result_arrived(self) -> None:
        # The flag is cleared before results are taken, so a result that finds it set is not missed. The event loop may
        # be closed already, if draining took too long.
        if not self._wake.is_set():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake.set)

    async def _process_results(self) -> None:
        """Acknowledge messages; those that are finished while there is no connection, over the next one."""
        while True:
            await _wait_for(self._wake, _RETRY if self._unacknowledged else None)
            self._wake.clear()
            self._settle()
            if self._letters:
                self._new_letters.set()
            while self._unacknowledged and await self._reply(self._unacknowledged[0], _ACK):
                self._remove(self._unacknowledged.popleft())

    def _acknowledge(self, message: NatsMessage) -> None:
        self._unacknowledged.append(message)
        self._wake.set()

    async def _reply(self, message: NatsMessage, word: bytes) -> bool:
        """Send an acknowledgement, or another answer to a delivery; return whether there was a connection."""
        client = self._client
        if client is None or not client.is_connected:
            return False
        try:
            await client.publish(message.delivery.reply, word)
        except _RETRYABLE:
            return False
        return True

    async def _keep_alive(self) -> None:
        """Report pending messages as in progress, well before the server would deliver them again."""
        while True:
            await asyncio.sleep(self._wait / 3)
            for message in list(self._pending.values()):
                if message.identity in self._pending:
                    await self._reply(message, _WORKING)

    # Dead letters.

    async def _write_letters(self) -> None:
        while True:
            self._new_letters.clear()
            for message in self._due_letters():
                try:
                    await self._publish(message)
                except _RETRYABLE as error:  # noqa: PERF203 - each turn of the loop is one attempt
                    self._letter_failed(message, reason_of(error))
                else:
                    self._letter_written(message)
            pause = max(0.0, self._letters_due - time.monotonic()) if self._letters else None
            await _wait_for(self._new_letters, pause)

    async def _publish(self, message: NatsMessage) -> None:
        if self._client is None or not self._client.is_connected:
            raise errors.ConnectionClosedError
        delivery = message.delivery
        headers = {name: value for name, value in (delivery.headers or {}).items() if not name.startswith("Nats-")}
        sequence, timestamp = delivery.metadata.sequence.stream, delivery.metadata.timestamp
        headers |= {
            "Spyderresp-Reason": message.fault or "",
            "Spyderresp-Stream": self._stream,
            "Spyderresp-Subject": delivery.subject,
            "Spyderresp-Sequence": str(sequence),
            _MESSAGE_ID: letter_id("nats", self._stream, sequence, timestamp),
        }
        # The server closes the connection if a message is larger than `max_payload`.
        size = len(message.value) + sum(len(name.encode() + value.encode()) + 4 for name, value in headers.items())
        message.without_value = size + _FRAME > self._client.max_payload
        if message.without_value:
            headers["Spyderresp-Left-Out"] = f"{len(message.value)} bytes are more than the server takes"
        value = b"" if message.without_value else message.value
        jetstream = self._client.jetstream(timeout=_ANSWER)
        if await _shielded(jetstream.publish(self._dead_letters, value, headers=headers)) is None:
            raise errors.ConnectionClosedError

    async def _finish(self) -> None:
        """Give the backlog back to the server; finish the messages in the intake."""
        for message in self._backlog:
            self._remove(message)
            await self._reply(message, _NAK)
        self._backlog.clear()
        while self._draining():
            await asyncio.sleep(ROOM_CHECK)
        if self._client is not None and self._client.is_connected:
            with contextlib.suppress(*_RETRYABLE):
                await self._client.flush(_FLUSH)


# The client.


class _Client(Client):
    """A client that refuses a server without TLS if TLS is required. The library would send the login unencrypted."""

    requires_tls = False

    def _connect_command(self) -> Any:
        if self.requires_tls and not self._server_info.get("tls_required"):
            raise errors.SecureConnWantedError
        return super()._connect_command()


async def _open_client(connection: Mapping[str, Any], on_error: Callable[[Exception], Awaitable[None]]) -> Client:
    """Connect once, to the first of the servers that answers.

    Args:
        connection: nats-py's options for servers and login.
        on_error: receives errors that occur in the background of the library.

    Raises:
        nats.errors.Error, OSError, asyncio.TimeoutError: it fails.
    """
    client = _Client()
    client.requires_tls = "tls" in connection
    try:
        # The library would reconnect after a fixed time and send what it buffered. `Nats._read` reconnects instead.
        await client.connect(
            **connection,
            name="spyderresp",
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=int(_ANSWER),
            ping_interval=10,
            error_cb=on_error,
        )
    except BaseException:
        await _close_client(client)
        raise
    return client


async def _close_client(client: Client) -> None:
    if not client.is_closed:
        with contextlib.suppress(*_RETRYABLE):
            await asyncio.wait_for(client.close(), _ANSWER)


async def _wait_for(event: asyncio.Event, seconds: float | None) -> None:
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


async def _shielded(call: Coroutine[Any, Any, T]) -> T | None:
    """Return what a call of the library returns; None if the connection broke meanwhile.

    If the connection breaks, the library cancels the task that waits for an answer. So the call runs in its own task.
    """
    task = asyncio.get_running_loop().create_task(call)
    try:
        await asyncio.wait([task])
    finally:
        task.cancel()
    return None if task.cancelled() else task.result()


def connection_options(source: NatsSource) -> dict[str, Any]:
    """Return nats-py's options for servers and login.

    Raises:
        SecretError: a secret or a certificate cannot be read.
    """
    login = {
        "user": source.user,
        "password": secret_text(source.password),
        "token": secret_text(source.token),
        "user_credentials": source.credentials,
    }
    options: dict[str, Any] = {key: value for key, value in login.items() if value}
    options["servers"] = [f"{'tls' if source.tls else 'nats'}://{server}" for server in source.servers]
    if source.tls is not None:
        try:
            context = ssl.create_default_context(cafile=source.tls.authorities)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if source.tls.certificate is not None:
                context.load_cert_chain(source.tls.certificate, source.tls.key)
        except OSError as error:
            raise SecretError(f"`tls`: {(error.strerror or str(error)).lower()}") from None
        options["tls"] = context
    return options


def covers(pattern: str, subject: str) -> bool:
    """Return whether a subject matches a pattern with ``*`` and ``>``.

    Source: https://docs.nats.io/nats-concepts/subjects
    """
    parts, given = pattern.split("."), subject.split(".")
    for index, part in enumerate(parts):
        if part == ">":
            return len(given) > index
        if index >= len(given) or part not in ("*", given[index]):
            return False
    return len(parts) == len(given)


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
        text = getattr(error, "strerror", None) or str(error)
        text = text.removeprefix("nats: ").strip("'") or type(error).__name__
    return text[:1].lower() + text[1:]
