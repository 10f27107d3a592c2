"""Decide, natively, which response actions Spyderbat policies demand for each deviation event, in order, and why.

::

    import spyderresp

    engine = spyderresp.Engine(spyderresp.load("policies/"))
    for action in engine.evaluate(event):
        print(action.disposition, action.name, action.parameters)
"""

from __future__ import annotations

import importlib as _importlib
import os as _os
import typing as _typing

try:
    from spyderresp.decision import _index  # noqa: F401
except ImportError as error:
    _folder = __file__.rpartition("/spyderresp/")[0]
    _hint = (
        f"Python imports the source tree in {_folder}. If spyderresp is installed, start Python in another directory. "
        "To use this tree, build it: `python setup.py build_ext --inplace`."
        if _os.path.exists(f"{_folder}/setup.py")
        else "Install the package: `pip install .` in a checkout. It needs a C compiler and Python's headers (Debian: "
        "gcc and python3-dev)."
    )
    raise ImportError(
        f"spyderresp's native modules are not built for this Python ({error}). {_hint} There is no slow mode."
    ) from error

from spyderresp.decision._plan import ActionPlan, PlannedAction, Source, Target
from spyderresp.decision.engine import Engine
from spyderresp.errors import Diagnostic, EventError, Location, PolicyError, SpyderrespError, __version__
from spyderresp.errors import needs_extra as _needs_extra
from spyderresp.policies.policy_set import Policy, PolicySet

if _typing.TYPE_CHECKING:
    from spyderresp.decision.batch_result import BatchResult as BatchResult
    from spyderresp.decision.explain import Explanation
    from spyderresp.events.formats import adapt
    from spyderresp.execution.execute import aexecute, execute, execute_many
    from spyderresp.execution.reconciliation import follow_up, reconcile
    from spyderresp.execution.report import ExecutionReport, StepOutcome
    from spyderresp.policies.loader import from_documents, load, loads

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

#: What deciding does not need is imported when it is first asked for: it takes twice as long as all the rest. No module
#: has the name of what stands in it, or it would be in its way.
_LATER = {
    "ExecutionReport": "execution.report",
    "Explanation": "decision.explain",
    "StepOutcome": "execution.report",
    "adapt": "events.formats",
    "aexecute": "execution.execute",
    "execute": "execution.execute",
    "execute_many": "execution.execute",
    "follow_up": "execution.reconciliation",
    "from_documents": "policies.loader",
    "load": "policies.loader",
    "loads": "policies.loader",
    "reconcile": "execution.reconciliation",
}

if not _typing.TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name == "BatchResult":
            # Not in __all__: `from spyderresp import *` must work without pyarrow.
            with _needs_extra("arrow", "`BatchResult`"):
                return _importlib.import_module("spyderresp.decision.batch_result").BatchResult
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(_importlib.import_module(f"spyderresp.{_LATER[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_LATER, "BatchResult"})
