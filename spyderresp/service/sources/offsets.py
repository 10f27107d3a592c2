"""Up to where a partition is done: what is answered in any order is acknowledged in the partition's own."""

from __future__ import annotations

from collections import deque


class Progress:
    """How far one partition is done, for as long as it is ours.

    Attributes:
        next: the offset to go on at: everything before it is done. None: nothing is yet.
        ours: whether it is still this consumer's; what is answered later counts for nothing.
    """

    def __init__(self) -> None:
        self.next: int | None = None
        self.ours = True
        self._open: deque[int] = deque()
        self._done: set[int] = set()
        self._told: int | None = None

    @property
    def waits(self) -> bool:
        """Whether anything that was begun is not done."""
        return bool(self._open)

    def begin(self, offset: int) -> None:
        """Note that a message was handed in; offsets only grow."""
        self._open.append(offset)

    def end(self, offset: int) -> None:
        """Note that everything about a message is done."""
        self._done.add(offset)
        while self._open and self._open[0] in self._done:
            first = self._open.popleft()
            self._done.remove(first)
            # Offsets have gaps; what was not handed in before the next one does not exist.
            self.next = first + 1

    def untold(self) -> int | None:
        """Return the offset to commit; None where the broker was told of it already."""
        if self.next == self._told:
            return None
        self._told = self.next
        return self.next

    def not_heard(self) -> None:
        """Note that the broker did not take what it was last told."""
        self._told = None
