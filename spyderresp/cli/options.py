"""What the verbs that decide events share: the options, reading policies, making an engine."""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import importlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, get_args

from spyderresp.cli.terminal import CommandError, Streams, counted, diagnostic_text, pages, reason_of, safe
from spyderresp.decision.compiler import Defaults, NotIn
from spyderresp.decision.engine import Engine
from spyderresp.errors import PolicyError, SpyderrespError
from spyderresp.events.formats import BUILT_IN
from spyderresp.policies.codes import CODES
from spyderresp.policies.diagnostics import Findings, quoted, suggestion
from spyderresp.policies.loader import load, walk
from spyderresp.policies.policy_set import PolicySet


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the policies, and the options of an engine and of its input."""
    parser.add_argument(
        "--policies", action="append", required=True, metavar="PATH", help="a policy file or directory; may be repeated"
    )
    add_deciding_options(parser)


def add_deciding_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of an engine and of its input."""
    parser.add_argument("--strict", action="store_true", help="make each lenient repair an error")
    parser.add_argument(
        "--defaults", choices=get_args(Defaults), default="always", help="when default actions are taken"
    )
    parser.add_argument(
        "--not-in", choices=get_args(NotIn), default="kubernetes", help="whether NotIn holds where the key is absent"
    )
    parser.add_argument("--mode", choices=("audit",), help="treat every policy as one in audit mode")
    parser.add_argument(
        "--form", choices=BUILT_IN.names, help="the shape of the records; recognised one by one where not given"
    )


def make_engine(args: argparse.Namespace, streams: Streams) -> Engine | None:
    """Return the engine, or None after saying why the policies cannot be read."""
    policies = read_policies(args, streams)
    return None if policies is None else engine_of(policies, args)


def engine_of(policies: PolicySet, args: argparse.Namespace) -> Engine:
    """Return the engine that the options ask for."""
    return Engine(policies, defaults=args.defaults, not_in=args.not_in, mode=args.mode)


def read_policies(args: argparse.Namespace, streams: Streams) -> PolicySet | None:
    """Return the policies, or None after saying why they cannot be read."""
    return read_paths(getattr(args, "policies", None) or args.paths, streams, strict=args.strict)


def read_paths(paths: Sequence[str], streams: Streams, *, strict: bool) -> PolicySet | None:
    """Return the policies of files and directories, or None after saying why they cannot be read."""
    paint = streams.paint(errors=True)
    try:
        policies = load(*paths, strict=strict)
    except PolicyError as error:
        for diagnostic in error.diagnostics:
            if diagnostic.level == "error":
                streams.complain(diagnostic_text(diagnostic, paint))
        streams.complain(f"policies cannot be read: {counted(error.diagnostics)}; see {pages(error.errors)}")
        return None
    warnings = [item for item in policies.diagnostics if item.level == "warning"]
    if warnings:
        streams.complain(f"policies read with {counted(warnings)}; `spyderresp check` shows them")
    return policies


# What a project wants of ``check``: ``spyderresp.toml``, or a table of ``pyproject.toml``.
#
# ::
#
#     [tool.spyderresp.check]   # in spyderresp.toml: [check]
#     strict = true
#     portable = true
#     fail-on = "error"
#     ignore = ["SR805"]
#     per-file-ignores = { "trial/*.yaml" = ["SR801", "SR802"] }


def _toml_module() -> Any:
    """Return the reader of TOML: the standard one, or on Python 3.10 that of the extra `toml`; None without either."""
    name = "tomllib" if sys.version_info >= (3, 11) else "tomli"
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_OWN: Final = "spyderresp.toml"
_SHARED: Final = "pyproject.toml"
_CHECK: Final = "check"
_KEYS: Final = ("strict", "portable", "fail-on", "ignore", "per-file-ignores")
_LEVELS: Final = ("warning", "error")


@dataclass(frozen=True)
class Project:
    """What a project's configuration says.

    Attributes:
        folder: where its file stands; globs of ``per_file`` are relative to it.
        strict: make each lenient repair an error.
        portable: note all that the vendor's own command line refuses.
        fail_on: the least level that changes the exit code.
        ignored: codes nobody wants to see.
        per_file: globs of paths, and the codes that are not wanted there.
    """

    folder: Path = field(default_factory=Path)
    strict: bool = False
    portable: bool = False
    fail_on: str = "warning"
    ignored: frozenset[str] = frozenset()
    per_file: tuple[tuple[str, frozenset[str]], ...] = ()

    def ignores(self, path: str, code: str) -> bool:
        """Tell whether a code is not wanted for a path."""
        if code in self.ignored:
            return True
        # Most projects name no paths, and a path is slow to make absolute.
        if not any(code in codes for _, codes in self.per_file):
            return False
        full = Path(path).absolute()
        here = full.relative_to(self.folder).as_posix() if full.is_relative_to(self.folder) else full.as_posix()
        return any(code in codes and fnmatch.fnmatchcase(here, glob) for glob, codes in self.per_file)


def find_project(start: Path, named: str | None = None) -> Project:
    """Return what the named file says, else the nearest from ``start`` upwards; all as usual where there is none.

    Raises:
        CommandError: it cannot be read, or says what nobody knows.
    """
    if named is not None:
        return _read(Path(named), must=True) or Project()
    for folder in (start.absolute(), *start.absolute().parents):
        for name in (_OWN, _SHARED):
            found = _read(folder / name, must=False) if (folder / name).is_file() else None
            if found is not None:
                return found
    return Project()


