"""The settings of executors: the parameters of their constructors, each read by its annotation."""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationInfo

from spyderresp.execution.interfaces import Executor
from spyderresp.executors.discovery import ExecutorError, factory, made, names
from spyderresp.policies.diagnostics import Source, quoted, suggestion
from spyderresp.service.config.secrets import SecretError, read_secret
from spyderresp.service.config.source_settings import Secret, plain_sight
from spyderresp.service.config.values import (
    SettingError,
    boolean,
    choice,
    integer,
    listed,
    of_kind,
    raise_all,
    seconds,
    text,
    unknown_keys,
)

#: Settings that must not be written in a configuration.
SECRETS: Final = frozenset({"secret", "token", "api_key", "password"})
# Paths whose parameters are annotated as texts.
_PATHS: Final = frozenset({"ca", "certificate"})
_SEQUENCES: Final = frozenset({"Collection", "Iterable", "Sequence", "frozenset", "list", "set", "tuple"})
_MAPPINGS: Final = frozenset({"Mapping", "dict"})

#: Reads a value; a relative path starts at the folder.
Reader = Callable[[Any, str], Any]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a setting was written, for messages: a part of a text, or all of it where ``start`` is None."""

    source: Source
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """An executor by name, with its settings, and where it was named."""

    name: str
    settings: Mapping[str, Any]
    origin: Origin = field(default=Origin(Source("", "")), compare=False)


class Installed:
    """The executors that are installed: those that ship, and those of other packages."""

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return names()

    def readers(self, name: str) -> dict[str, Reader]:
        """Return the settings of an executor, and how each is read.

        Raises:
            ExecutorError: it cannot be loaded, for example because an extra is not installed.
        """
        parameters = inspect.signature(factory(name)).parameters.values()
        found = {item.name: _reader_of(item) for item in parameters if item.annotation is not item.empty}
        return {key: reader for key, reader in found.items() if reader is not None}

    def make(self, name: str, settings: Mapping[str, Any]) -> Executor:
        """Return an executor.

        Args:
            name: one of ``names``.
            settings: its arguments by name; each `Secret` is read.

        Raises:
            ExecutorError: it cannot be loaded, or does not take its settings.
            SecretError: a secret among its settings cannot be read.
        """
        return made(name, {key: _revealed(value) for key, value in settings.items()})


def _revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        try:
            return read_secret(value).decode()
        except UnicodeDecodeError:
            raise SecretError(f"the secret in `{value.file or value.env}` is not text") from None
    if isinstance(value, dict):
        return {key: _revealed(item) for key, item in value.items()}
    return type(value)(map(_revealed, value)) if isinstance(value, (list, tuple)) else value


def read_executor(value: Any, info: ValidationInfo) -> ExecutorSettings:
    """Return one executor of the list ``executors``: a name, or a name with its settings."""
    context: Any = info.context
    installed: Installed = context.installed
    settings: Any
    if isinstance(value, str):
        name, settings = value, {}
    elif isinstance(value, dict) and len(value) == 1:
        ((name, settings),) = value.items()
    else:
        raise SettingError("SR606", "an executor is its name, or one key, its name, with its settings under it")
    loc, at_key = ((), False) if isinstance(value, str) else ((name,), True)
    if name not in installed.names:
        hint = suggestion(name, installed.names)
        raise SettingError("SR608", f"unknown executor {quoted(name)}", hint, loc=loc, at_key=at_key)
    try:
        readers = installed.readers(name)
    except ExecutorError as error:
        raise SettingError("SR608", str(error), loc=loc, at_key=at_key) from None
    try:
        where = f"the settings of `{name}`"
        mapping = of_kind({} if settings is None else settings, dict, "mapping", where)
    except SettingError as fault:
        fault.loc = (name,)
        raise
    faults = list(unknown_keys(mapping, where, tuple(readers), name))
    result: dict[str, Any] = {}
    for key, item in mapping.items():
        if key in readers:
            try:
                result[key] = readers[key](item, context.folder)
            except SettingError as fault:
                fault.loc = (name, key, *fault.loc)
                faults.append(fault)
    raise_all(faults)
    return ExecutorSettings(name, result)


def _reader_of(parameter: inspect.Parameter) -> Reader | None:
    """Return how the setting of a parameter is read; None where its annotation allows nothing that can be written."""
    annotation = parameter.annotation
    written = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    read = _union(list(_members(ast.parse(written, mode="eval").body)))
    if read is None:
        return None
    if parameter.name in _PATHS:
        read = _with_paths(read)
    return functools.partial(_setting, parameter.name in SECRETS, read)


def _setting(secret: bool, read: Reader, value: Any, folder: str) -> Any:
    """Return a setting; one that is `{file: PATH}` or `{env: NAME}` is a secret, and None stays None."""
    if secret and isinstance(value, str):
        raise plain_sight()
    return None if value is None else read(value, folder)


def _with_paths(read: Reader) -> Reader:
    def joined(value: Any, folder: str) -> Any:
        result = read(value, folder)
        join = functools.partial(os.path.join, folder)
        return join(result) if isinstance(result, str) else tuple(map(join, result))

    return joined


def _members(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the members of a union."""
    if isinstance(node, ast.BinOp):
        yield from (*_members(node.left), *_members(node.right))
    elif isinstance(node, ast.Subscript) and _name(node) in ("Optional", "Union"):
        for item in node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]:
            yield from _members(item)
    else:
        yield node


