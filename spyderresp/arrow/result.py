"""What a batch comes to: a plan a row, and a table of all actions."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from operator import index as integer
from typing import Any, Final

import pyarrow as pa

from spyderresp._native.plain import PlainWords
from spyderresp.arrow.cells import row_cells
from spyderresp.arrow.memory import pieces
from spyderresp.decision._batch import NULLABLE, ActionColumns, Batch, BatchWorker, TargetColumns
from spyderresp.decision._index import DecisionIndex
from spyderresp.decision._plan import ActionPlan, PlanShape
from spyderresp.vocabulary import FLAG_TEXTS, SCOPES

_EVENT: Final = ("id", "time", "policy_uid", "policy_name", *SCOPES)
#: Columns of a table: of a byte a place, as their words or numbers are few; and those of four.
_NARROW: Final = ("action", "severity", "section", "disposition", "priority")
_WORDED: Final = ("policy", *FLAG_TEXTS)
_WIDE: Final = (*_WORDED, "index", "sources")
_PARAMETERS: Final = ("severity", *FLAG_TEXTS, "priority")


@dataclass(frozen=True)
class BatchContext:
    """What the batches of one index have in common: made once, at the first of them."""

    columns: ActionColumns
    words: dict[str, pa.Array]
    idle: list[BatchWorker]

    @property
    def memory(self) -> int:
        """Bytes, without the workers that are busy."""
        words = sum(column.nbytes for column in self.words.values())
        plain = self.__dict__.get("plain")
        return (
            int(words)
            + self.columns.memory
            + sum(worker.memory for worker in self.idle)
            + (plain.memory if plain is not None else 0)
        )

    @cached_property
    def plain(self) -> PlainWords:
        """The words again, for columns without dictionaries."""
        return PlainWords(self.columns)

    @classmethod
    def of(cls, index: DecisionIndex) -> BatchContext:
        columns = ActionColumns(index.plan_builder)
        return cls(columns, {name: _texts(words) for name, words in columns.words.items()}, [])


def _texts(words: Sequence[str]) -> pa.Array:
    """Return texts as a column. Of buffers: ``pa.array`` imports pandas, where it is installed, to look at them."""
    data = [word.encode() for word in words]
    ends = array("i", accumulate(map(len, data), initial=0))
    return pa.Array.from_buffers(pa.string(), len(data), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(data))])


class BatchResult(Sequence[ActionPlan]):
    """What to do about each row of a batch. Immutable.

    ``result[i]`` is the plan of row i, as ``evaluate`` gives it; ``table`` holds every planned action of every row.
    """

    def __init__(self, decided: Batch, kept: BatchContext, batches: Sequence[pa.RecordBatch]) -> None:
        self._decided = decided
        self.kept = kept
        self._batches = batches
        self._starts = list(accumulate((batch.num_rows for batch in batches), initial=0))
        self._cells: dict[int, TargetColumns | None] = {}

    @property
    def decided(self) -> Batch:
        """What was decided, for native code to count. Internal."""
        return self._decided

    def __len__(self) -> int:
        return self._decided.rows

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        place = integer(row)
        if place < 0:
            place += self._starts[-1]
        if not 0 <= place < self._starts[-1]:
            raise IndexError("row out of range")
        return self._plan(place, bisect_right(self._starts, place) - 1)

    def __iter__(self) -> Iterator[ActionPlan]:
        for number, start in enumerate(self._starts[:-1]):
            for row in range(start, self._starts[number + 1]):
                yield self._plan(row, number)

    def _plan(self, row: int, number: int) -> ActionPlan:
        """Return the plan of a row, which is in that batch."""
        try:
            cells = self._cells[number]
        except KeyError:
            cells = self._cells[number] = row_cells(self._batches[number])
        place = row - self._starts[number]
        if cells is None:
            return self._decided.plan_of(row, self._event(self._batches[number], place))
        return self._decided.plan(row, cells, place)

    def _event(self, batch: pa.RecordBatch, row: int) -> dict[str, Any]:
        """Return what a row says of its event, as the mapping that ``evaluate`` takes."""
        event: dict[str, Any] = {}
        for name in _EVENT:
            places = batch.schema.get_all_field_indices(name)
            if places:
                event[name] = batch.column(places[0]).slice(row, 1).to_pylist()[0]
        for scope in SCOPES:
            held = event.get(scope)
            if isinstance(held, dict) and isinstance(held.get("labels"), list):
                held["labels"] = dict(held["labels"])
        return event

    @cached_property
    def outcomes(self) -> pa.Array:
        """The number of each row's outcome, as int32: rows of one number have the same policies and actions."""
        return pa.Array.from_buffers(pa.int32(), len(self), [None, pa.py_buffer(self._decided.outcomes())])

    @cached_property
    def shapes(self) -> list[PlanShape]:
        """What the plans of each outcome share, by its number."""
        return [self._decided.outcome_shape(number) for number in range(self._decided.outcome_count)]

    @cached_property
    def table(self) -> pa.Table:
        """One row for each planned action, by event and in the plan's order.

        Columns: ``row`` of the event; ``action``; ``parameters``, a struct; ``disposition``; ``policy``, ``section``
        and ``index`` of its first source; ``sources``, how many there are.
        """
        count = self._decided.count_actions()
        # Columns of texts without a word are all null: they share memory that nobody ever writes to.
        empty = {name for name in _WORDED if not len(self.kept.words[name])}
        nothing = pa.py_buffer(bytes(4 * count if empty else 0))
        sizes = {"row": 8 * count, **dict.fromkeys(_NARROW, count)}
        sizes |= {name: 4 * count for name in _WIDE if name not in empty}
        sizes |= {f"valid {name}": (count + 7) // 8 for name in NULLABLE if name not in empty}
        data = pieces(sizes)
        self._decided.write_actions({name: buffer.address for name, buffer in data.items()})
        data |= {name: nothing for key in empty for name in (key, f"valid {key}")}

        def column(name: str) -> pa.Array:
            kind = pa.int8() if name in _NARROW else pa.int32()
            made = pa.Array.from_buffers(kind, count, [data.get(f"valid {name}"), data[name]])
            if name not in self.kept.words:
                return made
            # Its places are not looked through: they are right as they were made.
            return pa.DictionaryArray.from_arrays(made, self.kept.words[name], safe=False)

        return pa.table(
            {
                "row": pa.Array.from_buffers(pa.int64(), count, [None, data["row"]]),
                "action": column("action"),
                "parameters": pa.StructArray.from_arrays([column(name) for name in _PARAMETERS], list(_PARAMETERS)),
                **{name: column(name) for name in ("disposition", "policy", "section", "index", "sources")},
            }
        )
