"""The settings of executors: the parameters of their constructors, each read by its annotation."""

from __future__ import annotations

import ast
import contextlib
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationInfo

from spyderresp.execution.interfaces import Executor
from spyderresp.executors.discovery import BUILT_IN, ExecutorError, factory, made, names
from spyderresp.policies.diagnostics import Source, quoted, suggestion
from spyderresp.service.config.secrets import SecretError, read_secret
from spyderresp.service.config.source_settings import Secret, not_written
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

# Parameters that a configuration must not contain.
_SECRETS: Final = frozenset({"secret", "token", "api_key", "password"})
# Parameters that are paths, and annotated as texts.
_PATHS: Final = frozenset({"ca", "certificate"})
_SEQUENCES: Final = frozenset({"Collection", "Iterable", "Sequence", "frozenset", "list", "set", "tuple"})
_MAPPINGS: Final = frozenset({"Mapping", "dict"})
# How a text is read as each type. Of a union, the first type in this order is tried first.
_SCALARS: Final[dict[str, Callable[[Any], Any]]] = {
    "bool": boolean,
    "int": integer,
    "float": seconds,
    "PathLike": text,
    "str": text,
    "bytes": text,
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a setting was written, for messages: a part of a text, or the whole text if ``start`` is None."""

    source: Source
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """An executor by name, with its settings, and where it was named."""

    name: str
    settings: Mapping[str, Any]
    origin: Origin = field(default=Origin(Source("", "")), compare=False)


def make_executor(name: str, settings: Mapping[str, Any]) -> Executor:
    """Return an executor. ``settings`` are its arguments by name; each `Secret` among them is read.

    Raises:
        ExecutorError: the executor cannot be loaded, or does not take its settings.
        SecretError: a secret cannot be read.
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
    """Read one executor of the list ``executors``: a name, or a name with its settings."""
    settings: Any = {}
    if isinstance(value, str):
        name = value
    elif isinstance(value, dict) and len(value) == 1:
        ((name, settings),) = value.items()
    else:
        raise SettingError("SR606", "an executor is its name, or one key, its name, with its settings under it")
    at_name: dict[str, Any] = {} if isinstance(value, str) else {"loc": (name,), "at_key": True}
    if name not in BUILT_IN and name not in (valid := names()):
        raise SettingError("SR608", f"unknown executor {quoted(name)}", suggestion(name, valid), **at_name)
    try:
        parameters = _parameters(name)
    except ExecutorError as error:
        raise SettingError("SR608", str(error), **at_name) from None
    where = f"the settings of `{name}`"
    with _below(name):
        mapping = of_kind({} if settings is None else settings, dict, "mapping", where)
    faults = list(unknown_keys(mapping, where, tuple(parameters), name))
    result: dict[str, Any] = {}
    for key in filter(parameters.__contains__, mapping):
        try:
            with _below(name, key):
                result[key] = _argument(key, parameters[key], mapping[key], str(info.context))
        except SettingError as fault:  # noqa: PERF203 - one fault must not hide the next
            faults.append(fault)
    raise_all(faults)
    return ExecutorSettings(name, result)


@contextlib.contextmanager
def _below(*loc: str | int) -> Iterator[None]:
    """Put ``loc`` before the place of an error."""
    try:
        yield
    except SettingError as fault:
        fault.loc = (*loc, *fault.loc)
        raise


def _parameters(name: str) -> dict[str, ast.expr]:
    """Return the annotations of an executor's parameters, except those that no written value fits.

    Raises:
        ExecutorError: it cannot be loaded, for example because an extra is not installed.
    """
    annotations: dict[str, ast.expr] = {}
    for item in inspect.signature(factory(name)).parameters.values():
        if item.annotation is not item.empty:
            written = item.annotation if isinstance(item.annotation, str) else inspect.formatannotation(item.annotation)
            annotations[item.name] = ast.parse(written, mode="eval").body
    writable = _SCALARS.keys() | _SEQUENCES | _MAPPINGS | {"Literal"}
    return {name: annotation for name, annotation in annotations.items() if writable & _types(annotation).keys()}


def _argument(name: str, annotation: ast.expr, value: Any, folder: str) -> Any:
    """Return the argument for a parameter. The value `null` stays None."""
    if name in _SECRETS:
        not_written(value)
    result = None if value is None else _read(annotation, value, folder)
    if name in _PATHS and isinstance(result, str):
        return os.path.join(folder, result)
    if name in _PATHS and isinstance(result, tuple):
        return tuple(os.path.join(folder, item) for item in result)
    return result


def _types(annotation: ast.expr) -> dict[str, ast.expr]:
    """Return the members of a union, or the type itself, by name: `PathLike` for `os.PathLike[str]`."""
    if isinstance(annotation, ast.BinOp):
        return _types(annotation.left) | _types(annotation.right)
    base = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    name = base.attr if isinstance(base, ast.Attribute) else base.id if isinstance(base, ast.Name) else ""
    if isinstance(annotation, ast.Subscript) and name in ("Optional", "Union"):
        return {key: item for member in _arguments(annotation) for key, item in _types(member).items()}
    return {name: annotation}


def _arguments(annotation: ast.expr) -> list[ast.expr]:
    """Return the arguments of a generic type, without `...`."""
    given = annotation.slice if isinstance(annotation, ast.Subscript) else ast.Tuple([])
    items = given.elts if isinstance(given, ast.Tuple) else [given]
    return [item for item in items if not (isinstance(item, ast.Constant) and item.value is ...)]


def _read(annotation: ast.expr | None, value: Any, folder: str) -> Any:
    """Read a value by an annotation: the shape of the value decides between the members of a union."""
    types = {} if annotation is None else _types(annotation)
    scalars = [name for name in (*_SCALARS, "Literal") if name in types]
    sequence, mapping = (next((name for name in types if name in kind), None) for kind in (_SEQUENCES, _MAPPINGS))
    if isinstance(value, dict) and len(value) == 1 and {"str", "bytes"} & types.keys():
        if "file" in value:
            return Secret(file=os.path.join(folder, text(value["file"])))
        if "env" in value:
            return Secret(env=text(value["env"]))
    if mapping is not None and (isinstance(value, dict) or not (scalars or sequence)):
        return _read_mapping(types[mapping], of_kind(value, dict, "mapping"), folder)
    if sequence is not None and (isinstance(value, list) or not scalars):
        return _read_sequence(sequence, types[sequence], listed(value), folder)
    if not scalars:
        return value
    for name in scalars[:-1]:
        with contextlib.suppress(SettingError):
            return _read_scalar(name, types[name], value, folder)
    return _read_scalar(scalars[-1], types[scalars[-1]], value, folder)


def _read_scalar(name: str, annotation: ast.expr, value: Any, folder: str) -> Any:
    if name == "Literal":
        return choice(value, [str(item.value) for item in ast.walk(annotation) if isinstance(item, ast.Constant)])
    result = _SCALARS[name](value)
    return os.path.join(folder, result) if name == "PathLike" else result


def _read_mapping(annotation: ast.expr, value: dict[str, Any], folder: str) -> dict[str, Any]:
    read = next(reversed(_arguments(annotation)), None)
    result = {}
    for key, item in value.items():
        with _below(key):
            result[key] = _read(read, item, folder)
    return result


def _read_sequence(name: str, annotation: ast.expr, value: list[Any], folder: str) -> Any:
    types: list[ast.expr | None] = [*_arguments(annotation)]
    if len(types) < 2:
        types = (types or [None]) * len(value)
    elif len(types) != len(value):
        raise SettingError("SR112", f"`{{key}}` must be a list of {len(types)} values, not of {len(value)}")
    result = []
    for index, (member, item) in enumerate(zip(types, value, strict=True)):
        with _below(index):
            result.append(_read(member, item, folder))
    return {"tuple": tuple, "set": set, "frozenset": frozenset}.get(name, list)(result)
