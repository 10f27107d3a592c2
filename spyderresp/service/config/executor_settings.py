"""The executors that are installed, by name: what they are set up with, and making them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final

from spyderresp.execution.interfaces import Executor
from spyderresp.executors.discovery import factory, made, names
from spyderresp.service.config.secrets import SecretError, read_secret
from spyderresp.service.config.settings import PlainScalar, Secret

#: Settings that must not be written down.
SECRETS: Final = frozenset({"secret", "token", "api_key", "password"})
# What a setting can be; a parameter that takes none of these is for programs, and no setting.
_SIMPLE: Final = re.compile(
    r"\b(str|bytes|int|float|bool|PathLike|Literal|Mapping|Sequence|Iterable|tuple|list|frozenset)\b"
)


class Installed:
    """The executors that are installed: those that ship, and those of other packages."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return names()

    def settings(self, name: str) -> tuple[str, ...]:
        """Return the names of an executor's settings.

        Raises:
            ExecutorError: it cannot be loaded, because an extra is not installed, say.
        """
        return tuple(_parameters(factory(name)))

    def make(self, name: str, settings: Mapping[str, Any]) -> Executor:
        """Return an executor.

        Args:
            name: one of ``names``.
            settings: its arguments by name; a text without quotes becomes what the argument takes.

        Raises:
            ExecutorError: it cannot be loaded, or does not take its settings.
            SecretError: a secret among its settings cannot be read.
        """
        annotations = _parameters(factory(name))
        return made(name, {key: _value(value, annotations.get(key, "")) for key, value in settings.items()})


def _parameters(maker: Callable[..., Any]) -> dict[str, str]:
    """Return the arguments that can be settings, and how each is annotated."""
    parameters = inspect.signature(maker).parameters.values()
    texts = {
        item.name: item.annotation if isinstance(item.annotation, str) else repr(item.annotation) for item in parameters
    }
    return {name: text for name, text in texts.items() if _SIMPLE.search(text) and "Callable" not in text}


def _value(value: Any, annotation: str) -> Any:
    """Return a setting as its argument takes it; what stands in a file or a variable is read."""
    if isinstance(value, dict):
        if len(value) == 1 and (where := next(iter(value))) in ("file", "env"):
            try:
                return read_secret(Secret(**{where: str(value[where])})).decode()
            except UnicodeDecodeError:
                raise SecretError(f"the secret in `{value[where]}` is not text") from None
        return {key: _value(item, annotation.partition("Mapping")[2]) for key, item in value.items()}
    if isinstance(value, list):
        items = [_value(item, annotation) for item in value]
        return tuple(items) if re.search(r"\btuple\b", annotation) else items
    if not isinstance(value, PlainScalar):
        return value
    if re.search(r"\bbool\b", annotation) and value in ("true", "false"):
        return value == "true"
    for word, read in (("int", int), ("float", float)):
        if re.search(rf"\b{word}\b", annotation) and re.fullmatch(r"-?\d+(\.\d+)?", value):
            try:
                return read(value)
            except ValueError:
                continue
    return str(value)
