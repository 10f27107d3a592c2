"""The journal: what was tried, what became of it, and what is still owed. docs/decisions/0033-journal.md."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from spyderresp.execution.interfaces import (
    Earlier,
    Intent,
    JournalError,
    Missed,
    Opened,
    OpenJournal,
    StepJournal,
    UnderWay,
)

if TYPE_CHECKING:
    from spyderresp.journal.journal import Journal
    from spyderresp.journal.queries import JournalReader
    from spyderresp.journal.verification import Verification, verify

__all__ = [
    "Earlier",
    "Intent",
    "Journal",
    "JournalError",
    "JournalReader",
    "Missed",
    "OpenJournal",
    "Opened",
    "StepJournal",
    "UnderWay",
    "Verification",
    "verify",
]

# Loaded when first used: deciding needs no SQLite.
_MODULES: Final = {
    "Journal": "spyderresp.journal.journal",
    "JournalReader": "spyderresp.journal.queries",
    "Verification": "spyderresp.journal.verification",
    "verify": "spyderresp.journal.verification",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
