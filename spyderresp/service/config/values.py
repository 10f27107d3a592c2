"""Types of settings. The reader of each takes a value as written, a text, and returns it typed or raises SettingError.

The schema decides what a text means, never YAML: `no` is a boolean where a boolean belongs, and a name elsewhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainValidator, ValidationError, ValidationInfo
from pydantic_core import InitErrorDetails

from spyderresp.errors import SpyderrespError
from spyderresp.policies.diagnostics import quoted, suggestion
from spyderresp.policies.document_reader import shape
from spyderresp.policies.vocabulary import FALSE, TRUE

_NUMBER: Final = r"[+-]?\d+(?:_\d+)*(?:\.\d+)?(?:[eE][+-]?\d+)?"
_SINGLE: Final = re.compile(rf"({_NUMBER})\s*([A-Za-z]*)", re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?\d+(_\d+)*", re.ASCII)
_COMPOUND: Final = re.compile(r"(\d+(?:\.\d+)?)([dhms])", re.ASCII)
_MOST_DIGITS: Final = 40
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_BINARY: Final = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_BYTES: Final = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, **_BINARY}
Location = tuple[str | int, ...]


class SettingError(SpyderrespError, ValueError):
    """What is wrong with a value.

    Attributes:
        code: of the diagnostic.
        message: `{key}` in it stands for the name of the setting.
        help: what to do.
        loc: where it is, below the value that was read.
        at_key: whether it is about the key at that place, and not its value.
    """

    def __init__(self, code: str, message: str, help: str = "", *, loc: Location = (), at_key: bool = False) -> None:
        super().__init__(message)
        self.code, self.message, self.help, self.loc, self.at_key = code, message, help, loc, at_key


def raise_all(faults: Iterable[SettingError], error: ValidationError | None = None) -> None:
    """Raise the errors of pydantic and further faults as one error; return where there is none."""
    details = [
        InitErrorDetails(type="value_error", loc=item["loc"], input=None, ctx=item["ctx"])
        for item in (() if error is None else error.errors())
        if item["type"] == "value_error"
    ]
    for fault in faults:
        details.append(InitErrorDetails(type="value_error", loc=fault.loc, input=None, ctx={"error": fault}))
        fault.loc = ()
    if details:
        raise ValidationError.from_exception_data("settings", details)
    if error is not None:
        raise error


def of_kind(value: Any, kind: type, word: str, where: str = "`{key}`") -> Any:
    """Return a value that is a `str`, `list` or `dict`, as it is."""
    if isinstance(value, kind):
        return value
    if value is None:
        raise SettingError("SR110", f"{where} needs a value", "write one, or leave the key out")
    code = {"mapping": "SR111", "list": "SR112"}.get(word, "SR113")
    raise SettingError(code, f"{where} must be a {word}, not {shape(value)}")


def text(value: Any) -> str:
    """Return a text."""
    return str(of_kind(value, str, "text"))


def path(value: Any, info: ValidationInfo) -> str:
    """Return a path; a relative one starts at the folder of the configuration."""
    context: Any = info.context
    return os.path.join(context.folder, text(value))


def boolean(value: Any) -> bool:
    """Return a boolean: `true`, `yes`, `on`, `false`, `no` or `off`, in any case."""
    if isinstance(value, str) and value.lower() in TRUE | FALSE:
        return value.lower() in TRUE
    raise SettingError("SR114", f"`{{key}}` must be true or false, not {_shown(value)}")


def number(units: Mapping[str, int], what: str, *, least: float | None) -> Callable[[Any], float]:
    """Return the reader of a number with a unit, such as `64KiB`."""

    def read(value: Any) -> float:
        word = text(value)
        match = _SINGLE.fullmatch(word)
        if match is not None and match[2] in units and len(word) <= _MOST_DIGITS:
            result = float(match[1]) * units[match[2]]
        elif "m" in units and len(word) <= _MOST_DIGITS and re.fullmatch(rf"(?:{_COMPOUND.pattern})+", word):
            result = sum(float(amount) * units[unit] for amount, unit in _COMPOUND.findall(word))
        else:
            raise SettingError("SR603", f"`{{key}}` must be {what}, not {quoted(word)}")
        return _in_range(result, word, least)

    return read


def integer(least: int | None) -> Callable[[Any], int]:
    """Return the reader of an integer."""

    def read(value: Any) -> int:
        word = text(value)
        if not _INTEGER.fullmatch(word) or len(word) > _MOST_DIGITS:
            raise SettingError("SR603", f"`{{key}}` must be an integer, not {quoted(word)}")
        _in_range(float(word), word, least)
        return int(word)

    return read


def seconds(least: float | None = 0.0) -> Callable[[Any], float]:
    """Return the reader of a duration: `30`, `0.5`, `30s`, `1m30s`, `2d`."""
    return number(_SECONDS, "seconds, such as `30` or `5m`", least=least)


def _size(value: Any) -> int:
    return int(number(_BYTES, "bytes, such as `4096` or `8MiB`", least=1)(value))


def _in_range(result: float, word: str, least: float | None) -> float:
    low = float("-inf") if least is None else least
    if not low <= result < float("inf") or result == float("-inf"):
        bound = "finite" if least is None else f"at least {least:g}"
        raise SettingError("SR604", f"`{{key}}` must be {bound}, not {quoted(word)}")
    return result


def choice(valid: Sequence[str]) -> Callable[[Any], str]:
    """Return the reader of one of several words."""

    def read(value: Any) -> str:
        word = text(value)
        if word not in valid:
            raise SettingError("SR605", f"unknown value {quoted(word)} of `{{key}}`", suggestion(word, valid))
        return word

    return read


def listed(value: Any) -> list[Any]:
    """Return a list; a text counts as a list of one."""
    return [value] if isinstance(value, str) else list(of_kind(value, list, "list"))


def _shown(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else shape(value)


@dataclass(frozen=True)
class Keys:
    """Wraps the validation of a mapping: its keys, its values and how they fit together; all faults are one error.

    Attributes:
        where: what messages call the mapping.
        valid: the keys that it may have.
        needed: those that it must have.
        check: returns what is wrong with the mapping as a whole, given as it was written.
    """

    where: str
    valid: Sequence[str]
    needed: Sequence[str] = ()
    check: Callable[[dict[str, Any]], Iterable[SettingError]] = field(default=lambda _: ())

    def __call__(self, value: Any, handler: Callable[[Any], Any]) -> Any:
        mapping = of_kind(value, dict, "mapping", self.where)
        faults = list(unknown_keys(mapping, self.where, self.valid))
        faults += [SettingError("SR602", f"{self.where} has no `{key}`") for key in self.needed if key not in mapping]
        faults += self.check(mapping)
        error = result = None
        try:
            result = handler({key: item for key, item in mapping.items() if key in self.valid})
        except ValidationError as raised:
            error = raised
        raise_all(faults, error)
        return result


def unknown_keys(mapping: Mapping[str, Any], where: str, valid: Sequence[str], *loc: str) -> Iterable[SettingError]:
    """Yield a fault for each key that a mapping may not have."""
    for key in mapping:
        if key not in valid:
            message = f"unknown key {quoted(key)} in {where}"
            yield SettingError("SR601", message, suggestion(key, valid), loc=(*loc, key), at_key=True)


Bool = Annotated[bool, PlainValidator(boolean)]
Text = Annotated[str, PlainValidator(text)]
Path = Annotated[str, PlainValidator(path)]
OptionalText = Annotated[str | None, PlainValidator(text)]
OptionalPath = Annotated[str | None, PlainValidator(path)]
Seconds = Annotated[float, PlainValidator(seconds())]
Size = Annotated[int, PlainValidator(_size)]
Count = Annotated[int, PlainValidator(integer(0))]
Several = Annotated[int, PlainValidator(integer(1))]
Listed = BeforeValidator(listed)
Texts = Annotated[tuple[Text, ...], Listed]
