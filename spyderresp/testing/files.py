"""Finding files of policy tests."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass

from spyderresp.errors import Diagnostic
from spyderresp.findings import Findings, TooManyFindingsError
from spyderresp.loading import read_source, walk
from spyderresp.testing.model import Suite
from spyderresp.testing.reading import is_test_text, read


@dataclass(frozen=True, slots=True)
class Found:
    """What paths hold.

    Attributes:
        suites: every document of tests that can be read.
        diagnostics: what is wrong with the others.
        files: every file with tests, in reading order, those that cannot be read among them.
        empty: those of the paths that hold no test.
    """

    suites: tuple[Suite, ...]
    diagnostics: tuple[Diagnostic, ...]
    files: tuple[str, ...]
    empty: tuple[str, ...]


def find(paths: Iterable[str | os.PathLike[str]]) -> Found:
    """Find the tests in files and directories; a directory is walked as for policies. A file counts once."""
    finder = _Finder()
    empty: list[str] = []
    # That it ends at too many is among the findings.
    with contextlib.suppress(TooManyFindingsError):
        empty += [path for path in (os.fspath(path) for path in paths) if not finder.holds_tests(path)]
    return Found(tuple(finder.suites), tuple(finder.findings.items), tuple(finder.files), tuple(empty))


class _Finder:
    """Gathers what paths hold."""

    def __init__(self) -> None:
        self.findings = Findings()
        self.suites: list[Suite] = []
        self.files: list[str] = []
        self._seen: set[str] = set()

    def holds_tests(self, path: str) -> bool:
        """Take in a path; tell whether it holds tests, or something is wrong with it."""
        before = self.findings.errors
        if not os.path.exists(path):
            self.findings.about_path("SR001", "no such file or directory", path)
            return True
        names = list(walk(path, self.findings)) if os.path.isdir(path) else [path]
        held = [self._file(name) for name in names]
        return any(held) or self.findings.errors > before

    def _file(self, path: str) -> bool:
        real = os.path.realpath(path)
        if real in self._seen:
            return True
        before = self.findings.errors
        source = read_source(path, self.findings)
        suites = read(source, self.findings) if source is not None and is_test_text(source.text) else []
        faulty = self.findings.errors > before
        if not suites and not faulty:
            return False
        self._seen.add(real)
        self.files.append(path)
        if not faulty:
            self.suites += suites
        return True
