"""Policy tests: what is expected of policies for given events, checked, and how much of the policies that covers.

``find`` finds and reads test files, ``run`` runs them; nothing here prints. docs/TESTING.md describes the form.
"""

from __future__ import annotations

from spyderresp.testing.coverage import Coverage, CoveredPlace
from spyderresp.testing.files import Found, find
from spyderresp.testing.model import Case, Suite
from spyderresp.testing.report import Problem, Report, Result
from spyderresp.testing.running import run

__all__ = ["Case", "Coverage", "CoveredPlace", "Found", "Problem", "Report", "Result", "Suite", "find", "run"]
