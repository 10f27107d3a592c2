"""The pytest plugin: collects policy tests (docs/TESTING.md) as pytest items.

pytest loads this module wherever the package is installed. The code that reads and runs policy tests is imported only
when a file holds one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from spyderresp.errors import SpyderrespError

if TYPE_CHECKING:
    from spyderresp.authoring.testing.report import Result
    from spyderresp.authoring.testing.runner import Runner
    from spyderresp.authoring.testing.suite import Case, Suite
    from spyderresp.authoring.testing.suite_files import SuiteFiles

_SUFFIXES: Final = (".yaml", ".yml")
_ENDINGS: Final = tuple(f".response-test{suffix}" for suffix in _SUFFIXES)
# Every policy test holds its kind, or its apiVersion where the kind is misspelt.
_MARKS: Final = (b"ResponseTest", b"spyderresp/v1")
# One runner for the whole session, so that policies which several files share are loaded once.
_RUNNER: Final = pytest.StashKey["Runner"]()


class PolicyTestError(SpyderrespError):
    """A policy test failed.

    Attributes:
        text: the report of ``spyderresp test`` about this test.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def pytest_collect_file(file_path: Path, parent: Any) -> Any:
    """Return a collector for ``*.response-test.yaml`` and ``test_*.yaml`` files that hold policy tests."""
    name = file_path.name
    if not name.endswith(_ENDINGS) and not (name.startswith("test_") and name.endswith(_SUFFIXES)):
        return None
    try:
        data = file_path.read_bytes()
    except OSError:
        return None
    if not any(mark in data for mark in _MARKS):
        return None
    from spyderresp.authoring.testing.suite_files import find

    found = find([file_path])
    if not found.suites and not found.diagnostics:
        return None
    return PolicyTestFile.from_parent(parent, path=file_path, found=found)


class PolicyTestFile(pytest.File):
    """A file of policy tests."""

    def __init__(self, *, found: SuiteFiles, **settings: Any) -> None:
        super().__init__(**settings)
        self._found = found

    def collect(self) -> Iterator[PolicyTestItem]:
        from spyderresp.cli.terminal import Paint, diagnostic_text, safe

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
        from spyderresp.authoring.testing.runner import Runner

        return self.config.stash.setdefault(_RUNNER, Runner())

    def _lines(self, result: Result) -> Iterator[str]:
        from spyderresp.cli.terminal import Paint, diagnostic_text
        from spyderresp.cli.test import result_text

        paint = Paint(enabled=False)
        yield from result_text(result, paint)
        if result.status == "error":
            for diagnostic in self._runner().diagnostics:
                if diagnostic.level == "error":
                    yield diagnostic_text(diagnostic, paint)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the failure's text: for a failed policy test, the lines that ``spyderresp test`` prints."""
        if isinstance(excinfo.value, PolicyTestError):
            return excinfo.value.text
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        from spyderresp.cli.terminal import safe

        return self.path, self._case.location.line - 1, safe(f"{self._suite.name}: {self._case.name}")
