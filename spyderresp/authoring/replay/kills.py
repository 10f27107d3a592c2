"""What is killed, how often, and when breakers would have opened, counted in columns (extra: ``arrow``)."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from spyderresp.authoring.replay.report import BreakerReplay, BreakerTrip, KillTarget
from spyderresp.decision import ActionPlan
from spyderresp.execution.guards.circuit_breakers import KILLS, Limits, attempt_all
from spyderresp.policies.policy_set import PolicySet
from spyderresp.policies.vocabulary import TARGET_SCOPE

# The fields that identify a target. A pod: its Kubernetes UID, else its Spyderbat UID, else the fields of POD.
# A process: its uid, else those of PROCESS and its pid.
# tests/replaying/test_equal.py holds the counts equal to counting one by one.

POD: Final = ("cluster.uid", "cluster.name", "namespace.name", "pod.name")
PROCESS: Final = ("machine.uid", "machine.hostname", "process.boot_id", "process.start_ticks", "process.start_time")
_PID: Final = "process.pid"
_NAMESPACE: Final = "namespace.name"
#: Kills that are waiting to be added up.
_MOST_WAITING: Final = 1_000_000

# Texts are bytes: an event may hold half of a surrogate pair, which is no UTF-8.
_TEXT: Final = pa.large_binary()
_WAITING: Final = ("pod", "executed", "asked", "second")
_TARGET: Final = ("key", "name", "namespace", "executed", "audited")
_ATTEMPTS: Final = pa.schema(
    [("second", pa.float64()), ("asked", pa.int32()), ("target", pa.int32()), ("namespace", pa.int32())]
)


def target_paths(policies: PolicySet) -> tuple[str, ...]:
    """Return the paths that identify the kill targets of these policies, without those of ``fallback_paths``."""
    targets = {TARGET_SCOPE[entry.action] for policy in policies for entry in policy.entries if entry.action in KILLS}
    pod = ("pod.kuid", "pod.uid", *POD) if "pod" in targets else ()
    process = ("process.uid", "process.name") if "process" in targets else ()
    return (*pod, *process, *((_NAMESPACE,) if targets else ()))


def fallback_paths(policies: PolicySet) -> Mapping[str, tuple[str, ...]]:
    """Return, by a path of ``target_paths``, the paths that are looked at where it has no value."""
    return {"process.uid": (*PROCESS, _PID)} if "process.uid" in target_paths(policies) else {}


class Kill(NamedTuple):
    """A kill of an outcome, executed or audited."""

    action: str
    policies: tuple[str, ...]
    pod: bool
    executed: bool


class Kills:
    """The kills of recorded events."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, tuple[str, ...]], int] = {}
        # The kills of outcome n: ends[n] to ends[n + 1] of the arrays below.
        self._ends = array("i", [0])
        self._kinds: dict[str, array[int]] = {"asked": array("i"), "pod": array("b"), "executed": array("b")}
        self._waiting: list[pa.Table] = []
        self._unknown = 0
        self._pods, self._processes, self._namespaces = _Targets(), _Targets(), _Numbers()
        # `target` is null if it is not known, else from 1: 1, 3, 5, ... for processes, 2, 4, 6, ... for pods.
        self._attempts = _ATTEMPTS.empty_table()

    def add_outcome(self, kills: Sequence[Kill]) -> None:
        """Take the kills of the next outcome."""
        for kill in kills:
            self._kinds["asked"].append(self._asked.setdefault((kill.action, kill.policies), len(self._asked)))
            self._kinds["pod"].append(kill.pod)
            self._kinds["executed"].append(kill.executed)
        self._ends.append(len(self._kinds["pod"]))

    def kills_by(self, outcome: int) -> bool:
        """Return whether an outcome has a kill."""
        return self._ends[outcome] < self._ends[outcome + 1]

    def add(self, outcomes: pa.Array, seconds: pa.Array, rows: Any) -> None:
        """Count the kills of events.

        Args:
            outcomes: the number of each event's outcome, int32.
            seconds: epoch seconds, double or null.
            rows: function from a path and the numbers of rows to the texts of those rows, binary or null.

        Raises:
            ValueError: a text cannot be read; nothing is counted.
        """
        kinds = pa.ListArray.from_arrays(_ints(self._ends), _counting(self._ends[-1]).cast(pa.int32()))
        kills = kinds.take(outcomes)
        events, kind = pc.list_parent_indices(kills), pc.list_flatten(kills)
        if not len(kind):
            return
        pod, executed = (_ints(self._kinds[name]).take(kind).cast(pa.bool_()) for name in ("pod", "executed"))
        asked = _ints(self._kinds["asked"]).take(kind)
        # Read all targets before anything is counted, because reading may fail.
        tables = []
        for chosen, read in ((pod, _pod), (pc.invert(pod), _process)):
            wanted = events.filter(chosen)
            one = executed.filter(chosen).cast(pa.int64())
            key, name = read(rows, wanted)
            key = pc.if_else(pc.equal(key, pa.scalar(b"", _TEXT)), None, key)
            columns = [key, name, rows(_NAMESPACE, wanted), one, pc.subtract(1, one)]
            tables.append(pa.table(columns, list(_TARGET)))
        self._waiting.append(pa.table([pod, executed, asked, seconds.take(events)], list(_WAITING)))
        for targets, table in zip((self._pods, self._processes), tables, strict=True):
            targets.waiting.append(table)
        if sum(map(len, self._waiting)) > max(_MOST_WAITING, self._pods.count + self._processes.count):
            self._merge()

    def _merge(self) -> None:
        if not self._waiting:
            return
        kills, self._waiting = pa.concat_tables(self._waiting).combine_chunks(), []
        pod = _one(kills["pod"])
        target = namespace = pa.nulls(len(kills), pa.int32())
        for pods, known, chosen in ((True, self._pods, pod), (False, self._processes, pc.invert(pod))):
            waiting, known.waiting = pa.concat_tables(known.waiting), []
            numbers = known.add(waiting)
            self._unknown += numbers.null_count
            target = pc.replace_with_mask(target, chosen, _coded(numbers, pods))
            namespace = pc.replace_with_mask(namespace, chosen, self._namespaces.of(waiting["namespace"]))
        attempts = pa.table([kills["second"], kills["asked"], target, namespace], schema=_ATTEMPTS)
        attempted = pc.and_(_one(kills["executed"]), pc.is_valid(_one(kills["second"])))
        self._attempts = pa.concat_tables([self._attempts, attempts.filter(attempted)])

    @property
    def unknown(self) -> int:
        """Kills of a target without an identity."""
        self._merge()
        return self._unknown

    def most_killed(self, most: int) -> list[KillTarget]:
        """Return the targets with the most kills."""
        self._merge()
        targets = pa.concat_tables(
            known.table().append_column("pod", pa.nulls(known.count, pa.bool_()).fill_null(pod))
            for pod, known in ((True, self._pods), (False, self._processes))
        )
        targets = targets.set_column(1, "name", pc.coalesce(targets["name"], targets["key"]))
        order = targets.append_column("space", targets["namespace"].fill_null(b""))
        # The row number last: of equal targets, those that were met first.
        order = order.append_column("row", _counting(len(order)))
        keys = [(name, "descending") for name in ("executed", "audited", "pod")]
        keys += [(name, "ascending") for name in ("space", "name", "row")]
        places = pc.select_k_unstable(order, most, keys)
        return [
            KillTarget(row["pod"], _text(row["name"]), _text(row["namespace"]), row["executed"], row["audited"])
            for row in targets.take(places).to_pylist()
        ]

    def namespaces(self) -> list[tuple[str | None, int, int]]:
        """Return the kills, executed and audited, of the targets of each namespace (None: without one), most first."""
        self._merge()
        both = pa.concat_tables([self._pods.table(), self._processes.table()])
        counted = both.group_by("namespace").aggregate([("executed", "sum"), ("audited", "sum")]).to_pylist()
        found = [(_text(row["namespace"]), row["executed_sum"], row["audited_sum"]) for row in counted]
        return sorted(found, key=lambda item: (-item[1], -item[2], item[0] is not None, item[0] or ""))

    def deaths(self, pod: bool) -> tuple[int, int]:
        """Return how many distinct pods, or processes, have a kill that is executed, and how many one audited."""
        self._merge()
        targets = (self._pods if pod else self._processes).table()
        executed, audited = (pc.sum(pc.greater(targets[name], 0)).as_py() or 0 for name in ("executed", "audited"))
        return executed, audited

    def breakers(self, limits: Limits) -> BreakerReplay:
        """Return what breakers would have done, had every kill been attempted at its event's time.

        Args:
            limits: those of the guard; its warm-up begins with the first kill.
        """
        self._merge()
        attempts = self._attempts.take(pc.sort_indices(self._attempts["second"])).combine_chunks()
        alarms, refused = attempt_all(
            limits,
            list(self._asked),
            [_text(name) for name in self._namespaces.texts.to_pylist()],
            _memory(_one(attempts["second"])),
            _memory(_one(attempts["asked"])),
            _memory(_one(attempts["target"]).fill_null(0)),
            _memory(_one(attempts["namespace"]).fill_null(-1)),
        )
        return BreakerReplay(tuple(BreakerTrip(*alarm) for alarm in alarms), refused, len(attempts) - refused)

    def part(self) -> tuple[Any, ...]:
        """Return everything but the outcomes, for ``add_part``. It pickles."""
        self._merge()
        targets = self._pods.table(), self._processes.table()
        return self._unknown, list(self._asked), *targets, self._namespaces.texts, self._attempts

    def add_part(self, part: tuple[Any, ...]) -> None:
        """Add what another replay counted, of later events."""
        self._merge()
        unknown, asked, pods, processes, namespaces, attempts = part
        self._unknown += unknown
        numbers = pa.array([self._asked.setdefault(one, len(self._asked)) for one in asked], pa.int32())
        pod_numbers, process_numbers = self._pods.add(pods), self._processes.add(processes)
        # The part's numbers, replaced by ours.
        target = _one(attempts["target"])
        pod, number = pc.equal(pc.bit_wise_and(target, 1), 0), pc.shift_right(pc.subtract(target, 1), 1)
        target = pc.if_else(
            pod,
            _coded(pod_numbers.take(pc.if_else(pod, number, None)), True),
            _coded(process_numbers.take(pc.if_else(pod, None, number)), False),
        )
        namespace = self._namespaces.of(namespaces).take(_one(attempts["namespace"]))
        columns = [attempts["second"], numbers.take(attempts["asked"]), target, namespace]
        self._attempts = pa.concat_tables([self._attempts, pa.table(columns, schema=_ATTEMPTS)])


