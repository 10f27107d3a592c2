"""Shared by the verbs: options, reading policies, making an engine, project settings, rewriting and watching files."""

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

# The options of the engine and its input, and their defaults.
_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "strict": {"action": "store_true", "help": "treat each lenient repair as an error"},
    "defaults": {"choices": get_args(Defaults), "help": "when default actions are planned"},
    "not-in": {"choices": get_args(NotIn), "help": "whether NotIn matches if the key is absent"},
    "mode": {"choices": ("audit",), "help": "treat every policy as if it were in audit mode"},
    "form": {"choices": BUILT_IN.names, "help": "the form of the records; without it, each form is recognised"},
}
_DEFAULTS: Final = {"defaults": "always", "not-in": "kubernetes"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--policies`` and the options of the engine and its input."""
    parser.add_argument(
        "--policies", action="append", required=True, metavar="PATH", help="a policy file or directory; may be repeated"
    )
    add_deciding_options(parser)


def add_deciding_options(
    parser: argparse.ArgumentParser, names: Iterable[str] = tuple(_OPTIONS), *, with_defaults: bool = True
) -> None:
    """Add options of the engine and its input.

    Args:
        parser: gets the options.
        names: the options, without ``--``; default: all.
        with_defaults: whether an option that is not given has its default value; otherwise it is None.
    """
    for name in names:
        more: dict[str, Any] = {"default": _DEFAULTS[name]} if with_defaults and name in _DEFAULTS else {}
        parser.add_argument(f"--{name}", **_OPTIONS[name], **more)


def make_engine(args: argparse.Namespace, streams: Streams) -> Engine | None:
    """Return the engine; None, after writing the errors, if the policies cannot be read."""
    policies = read_policies(args, streams)
    return None if policies is None else engine_of(policies, args)


def engine_of(policies: PolicySet, args: argparse.Namespace) -> Engine:
    """Return an engine with the given options."""
    return Engine(policies, defaults=args.defaults, not_in=args.not_in, mode=args.mode)


def read_policies(args: argparse.Namespace, streams: Streams) -> PolicySet | None:
    """Return the policies; None, after writing the errors, if they cannot be read."""
    return read_paths(getattr(args, "policies", None) or args.paths, streams, strict=args.strict)


def read_paths(paths: Sequence[str], streams: Streams, *, strict: bool) -> PolicySet | None:
    """Return the policies of files and directories; None, after writing the errors, if they cannot be read."""
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


# The settings of a project for ``check``, in ``spyderresp.toml`` or in a table of ``pyproject.toml``.
#
# ::
#
#     [tool.spyderresp.check]   # in spyderresp.toml: [check]
#     strict = true
#     portable = true
#     fail-on = "error"
#     ignore = ["SR805"]
#     per-file-ignores = { "trial/*.yaml" = ["SR801", "SR802"] }


_OWN: Final = "spyderresp.toml"
_SHARED: Final = "pyproject.toml"
_CHECK: Final = "check"
_KEYS: Final = ("strict", "portable", "fail-on", "ignore", "per-file-ignores")
_LEVELS: Final = ("warning", "error")


@dataclass(frozen=True)
class Project:
    """The settings of a project.

    Attributes:
        folder: the folder of the settings file; the globs of ``per_file`` are relative to it.
        strict: whether to treat each lenient repair as an error.
        portable: whether to note everything that the vendor's own command line rejects.
        fail_on: the lowest level of findings that changes the exit code.
        ignored: the codes to ignore in all files.
        per_file: globs of paths, each with the codes to ignore in matching files.
    """

    folder: Path = field(default_factory=Path)
    strict: bool = False
    portable: bool = False
    fail_on: str = "warning"
    ignored: frozenset[str] = frozenset()
    per_file: tuple[tuple[str, frozenset[str]], ...] = ()

    def ignores(self, path: str, code: str) -> bool:
        """Whether a code is ignored in a file."""
        if code in self.ignored:
            return True
        # Most projects have no per-file settings, and making a path absolute is slow.
        if not any(code in codes for _, codes in self.per_file):
            return False
        full = Path(path).absolute()
        here = full.relative_to(self.folder).as_posix() if full.is_relative_to(self.folder) else full.as_posix()
        return any(code in codes and fnmatch.fnmatchcase(here, glob) for glob, codes in self.per_file)


def find_project(start: Path, named: str | None = None) -> Project:
    """Return the settings of the named file, else of the nearest file from ``start`` upwards, else the defaults.

    Raises:
        CommandError: the file cannot be read, or has an unknown key or a wrong value.
    """
    if named is not None:
        return _read(Path(named), must=True) or Project()
    for folder in (start.absolute(), *start.absolute().parents):
        for name in (_OWN, _SHARED):
            project = _read(folder / name, must=False) if (folder / name).is_file() else None
            if project is not None:
                return project
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
    try:
        toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ImportError:
        raise _fault(path, "to read it, use Python 3.11 or the extra `toml`: pip install 'spyderresp[toml]'") from None
    try:
        data = toml.loads(text)
    except ValueError as error:
        raise _fault(path, str(error)) from None
    for key in ("tool", "spyderresp") if shared else ():
        data = _table(path, data, key)
    for key in data:
        if key != _CHECK:
            raise _fault(path, f"unknown key {quoted(key)}; {suggestion(key, (_CHECK,))}")
    if _CHECK not in data:
        return None if shared and not must else Project(path.parent.absolute())
    return _project(path, _table(path, data, _CHECK))


def _table(path: Path, data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    table = data.get(key, {})
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


def _codes(path: Path, key: str, value: object) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(code, str) for code in value):
        raise _fault(path, f"{quoted(key)} must be a list of codes")
    ignorable = [code for code in CODES if CODES[code].level != "error"]
    for code in value:
        if code not in CODES:
            raise _fault(path, f"{quoted(key)}: unknown code {quoted(code)}; {suggestion(code, ignorable)}")
        if CODES[code].level == "error":
            raise _fault(path, f"{quoted(key)}: {quoted(code)} is an error, and errors cannot be ignored")
    return frozenset(value)


def _fault(path: Path, reason: str) -> CommandError:
    return CommandError(f"spyderresp: {safe(str(path))}: {safe(reason)}")


# Rewriting a file: completely or not at all.

_BOM: Final = b"\xef\xbb\xbf"


class FileChangedError(SpyderrespError):
    """The content of a file is not the content that was read before."""


def rewrite(path: Path, before: str, after: str) -> None:
    """Replace the text of a file. Its byte order mark, mode, owner and symbolic links stay.

    Raises:
        FileChangedError: the file's text is no longer ``before``.
        OSError: the file cannot be written; it keeps the old text.
    """
    # Replace the file that a symbolic link points to, not the link.
    real = path.resolve(strict=True)
    content = real.read_bytes()
    bom = _BOM if content.startswith(_BOM) else b""
    # Reading strips all byte order marks at the beginning, so keep all of them.
    while content[len(bom) :].startswith(_BOM):
        bom += _BOM
    if content != bom + before.encode():
        raise FileChangedError
    status = real.stat()
    import tempfile  # slow to import, and only `--fix` needs it

    descriptor, name = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(bom + after.encode())
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


# Watching files by polling.

_EVERY: Final = 0.3


def watched(act: Callable[[], Iterable[str]], *, sleep: Callable[[float], None] = time.sleep) -> Iterator[str]:
    """Repeat: call ``act``, wait until a file changes, yield the path of that file.

    Args:
        act: does the work and returns the files and directories to watch until the next call.
        sleep: waits for a number of seconds; raises KeyboardInterrupt to end the watching.
    """
    while True:
        began = time.time_ns()
        paths = tuple(act())
        before = file_states(paths)
        # A file that changed during `act` may have been read before its change.
        changed = next((path for path, state in before.items() if state is not None and state[0] > began), None)
        while changed is None:
            sleep(_EVERY)
            now = file_states(paths)
            changed = next((path for path in sorted({*before, *now}) if before.get(path) != now.get(path)), None)
        yield changed


def file_states(paths: Iterable[str]) -> dict[str, tuple[int, int, int] | None]:
    """Return the files at these paths, each with its modification time, size and inode; None if it is gone."""
    names = (name for path in paths for name in (walk(path, Findings()) if os.path.isdir(path) else [path]))
    return {name: _state(name) for name in names}


def _state(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
