"""Where a configuration says secrets stand: never in its own text."""

from __future__ import annotations

from spyderresp.service.reading import Node, Reader
from spyderresp.service.settings import Secret


def in_plain_sight(node: Node, what: str, reader: Reader) -> None:
    """Record that a secret is written down."""
    hint = f"write `{what}: {{file: PATH}}` or `{what}: {{env: NAME}}`"
    reader.wrong("SR611", node, f"`{what}` stands here for everybody to read", hint)


def read_place(node: Node, what: str, reader: Reader) -> Secret | None:
    """Return where a secret stands, or None after recording what is wrong."""
    if isinstance(node.value, str):
        in_plain_sight(node, what, reader)
        return None
    keys = reader.keys(node, f"`{what}`", ("file", "env"))
    if keys is None:
        return None
    file, env = reader.given(keys, "file", reader.path), reader.given(keys, "env", reader.text)
    if (file is None) == (env is None):
        if (keys.get("file") is None) == (keys.get("env") is None):
            reader.wrong("SR606", node, f"`{what}` is one of `file`, `env`")
        return None
    return Secret(file, env)
