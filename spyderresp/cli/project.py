"""What a project wants of ``check``: ``spyderresp.toml``, or a table of ``pyproject.toml``.

::

    [tool.spyderresp.check]   # in spyderresp.toml: [check]
    strict = true
    portable = true
    fail-on = "error"
    ignore = ["SR805"]
    per-file-ignores = { "trial/*.yaml" = ["SR801", "SR802"] }
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from spyderresp.cli.output import CannotGoOnError, reason_of, safe
from spyderresp.codes import CODES
from spyderresp.extras import optional
from spyderresp.findings import quoted, suggestion

_TOML: Final = optional("tomllib") or optional("tomli")
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
        CannotGoOnError: it cannot be read, or says what nobody knows.
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
    if _TOML is None:
        raise _fault(path, "reading it needs Python 3.11, or the extra `toml`: pip install 'spyderresp[toml]'")
    try:
        said = _TOML.loads(text)
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


def _fault(path: Path, reason: str) -> CannotGoOnError:
    return CannotGoOnError(f"spyderresp: {safe(str(path))}: {safe(reason)}")
