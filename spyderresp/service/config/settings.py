"""The settings of a service as immutable values, and how each is checked."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import AliasPath, BeforeValidator, Field, PlainValidator, TypeAdapter, ValidationInfo, WrapValidator
from typing_extensions import TypedDict

from spyderresp.decision.compiler import Defaults, NotIn
from spyderresp.events.formats import BUILT_IN
from spyderresp.events.timestamps import epoch_seconds
from spyderresp.execution.guards.circuit_breakers import Limits
from spyderresp.execution.guards.guard import DEFAULT_KILL_SWITCH
from spyderresp.execution.guards.silences import Silence
from spyderresp.execution.protection import Protection
from spyderresp.policies.diagnostics import quoted, suggestion
from spyderresp.policies.vocabulary import ACTIONS, FALSE, FLAGS
from spyderresp.service.config.executor_settings import ExecutorSettings, Origin, read_executor
from spyderresp.service.config.source_settings import (
    Address,
    BrokerSource,
    BrokerTls,
    FileSource,
    Login,
    NetworkSource,
    Secret,
    SourceSettings,
    StdinSource,
    Tls,
    UnixSource,
    read_address,
    read_source,
)
from spyderresp.service.config.values import (
    Bool,
    Count,
    Keys,
    Listed,
    OptionalPath,
    Path,
    Seconds,
    SettingError,
    Several,
    Size,
    Texts,
    choice,
    of_kind,
    path,
    seconds,
    text,
    unknown_keys,
)
from spyderresp.service.intake import MAX_BYTES, MAX_EVENTS
from spyderresp.service.service import DRAIN

__all__ = (
    "BrokerSource",
    "BrokerTls",
    "ExecutorSettings",
    "FileSource",
    "GuardSettings",
    "Login",
    "Monitor",
    "NetworkSource",
    "Origin",
    "Secret",
    "Settings",
    "SourceSettings",
    "StdinSource",
    "Tls",
    "UnixSource",
)

MAX_BODY: Final = 8 * 1024 * 1024
MAX_NETWORK_LINE: Final = 1024 * 1024
Monitor = Address

# The guard. Its limits, protection and silences are values of `spyderresp.guards`, made from these.


class GuardLimits(TypedDict, total=False):
    """The keys of ``guard.limits``."""

    policy: Count
    namespace: Count
    overall: Count
    window: Seconds
    warm_up: Count
    warm_up_seconds: Seconds


def _absolute(value: Any) -> str:
    word = text(value)
    if not word.startswith("/"):
        raise SettingError("SR605", f"`{{key}}` are absolute paths, not {quoted(word)}")
    return word


_AbsolutePaths = Annotated[tuple[Annotated[str, PlainValidator(_absolute)], ...], Listed]


def _user(value: Any) -> int | str:
    word = text(value)
    return int(word) if word.isdigit() else word


class Protect(TypedDict, total=False):
    """The keys of ``guard.protect``."""

    executables: _AbsolutePaths
    cgroups: _AbsolutePaths
    users: Annotated[frozenset[Annotated[int | str, PlainValidator(_user)]], Listed]
    namespaces: Annotated[frozenset[Annotated[str, PlainValidator(text)]], Listed]


def _time(value: Any) -> float:
    word = text(value)
    result = epoch_seconds(float(word)) if word.isascii() and word.isdigit() else epoch_seconds(word)
    if result is None:
        example = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(0))
        raise SettingError("SR615", f"{quoted(word)} is no time", f"write it as `{example}`, or in seconds since then")
    return result


def _action(value: Any) -> str:
    word = text(value)
    if word not in ACTIONS:
        raise SettingError("SR605", f"unknown action {quoted(word)}", suggestion(word, tuple(ACTIONS)))
    return word


class SilenceKeys(TypedDict, total=False):
    """The keys of one of ``guard.silences``."""

    match: Annotated[dict[str, Texts], BeforeValidator(lambda value: of_kind(value, dict, "mapping"))]
    until: Annotated[float, PlainValidator(_time)]
    reason: Annotated[str, PlainValidator(text)]
    actions: Annotated[frozenset[Annotated[str, PlainValidator(_action)]], Listed]


def _check_silence(mapping: dict[str, Any]) -> Iterator[SettingError]:
    match = mapping.get("match")
    if isinstance(match, dict):
        try:
            Silence({key: tuple(item) if isinstance(item, list) else item for key, item in match.items()}, 0.0)
        except (ValueError, TypeError) as error:
            yield SettingError("SR615", str(error), loc=("match",))


GUARD_LIMITS: Final = tuple(GuardLimits.__annotations__)
PROTECT: Final = tuple(Protect.__annotations__)
SILENCE: Final = tuple(SilenceKeys.__annotations__)
_LIMITS: Final = TypeAdapter(Annotated[GuardLimits, WrapValidator(Keys("`limits`", GUARD_LIMITS))])
_PROTECT: Final = TypeAdapter(Annotated[Protect, WrapValidator(Keys("`protect`", PROTECT))])
_SILENCE: Final = TypeAdapter(
    Annotated[SilenceKeys, WrapValidator(Keys("a silence", SILENCE, ("match", "until"), _check_silence))]
)


def _limits(value: Any) -> Limits:
    return Limits(**_LIMITS.validate_python(value))


def _protection(value: Any) -> Protection:
    """Return the default protection with what is named in addition."""
    return Protection().including(**_PROTECT.validate_python(value))


def _silence(value: Any) -> Silence:
    keys: dict[str, Any] = {"actions": FLAGS, **_SILENCE.validate_python(value)}
    return Silence(**keys)


def _kill_switch(value: Any, info: ValidationInfo) -> str | None:
    return None if text(value).lower() in FALSE else path(value, info)


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """As of ``spyderresp.guards.Guard``."""

    protection: Annotated[Protection, PlainValidator(_protection), Field(validation_alias="protect")] = field(
        default_factory=Protection
    )
    limits: Annotated[Limits, PlainValidator(_limits)] = field(default_factory=Limits)
    expiry: Seconds = 60.0
    kill_switch: Annotated[str | None, PlainValidator(_kill_switch)] = DEFAULT_KILL_SWITCH
    cooldown: Seconds = 0.0
    silences: Annotated[tuple[Annotated[Silence, PlainValidator(_silence)], ...], Listed] = ()


# The whole service.

GUARD: Final = ("expiry", "kill_switch", "cooldown", "limits", "protect", "silences")
KEYS: Final = (
    *("policies", "strict", "defaults", "not_in", "mode", "form", "events", "executors", "guard", "journal"),
    *("positions", "watch", "monitor", "limits", "drain", "spans"),
)
LIMITS: Final = ("events", "bytes", "body", "line", "connections", "patience")


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole service.

    Attributes:
        policies: paths of policies.
        strict: whether lenient repairs are errors.
        defaults, not_in, mode: as of ``Engine``.
        form: the form of all records, or None.
        sources: where events come from.
        executors: what acts; none: flags to standard output, agent actions dry.
        guard: what refuses.
        journal: its path, or None.
        positions: where the positions of followed files are kept; None: beside the journal, where there is one.
        watch: whether changed policy files are loaded.
        monitor: None: health and metrics on HTTP sources only.
        max_events, max_bytes: how much may wait to be decided.
        max_body: the most bytes of an HTTP body.
        max_line: the most bytes of a line that comes over a socket.
        max_connections: how many senders may be connected at once, for each address.
        patience: how many seconds a request may take.
        drain: how many seconds the service may take to finish what was accepted, after a signal to end.
        spans: whether OpenTelemetry spans are made.
        path: of the configuration file, or None.
    """

    policies: Annotated[tuple[Path, ...], Listed] = ()
    strict: Bool = False
    defaults: Annotated[Defaults, PlainValidator(choice(get_args(Defaults)))] = "always"
    not_in: Annotated[NotIn, PlainValidator(choice(get_args(NotIn)))] = "kubernetes"
    mode: Annotated[Literal["audit"] | None, PlainValidator(choice(("audit",)))] = None
    form: Annotated[str | None, PlainValidator(choice(BUILT_IN.names))] = None
    sources: Annotated[
        tuple[Annotated[SourceSettings, PlainValidator(read_source)], ...], Listed, Field(validation_alias="events")
    ] = ()
    executors: Annotated[tuple[Annotated[ExecutorSettings, PlainValidator(read_executor)], ...], Listed] = ()
    guard: Annotated[GuardSettings, WrapValidator(Keys("`guard`", GUARD))] = field(default_factory=GuardSettings)
    journal: OptionalPath = None
    positions: OptionalPath = None
    watch: Bool = True
    monitor: Annotated[Monitor | None, PlainValidator(read_address)] = None
    max_events: Annotated[Several, Field(validation_alias=AliasPath("limits", "events"))] = MAX_EVENTS
    max_bytes: Annotated[Size, Field(validation_alias=AliasPath("limits", "bytes"))] = MAX_BYTES
    max_body: Annotated[Size, Field(validation_alias=AliasPath("limits", "body"))] = MAX_BODY
    max_line: Annotated[Size, Field(validation_alias=AliasPath("limits", "line"))] = MAX_NETWORK_LINE
    max_connections: Annotated[Several, Field(validation_alias=AliasPath("limits", "connections"))] = 256
    patience: Annotated[
        float, PlainValidator(seconds(0.1)), Field(validation_alias=AliasPath("limits", "patience"))
    ] = 30.0
    drain: Seconds = DRAIN
    spans: Bool = False
    path: str | None = None

    @property
    def kept_positions(self) -> str | None:
        """Where positions are kept, or None where they are not."""
        return self.positions or (None if self.journal is None else f"{os.fspath(self.journal)}.positions")


def _check_limits(mapping: dict[str, Any]) -> Iterable[SettingError]:
    if "limits" not in mapping:
        return
    try:
        limits = of_kind(mapping["limits"], dict, "mapping")
    except SettingError as fault:
        fault.loc = ("limits",)
        yield fault
    else:
        yield from unknown_keys(limits, "`limits`", LIMITS, "limits")


#: Makes settings from the mapping of a configuration, in which every scalar is a text.
SETTINGS: Final = TypeAdapter(Annotated[Settings, WrapValidator(Keys("the configuration", KEYS, check=_check_limits))])
