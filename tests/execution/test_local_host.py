"""Who is taken for the process that an event means. Nothing is killed here: targets are only resolved."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rig.events import PROC, engine_for, event_of, guard

import spyderresp
from spyderresp.executors import LocalHost
from spyderresp.executors.local.identity import Identity
from spyderresp.executors.local.proc import Proc
from spyderresp.executors.local.shield import _resolved
from spyderresp.protection import Protection
from spyderresp.report import Result
from spyderresp.steps import steps_of

ENGINE = engine_for("agentKillProcess")
HOST = LocalHost("rig-host")


@pytest.fixture
def child() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"]) as held:
        time.sleep(0.05)
        yield held.pid
        held.kill()


def resolved(event: dict[str, Any], host: LocalHost = HOST, protection: Protection | None = None) -> Result | None:
    """Return why a target is not taken, or None where it is; let go at once."""
    (step,) = steps_of(ENGINE.evaluate(event), arrived=time.time())
    held = host.resolve(step, protection or Protection())
    if isinstance(held, Result):
        return held
    held.release()
    return None


def without(event: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {**event, "process": {key: value for key, value in event["process"].items() if key not in keys}}


def given(event: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {**event, "process": {**event["process"], **values}}


@pytest.mark.parametrize(
    ("machine", "taken"),
    [
        ({"hostname": "rig-host"}, True),
        ({"hostname": "rig-host", "uid": "mach:1"}, True),
        ({"hostname": "other"}, False),
        ({"uid": "mach:1"}, False),
        ({}, False),
        (None, False),
        ({"hostname": ""}, False),
    ],
)
def test_only_events_of_this_machine(child: int, machine: Any, taken: bool) -> None:
    answer = resolved({**event_of(child), "machine": machine})
    assert (answer is None) == taken
    if answer is not None:
        assert (answer.status, answer.rule) == ("refused", "host")


def test_where_both_names_are_known_both_must_agree(child: int) -> None:
    host = LocalHost(["rig-host", "mach:rig"])
    assert resolved(event_of(child), host) is None
    answer = resolved({**event_of(child), "machine": {"hostname": "rig-host", "uid": "mach:other"}}, host)
    assert answer is not None
    assert answer.rule == "host"


def test_exact_identity_suffices_and_name_and_exe_are_only_told(child: int) -> None:
    assert resolved(given(event_of(child), name="other", exe="/other")) is None
    assert resolved(without(event_of(child), "name", "exe", "ppid")) is None
    ticks = event_of(child)["process"]["start_ticks"]
    assert resolved(given(event_of(child), start_ticks=str(ticks), pid=str(child))) is None
    for wrong in (ticks + 1, ticks - 1, str(ticks + 1)):
        answer = resolved(given(event_of(child), start_ticks=wrong))
        assert answer is not None
        assert answer.status == "mismatch"


@pytest.mark.parametrize("pid", [None, True, -1, 0, 2**31, "x", "", 1.5, "1e3", "٣"])
def test_what_is_no_pid(child: int, pid: Any) -> None:
    answer = resolved(given(event_of(child), pid=pid))
    assert answer is not None
    assert answer.status == "mismatch"


def test_another_boot(child: int) -> None:
    answer = resolved(given(event_of(child), boot_id="00000000-0000-0000-0000-000000000000"))
    assert answer is not None
    assert answer.status == "mismatch"


def test_exe_alone_or_nothing_is_no_identity(child: int) -> None:
    for keys in (("start_ticks",), ("start_ticks", "boot_id"), ("start_ticks", "boot_id", "exe")):
        answer = resolved(without(event_of(child), *keys))
        assert answer is not None
        assert answer.status == "mismatch"
    lax = LocalHost("rig-host", exe_is_enough=True)
    assert resolved(without(event_of(child), "start_ticks"), lax) is None
    answer = resolved(given(without(event_of(child), "start_ticks"), exe="/bin/other"), lax)
    assert answer is not None


def test_a_start_time_counts_within_its_tolerance_and_with_the_exe(child: int) -> None:
    event = without(event_of(child), "start_ticks", "boot_id")
    booted = PROC.boot_time()
    look = PROC.stat(child)
    assert booted is not None
    assert look is not None
    started = booted + look.start_ticks / os.sysconf("SC_CLK_TCK")
    assert resolved(given(event, start_time=started + 1)) is None
    assert resolved(given(event, start_time=str(started - 1))) is None
    for changed in ({"start_time": started + 4}, {"start_time": started - 4}, {"start_time": started, "exe": "/bin/x"}):
        answer = resolved(given(event, **changed))
        assert answer is not None
        assert answer.status == "mismatch"


def test_in_a_namespace_of_our_own_only_exact_identity_counts(child: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Identity, "nested", lambda self: True)
    assert resolved(event_of(child)) is None
    answer = resolved(given(without(event_of(child), "boot_id"), ppid=1))
    assert answer is not None
    assert (answer.status, answer.rule) == ("refused", "pid-namespace")
    # The parent as well: a second number that agrees.
    assert resolved(without(event_of(child), "boot_id")) is None


def test_a_proc_of_another_namespace_is_refused(child: int, tmp_path: Path) -> None:
    answer = resolved(event_of(child), LocalHost("rig-host", proc=str(tmp_path)))
    assert answer is not None
    assert (answer.status, answer.rule) == ("refused", "pid-namespace")


def test_a_process_that_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as held:
        event = event_of(held.pid)
    answer = resolved(event)
    assert answer is not None
    assert answer.status == "already"


def test_ourselves(child: int) -> None:
    answer = resolved(event_of(os.getpid()))
    assert answer is not None
    assert answer.rule == "never:ourselves"


def test_protected_by_inode_cgroup_and_user(child: int) -> None:
    exe = PROC.exe(child)
    assert exe is not None
    none = Protection((), (), frozenset(), frozenset())
    assert resolved(event_of(child), protection=none) is None
    cgroup = PROC.cgroups(child)[0][1]
    for protection, rule in (
        (none.including(executables=(exe,)), "protected:executable"),
        (none.including(cgroups=(cgroup,)), "protected:cgroup"),
        (none.including(users=frozenset({os.getuid()})), "protected:user"),
        (none.including(users=frozenset({str(os.getuid())})), "protected:user"),
    ):
        answer = resolved(event_of(child), protection=protection)
        assert answer is not None
        assert (answer.status, answer.rule) == ("refused", rule)
    assert resolved(event_of(child), protection=none.including(users=frozenset({"no-such-user"}))) is None


def test_links_are_followed_as_one_who_lives_under_the_root_would(tmp_path: Path) -> None:
    for folder in ("usr/bin", "etc"):
        (tmp_path / folder).mkdir(parents=True)
    real = tmp_path / "usr/bin/sshd"
    real.touch()
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "etc/sshd").symlink_to("/usr/bin/sshd")
    (tmp_path / "etc/up").symlink_to("../../../../usr/bin/sshd")
    (tmp_path / "etc/loop").symlink_to("loop")
    (tmp_path / "etc/out").symlink_to("/etc/passwd")
    found = real.stat()
    for path in ("/usr/bin/sshd", "/bin/sshd", "/etc/sshd", "/etc/up"):
        assert _resolved(str(tmp_path), path) == (found.st_dev, found.st_ino), path
    for path in ("/etc/loop", "/etc/out", "/none", "/usr/bin/sshd/x"):
        assert _resolved(str(tmp_path), path) is None, path


def test_a_stat_line_is_read_from_its_last_bracket(tmp_path: Path) -> None:
    fields = " ".join(["S", "4", "5", "6", "0", "-1", "0", *["0"] * 10, "3", "0", "777", *["0"] * 20])
    (tmp_path / "42").mkdir()
    (tmp_path / "42/stat").write_bytes(b"42 (a) R 1 (\n\xff) " + fields.encode())
    look = Proc(str(tmp_path)).stat(42)
    assert look is not None
    assert (look.name, look.state, look.ppid, look.pgid, look.session) == ("a) R 1 (\n\\xff", "S", 4, 5, 6)
    assert (look.threads, look.start_ticks, look.kernel) == (3, 777, False)


def test_the_report_says_who_it_was_and_by_which_line(child: int) -> None:
    report = spyderresp.execute(ENGINE.evaluate(given(event_of(child), start_ticks=1)), HOST, guard())
    assert report[0].status == "mismatch"
    said = report[0].to_dict()
    assert said["sources"][0]["policy"] == "rig"
    assert str(child) in said["reason"]


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="which machine"):
        LocalHost("")
    with pytest.raises(ValueError, match="agentKillPod"):
        LocalHost("x", actions=frozenset({"agentKillPod"}))
