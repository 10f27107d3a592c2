"""Policies anew, while events keep coming: all of them or none."""

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


class _Mark(NamedTuple):
    """What tells that a file is as it was."""

    path: str
    device: int
    inode: int
    size: int
    modified: int
    changed: int


class Reload:
    """A chore: loads policies when asked, and when their files have changed. On any error the old ones stay.

    Args:
        paths: of the policies.
        strict: as of ``load``.
        engine: decides by them.
        observer: receives a message for every load.
        counts: counts them.
        watch: whether to look for changes; else only when asked.
        record: writes a load into the journal before it counts, or why there was none; raises ``JournalError``.
        refused: returns why the files may not be read, somebody else's being able to write them, say.
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
        refused: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._paths = tuple(paths)
        self._strict = strict
        self._engine = engine
        self._observer = observer
        self._counts = counts
        self._watch = watch
        self._record = record
        self._refused = refused
        self._loaded = self._marks() if watch else ()
        self._seen = self._loaded
        self._next = 0.0

    def look(self) -> None:
        """Load if the files have changed, and are the same as at the last look: nobody is at work on them."""
        begun = time.monotonic()
        if not self._watch or begun < self._next:
            return
        marks = self._marks()
        # Looking at very many files takes a while: not more than a twentieth of the time.
        self._next = begun + 20 * (time.monotonic() - begun)
        steady, self._seen = marks == self._seen, marks
        if steady and marks != self._loaded:
            self.asked()

    def asked(self) -> None:
        """Load now."""
        # Before reading: what changes meanwhile is read again.
        self._loaded = self._marks() if self._watch else ()
        try:
            self._load()
        except PolicyError as error:
            self._failed(str(error))
        except JournalError as error:
            self._failed(f"the load cannot be recorded: {error}")

    def _load(self) -> None:
        if reasons := self._refused():
            self._failed("\n".join(reasons))
            return
        policies = load(*self._paths, strict=self._strict)
        before = self._engine.policies.digest
        if self._record is not None:
            self._record(policies, "")
        # Where the digest is the same, lines may still have moved.
        self._engine.replace(policies)
        same = policies.digest == before
        self._counts.reloaded("unchanged" if same else "ok")
        self._observer.say("info", f"policies loaded: {len(policies):,}, {'unchanged' if same else policies.digest}")

    def _failed(self, reason: str) -> None:
        self._counts.reloaded("failed")
        self._observer.say("error", f"policies cannot be loaded; those of before stay in force:\n{reason}")
        # Where the journal cannot be written it is that which was just said, or will be with the next step.
        with contextlib.suppress(JournalError):
            if self._record is not None:
                self._record(None, reason)

    def _marks(self) -> tuple[_Mark, ...]:
        unread = Findings()
        marks = []
        for path in self._paths:
            for name in walk(path, unread) if os.path.isdir(path) else [path]:
                try:
                    status = os.stat(name)
                except OSError:
                    # Reading will say what is wrong; here it is enough that this is not what was there.
                    marks.append(_Mark(name, 0, 0, 0, 0, 0))
                    continue
                marks.append(
                    _Mark(name, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
                )
        return tuple(marks)


# Steps that an executor accepted are asked after now and then, in a thread: the answer may be a network away.

_EVERY: Final = 5.0


class OutcomePoller:
    """A chore: asks what became of steps that are under way.

    Args:
        context: its executors are asked; its observer receives the outcomes.
        journal: where the steps are.
        every: how many seconds lie between two times.
    """

    def __init__(self, context: ServiceContext, journal: OpenJournal, every: float = _EVERY) -> None:
        self._context = context
        self._journal = journal
        self._every = every
        self._next = time.monotonic() + every
        self._thread: threading.Thread | None = None
        self._failing = False

    def look(self) -> None:
        """Begin to ask, where it is time and nobody is at it."""
        if time.monotonic() < self._next or (self._thread is not None and self._thread.is_alive()):
            return
        self._next = time.monotonic() + self._every
        self._thread = threading.Thread(target=self.ask, name="follow-up", daemon=True)
        self._thread.start()

    def asked(self) -> None:
        """Nothing more than usual is done when asked."""

    def ask(self) -> None:
        """Ask, and tell what became of what is over."""
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
        self._context.counts.took((outcome.action, outcome.status) for outcome in ended)

    def end(self, seconds: float) -> None:
        """Wait for whoever is at it."""
        if self._thread is not None:
            self._thread.join(seconds)