def _name(node: ast.expr) -> str:
    """Return the last part of a type's name: `PathLike` of `os.PathLike[str]`."""
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _union(members: Sequence[ast.expr]) -> Reader | None:
    """Return the reader of a union: by the shape of the value, and of a text by the first type that takes it."""
    by_name = {_name(member): member for member in members}
    scalars = [read for name, read in _SCALARS.items() if name in by_name]
    scalars += [_of_choice(member) for name, member in by_name.items() if name == "Literal"]
    sequence = next((member for name, member in by_name.items() if name in _SEQUENCES), None)
    mapping = next((member for name, member in by_name.items() if name in _MAPPINGS), None)
    secret = "str" in by_name or "bytes" in by_name
    if not scalars and sequence is None and mapping is None:
        return None

    def read(value: Any, folder: str) -> Any:
        one = next(iter(value)) if secret and isinstance(value, dict) and len(value) == 1 else ""
        if one in ("file", "env"):
            word = text(value[one])
            return Secret(file=os.path.join(folder, word)) if one == "file" else Secret(env=word)
        if mapping is not None and (isinstance(value, dict) or (not scalars and sequence is None)):
            return _mapping(mapping, of_kind(value, dict, "mapping"), folder)
        if sequence is not None and (isinstance(value, list) or not scalars):
            return _sequence(sequence, value, folder)
        for attempt in scalars[:-1]:
            with contextlib.suppress(SettingError):
                return attempt(value, folder)
        return scalars[-1](value, folder)

    return read


def _of_choice(literal: ast.expr) -> Reader:
    read = choice(tuple(str(item.value) for item in ast.walk(literal) if isinstance(item, ast.Constant)))
    return lambda value, _: read(value)


def _mapping(annotation: ast.expr, value: dict[str, Any], folder: str) -> dict[str, Any]:
    read = _item_readers(annotation)[-1]
    return {key: _at(key, read, item, folder) for key, item in value.items()}


def _sequence(annotation: ast.expr, value: Any, folder: str) -> Any:
    items, readers = listed(value), _item_readers(annotation)
    if len(readers) > 1:
        if len(items) != len(readers):
            raise SettingError("SR112", f"`{{key}}` must be a list of {len(readers)} values, not of {len(items)}")
    else:
        readers = readers * len(items)
    found = [_at(index, read, item, folder) for index, (read, item) in enumerate(zip(readers, items, strict=True))]
    make = {"tuple": tuple, "set": set, "frozenset": frozenset}.get(_name(annotation), list)
    return make(found)


def _item_readers(annotation: ast.expr) -> list[Reader]:
    """Return the readers of the parameters of a generic type; one reads any value where there are none."""
    given = annotation.slice if isinstance(annotation, ast.Subscript) else ast.Constant(...)
    types = given.elts if isinstance(given, ast.Tuple) else [given]
    types = [item for item in types if not (isinstance(item, ast.Constant) and item.value is ...)]
    return [_union(list(_members(item))) or _as_written for item in types] or [_as_written]


def _as_written(value: Any, folder: str) -> Any:  # noqa: ARG001 - the signature of a reader
    return value


def _at(place: str | int, read: Reader, value: Any, folder: str) -> Any:
    try:
        return read(value, folder)
    except SettingError as fault:
        fault.loc = (place, *fault.loc)
        raise


#: The reader of each type that a text can have, in the order in which those of a union are tried.
_SCALARS: Final[dict[str, Reader]] = {
    "bool": lambda value, _: boolean(value),
    "int": lambda value, _: integer(None)(value),
    "float": lambda value, _: seconds(None)(value),
    "PathLike": lambda value, folder: os.path.join(folder, text(value)),
    "str": lambda value, _: text(value),
    "bytes": lambda value, _: text(value),
}