class _Numbers:
    """Numbers texts in the order in which they are met.

    Attributes:
        texts: by their number.
    """

    def __init__(self) -> None:
        self.texts = pa.array([], _TEXT)

    def of(self, texts: Any) -> pa.Array:
        """Return the number of each text of a column, int32; null for null."""
        chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
        encoded = pa.concat_arrays([self.texts, *chunks]).dictionary_encode()
        indices = encoded.indices[len(self.texts) :]
        self.texts = encoded.dictionary
        return indices


class _Targets:
    """Pods, or processes, by number: what identifies each, its first name and namespace, and its kills.

    Attributes:
        waiting: kills to be added, with the columns of ``table``.
    """

    def __init__(self) -> None:
        self.waiting: list[pa.Table] = []
        self._keys = _Numbers()
        self._first = pa.table({"name": pa.array([], _TEXT), "namespace": pa.array([], _TEXT)})
        kinds = [("number", pa.int32()), ("executed", pa.int64()), ("audited", pa.int64())]
        self._counts = pa.schema(kinds).empty_table()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._keys.texts)

    def add(self, kills: pa.Table) -> pa.Array:
        """Add kills, with the columns of ``table``; return the number of each target, null where the key is null."""
        known = self.count
        numbers = self._keys.of(kills["key"])
        # Numbers rise in the order in which targets are met: the first of each is where they rise.
        highest = pc.cumulative_max(numbers.fill_null(-1))
        before = pa.concat_arrays([pa.array([known - 1], pa.int32()), highest])[:-1]
        first = pc.greater(numbers, pc.max_element_wise(before, pa.scalar(known - 1, pa.int32())))
        self._first = pa.concat_tables([self._first, kills.select(["name", "namespace"]).filter(first)])
        counts = pa.table([numbers, kills["executed"], kills["audited"]], schema=self._counts.schema)
        # In one thread, the order of the groups is that in which they are met.
        counts = pa.concat_tables([self._counts, counts.filter(pc.is_valid(numbers))])
        counts = counts.group_by("number", use_threads=False).aggregate([("executed", "sum"), ("audited", "sum")])
        self._counts = counts.rename_columns(self._counts.schema.names).cast(self._counts.schema)
        return numbers

    def table(self) -> pa.Table:
        """Return the columns ``key``, ``name``, ``namespace``, ``executed`` and ``audited``."""
        columns = [self._keys.texts, *self._first.columns, self._counts["executed"], self._counts["audited"]]
        return pa.table(columns, list(_TARGET))


