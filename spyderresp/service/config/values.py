"""The types of settings. Each reads a value as it was written: a text, a list or a mapping.

The key decides what a text stands for, not YAML: ``no`` is false for a boolean setting, and a word for any other.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Final

from pydantic import (
    BeforeValidator,
    GetCoreSchemaHandler,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import CoreSchema, InitErrorDetails, core_schema

from spyderresp.errors import SpyderrespError
from spyderresp.policies.diagnostics import quoted, suggestion
from spyderresp.policies.document_reader import shape
from spyderresp.policies.vocabulary import FALSE, TRUE

_NUMBER: Final = re.compile(r"([+-]?\d+(?:_\d+)*(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)", re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?\d+(_\d+)*", re.ASCII)
# A duration of several parts, such as `1m30s`.
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([dhms])", re.ASCII)
_MAX_DIGITS: Final = 40
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_BINARY: Final = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_BYTES: Final = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, **_BINARY}
_NO_VALUE: Final = ("SR110", "`{key}` needs a value", "write one, or leave the key out")
Location = tuple[str | int, ...]


class SettingError(SpyderrespError, ValueError):
    """A value is wrong.

    Attributes:
        code: the code of the diagnostic.
        message: what is wrong; ``{key}`` in it stands for the name of the setting.
        help: how to correct it.
        loc: where it is wrong, below the value that was read.
        at_key: whether the diagnostic points to the key at that place, and not to its value.
    """

    def __init__(self, code: str, message: str, help: str = "", loc: Location = (), *, at_key: bool = False) -> None:
        super().__init__(message)
        self.code, self.message, self.help, self.loc, self.at_key = code, message, help, loc, at_key


def raise_all(faults: Iterable[SettingError], error: ValidationError | None = None) -> None:
    """Raise faults as one ValidationError, with those of ``error``, which lie below this value; return without any."""
    located: list[tuple[Location, SettingError]] = [((), fault) for fault in faults]
    if error is not None:
        located += [(item["loc"], item["ctx"]["error"]) for item in error.errors() if item["type"] == "value_error"]
    if located:
        details = [
            InitErrorDetails(type="value_error", loc=loc, input=None, ctx={"error": fault}) for loc, fault in located
        ]
        raise ValidationError.from_exception_data("settings", details)


def of_kind(value: Any, kind: type, word: str, where: str = "`{key}`") -> Any:
    """Return a value unchanged if it is of the kind that a setting needs: ``str``, ``list`` or ``dict``."""
    if isinstance(value, kind):
        return value
    if value is None:
        code, message, help = _NO_VALUE  # noqa: A001 - the field's name
        raise SettingError(code, message.replace("`{key}`", where), help)
    code = {"mapping": "SR111", "list": "SR112"}.get(word, "SR113")
    raise SettingError(code, f"{where} must be a {word}, not {shape(value)}")


class Keys:
    """Annotates a setting that is written as a mapping. All faults of the mapping are reported together.

    Args:
        model: a dataclass or TypedDict. Its fields are the keys. A model with a ``kind`` has the kind as its first key.
            ``model.faults``, if it exists, yields what is wrong with the mapping as it was written.
        where: what messages call the mapping.
        make: makes the value of the setting from the items of a TypedDict; None: the value is a ``model``.
    """

    def __init__(self, model: type, where: str, make: Callable[..., Any] | None = None) -> None:
        self._model, self._where, self._make = model, where, make

    def adapter(self) -> TypeAdapter[Any]:
        """Return a reader of such mappings."""
        form: Any = Annotated[self._model, self]
        return TypeAdapter(form)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(self._read, handler.generate_schema(self._model))

    def _read(self, value: Any, read: Callable[[Any], Any]) -> Any:
        mapping = of_kind(value, dict, "mapping", self._where)
        keys, kind = keys_of(self._model), getattr(self._model, "kind", "")
        faults = [*unknown_keys(mapping, f"{self._where} of kind `{kind}`" if kind else self._where, keys)]
        faults += [SettingError(*_NO_VALUE, (key,)) for key, item in mapping.items() if item is None and key in keys]
        faults += getattr(self._model, "faults", lambda _: ())(mapping)
        result: Any = None
        error = None
        try:
            result = read({key: item for key, item in mapping.items() if item is not None})
        except ValidationError as raised:
            error = raised
            missing = {item["loc"][-1] for item in error.errors() if item["type"] == "missing"} - mapping.keys()
            faults += [SettingError("SR602", f"{self._where} has no `{key}`") for key in missing]
        raise_all(faults, error)
        return result if self._make is None else self._make(**result)


def keys_of(model: type) -> tuple[str, ...]:
    """Return the keys of a mapping that is read as a dataclass or TypedDict."""
    names = [each.name for each in fields(model)] if is_dataclass(model) else list(model.__annotations__)
    return (getattr(model, "kind", names[0]), *names[1:])


def unknown_keys(mapping: Mapping[str, Any], where: str, valid: Sequence[str], *loc: str) -> Iterable[SettingError]:
    """Yield a fault for each key of a mapping that is not valid; ``loc`` is the place of the mapping."""
    for key in mapping:
        if key not in valid:
            message = f"unknown key {quoted(key)} in {where}"
            yield SettingError("SR601", message, suggestion(key, valid), (*loc, key), at_key=True)


# Each function below reads a value. It returns the value as the setting has it, or raises SettingError.


def text(value: Any) -> str:
    """Read a text."""
    return str(of_kind(value, str, "text"))


def path(value: Any, info: ValidationInfo) -> str:
    """Read a path; a relative one starts at the folder of the configuration, which is the context of validation."""
    return os.path.join(str(info.context), text(value))


def boolean(value: Any) -> bool:
    """Read a boolean: `true`, `yes`, `on`, `false`, `no` or `off`, in any case."""
    if isinstance(value, str) and value.lower() in TRUE | FALSE:
        return value.lower() in TRUE
    shown = quoted(value) if isinstance(value, str) else shape(value)
    raise SettingError("SR114", f"`{{key}}` must be true or false, not {shown}")


def number(value: Any, units: Mapping[str, int], what: str, least: float | None) -> float:
    """Read a number with a unit, such as `64KiB`, that is ``least`` or more."""
    word = text(value)
    match = _NUMBER.fullmatch(word)
    if match is not None and match[2] in units and len(word) <= _MAX_DIGITS:
        result = float(match[1]) * units[match[2]]
    elif "m" in units and len(word) <= _MAX_DIGITS and re.fullmatch(rf"(?:{_DURATION.pattern})+", word):
        result = sum(float(amount) * units[unit] for amount, unit in _DURATION.findall(word))
    else:
        raise SettingError("SR603", f"`{{key}}` must be {what}, not {quoted(word)}")
    return _in_range(result, word, least)


def integer(value: Any, least: int | None = None) -> int:
    """Read an integer that is ``least`` or more."""
    word = text(value)
    if not _INTEGER.fullmatch(word) or len(word) > _MAX_DIGITS:
        raise SettingError("SR603", f"`{{key}}` must be an integer, not {quoted(word)}")
    _in_range(float(word), word, least)
    return int(word)


def _in_range(result: float, word: str, least: float | None) -> float:
    low = float("-inf") if least is None else least
    if not low <= result < float("inf") or result == float("-inf"):
        bound = "finite" if least is None else f"at least {least:g}"
        raise SettingError("SR604", f"`{{key}}` must be {bound}, not {quoted(word)}")
    return result


def seconds(value: Any, least: float | None = None) -> float:
    """Read a duration in seconds: `30`, `0.5`, `30s`, `1m30s`, `2d`."""
    return number(value, _SECONDS, "seconds, such as `30` or `5m`", least)


def choice(value: Any, valid: Sequence[str]) -> str:
    """Read one of several words."""
    word = text(value)
    if word not in valid:
        raise SettingError("SR605", f"unknown value {quoted(word)} of `{{key}}`", suggestion(word, valid))
    return word


def listed(value: Any) -> list[Any]:
    """Read a list; a text counts as a list of one."""
    return [value] if isinstance(value, str) else list(of_kind(value, list, "list"))


# The types of settings.


def one_of(*valid: str) -> PlainValidator:
    """Return the type of a text that is one of several words."""
    return PlainValidator(lambda value: choice(value, valid))


def at_least(least: float) -> PlainValidator:
    """Return the type of a duration of ``least`` seconds or more."""
    return PlainValidator(lambda value: seconds(value, least))


def checked(
    valid: Callable[[str], Any], message: str, hint: str = "", *, code: str = "SR605", make: Callable[[str], Any] = str
) -> PlainValidator:
    """Return the type of a text for which ``valid`` returns a true value.

    Args:
        valid: checks the text.
        message: what is wrong with another text; ``{text}`` stands for it.
        hint: how to correct it.
        code: the code of the diagnostic.
        make: makes the value of the setting from the text.
    """

    def read(value: Any) -> Any:
        word = text(value)
        if not valid(word):
            raise SettingError(code, message.replace("{text}", quoted(word)), hint)
        return make(word)

    return PlainValidator(read)


Bool = Annotated[bool, PlainValidator(boolean)]
Text = Annotated[str, PlainValidator(text)]
Path = Annotated[str, PlainValidator(path)]
Seconds = Annotated[float, at_least(0)]
Size = Annotated[int, PlainValidator(lambda value: int(number(value, _BYTES, "bytes, such as `4096` or `8MiB`", 1)))]
Count = Annotated[int, PlainValidator(lambda value: integer(value, 0))]
Several = Annotated[int, PlainValidator(lambda value: integer(value, 1))]
Listed = BeforeValidator(listed)
Texts = Annotated[tuple[Text, ...], Listed]
