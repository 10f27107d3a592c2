"""Policy texts in, a policy set out.

This package's face exports the compiled types that other packages use.
"""

from __future__ import annotations

from spyderresp.policies._model import Clause, Entry, Policy, Selector, digest

__all__ = ["Clause", "Entry", "Policy", "Selector", "digest"]
