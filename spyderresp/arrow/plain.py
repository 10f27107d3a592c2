"""The actions of a batch with their texts written out, for engines that read no dictionaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from spyderresp._native.plain import NUMBER_COLUMNS, TEXT_COLUMNS, PlainActions
from spyderresp.arrow.memory import pieces
from spyderresp.arrow.result import BatchResult
from spyderresp.decision._batch import NULLABLE

#: The most bytes of a column's texts, and the most actions: offsets have 32 bits.
_MOST: Final = (1 << 31) - 1
#: As many bytes more as are copied of a short text.
_SPARE: Final = 32


@dataclass(frozen=True)
class Plain:
    """The actions of all rows, by event and in the plan's order.

    Attributes:
        rows: the row of each action's event, as int32.
        starts: where the actions of each row start, and where the last ones end, as int32.
        columns: by name: ``place`` in the plan, from 0; and those of ``BatchResult.table``, parameters each for itself.
            Texts are ``string``, numbers int32.
    """

    rows: pa.Array
    starts: pa.Array
    columns: dict[str, pa.Array]


def plain(result: BatchResult) -> Plain:
    """Return the actions of a batch.

    Raises:
        ArrowInvalid: they are more, or their texts longer, than columns of one array hold.
    """
    made = PlainActions(result.decided, result.kept.plain)
    count = made.count
    if max(count, *made.sizes.values()) > _MOST:
        raise pa.ArrowInvalid("the actions of these events are more than one array holds: hand in fewer")
    texts = [name for name in TEXT_COLUMNS if len(result.kept.words[name])]
    # Columns without a text are all null, and share memory that nobody ever writes to.
    nothing = pa.py_buffer(bytes(4 * (count + 1)))
    sizes = {"rows": 4 * count, "place": 4 * count, "starts": 4 * (len(result) + 1)}
    sizes |= dict.fromkeys(NUMBER_COLUMNS, 4 * count)
    sizes |= {f"offsets {name}": 4 * (count + 1) for name in texts}
    sizes |= {f"texts {name}": made.sizes[name] + _SPARE for name in texts}
    sizes |= {f"valid {name}": (count + 7) // 8 for name in NULLABLE if name in texts or name in NUMBER_COLUMNS}
    buffers = pieces(sizes)
    at = {name: buffer.address for name, buffer in buffers.items()}
    made.write(at)
    columns = {"place": pa.Array.from_buffers(pa.int32(), count, [None, buffers["place"]])}
    for name in NUMBER_COLUMNS:
        columns[name] = pa.Array.from_buffers(pa.int32(), count, [buffers.get(f"valid {name}"), buffers[name]])
    for name in TEXT_COLUMNS:
        held = [nothing if name in NULLABLE else None, nothing, nothing]
        if name in texts:
            held = [buffers.get(f"valid {name}"), buffers[f"offsets {name}"], buffers[f"texts {name}"]]
        columns[name] = pa.Array.from_buffers(pa.string(), count, held)
    return Plain(
        pa.Array.from_buffers(pa.int32(), count, [None, buffers["rows"]]),
        pa.Array.from_buffers(pa.int32(), len(result) + 1, [None, buffers["starts"]]),
        columns,
    )
