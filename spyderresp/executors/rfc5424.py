"""A flag record as a syslog message.

Source: RFC 5424; the limits of RFC 5426 (UDP) and RFC 5425 (TLS).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from spyderresp.records.moments import rfc3339

_NIL: Final = "-"
_BOM: Final = b"\xef\xbb\xbf"
FACILITIES: Final = {
    "user": 1, "daemon": 3, "auth": 4, "syslog": 5, "authpriv": 10, "audit": 13, "alert": 14,
    **{f"local{number}": 16 + number for number in range(8)},
}  # fmt: skip
#: critical, error, warning, notice, informational.
SEVERITIES: Final = {"critical": 2, "high": 3, "medium": 4, "low": 5, "info": 6}
_KINDS: Final = {"event_redflag": "REDFLAG", "event_opsflag": "OPSFLAG"}
# In the order of their weight: where a message is too long the last are left out first.
_PARAMETERS: Final = {
    "id": "id", "severity": "severity", "event": "event_id", "policy": "policy_name", "policyUid": "policy_uid",
    "rule": "rule", "ref": "ref", "cluster": "cluster_name", "host": "hostname", "muid": "muid",
    "namespace": "pod_namespace", "pod": "pod_name", "podUid": "pod_kuid", "container": "container", "image": "image",
    "process": "name", "pid": "pid", "exe": "exe", "user": "euser", "plan": "plan_id",
}  # fmt: skip
_LONGEST_VALUE: Final = 256
# C0, DEL, C1, the separators of lines and paragraphs, and what turns the direction of text.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SPECIAL: Final = re.compile(r'["\\\]]')


@dataclass(frozen=True, slots=True)
class Origin:
    """What the header says of the sender.

    Attributes:
        host: its name.
        application: its name.
        process: its process id.
        facility: a number of RFC 5424, table 1.
        enterprise: the private enterprise number that the structured data's name bears.
    """

    host: str
    application: str
    process: int
    facility: int
    enterprise: int


def message(record: Mapping[str, Any], origin: Origin, limit: int, text: str | None = None) -> bytes:
    """Return a record as one message of at most ``limit`` bytes.

    Args:
        record: a flag record.
        origin: the sender.
        limit: at least 480; of what is too long the text is cut first, then the last parameters are left out.
        text: what stands for people's text, JSON say. Where it does not fit people's text stands there: half a JSON
            document is none.
    """
    priority = origin.facility * 8 + SEVERITIES.get(str(record.get("severity")), 5)
    kind = _KINDS.get(str(record.get("schema")).partition(":")[0], _NIL)
    host, application = _name(origin.host, 255), _name(origin.application, 48)
    header = f"<{priority}>1 {rfc3339(record.get('time')) or _NIL} {host} {application} {origin.process} {kind} "
    start = header.encode("ascii")
    element = _element(record, origin.enterprise, limit - len(start))
    start += element
    if text is not None and len(whole := start + b" " + _part(text)) <= limit:
        return whole
    return _cut(start + b" " + _part(escaped(str(record.get("description", "")))), limit, len(start))


def escaped(text: str) -> str:
    """Return a text without control characters: a backslash escape stands for each."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def _element(record: Mapping[str, Any], enterprise: int, room: int) -> bytes:
    """Return the structured data: as many parameters as fit, in their order."""
    start, end = f"[flag@{enterprise}".encode("ascii"), b"]"
    parts = [start]
    left = room - len(start) - len(end)
    for name, field in _PARAMETERS.items():
        value = record.get(field)
        if value is None:
            continue
        shown = escaped(str(value))
        shown = shown if len(shown) <= _LONGEST_VALUE else shown[: _LONGEST_VALUE - 1] + "…"
        part = f' {name}="{_SPECIAL.sub(_backslashed, shown)}"'.encode("utf-8", "replace")
        if len(part) > left:
            continue
        parts.append(part)
        left -= len(part)
    return b"".join([*parts, end])


def _backslashed(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


def _part(text: str) -> bytes:
    """Return the message part: ASCII as it stands, all else as UTF-8, which begins with a byte order mark."""
    return text.encode("ascii") if text.isascii() else _BOM + text.encode("utf-8", "replace")


def _cut(whole: bytes, limit: int, least: int) -> bytes:
    """Cut between characters."""
    if len(whole) <= limit:
        return whole
    at = max(limit, least)
    while at > least and whole[at] & 0xC0 == 0x80:
        at -= 1
    cut = whole[:at]
    # Half a mark says nothing.
    return cut if len(cut) > least + 1 + len(_BOM) else whole[:least]


def _name(text: str, most: int) -> str:
    """Return a header field: printable ASCII without spaces."""
    shown = re.sub(r"[^\x21-\x7e]", "_", text)[:most]
    return shown or _NIL
