"""The settings of a service. Each class is a mapping of the configuration; docs/RUN.md explains the keys."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, PlainValidator
from typing_extensions import NotRequired, TypedDict

from spyderresp.decision.compiler import Defaults, NotIn
from spyderresp.events.formats import BUILT_IN
from spyderresp.events.timestamps import epoch_seconds
from spyderresp.execution.guards.circuit_breakers import Limits
from spyderresp.execution.guards.guard import DEFAULT_KILL_SWITCH
from spyderresp.execution.guards.silences import Silence
from spyderresp.execution.protection import Protection
from spyderresp.policies.diagnostics import quoted, suggestion
from spyderresp.policies.vocabulary import ACTIONS, FALSE
from spyderresp.service.config.executor_settings import ExecutorSettings, read_executor
from spyderresp.service.config.source_settings import Address, SourceSettings, listen_address, read_source
from spyderresp.service.config.values import (
    Bool,
    Count,
    Keys,
    Listed,
    Path,
    Seconds,
    SettingError,
    Several,
    Size,
    Text,
    Texts,
    at_least,
    checked,
    of_kind,
    one_of,
    text,
)
from spyderresp.service.intake import MAX_BYTES, MAX_EVENTS
from spyderresp.service.service import DRAIN

# The guard. Its limits, protection and silences are values of `spyderresp.guards`, made from these.

_AbsolutePath = Annotated[str, checked(lambda word: word.startswith("/"), "`{key}` are absolute paths, not {text}")]


class GuardLimits(TypedDict, total=False):
    """The keys of ``guard.limits``."""

    policy: Count
    namespace: Count
    overall: Count
    window: Seconds
    warm_up: Count
    warm_up_seconds: Seconds


def _user(value: Any) -> int | str:
    word = text(value)
    return int(word) if word.isdigit() else word


class Protect(TypedDict, total=False):
    """The keys of ``guard.protect``."""

    executables: Annotated[tuple[_AbsolutePath, ...], Listed]
    cgroups: Annotated[tuple[_AbsolutePath, ...], Listed]
    users: Annotated[frozenset[Annotated[int | str, PlainValidator(_user)]], Listed]
    namespaces: Annotated[frozenset[Text], Listed]
    unknown_namespaces: Bool


def _matchable(match: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    try:
        Silence(match, 0.0)
    except ValueError as error:
        raise SettingError("SR615", str(error)) from None
    return match


def _time(value: Any) -> float:
    word = text(value)
    result = epoch_seconds(float(word) if word.isascii() and word.isdigit() else word)
    if result is None:
        hint = "write it as `1970-01-01T00:00:00Z`, or in seconds since then"
        raise SettingError("SR615", f"{quoted(word)} is no time", hint)
    return result


def _action(value: Any) -> str:
    word = text(value)
    if word not in ACTIONS:
        raise SettingError("SR605", f"unknown action {quoted(word)}", suggestion(word, tuple(ACTIONS)))
    return word


class SilenceKeys(TypedDict):
    """The keys of an item of ``guard.silences``."""

    match: Annotated[
        dict[str, Texts], BeforeValidator(lambda value: of_kind(value, dict, "mapping")), AfterValidator(_matchable)
    ]
    until: Annotated[float, PlainValidator(_time)]
    reason: NotRequired[Text]
    actions: NotRequired[Annotated[frozenset[Annotated[str, PlainValidator(_action)]], Listed]]


def _kill_switch(value: Any) -> Any:
    return None if isinstance(value, str) and value.lower() in FALSE else value


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """The arguments of ``spyderresp.guards.Guard``."""

    expiry: Seconds = 60.0
    kill_switch: Annotated[Path | None, BeforeValidator(_kill_switch)] = DEFAULT_KILL_SWITCH
    cooldown: Seconds = 0.0
    limits: Annotated[Limits, Keys(GuardLimits, "`limits`", Limits)] = field(default_factory=Limits)
    protect: Annotated[Protection, Keys(Protect, "`protect`", Protection().including)] = field(
        default_factory=Protection
    )
    silences: Annotated[tuple[Annotated[Silence, Keys(SilenceKeys, "a silence", Silence)], ...], Listed] = ()


# The whole service.


@dataclass(frozen=True, slots=True)
class SenderLimits:
    """How much senders may do."""

    events: Several = MAX_EVENTS  # the most events that may wait to be decided
    bytes: Size = MAX_BYTES  # the most bytes that may wait to be decided
    body: Size = 8 * 1024 * 1024  # the most bytes of an HTTP body, and of a message of a broker
    line: Size = 1024 * 1024  # the most bytes of a line over a socket
    connections: Several = 256  # the most connections at one address
    patience: Annotated[float, at_least(0.1)] = 30.0  # seconds that a request, a token or a handshake may take


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole service."""

    policies: Annotated[tuple[Path, ...], Listed] = ()
    strict: Bool = False  # whether a lenient repair of a policy is an error
    defaults: Annotated[Defaults, one_of(*get_args(Defaults))] = "always"
    not_in: Annotated[NotIn, one_of(*get_args(NotIn))] = "kubernetes"
    mode: Annotated[Literal["audit"], one_of("audit")] | None = None
    form: Annotated[str, one_of(*BUILT_IN.names)] | None = None  # of all records; None: the form of each is recognised
    events: Annotated[tuple[Annotated[SourceSettings, PlainValidator(read_source)], ...], Listed] = ()
    # Without executors, flags go to standard output, and agent actions are dry-run.
    executors: Annotated[tuple[Annotated[ExecutorSettings, PlainValidator(read_executor)], ...], Listed] = ()
    guard: Annotated[GuardSettings, Keys(GuardSettings, "`guard`")] = field(default_factory=GuardSettings)
    journal: Path | None = None
    positions: Path | None = None  # see `positions_path`
    watch: Bool = True  # whether changed policy files are loaded
    monitor: Annotated[Address, listen_address] | None = None  # for health and metrics
    limits: Annotated[SenderLimits, Keys(SenderLimits, "`limits`")] = field(default_factory=SenderLimits)
    drain: Seconds = DRAIN  # seconds for accepted events after a signal to end
    spans: Bool = False  # whether OpenTelemetry spans are sent

    @property
    def positions_path(self) -> str | None:
        """Where the positions of followed files are kept: by default beside the journal; None: nowhere."""
        return self.positions or (None if self.journal is None else f"{os.fspath(self.journal)}.positions")


#: Makes settings from a mapping in which every scalar is a text. The context is the folder of relative paths.
SETTINGS: Final = Keys(Settings, "the configuration").adapter()
