"""Policies and an event in, an action plan out.

This package's face exports the compiled types that other packages use.
"""

from __future__ import annotations

from spyderresp.decision._event_reader import IDENTITY
from spyderresp.decision._globs import Glob
from spyderresp.decision._plan import ActionPlan, ActionShape, PlannedAction, PlanShape, Source, Target

__all__ = ["IDENTITY", "ActionPlan", "ActionShape", "Glob", "PlanShape", "PlannedAction", "Source", "Target"]
