"""Signatures of webhooks.

Source: Standard Webhooks 1.0.0 (symmetric signatures, `v1`): receivers verify with any of its libraries, or with the
ten lines in docs/FLAGS.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

_PREFIX: Final = "whsec_"
_SHORTEST: Final = 16


class Secret:
    """A shared secret. Shows itself nowhere.

    Args:
        secret: bytes; or text: ``whsec_`` and base64, else the UTF-8 of the text itself.

    Raises:
        ValueError: it is shorter than 16 bytes, or no base64.
    """

    __slots__ = ("_key",)

    def __init__(self, secret: str | bytes) -> None:
        self._key = _bytes(secret) if isinstance(secret, str) else bytes(secret)
        if len(self._key) < _SHORTEST:
            raise ValueError(f"a webhook's secret has at least {_SHORTEST} bytes")

    def headers(self, message: str, timestamp: int, body: bytes) -> dict[str, str]:
        """Return the headers that identify and sign a message.

        Args:
            message: its id.
            timestamp: epoch seconds of this attempt.
            body: as sent.
        """
        signed = f"{message}.{timestamp}.".encode() + body
        signature = base64.b64encode(hmac.new(self._key, signed, hashlib.sha256).digest()).decode("ascii")
        return {
            "webhook-id": message,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": f"v1,{signature}",
        }

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


def _bytes(secret: str) -> bytes:
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"what follows `{_PREFIX}` is no base64") from None
