"""A flag record as a CloudEvent: structured mode, JSON.

Source: CloudEvents 1.0.2, the specification and its JSON event format.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from spyderresp.records.moments import rfc3339

SPEC_VERSION: Final = "1.0"
CONTENT_TYPE: Final = "application/cloudevents+json"
BATCH_CONTENT_TYPE: Final = "application/cloudevents-batch+json"
_SOURCE: Final = "urn:spyderresp"
_TYPES: Final = {"event_redflag": "io.github.spyderresp.flag.red", "event_opsflag": "io.github.spyderresp.flag.ops"}
# What an attribute may not hold (section 3.1): control characters and noncharacters. Lone surrogates left earlier.
_FORBIDDEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(p * 0x10000 + n) for p in range(17) for n in (0xFFFE, 0xFFFF))
    + "]"
)


def cloudevent(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a flag record as a CloudEvent; ``id`` is the record's, ``data`` the record."""
    event: dict[str, Any] = {
        "specversion": SPEC_VERSION,
        "id": _attribute(record["id"]),
        "source": _SOURCE,
        "type": _TYPES.get(str(record["schema"]).partition(":")[0], "io.github.spyderresp.flag"),
        "datacontenttype": "application/json",
    }
    if (moment := rfc3339(record.get("time"))) is not None:
        event["time"] = moment
    subject = _attribute(record.get("ref") or record.get("policy_name") or record.get("rule") or "")
    if subject:
        event["subject"] = subject
    event["data"] = dict(record)
    return event


def _attribute(text: Any) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(text))
