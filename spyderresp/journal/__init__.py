"""The journal: steps before they are carried out, their outcomes, and the flags that are not delivered yet.

docs/decisions/0033-journal.md gives the reasons for its design.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from spyderresp.execution.interfaces import (
    AcceptedStep,
    DeliveryFailure,
    Intent,
    JournalError,
    OpenJournal,
    OpenStep,
    RecordedStep,
    StepJournal,
)

if TYPE_CHECKING:
    from spyderresp.journal.journal import Journal
    from spyderresp.journal.queries import JournalReader
    from spyderresp.journal.verification import Verification, verify

__all__ = [
    "AcceptedStep",
    "DeliveryFailure",
    "Intent",
    "Journal",
    "JournalError",
    "JournalReader",
    "OpenJournal",
    "OpenStep",
    "RecordedStep",
    "StepJournal",
    "Verification",
    "verify",
]

# Imported when first used, because a program that only decides needs no SQLite.
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
