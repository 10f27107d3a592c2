"""Decide, natively, which response actions Spyderbat policies demand for each deviation event, in order, and why.

::

    import spyderresp

    engine = spyderresp.Engine(spyderresp.load("policies/"))
    for action in engine.evaluate(event):
        print(action.disposition, action.name, action.parameters)
"""

from __future__ import annotations

try:
    from spyderresp._native import index as _index  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"spyderresp's native modules are not built for this Python ({error}). Install the package "
        "(`pip install .` in a checkout; it needs a C compiler and the Python headers: Debian's gcc and python3-dev). "
        "There is no slow mode."
    ) from error

from spyderresp._native.plan import ActionPlan, PlannedAction, Source, Target
from spyderresp.adapters import adapt
from spyderresp.engine import Engine
from spyderresp.errors import Diagnostic, EventError, Location, PolicyError, SpyderrespError
from spyderresp.execute import aexecute, execute, execute_many
from spyderresp.explain import Explanation
from spyderresp.loading import from_documents, load, loads
from spyderresp.policy import Policy, PolicySet
from spyderresp.reconcile import follow_up, reconcile
from spyderresp.report import ExecutionReport, StepOutcome
from spyderresp.version import __version__

__all__ = [
    "ActionPlan",
    "Diagnostic",
    "Engine",
    "EventError",
    "ExecutionReport",
    "Explanation",
    "Location",
    "PlannedAction",
    "Policy",
    "PolicyError",
    "PolicySet",
    "Source",
    "SpyderrespError",
    "StepOutcome",
    "Target",
    "__version__",
    "adapt",
    "aexecute",
    "execute",
    "execute_many",
    "follow_up",
    "from_documents",
    "load",
    "loads",
    "reconcile",
]
