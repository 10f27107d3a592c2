"""Addresses that are listened on."""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NamedTuple

LOOPBACK: Final = "127.0.0.1"
_ADDRESS: Final = re.compile(r"(?:(?P<host>\[[0-9A-Fa-f:.%a-z]+\]|[A-Za-z0-9.\-_]*):)?(?P<port>\d{1,5})", re.ASCII)


class Address(NamedTuple):
    """A host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address_of(text: str) -> Address | None:
    """Return the address that a text says: ``8080``, ``HOST:8080``, ``[::1]:8080``; None where it says none.

    Without a host it is this machine's loopback; every address of the machine is ``0.0.0.0`` or ``[::]``.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        return None
    return Address((match["host"] or LOOPBACK).strip("[]"), int(match["port"]))


def is_loopback(host: str) -> bool:
    """Tell whether nobody but this machine can reach a host; a name other than ``localhost`` is believed to be open."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
