"""Finding files of policy tests."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from spyderresp.errors import Diagnostic
from spyderresp.findings import Findings
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
    findings = Findings()
    suites: list[Suite] = []
    files: list[str] = []
    empty: list[str] = []
    seen: set[str] = set()
    for path in (os.fspath(path) for path in paths):
        held, before = 0, findings.errors
        if not os.path.exists(path):
            findings.about_path("SR001", "no such file or directory", path)
            continue
        for name in walk(path, findings) if os.path.isdir(path) else [path]:
            real = os.path.realpath(name)
            if real not in seen:
                before_file = findings.errors
                own = _suites(name, findings)
                if own or findings.errors > before_file:
                    seen.add(real)
                    suites += own
                    files.append(name)
            held += real in seen
        if not held and findings.errors == before:
            empty.append(path)
    return Found(tuple(suites), tuple(findings.items), tuple(files), tuple(empty))


def _suites(path: str, findings: Findings) -> list[Suite]:
    """Return the suites of a file; none where anything is wrong with it."""
    before = findings.errors
    source = read_source(path, findings)
    suites = read(source, findings) if source is not None and is_test_text(source.text) else []
    return suites if findings.errors == before else []
