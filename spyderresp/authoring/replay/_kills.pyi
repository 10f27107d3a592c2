from collections.abc import Sequence
from typing import TypeAlias, final

from spyderresp.decision._batch import Batch, TargetColumns
from spyderresp.decision._plan import ActionPlan

_Part: TypeAlias = tuple[list[tuple[str, tuple[str, ...]]], int, bytes, bytes, bytes, bytes]

@final
class Kills:
    """Kills that were met.

    Args:
        pod: paths of a target whose values, joined, tell a pod from others; the last of them is its name.
        process: the same of a process, to be followed by its pid.
    """

    def __new__(cls, pod: tuple[str, ...], process: tuple[str, ...]) -> Kills: ...
    @property
    def unknown(self) -> int:
        """Kills of a target that nothing tells from others."""
    @property
    def whats(self) -> list[tuple[str, tuple[str, ...]]]:
        """Actions with the policies that ask for them, by their number in ``attempts``."""
    def outcome(self, kills: Sequence[tuple[str, tuple[str, ...], bool, bool]]) -> None:
        """Take the next outcome's kills: action, policies, whether it kills a pod, whether it is carried out."""
    def has(self, number: int) -> bool:
        """Tell whether an outcome has a kill."""
    def any(self, numbers: bytes) -> bool:
        """Tell whether one of these outcomes, numbers of int32, has a kill."""
    def strike(
        self,
        number: int,
        second: float | None,
        namespace: str | None,
        process: tuple[str, str | None],
        pod: tuple[str, str | None],
    ) -> None:
        """Count the kills of one event: its outcome, its time, its namespace, and the key and name of either target."""
    def strike_plan(self, number: int, second: float | None, plan: ActionPlan) -> None:
        """Count the kills of a plan: its outcome, its time."""
    def walk(self, batch: Batch, numbers: bytes, seconds: int, cells: TargetColumns) -> None:
        """Count the kills of a batch's rows; arguments as of ``Occurrences.add_rows``.

        Raises:
            ValueError: a row holds what is no text; nothing is counted then.
        """
    def deaths(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return how many pods, then processes: those of which a kill is carried out, those of which none is."""
    def namespaces(self) -> list[tuple[str | None, int, int]]:
        """Return each namespace, with kills executed and audited, as they were met."""
    def most_struck(self, most: int) -> list[tuple[bool, str, str | None, int, int]]:
        """Return the most struck: whether it is a pod, its name, its namespace, kills executed and audited."""
    def part(self) -> _Part:
        """Return all of it but the outcomes, for ``add_part`` of another."""
    def add_part(self, part: _Part) -> None:
        """Add what another counted of later events.

        Raises:
            ValueError: it is damaged.
        """
