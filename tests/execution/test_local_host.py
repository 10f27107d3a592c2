"""Who is taken for the process that an event means. Nothing is killed here: targets are only resolved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from trials.events import PROC, engine_for, event_of, guard

import spyderresp
from spyderresp.execution.protection import Protection
from spyderresp.execution.report import Result
from spyderresp.execution.steps import steps_of
from spyderresp.executors import LocalHost
from spyderresp.executors.local.identity_check import Identity
from spyderresp.executors.local.pidfd import Pidfd, opened_by_syscall, sent_by_syscall
from spyderresp.executors.local.process_set import ProcessSet, kill_result
from spyderresp.executors.local.procfs import Proc, ProcessStat, within
from spyderresp.executors.local.protected_processes import Programs, ProtectedProcesses, inode_at
from spyderresp.executors.local.tree import HeldForTree

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


def test_who_is_younger_than_the_event_is_not_its_process(child: int, monkeypatch: pytest.MonkeyPatch) -> None:
    booted, look = PROC.boot_time(), look_at(PROC, child)
    assert booted is not None
    started = booted + look.start_ticks / os.sysconf("SC_CLK_TCK")
    event = given(without(event_of(child), "start_ticks", "boot_id"), start_time=started)
    lax = LocalHost("rig-host", exe_is_enough=True)
    # Told from two clocks, it is never twice the same.
    at = PROC.started(look)
    monkeypatch.setattr(Proc, "started", lambda *_: at)
    for inexact in (event, without(event, "start_time")):
        assert resolved({**inexact, "time": at + 0.01}, lax) is None
        # Whole seconds are cut off.
        assert resolved({**inexact, "time": float(int(at))}, lax) is None
        answer = resolved({**inexact, "time": at - 0.2001}, lax)
        assert answer is not None
        assert answer.status == "mismatch"
    # Exact identity needs no clock.
    assert resolved({**event_of(child), "time": 1.5}) is None


def test_held_up_between_two_clocks_it_makes_nobody_older(monkeypatch: pytest.MonkeyPatch) -> None:
    for pauses in ([0.0, 0.5], [0.5], [0.0, 0.0, 0.5], [0.0, 0.5] * 100):
        moment, left = 100.0, list(pauses)

        def read(_: int = 0) -> float:
            nonlocal moment
            moment += left.pop(0) if left else 0.0  # noqa: B023 - called in this very turn
            return moment

        monkeypatch.setattr(time, "clock_gettime", read)
        monkeypatch.setattr(time, "time", lambda: 900.0 + read())
        look = ProcessStat(7, "x", "S", 1, 7, 7, 0, 1, False)
        # Younger than it is, where the machine does nothing else: then it is not taken for the one that is meant.
        assert PROC.started(look) >= 900.0
        assert len(pauses) > 9 or PROC.started(look) == pytest.approx(900.0)


def test_where_pids_may_be_others_only_exact_identity_counts(child: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """For real, in namespaces: the corners of the rig."""
    monkeypatch.setattr(Identity, "doubt", lambda self: "doubtful")
    assert resolved(event_of(child)) is None
    for event in (without(event_of(child), "boot_id"), given(event_of(child), pid=2**22 - 1)):
        answer = resolved(event)
        assert answer is not None
        assert (answer.status, answer.rule) == ("refused", "pid-namespace")


@pytest.mark.parametrize("key", ["start_ticks", "boot_id", "start_time"])
def test_what_is_given_and_cannot_be_read_is_not_as_good_as_absent(child: int, key: str) -> None:
    booted, look = PROC.boot_time(), PROC.stat(child)
    assert booted is not None
    assert look is not None
    event = given(event_of(child), start_time=booted + look.start_ticks / os.sysconf("SC_CLK_TCK"))
    for value in ("", "x", True) if key != "boot_id" else ("", 7):
        answer = resolved(given(event, **{key: value}))
        assert answer is not None
        assert answer.status == "mismatch", (value, answer)


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
    program = [(none.including(executables=(exe,)), "protected:executable")] if os.getuid() == 0 else []
    for protection, rule in (
        *program,
        (none.including(cgroups=(cgroup,)), "protected:cgroup"),
        (none.including(users=frozenset({os.getuid()})), "protected:user"),
        (none.including(users=frozenset({str(os.getuid())})), "protected:user"),
    ):
        answer = resolved(event_of(child), protection=protection)
        assert answer is not None
        assert (answer.status, answer.rule) == ("refused", rule)
    # One that protects a user whom nobody knows has meant somebody.
    answer = resolved(event_of(child), protection=none.including(users=frozenset({"no-such-user"})))
    assert answer is not None
    assert (answer.status, answer.rule) == ("refused", "protected:unknown")


def changed(monkeypatch: pytest.MonkeyPatch, *, uids: str = "0 0 0 0", cgroup: str = "/user.slice") -> None:
    """Let every process have these uids and this cgroup."""
    status = Proc.status
    monkeypatch.setattr(Proc, "status", lambda self, pid: {**status(self, pid), "Uid": uids.replace(" ", "\t")})
    monkeypatch.setattr(Proc, "cgroups", lambda self, pid: [("", cgroup)])
    monkeypatch.setattr(Proc, "same_cgroups", lambda self: True)


@pytest.mark.parametrize(
    ("uids", "cgroup", "shielded"),
    [
        ("0 0 0 0", "/user.slice", True),
        ("1000 1000 1000 1000", "/user.slice", False),
        ("1000 0 0 0", "/user.slice", False),
        ("101 101 101 101", "/system.slice/{name}.service", True),
        ("101 101 101 101", "/system.slice/system-x.slice/{name}@1.service/sub", True),
        ("101 101 101 101", "/system.slice/nginx.service", False),
        ("101 101 101 101", "/user.slice/user-101.slice/{name}.service", False),
        ("101 101 101 101", "/x/system.slice/{name}.service", False),
    ],
)
def test_a_protected_program_shields_only_root_and_its_own_service(
    child: int, monkeypatch: pytest.MonkeyPatch, uids: str, cgroup: str, shielded: bool
) -> None:
    exe = PROC.exe(child)
    assert exe is not None
    changed(monkeypatch, uids=uids, cgroup=cgroup.format(name=exe.rpartition("/")[2]))
    answer = resolved(event_of(child), protection=Protection((exe,), (), frozenset(), frozenset()))
    assert (answer is not None) == shielded
    assert answer is None or (answer.status, answer.rule) == ("refused", "protected:executable")


@pytest.mark.parametrize(
    ("program", "service"), [("sshd", "ssh"), ("sshd", "sshd"), ("dbus-daemon", "dbus"), ("x", "x"), ("x", "y")]
)
def test_a_service_may_be_named_for_less_than_its_program(
    child: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, service: str
) -> None:
    exe = PROC.exe(child)
    assert exe is not None
    (tmp_path / program).symlink_to(exe)
    changed(monkeypatch, uids="101 101 101 101", cgroup=f"/system.slice/{service}.service")
    answer = resolved(event_of(child), protection=Protection((str(tmp_path / program),), (), frozenset(), frozenset()))
    assert (answer is None) == (service == "y")


def test_where_the_hosts_cgroups_do_not_show_a_service_is_found_by_its_members(
    child: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    exe = PROC.exe(child)
    assert exe is not None
    changed(monkeypatch, uids="101 101 101 101", cgroup="/../x")
    monkeypatch.setattr(Proc, "same_cgroups", lambda self: False)
    members: dict[str, set[int]] = {}
    monkeypatch.setattr(Programs, "in_cgroup", lambda self, path: members.get(path, set()))
    protection = Protection((exe,), (), frozenset(), frozenset())
    assert resolved(event_of(child), protection=protection) is None
    members[f"/system.slice/{exe.rpartition('/')[2]}.service"] = {child}
    answer = resolved(event_of(child), protection=protection)
    assert answer is not None
    assert answer.rule == "protected:executable"


@pytest.mark.parametrize("same", [True, False])
def test_a_protected_path_needs_no_answer_of_its_file_system_in_the_mounts_of_the_host(
    child: int, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    exe, readlink = PROC.exe(child), os.readlink
    assert exe is not None

    def mounts(path: Any, *arguments: Any, **more: Any) -> str:
        if str(path).endswith("/ns/mnt"):
            return "mnt:[1]" if same or str(path) == "/proc/1/ns/mnt" else "mnt:[2]"
        return readlink(path, *arguments, **more)

    changed(monkeypatch)
    monkeypatch.setattr(os, "readlink", mounts)
    monkeypatch.setattr(Proc, "exe_inode", lambda self, pid: None)
    answer = resolved(event_of(child), protection=Protection((exe,), (), frozenset(), frozenset()))
    assert (answer is not None) == same
    assert answer is None or answer.rule == "protected:executable"


@pytest.mark.parametrize("error", [None, PermissionError(13, "denied"), OSError(107, "not connected")])
def test_a_file_system_that_does_not_answer_shields_nothing(
    child: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: OSError | None
) -> None:
    """As of a FUSE mount of the process's own: it hangs (None), or lets nobody else in."""
    exe, stat, hung = PROC.exe(child), os.stat, threading.Event()
    assert exe is not None
    # The same file by another path than the kernel shows.
    link = tmp_path / "link"
    link.symlink_to(exe)

    def slow(path: Any, *arguments: Any, **more: Any) -> os.stat_result:
        if str(path).endswith("/exe"):
            if error is not None:
                raise error
            hung.wait()
        return stat(path, *arguments, **more)

    changed(monkeypatch)
    monkeypatch.setattr(os, "stat", slow)
    protection = Protection((str(link),), (), frozenset(), frozenset())
    # More than may hang at a time.
    for _ in range(70 if error is None else 1):
        assert resolved(event_of(child), protection=protection) is None
    hung.set()
    monkeypatch.setattr(os, "stat", stat)
    answer = resolved(event_of(child), protection=protection)
    assert answer is not None
    assert answer.rule == "protected:executable"


