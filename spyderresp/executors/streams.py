"""Sending bytes over TCP or TLS, and knowing afterwards whether they arrived.

A write that succeeds says only that the kernel has the bytes. So the connection is closed from here, and the other
end of it waited for.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import socket
import ssl
import termios
import time
from collections.abc import Callable
from typing import Final

_PART: Final = 65_536


def send(host: str, port: int, data: bytes, *, timeout: float, trust: ssl.SSLContext | None = None) -> None:
    """Send bytes over a connection of their own, as a whole within ``timeout`` seconds.

    Raises:
        OSError: the receiver did not take them: it is not there or not trusted, refused, died, or neither closed its
            end nor acknowledged every byte in time.
    """
    deadline = time.monotonic() + timeout
    with socket.create_connection((host, port), timeout) as connection:
        if trust is None:
            connection.settimeout(_left(deadline))
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            heard: Callable[[bytes], bool] = _nothing
        else:
            heard = _Secure(connection, trust, host, deadline).sent(data)
        _wait_for_end(connection, heard, deadline)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _nothing(_part: bytes) -> bool:
    """Receivers have nothing to say over plain TCP."""
    return False


def _wait_for_end(connection: socket.socket, heard: Callable[[bytes], bool], deadline: float) -> None:
    """Wait until the receiver has closed its end; else every byte must be acknowledged."""
    with contextlib.suppress(TimeoutError):
        # By the time, too: it may talk on and on.
        while True:
            connection.settimeout(_left(deadline))
            part = connection.recv(_PART)
            if not part or heard(part):
                return
    held = array.array("i", [0])
    fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, held)
    if held[0]:
        raise TimeoutError


class _Secure:
    """TLS over a connection, with its two directions apart.

    The socket of the standard library ends both at once, and takes a refusal that comes then for an end: with TLS 1.3 a
    receiver that wants a certificate says so after everything was sent.
    """

    def __init__(self, connection: socket.socket, trust: ssl.SSLContext, host: str, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._secure = trust.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        while self._wants_more(self._secure.do_handshake):
            self._flush()
            connection.settimeout(_left(deadline))
            part = connection.recv(_PART)
            if part:
                self._incoming.write(part)
            else:
                self._incoming.write_eof()
        self._flush()

    def sent(self, data: bytes) -> Callable[[bytes], bool]:
        """Send bytes and the end of them; return what is to hear what comes back."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._secure.write(rest) :]
            self._flush()
        # Nothing has come in that was not read: it says our end, and wants to read theirs.
        self._wants_more(self._secure.unwrap)
        self._flush()
        self._connection.shutdown(socket.SHUT_WR)
        return self._heard

    def _heard(self, part: bytes) -> bool:
        """Take in what came; tell whether it was the receiver's end. A refusal is raised."""
        self._incoming.write(part)
        try:
            while self._secure.read(_PART):
                pass
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLZeroReturnError:
            pass
        return True

    def _flush(self) -> None:
        self._connection.settimeout(_left(self._deadline))
        self._connection.sendall(self._outgoing.read())

    @staticmethod
    def _wants_more(act: Callable[[], object]) -> bool:
        try:
            act()
        except ssl.SSLWantReadError:
            return True
        return False
