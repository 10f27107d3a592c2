from typing import final

from spyderresp.decision._batch import Batch

@final
class Occurrences:
    """Counts of numbers, altogether and over time.

    Args:
        widths: lengths of a bucket in seconds, one a multiple of the one before.
        most: how many buckets there may be.
    """

    def __new__(cls, widths: tuple[int, ...], most: int) -> Occurrences: ...
    @property
    def width(self) -> int:
        """Seconds of a bucket."""
    @property
    def events(self) -> int:
        """How many were counted."""
    @property
    def timeless(self) -> int:
        """How many of them have no time."""
    def add(self, number: int, second: float | None, count: int = 1) -> None:
        """Count a number so often at a time in epoch seconds."""
    def add_rows(self, batch: Batch, numbers: bytes, seconds: int) -> None:
        """Count a batch's rows.

        Args:
            batch: the rows.
            numbers: the number of each of its outcomes, as int32.
            seconds: the address of each row's epoch seconds, doubles, NaN where there is none; 0 where no row has any.
        """
    def widen(self, width: int) -> None:
        """Make buckets no shorter than that."""
    def total(self, number: int) -> int:
        """Return how often a number was counted."""
    def buckets(self, kinds: bytes | None = None) -> dict[int, dict[int, int]]:
        """Return how often each number was counted, by the second at which a bucket begins.

        Args:
            kinds: what to count in place of each number, as int32.
        """
