"""Tasks beside the loop: reloading policies, and asking for the final outcomes of accepted steps."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from spyderresp.decision.engine import Engine
from spyderresp.errors import PolicyError
from spyderresp.execution.interfaces import JournalError, OpenJournal
from spyderresp.execution.reconciliation import follow_up
from spyderresp.policies.diagnostics import Findings
from spyderresp.policies.loader import load, walk
from spyderresp.policies.policy_set import PolicySet
from spyderresp.service.loop import ServiceContext
from spyderresp.service.metrics import Counts, ServiceObserver


class _FileState(NamedTuple):
    """The metadata of a file; a change means that the file was changed."""

    path: str
    device: int
    inode: int
    size: int
    modified: int
    changed: int


class Reload:
    """A periodic task: loads the policies again when their files have changed. After an error the old set stays.

    A set is loaded completely or not at all; the loop goes on meanwhile.

    Args:
        paths: the paths of the policies.
        engine: gets the new set.
        observer: receives a message for every load.
        counts: counts the loads.
        strict: as for ``load``.
        watch: whether to watch the files; if not, only SIGHUP loads again.
        record: writes a load, or its failure, to the journal before the set is in force; raises ``JournalError``.
        untrusted: returns why the files must not be trusted, such as that another user may write them.
    """

    def __init__(
        self,
        paths: Sequence[str],
        engine: Engine,
        observer: ServiceObserver,
        counts: Counts,
        *,
        strict: bool = False,
        watch: bool = True,
        record: Callable[[PolicySet | None, str], None] | None = None,
        untrusted: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._paths = tuple(paths)
        self._strict = strict
        self._engine = engine
        self._observer = observer
        self._counts = counts
        self._watch = watch
        self._record = record
        self._untrusted = untrusted
        self._loaded = self._file_states() if watch else ()
        self._last_seen = self._loaded
        self._next = 0.0

    def run_if_due(self) -> None:
        """Load if the files have changed since the last load, but not since the last check: they are complete."""
        start = time.monotonic()
        if not self._watch or start < self._next:
            return
        states = self._file_states()
        # A check of very many files takes long. Check at most for a twentieth of the time.
        self._next = start + 20 * (time.monotonic() - start)
        unchanged, self._last_seen = states == self._last_seen, states
        if unchanged and states != self._loaded:
            self.run_now()

    def run_now(self) -> None:
        """Load now."""
        # Taken before reading: a change during the load causes another load.
        self._loaded = self._file_states() if self._watch else ()
        try:
            self._load()
        except PolicyError as error:
            self._failed(str(error))
        except JournalError as error:
            self._failed(f"the load cannot be recorded: {error}")

    def _load(self) -> None:
        if reasons := self._untrusted():
            self._failed("\n".join(reasons))
            return
        policies = load(*self._paths, strict=self._strict)
        before = self._engine.policies.digest
        if self._record is not None:
            self._record(policies, "")
        # Replace the set also when the digest is the same: line numbers may have changed.
        self._engine.replace(policies)
        same = policies.digest == before
        self._counts.count_load("unchanged" if same else "ok")
        self._observer.say("info", f"policies loaded: {len(policies):,}, {'unchanged' if same else policies.digest}")

    def _failed(self, reason: str) -> None:
        self._counts.count_load("failed")
        self._observer.say("error", f"policies cannot be loaded; the previous policies stay in force:\n{reason}")
        # If the journal fails, the message above says so already, or the next step reports it.
        with contextlib.suppress(JournalError):
            if self._record is not None:
                self._record(None, reason)

    def _file_states(self) -> tuple[_FileState, ...]:
        unread = Findings()
        states = []
        for path in self._paths:
            for name in walk(path, unread) if os.path.isdir(path) else [path]:
                try:
                    status = os.stat(name)
                except OSError:
                    # The load reports what is wrong. Here, zeros stand for a changed file.
                    states.append(_FileState(name, 0, 0, 0, 0, 0))
                    continue
                times = status.st_mtime_ns, status.st_ctime_ns
                states.append(_FileState(name, status.st_dev, status.st_ino, status.st_size, *times))
        return tuple(states)


# Seconds between two polls.
_EVERY: Final = 5.0


class OutcomePoller:
    """A periodic task: asks executors for the final outcomes of steps that they accepted, in a thread.

    Args:
        context: holds the executors; its observer receives the outcomes.
        journal: holds the accepted steps.
        every: seconds between two polls.
    """

    def __init__(self, context: ServiceContext, journal: OpenJournal, every: float = _EVERY) -> None:
        self._context = context
        self._journal = journal
        self._every = every
        self._next = time.monotonic() + every
        self._thread: threading.Thread | None = None
        self._failing = False

    def run_if_due(self) -> None:
        """Start a poll, if it is time and the last one has ended."""
        if time.monotonic() < self._next or (self._thread is not None and self._thread.is_alive()):
            return
        self._next = time.monotonic() + self._every
        self._thread = threading.Thread(target=self.poll, name="follow-up", daemon=True)
        self._thread.start()

    def run_now(self) -> None:
        """Do nothing: SIGHUP does not cause a poll."""

    def poll(self) -> None:
        """Ask the executors; report and count the steps that have ended."""
        try:
            ended = follow_up(self._context.executors, self._journal)
        except JournalError as error:
            if not self._failing:
                self._failing = True
                self._context.observer.say("error", f"steps under way cannot be followed up: {error}")
            return
        self._failing = False
        for outcome in ended:
            self._context.observer.outcome("", 0, outcome)
        self._context.counts.count_steps((outcome.action, outcome.status) for outcome in ended)

    def end(self, seconds: float) -> None:
        """Wait for a poll that is running, ``seconds`` at most."""
        if self._thread is not None:
            self._thread.join(seconds)