def _coded(numbers: pa.Array, pod: bool) -> pa.Array:
    return pc.add(pc.multiply(numbers, pa.scalar(2, pa.int32())), pa.scalar(2 if pod else 1, pa.int32()))


# The texts of events that targets are identified by.


def rows_of_plans(plans: Sequence[ActionPlan]) -> Any:
    """Return the function that gives the texts of plans' targets, as ``Kills.add`` takes it."""
    known: dict[int, Any] = {}

    def rows(path: str, wanted: pa.Array) -> pa.Array:
        places = wanted.to_pylist()
        known.update((row, plans[row].target) for row in places if row not in known)
        values = [None if known[row] is None else known[row][path] for row in places]
        texts = [None if value is None else str(value).encode("utf-8", "surrogatepass") for value in values]
        return pa.array(texts, _TEXT)

    return rows


def rows_of_batch(batch: pa.RecordBatch, plans: Sequence[ActionPlan]) -> Any:
    """Return the function that gives the texts of a batch's rows, as ``Kills.add`` takes it.

    Texts and integers are read from the columns; all else from the plans of the rows. If a text is not UTF-8, the
    function raises ``ValueError``.
    """
    by_plans = rows_of_plans(plans)
    labels = _column(batch, "namespace.labels")

    def rows(path: str, wanted: pa.Array) -> pa.Array:
        column = _column(batch, path)
        if not _is_simple(column):
            return by_plans(path, wanted)
        if column is None:
            texts = pa.nulls(len(wanted), _TEXT)
        else:
            # Arrow has no `take` of string views.
            column = column.cast(pa.string()) if pa.types.is_string_view(column.type) else column
            texts = column.take(wanted).cast(pa.large_string())
            texts.validate(full=True)
            texts = texts.cast(_TEXT)
        if path == _NAMESPACE and labels is not None:
            # A label may name the namespace.
            unnamed = pc.and_(pc.is_null(texts), pc.is_valid(labels.take(wanted)))
            texts = pc.replace_with_mask(texts, unnamed, by_plans(path, wanted.filter(unnamed)))
        return texts

    return rows


