from typing import final

from spyderresp._native.policy import Policy

@final
class MeaningWriter:
    """Writes policies as the JSON text of their meaning."""

    def __new__(cls) -> MeaningWriter: ...

def digest(policies: tuple[Policy, ...]) -> str:
    """Return ``sha256:`` and 64 hexadecimal digits over the policies' meaning and order."""
