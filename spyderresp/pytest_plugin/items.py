"""Policy tests as pytest's collectors and items."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from spyderresp.cli.output import Paint, safe
from spyderresp.cli.render import diagnostic_text
from spyderresp.cli.render_test import result_text
from spyderresp.testing.files import Found, find
from spyderresp.testing.model import Case, Suite
from spyderresp.testing.report import Result
from spyderresp.testing.running import Runner

# One for a session: policies that several files share are loaded once.
_RUNNER: Final = pytest.StashKey[Runner]()


class PolicyTestError(Exception):
    """A policy test did not pass.

    Attributes:
        text: what ``spyderresp test`` says of it.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def collector(path: Path, parent: pytest.Collector) -> PolicyTestFile | None:
    """Return the collector of a file, or None where it holds no policy test."""
    found = find([path])
    if not found.suites and not found.diagnostics:
        return None
    file: PolicyTestFile = PolicyTestFile.from_parent(parent, path=path, found=found)
    return file


class PolicyTestFile(pytest.File):
    """A file of policy tests."""

    def __init__(self, *, found: Found, **settings: Any) -> None:
        super().__init__(**settings)
        self._found = found

    def collect(self) -> Iterator[PolicyTestItem]:
        if self._found.diagnostics:
            paint = Paint(enabled=False)
            raise self.CollectError("\n".join(diagnostic_text(item, paint) for item in self._found.diagnostics))
        for suite in self._found.suites:
            for case in suite.cases:
                name = case.name if len(self._found.suites) == 1 else f"{suite.name}: {case.name}"
                item: PolicyTestItem = PolicyTestItem.from_parent(self, name=safe(name), suite=suite, case=case)
                yield item


class PolicyTestItem(pytest.Item):
    """One policy test, or one row of a table of them."""

    def __init__(self, *, suite: Suite, case: Case, **settings: Any) -> None:
        super().__init__(**settings)
        self._suite = suite
        self._case = case

    def runtest(self) -> None:
        result = self._runner().result(self._suite, self._case)
        if result.problems:
            raise PolicyTestError("\n".join(self._lines(result)).rstrip("\n"))

    def _runner(self) -> Runner:
        return self.config.stash.setdefault(_RUNNER, Runner())

    def _lines(self, result: Result) -> Iterator[str]:
        paint = Paint(enabled=False)
        yield from result_text(result, paint)
        if result.status == "error":
            for diagnostic in self._runner().diagnostics:
                if diagnostic.level == "error":
                    yield diagnostic_text(diagnostic, paint)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return what the report shows: of a test that did not pass the very lines of ``spyderresp test``."""
        if isinstance(excinfo.value, PolicyTestError):
            return excinfo.value.text
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self._case.location.line - 1, safe(f"{self._suite.name}: {self._case.name}")
