from collections.abc import Callable
from typing import Any

from spyderresp.decision._batch import _Texts

def second_of(moment: Any, otherwise: Callable[[Any], float | None]) -> float | None:
    """Return an event's time in epoch seconds, or None. ``otherwise`` reads what is no text in the common form."""

def seconds_of_texts(
    column: tuple[_Texts | None, tuple[tuple[int, int], ...], tuple[int, int, int] | None],
    rows: int,
    otherwise: Callable[[Any], float | None],
) -> bytes:
    """Return the epoch seconds of a column of texts, as _batch.pyi describes it: doubles, NaN where there are none.

    ``otherwise`` reads a text that is not in the common form.

    Raises:
        ValueError: an index or offset leads out of its column.
    """
