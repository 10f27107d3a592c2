"""RFC 5424 read back: written from the grammar of its section 6, and from nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEADER = re.compile(
    rb"<(?P<pri>0|[1-9][0-9]{0,2})>(?P<version>[1-9][0-9]{0,2}) "
    rb"(?P<timestamp>-|[0-9]{4}-[0-9]{2}-[0-9]{2}T"
    rb"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})) "
    rb"(?P<host>[!-~]{1,255}) (?P<application>[!-~]{1,48}) (?P<process>[!-~]{1,128}) (?P<kind>[!-~]{1,32}) "
)
_ELEMENT = re.compile(
    rb"\[(?P<id>[!#-<>-\\^-~]{1,32})(?P<parameters>(?: [!#-<>-\\^-~]{1,32}=\"(?:[^\"\\\]]|\\.)*\")*)\]", re.DOTALL
)
_PARAMETER = re.compile(rb" ([!#-<>-\\^-~]{1,32})=\"((?:[^\"\\\]]|\\.)*)\"", re.DOTALL)
_ESCAPE = re.compile(r'\\(["\\\]])')


@dataclass
class Message:
    facility: int
    severity: int
    timestamp: str
    host: str
    application: str
    process: str
    kind: str
    element: str
    parameters: dict[str, str]
    text: str


def parsed(data: bytes) -> Message:
    """Return what a message says; raises AssertionError where it is none."""
    header = _HEADER.match(data)
    assert header is not None, data[:200]
    priority = int(header["pri"])
    assert priority <= 191
    assert header["version"] == b"1"
    element = _ELEMENT.match(data, header.end())
    assert element is not None, data[header.end() : header.end() + 300]
    parameters = {}
    for name, value in _PARAMETER.findall(element["parameters"]):
        assert name not in parameters
        parameters[name.decode("ascii")] = _ESCAPE.sub(r"\1", value.decode("utf-8"))
    rest = data[element.end() :]
    text = ""
    if rest:
        assert rest[:1] == b" "
        part = rest[1:]
        text = part.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
        assert text.isascii() or part.startswith(b"\xef\xbb\xbf"), "UTF-8 begins with a byte order mark"
    return Message(
        priority >> 3,
        priority & 7,
        header["timestamp"].decode(),
        header["host"].decode(),
        header["application"].decode(),
        header["process"].decode(),
        header["kind"].decode(),
        element["id"].decode(),
        parameters,
        text,
    )


def frames(data: bytes) -> list[bytes]:
    """Return the messages of a stream with octet counting (RFC 6587, section 3.4.1)."""
    found = []
    while data:
        count, space, rest = data.partition(b" ")
        assert space
        assert re.fullmatch(rb"[1-9][0-9]*", count), data[:50]
        assert len(rest) >= int(count)
        found.append(rest[: int(count)])
        data = rest[int(count) :]
    return found
