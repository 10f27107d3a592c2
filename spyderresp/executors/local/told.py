"""What became of a group or tree, for people and as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from spyderresp.executors.local.killing import Pack
from spyderresp.executors.local.proc import Stat
from spyderresp.report import Result, Status

_NAMED: Final = 10


def told(pack: Pack, survivors: Sequence[Stat], escaped: Sequence[Stat], *, settled: bool, what: str) -> Result:
    """Return `done` only where nothing was spared, survived or may have got away.

    Args:
        pack: what was caught.
        survivors: those of it that are alive still.
        escaped: who may have got away.
        settled: whether all of it was stopped before it was killed.
        what: such as ``tree of process 7``.
    """
    details = pack.told(survivors)
    away = [*pack.left.values(), *(look for look in escaped if look.pid not in pack.left)]
    if away:
        details["escaped"] = [{**look.to_dict(), "ppid": look.ppid} for look in away]
    killed = len(details["killed"])
    if not (pack.spared or survivors or away) and settled:
        return Result(
            "done", f"killed the {what}: {'1 process' if killed == 1 else f'{killed} processes'}", "", details
        )
    missing = []
    if pack.spared:
        missing.append("spared " + "; ".join(reason for _, reason in pack.spared.values()))
    if survivors:
        missing.append(f"alive still: {_names(survivors)}")
    if away:
        missing.append(f"may have got away: {_names(away)}")
    if not settled:
        missing.append("it could not all be stopped before the time was up, so some may have got away unseen")
    status: Status = "incomplete" if killed or pack.spared or pack.left else "failed"
    return Result(status, f"killed {killed} of the {what}; {'; '.join(missing)}", "", details)


def _names(looks: Sequence[Stat]) -> str:
    more = f" and {len(looks) - _NAMED} more" if len(looks) > _NAMED else ""
    return ", ".join(f"{look.pid} `{look.shown}`" for look in looks[:_NAMED]) + more
