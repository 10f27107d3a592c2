"""The options of ``spyderresp run``: turned into the text of a configuration, so that both are checked alike."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from spyderresp.service.brokering import BROKERS
from spyderresp.service.config import Catalogue, read_configuration, settings_of
from spyderresp.service.settings import Settings
from spyderresp.source import Source

_NETWORK: Final = ("http", "tcp")
_quoted: Final = json.JSONEncoder(ensure_ascii=False).encode


def settings_from(args: argparse.Namespace, catalogue: Catalogue) -> Settings:
    """Return the settings: those of the configuration, with those of the command line over them.

    Raises:
        ConfigurationError: anything is wrong with them.
    """
    settings = read_configuration(args.config, catalogue) if args.config is not None else Settings()
    given = list(_given(args))
    if given:
        told = settings_of(Source("<command line>", "\n".join(given) + "\n"), catalogue)
        settings = _over(settings, told, args)
    return settings


def _given(args: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of a configuration that says what the command line says."""
    if args.policies:
        yield f"policies: {_quoted(args.policies)}"
    for key in ("journal", "positions", "monitor", "form", "mode", "defaults", "not_in"):
        if (value := getattr(args, key)) is not None:
            yield f"{key}: {_quoted(value)}"
    if args.strict:
        yield "strict: true"
    if args.kill_switch is not None:
        yield f"guard: {{kill_switch: {_quoted(args.kill_switch)}}}"
    if args.events:
        yield "events:"
        for word in args.events:
            yield from _source(word, args)
    if args.executor or args.set:
        yield "executors:"
        yield from _executors(args)


def _source(word: str, args: argparse.Namespace) -> Iterator[str]:
    kind, found, rest = word.partition(":")
    if word == "-":
        yield "- stdin:"
    elif found and kind in _NETWORK:
        yield f"- {kind}: {_quoted(rest.removeprefix('//').rstrip('/'))}"
        if args.token_file is not None or args.token_env is not None:
            named = {"file": args.token_file, "env": args.token_env}
            yield f"  token: {_quoted({key: value for key, value in named.items() if value is not None})}"
        tls = {"certificate": args.tls_certificate, "key": args.tls_key, "clients": args.tls_clients}
        if any(value is not None for value in tls.values()):
            yield f"  tls: {_quoted({key: value for key, value in tls.items() if value is not None})}"
        if args.plain:
            yield "  plain: true"
    elif found and kind in BROKERS and "/" in rest:
        servers, _, names = rest.removeprefix("//").partition("/")
        yield f"- {kind}: {_quoted(servers)}"
        yield f"  topics: {_quoted(names.split(','))}" if kind == "kafka" else f"  stream: {_quoted(names)}"
        if args.group is not None:
            yield f"  {'group' if kind == 'kafka' else 'consumer'}: {_quoted(args.group)}"
        if args.dead_letters is not None:
            yield f"  dead_letters: {_quoted(args.dead_letters)}"
        if args.plain:
            yield "  plain: true"
    elif found and kind == "unix":
        yield f"- unix: {_quoted(rest.removeprefix('//'))}"
        if args.uid:
            yield f"  uids: {_quoted(args.uid)}"
    else:
        yield f"- file: {_quoted(rest if found and kind == 'file' else word)}"
        if args.follow:
            yield "  follow: true"


def _executors(args: argparse.Namespace) -> Iterator[str]:
    """Yield each executor with its settings; one that only `--set` names is meant too."""
    settings: dict[str, list[str]] = {name: [] for name in args.executor or ()}
    for word in args.set or ():
        where, _, value = word.partition("=")
        name, _, key = where.partition(".")
        # Not quoted: it may be a number, a boolean, a list or a mapping.
        settings.setdefault(name, []).append(f"    {_quoted(key)}: {value}")
    for name, lines in settings.items():
        yield f"- {_quoted(name)}:"
        yield from lines


def _over(settings: Settings, told: Settings, args: argparse.Namespace) -> Settings:
    given: dict[str, Any] = {
        "policies": args.policies,
        "sources": args.events,
        "executors": args.executor or args.set,
        "journal": args.journal,
        "positions": args.positions,
        "monitor": args.monitor,
        "form": args.form,
        "mode": args.mode,
        "defaults": args.defaults,
        "not_in": args.not_in,
        "strict": args.strict,
    }
    settings = replace(settings, **{name: getattr(told, name) for name, value in given.items() if value})
    if args.kill_switch is not None:
        settings = replace(settings, guard=replace(settings.guard, kill_switch=told.guard.kill_switch))
    return settings
