"""Settings into a service: everything is made here, and nothing is started."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from spyderresp.executors.base import Executor
from spyderresp.guards import Guard
from spyderresp.service.settings import FileSource, Settings, SourceSettings, StdinSource
from spyderresp.service.sources.base import Source
from spyderresp.service.sources.followed import Followed
from spyderresp.service.sources.positions import Positions
from spyderresp.service.sources.stream import Stream
from spyderresp.service.telling import Teller
from spyderresp.service.trust import distrust, distrusted, privileged
from spyderresp.vocabulary import FLAGS


def guard_of(settings: Settings) -> Guard:
    """Return the guard."""
    said = settings.guard
    return Guard(
        protection=said.protection,
        limits=said.limits,
        expiry=said.expiry,
        kill_switch=said.kill_switch,
        mode=settings.mode,
        cooldown=said.cooldown,
        silences=said.silences,
    )


def ends(source: SourceSettings) -> bool:
    """Tell whether a source comes to an end by itself."""
    return isinstance(source, StdinSource) or (isinstance(source, FileSource) and not source.follow)


def source_of(said: SourceSettings, positions: Positions, teller: Teller) -> Source:
    """Return a source."""
    if isinstance(said, StdinSource):
        return Stream(None)
    if isinstance(said, FileSource):
        if said.follow:
            return Followed(said.path, positions, teller, start=said.start)
        return Stream(said.path)
    raise NotImplementedError(said)


def kills(executors: Iterable[Executor]) -> bool:
    """Tell whether any executor acts on processes or pods for real."""
    return any(executor.actions - FLAGS and not getattr(executor, "dry", False) for executor in executors)


def distrusted_policies(settings: Settings) -> Iterator[str]:
    """Yield why the policies may not be believed, where this process can kill."""
    if privileged():
        for path in settings.policies:
            yield from distrusted(path)


def distrusted_files(settings: Settings) -> Iterator[str]:
    """Yield why the configuration, and what it names, may not be believed, where this process can kill."""
    if privileged():
        for path in (settings.path, settings.journal, settings.kept_positions):
            if path is not None and (reason := distrust(path)) is not None:
                yield reason
