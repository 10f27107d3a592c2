from typing import final

@final
class JsonWriter:
    """Writes one document."""

    def __new__(cls) -> JsonWriter: ...

def write_json(document: object) -> str:
    """Return a host's document as JSON text, indented by two: what its places are counted in.

    Raises:
        DocumentError: it holds what JSON does not have, or passes a limit; the message names the value.
    """
