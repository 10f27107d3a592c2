"""Policy tests: events, the actions that are expected for them, and the coverage of the policies.

``find`` finds and reads test files; ``run`` runs them. Nothing here prints. docs/TESTING.md describes the file format.
"""

from __future__ import annotations

from spyderresp.authoring.testing.coverage import Coverage, CoveredPlace
from spyderresp.authoring.testing.report import Problem, Report, Result
from spyderresp.authoring.testing.runner import run
from spyderresp.authoring.testing.suite import Case, Suite
from spyderresp.authoring.testing.suite_files import SuiteFiles, find

__all__ = ["Case", "Coverage", "CoveredPlace", "Problem", "Report", "Result", "Suite", "SuiteFiles", "find", "run"]