def test_without_another_thread_there_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert [within(1.0, lambda: 7) for _ in range(100)] == [None] * 100
    assert within(1.0, lambda: 7) == 7


def test_what_may_not_be_seen_is_refused(child: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(path: Any, *arguments: Any, **more: Any) -> str:
        if str(path) == f"/proc/{child}/exe":
            raise PermissionError(13, "denied")
        return readlink(path, *arguments, **more)

    readlink = os.readlink
    changed(monkeypatch)
    monkeypatch.setattr(os, "readlink", refusing)
    answer = resolved(event_of(child))
    assert answer is not None
    assert (answer.status, answer.rule) == ("refused", "protected:unknown")


POD = (
    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b2c3d_0a1b_0a1b_0a1b_0a1b2c3d4e5f.slice/x.scope"
)


@pytest.mark.parametrize(
    "cgroup", [POD, "/kubepods/besteffort/pod1/x", "/../../pod0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f/x"]
)
def test_processes_of_protected_and_of_unknown_namespaces_are_refused(
    child: int, monkeypatch: pytest.MonkeyPatch, cgroup: str
) -> None:
    changed(monkeypatch, cgroup=cgroup)
    none = Protection((), (), frozenset())
    for namespace, rule in (({"name": "kube-system"}, "protected:namespace"), ({}, "protected:namespace")):
        answer = resolved({**event_of(child), "namespace": namespace}, protection=none)
        assert answer is not None
        assert (answer.status, answer.rule) == ("refused", rule)
    assert resolved({**event_of(child), "namespace": {"name": "shop"}}, protection=none) is None
    assert resolved(event_of(child), protection=replace(none, unknown_namespaces=False)) is None


@pytest.mark.parametrize(
    "cgroup",
    [
        "/system.slice/docker-0a1b2c3d4e5f.scope",
        # Names that a user can make to be spared.
        "/user.slice/user-1000.slice/user@1000.service/kubepods/x",
        "/../../user.slice/user-1000.slice/pod0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f",
        "/system.slice/app.service/kubepods.slice/x",
    ],
)
def test_processes_of_a_host_need_no_namespace(child: int, monkeypatch: pytest.MonkeyPatch, cgroup: str) -> None:
    changed(monkeypatch, cgroup=cgroup)
    assert resolved(event_of(child), protection=Protection((), (), frozenset())) is None
    answer = resolved({**event_of(child), "namespace": {"name": "kube-system"}}, protection=Protection((), ()))
    assert answer is not None
    assert answer.rule == "protected:namespace"


def test_a_file_that_was_replaced_protects_no_successor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = Programs(PROC)
    monkeypatch.setattr(programs, "root", lambda: str(tmp_path))
    monkeypatch.setattr("spyderresp.executors.local.protected_processes._INTERVAL", 0.0)
    (tmp_path / "sshd").touch()
    first = (tmp_path / "sshd").stat().st_ino
    assert [inode for _, inode in programs.inodes(("/sshd",))] == [first]
    (tmp_path / "sshd").rename(tmp_path / "other")
    (tmp_path / "sshd").touch()
    assert first not in [inode for _, inode in programs.inodes(("/sshd",))]


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
        assert inode_at(str(tmp_path), path) == (found.st_dev, found.st_ino), path
    for path in ("/etc/loop", "/etc/out", "/none", "/usr/bin/sshd/x"):
        assert inode_at(str(tmp_path), path) is None, path


def test_a_stat_line_is_read_from_its_last_bracket(tmp_path: Path) -> None:
    stat_file(tmp_path, 42, b"a) R 1 (\n\xff", state="S", ppid=4, threads=3, ticks=777)
    look = Proc(str(tmp_path)).stat(42)
    assert look is not None
    assert (look.name, look.state, look.ppid, look.pgid, look.session) == ("a) R 1 (\n\\xff", "S", 4, 5, 6)
    assert look.shown == "a) R 1 (\\x0a\\xff"
    assert (look.threads, look.start_ticks, look.kernel) == (3, 777, False)


def stat_file(
    root: Path, pid: int, name: bytes = b"x", *, state: str = "S", ppid: int = 1, threads: int = 1, ticks: int = 1
) -> None:
    fields = [state, str(ppid), "5", "6", "0", "-1", "0", *["0"] * 10, str(threads), "0", str(ticks), *["0"] * 20]
    (root / str(pid)).mkdir(parents=True, exist_ok=True)
    (root / str(pid) / "stat").write_bytes(b"%d (%s) " % (pid, name) + " ".join(fields).encode())


def caught(proc: Proc, *looks: ProcessStat) -> ProcessSet:
    processes = ProcessSet(proc, ProtectedProcesses(proc, Protection((), (), frozenset(), frozenset()), Programs(proc)))
    processes.members = {look.pid: look for look in looks}
    return processes


def look_at(proc: Proc, pid: int) -> ProcessStat:
    look = proc.stat(pid)
    assert look is not None
    return look


def test_a_main_thread_that_has_ended_says_nothing_of_the_others(tmp_path: Path) -> None:
    proc = Proc(str(tmp_path))
    stat_file(tmp_path, 42, state="Z", threads=2)
    stat_file(tmp_path / "42/task", 42, state="Z", threads=2)
    stat_file(tmp_path / "42/task", 43, state="R", threads=2)
    processes = caught(proc, look_at(proc, 42))
    assert not processes.wait_until_stopped(0.0)
    stat_file(tmp_path / "42/task", 43, state="T", threads=2)
    assert processes.wait_until_stopped(0.0)


def test_the_children_of_who_has_a_members_number_now_are_not_of_the_tree(child: int, tmp_path: Path) -> None:
    proc = Proc(str(tmp_path))
    stat_file(tmp_path, child, ticks=5)
    stat_file(tmp_path, 50, ppid=child, ticks=9)
    processes = caught(proc, look_at(proc, child))
    assert processes.is_child_of_member(look_at(proc, 50))
    stat_file(tmp_path, child, ticks=7)
    assert not processes.is_child_of_member(look_at(proc, 50))
    event = event_of(child)
    (step,) = steps_of(engine_for("agentKillProcessTree").evaluate(event), arrived=time.time())
    held = HOST.resolve(step, Protection())
    assert isinstance(held, HeldForTree)
    held.proc = proc
    assert held._descendants(processes) == []
    stat_file(tmp_path, child, ticks=5)
    assert [look.pid for look in held._descendants(processes)] == [50]
    held.release()


def test_who_has_left_a_group_when_it_is_held_is_not_touched(child: int) -> None:
    processes = caught(PROC)
    assert not processes.stop(look_at(PROC, child), lambda now: now.pgid == -1)
    assert processes.members == {}
    assert look_at(PROC, child).state not in "Tt"


def test_who_left_before_it_stopped_runs_on_and_is_named(child: int) -> None:
    processes = caught(PROC)
    assert processes.stop(look_at(PROC, child))
    assert processes.wait_until_stopped(time.monotonic() + 240)
    assert look_at(PROC, child).state == "T"
    processes.release(lambda now: True)
    assert look_at(PROC, child).state not in "Tt"
    assert set(processes.left) == {child}
    assert kill_result(processes, [], [], settled=True, what="group").status == "incomplete"


def test_pidfds_by_number_where_the_interpreter_was_built_without(child: int) -> None:
    fd = opened_by_syscall(child)
    sent_by_syscall(fd, signal.SIGKILL)
    with Pidfd(child) as held:
        assert held.wait(240)
    os.close(fd)
    with pytest.raises(ProcessLookupError):
        opened_by_syscall(2**22 - 1)


def test_the_report_says_who_it_was_and_by_which_line(child: int) -> None:
    report = spyderresp.execute(ENGINE.evaluate(given(event_of(child), start_ticks=1)), HOST, guard())
    assert report[0].status == "mismatch"
    said = report[0].to_dict()
    assert said["sources"][0]["policy"] == "rig"
    assert str(child) in said["reason"]


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="the name of this machine"):
        LocalHost("")
    with pytest.raises(ValueError, match="agentKillPod"):
        LocalHost("x", actions=frozenset({"agentKillPod"}))
    with pytest.raises(ValueError, match="pids must be"):
        LocalHost("x", pids="mine")  # type: ignore[arg-type]
    for key in ("tolerance", "settle", "wait"):
        for value in (-1.0, float("nan"), float("inf")):
            with pytest.raises(ValueError, match=key):
                LocalHost("x", **{key: value})  # type: ignore[arg-type]
