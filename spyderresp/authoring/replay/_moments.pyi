from collections.abc import Callable
from typing import Any

from spyderresp.decision._batch import _Texts

def second_of(moment: Any, otherwise: Callable[[Any], float | None]) -> float | None: ...
def seconds_of_texts(
    column: tuple[_Texts | None, tuple[tuple[int, int], ...], tuple[int, int, int] | None],
    rows: int,
    otherwise: Callable[[Any], float | None],
) -> bytes: ...