def _read(path: Path, *, must: bool) -> Project | None:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise _fault(path, reason_of(error)) from None
    except UnicodeDecodeError:
        raise _fault(path, "it is not UTF-8") from None
    shared = path.name == _SHARED
    if shared and not must and "tool.spyderresp" not in text:
        return None
    toml = _toml_module()
    if toml is None:
        raise _fault(path, "reading it needs Python 3.11, or the extra `toml`: pip install 'spyderresp[toml]'")
    try:
        said = toml.loads(text)
    except ValueError as error:
        raise _fault(path, str(error)) from None
    for key in ("tool", "spyderresp") if shared else ():
        said = _table(path, said, key)
    for key in said:
        if key != _CHECK:
            raise _fault(path, f"unknown key {quoted(key)}; {suggestion(key, (_CHECK,))}")
    if _CHECK not in said:
        return None if shared and not must else Project(path.parent.absolute())
    return _project(path, _table(path, said, _CHECK))


def _table(path: Path, said: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    table = said.get(key, {})
    if not isinstance(table, dict):
        raise _fault(path, f"{quoted(key)} must be a table")
    return table


def _project(path: Path, table: Mapping[str, Any]) -> Project:
    for key in table:
        if key not in _KEYS:
            raise _fault(path, f"unknown key {quoted(key)}; {suggestion(key, _KEYS)}")
    switches = {key: table.get(key, False) for key in ("strict", "portable")}
    for key, value in switches.items():
        if not isinstance(value, bool):
            raise _fault(path, f"`{key}` must be true or false")
    fail_on = table.get("fail-on", "warning")
    if fail_on not in _LEVELS:
        raise _fault(path, f"unknown value {quoted(str(fail_on))} of `fail-on`; {suggestion(str(fail_on), _LEVELS)}")
    per_file = table.get("per-file-ignores", {})
    if not isinstance(per_file, dict):
        raise _fault(path, "`per-file-ignores` must be a table of globs, each with a list of codes")
    return Project(
        path.parent.absolute(),
        switches["strict"],
        switches["portable"],
        fail_on,
        _codes(path, "ignore", table.get("ignore", [])),
        tuple((glob, _codes(path, f"per-file-ignores.{glob}", codes)) for glob, codes in per_file.items()),
    )


def _codes(path: Path, key: str, said: object) -> frozenset[str]:
    if not isinstance(said, list) or not all(isinstance(code, str) for code in said):
        raise _fault(path, f"{quoted(key)} must be a list of codes")
    known: Iterable[str] = [code for code in CODES if CODES[code].level != "error"]
    for code in said:
        if code not in CODES:
            raise _fault(path, f"{quoted(key)}: unknown code {quoted(code)}; {suggestion(code, known)}")
        if CODES[code].level == "error":
            raise _fault(path, f"{quoted(key)}: {quoted(code)} is an error, and errors cannot be ignored")
    return frozenset(said)


def _fault(path: Path, reason: str) -> CommandError:
    return CommandError(f"spyderresp: {safe(str(path))}: {safe(reason)}")


# Files that are rewritten whole or not at all.

_BOM: Final = b"\xef\xbb\xbf"


class FileChangedError(SpyderrespError):
    """A file does not hold what it was read as."""


def rewrite(path: Path, before: str, after: str) -> None:
    """Put a text into the place of another: its mark at the beginning, its mode and its links stay.

    Raises:
        FileChangedError: the file holds another text by now.
        OSError: it cannot be written; the old text stands.
    """
    # A link keeps leading to the file; the file is what changes.
    real = path.resolve(strict=True)
    held = real.read_bytes()
    mark = _BOM if held.startswith(_BOM) else b""
    # Several marks, or one inside: reading takes off all at the beginning, so they are counted as they stand.
    while held[len(mark) :].startswith(_BOM):
        mark += _BOM
    if held != mark + before.encode():
        raise FileChangedError
    status = real.stat()
    import tempfile  # slow to load, and only `--fix` needs it

    descriptor, name = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(mark + after.encode())
            file.flush()
            os.fchmod(file.fileno(), status.st_mode & 0o7777)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fsync(file.fileno())
        os.replace(name, real)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


# Doing something again whenever files change, by looking at them now and then.

_EVERY: Final = 0.3


def watched(act: Callable[[], Iterable[str]], *, sleep: Callable[[float], None] = time.sleep) -> Iterator[str]:
    """Act, wait until a file changes, yield its path, and so on.

    Args:
        act: does the work; returns the files and directories to watch from then on.
        sleep: waits for some seconds; raises KeyboardInterrupt where it is to end.
    """
    while True:
        began = time.time_ns()
        paths = tuple(act())
        before = look(paths)
        # What changed while the work was done, after it was read perhaps.
        changed = next((path for path, sign in before.items() if sign is not None and sign[0] > began), None)
        while changed is None:
            sleep(_EVERY)
            now = look(paths)
            changed = next((path for path in sorted({*before, *now}) if before.get(path) != now.get(path)), None)
        yield changed


def look(paths: Iterable[str]) -> dict[str, tuple[int, int, int] | None]:
    """Return each file that there is, with what changes when it does."""
    names = (name for path in paths for name in (walk(path, Findings()) if os.path.isdir(path) else [path]))
    return {name: _sign(name) for name in names}


def _sign(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