def _column(batch: pa.RecordBatch, path: str) -> pa.Array | None:
    scope, _, key = path.partition(".")
    places = batch.schema.get_all_field_indices(scope)
    struct = batch.column(places[0]) if places else None
    if struct is None or not pa.types.is_struct(struct.type) or len(struct.type.get_all_field_indices(key)) != 1:
        return None
    return pc.struct_field(struct, [struct.type.get_field_index(key)])


def _is_simple(column: pa.Array | None) -> bool:
    """Return whether Arrow writes the values of a column as plans do."""
    kind = None if column is None else column.type
    if kind is not None and pa.types.is_dictionary(kind):
        return kind.value_type in (pa.string(), pa.large_string())
    return kind in (None, pa.string(), pa.large_string(), pa.string_view()) or bool(pa.types.is_integer(kind))


def _pod(rows: Any, wanted: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return what identifies the pods of these rows, and their names."""
    name = rows("pod.name", wanted)
    key = pc.coalesce(rows("pod.kuid", wanted), rows("pod.uid", wanted))
    if key.null_count:
        key = pc.coalesce(key, _join([rows(path, wanted) for path in POD], pc.is_valid(name)))
    return key, name


def _process(rows: Any, wanted: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return what identifies the processes of these rows, and their names."""
    key = rows("process.uid", wanted)
    if key.null_count:
        pid = rows(_PID, wanted)
        key = pc.coalesce(key, _join([*(rows(path, wanted) for path in PROCESS), pid], pc.is_valid(pid)))
    return key, rows("process.name", wanted)


def _join(parts: list[pa.Array], where: pa.Array) -> pa.Array:
    slash = pa.scalar(b"/", _TEXT)
    joined = pc.binary_join_element_wise(*parts, slash, null_handling="replace", null_replacement=b"")
    return pc.if_else(where, joined, None)


def _one(column: Any) -> pa.Array:
    """Return a column as one array."""
    if isinstance(column, pa.Array):
        return column
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays([pa.array([], column.type), *column.chunks])


def _counting(count: int) -> pa.Array:
    """Return the integers from 0, so many."""
    return pc.subtract(pc.cumulative_sum(pa.nulls(count, pa.int64()).fill_null(1)), 1)


def _ints(values: array[int]) -> pa.Array:
    kind = pa.int8() if values.typecode == "b" else pa.int32()
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values.tobytes())])


def _memory(column: pa.Array) -> Any:
    """Return the values of a column of numbers without nulls."""
    numbers = memoryview(column.buffers()[1]).cast("d" if pa.types.is_floating(column.type) else "i")
    return numbers[column.offset : column.offset + len(column)]


def _text(data: bytes | None) -> Any:
    return None if data is None else data.decode("utf-8", "surrogatepass")
