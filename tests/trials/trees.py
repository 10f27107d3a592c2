"""Trees and groups that fight back. Runs in a PID namespace of its own; each case says what must hold afterwards."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import spyderresp
from spyderresp.execution.protection import Protection
from spyderresp.executors import LocalHost
from trials import namespace
from trials.events import PROC, engine_for, event_of, guard

HOST = LocalHost("rig-host", settle=8.0, wait=30.0)
ENGINES = {
    name: engine_for(name)
    for name in ("agentKillProcess", "agentKillProcessGroup", "agentKillProcessTree", "agentReniceProcess")
}
_PR_SET_NAME = 15
_libc = ctypes.CDLL(None, use_errno=True)


def act(action: str, pid: int, *, protection: Protection | None = None, **more: Any) -> Any:
    event = event_of(pid, **more)
    chosen = guard(protection=protection) if protection else guard()
    (outcome,) = spyderresp.execute(ENGINES[action].evaluate(event), HOST, chosen)
    return outcome


def program(body: str, *, setsid: bool = True) -> int:
    """Start a Python program as a child, in a session of its own, and wait until it says that it is ready."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        text = (
            "import ctypes, os, signal, sys, threading, time\n"
            f"def ready(): os.write({theirs.fileno()}, b'.')\n"
            "def forever():\n    while True: time.sleep(1000)\n"
            "def child(work=forever):\n"
            "    pid = os.fork()\n"
            "    if pid == 0:\n        work()\n        os._exit(0)\n"
            "    return pid\n"
            f"{body}\n"
        )
        held = subprocess.Popen(
            [sys.executable, "-S", "-c", text],
            pass_fds=[theirs.fileno()],
            start_new_session=setsid,
            stdin=subprocess.DEVNULL,
        )
        _CHILDREN.append(held)
        ours.settimeout(240)
        assert ours.recv(1) == b"."
    time.sleep(0.02)
    return held.pid


_CHILDREN: list[subprocess.Popen[bytes]] = []


def bystander() -> int:
    return program("ready(); forever()")


def alive(pid: int) -> bool:
    look = PROC.stat(pid)
    return look is not None and not look.dead


def living() -> dict[int, Any]:
    return {pid: look for pid, look in PROC.all_processes().items() if not look.dead and pid != os.getpid()}


def below(pid: int) -> set[int]:
    """Return all that descends from a process now, itself too."""
    everyone = PROC.all_processes()
    found = {pid}
    while more := {item.pid for item in everyone.values() if item.ppid in found} - found:
        found |= more
    return found


def until(found: Callable[[], Any]) -> Any:
    """Return what is found once it is there."""
    end = time.monotonic() + 240
    while not (answer := found()):
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)
    return answer


def ended(pid: int) -> bool:
    look = PROC.stat(pid)
    return look is not None and look.dead


def grown(pid: int, size: int) -> set[int]:
    """Return a tree once it is as large as it gets."""
    return set(until(lambda: tree if len(tree := below(pid)) == size else None))


CASES: dict[str, Callable[[], None]] = {}


def case(function: Callable[[], None]) -> Callable[[], None]:
    CASES[function.__name__] = function
    return function


@case
def one_process_and_not_its_child() -> None:
    pid = program("child(); ready(); forever()")
    (child,) = below(pid) - {pid}
    outcome = act("agentKillProcess", pid)
    assert outcome.status == "done", outcome
    assert not alive(pid)
    assert alive(child)


@case
def one_that_ignores_all_it_can_and_is_stopped() -> None:
    pid = program("[signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 15, 20)]; ready(); forever()")
    os.kill(pid, signal.SIGSTOP)
    assert act("agentKillProcess", pid).status == "done"
    assert not alive(pid)


@case
def one_of_many_threads_whose_first_has_ended() -> None:
    pid = program(
        "threading.Thread(target=forever, daemon=True).start(); ready(); time.sleep(0.05)\n"
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    until(lambda: getattr(PROC.stat(pid), "state", "") == "Z")
    outcome = act("agentKillProcess", pid)
    assert outcome.status == "done", outcome
    assert not alive(pid)


@case
def a_thread_id_is_no_process() -> None:
    pid = program("threading.Thread(target=forever, daemon=True).start(); ready(); forever()")
    tid = next(tid for tid in PROC.threads(pid) if tid != pid)
    event = event_of(pid)
    event["process"]["pid"] = tid
    (outcome,) = spyderresp.execute(ENGINES["agentKillProcess"].evaluate(event), HOST, guard())
    assert outcome.status == "mismatch", outcome
    assert alive(pid)


@case
def a_zombie_is_gone_already() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    until(lambda: ended(pid))
    outcome = act("agentKillProcess", pid)
    assert outcome.status == "already", outcome
    os.waitpid(pid, 0)


@case
def names_with_brackets_and_newlines() -> None:
    for name in (b"a) R 1 1 1", b"x\ny\n", b"\xff\xfe)", b"kubelet", b"((((((("):
        pid = program(f"ctypes.CDLL(None).prctl({_PR_SET_NAME}, {name!r}, 0, 0, 0); ready(); forever()")
        outcome = act("agentKillProcessTree", pid)
        assert outcome.status == "done", outcome
        assert not alive(pid)
        json.dumps(outcome.to_dict()).encode("ascii")


@case
def ourselves_our_ancestors_and_pid_1() -> None:
    for pid in (os.getpid(), os.getppid(), 1):
        for action in ENGINES:
            outcome = act(action, pid)
            assert outcome.status == "refused", outcome
            assert outcome.rule.startswith("never:"), outcome


@case
def a_simple_tree() -> None:
    other = bystander()
    pid = program("child(lambda: (child(lambda: (child(), forever())), forever())); child(); ready(); forever()")
    tree = grown(pid, 5)
    outcome = act("agentKillProcessTree", pid)
    assert outcome.status == "done", outcome
    assert not any(map(alive, tree))
    assert alive(other)


@case
def a_tree_with_sessions_of_their_own() -> None:
    pid = program(
        "child(lambda: (os.setsid(), child(lambda: (os.setsid(), forever())), forever())); ready(); forever()"
    )
    tree = grown(pid, 3)
    assert act("agentKillProcessTree", pid).status == "done"
    assert not any(map(alive, tree))


@case
def a_daemon_that_left_by_a_double_fork_is_named_and_never_hidden_behind_done() -> None:
    before = set(living())
    pid = program("child(lambda: (os.setsid(), child())); ready(); forever()")
    (daemon,) = until(lambda: {item for item, look in living().items() if look.ppid == 1} - before - {pid})
    outcome = act("agentKillProcessTree", pid)
    assert not alive(pid)
    assert alive(daemon)
    assert outcome.status == "incomplete", outcome
    assert daemon in {item["pid"] for item in outcome.details["escaped"]}


@case
def a_fork_bomb() -> None:
    other = bystander()
    before = set(living())
    for _ in range(3):
        pid = program(
            "import resource\n"
            "def bomb():\n"
            "    end = time.monotonic() + 20\n"
            "    while time.monotonic() < end:\n"
            "        if len(os.listdir('/proc')) < 400:\n"
            "            try: child(lambda: time.sleep(0.2) or bomb())\n"
            "            except OSError: pass\n"
            "        time.sleep(0.001)\n"
            "ready(); bomb()"
        )
        time.sleep(0.5)
        outcome = act("agentKillProcessTree", pid)
        survivors = set(living()) - before
        assert alive(other)
        if outcome.status == "done":
            assert not survivors, (outcome, survivors)
        else:
            assert outcome.status == "incomplete", outcome
            named = {item["pid"] for key in ("survivors", "escaped") for item in outcome.details.get(key, ())}
            # Named are those of the last look; one that goes on forking has others by now.
            assert named, outcome
            oldest = min(
                item["start_ticks"] for key in ("survivors", "escaped") for item in outcome.details.get(key, ())
            )
            unnamed = [look for pid, look in living().items() if pid in survivors - named]
            assert all(look.start_ticks >= oldest for look in unnamed), (unnamed, outcome.reason)
        for item in survivors:
            with contextlib.suppress(ProcessLookupError):
                os.kill(item, signal.SIGKILL)


@case
def one_that_forks_and_ends_again_and_again() -> None:
    before = set(living())
    pid = program(
        "child(lambda: [child() and os._exit(0) if False else (os.fork() and os._exit(0)) "
        "or time.sleep(0.0005) for _ in range(4000)]); ready(); forever()"
    )
    time.sleep(0.1)
    outcome = act("agentKillProcessTree", pid)
    assert not alive(pid)
    survivors = set(living()) - before
    # It changes its number all the time: what counts is that nobody is told `done` while it lives.
    if survivors:
        assert outcome.status == "incomplete", outcome
        assert outcome.details.get("escaped") or outcome.details.get("survivors"), outcome
    for _ in range(200):
        for item in set(living()) - before:
            with contextlib.suppress(ProcessLookupError):
                os.kill(item, signal.SIGKILL)


@case
def a_protected_member_is_spared_and_a_name_shields_nothing() -> None:
    with tempfile.TemporaryDirectory() as folder:
        real = Path(folder, "kubelet")
        shutil.copy(os.path.realpath(sys.executable), real)
        copy = Path(folder, "copy", "kubelet")
        copy.parent.mkdir()
        shutil.copy(real, copy)
        sleep = "import time; time.sleep(1000)"
        pid = program(
            f"import subprocess\nfor exe in ({str(real)!r}, {str(copy)!r}):\n"
            f"    subprocess.Popen([exe, '-S', '-c', {sleep!r}], env={{'PYTHONHOME': sys.base_prefix}})\n"
            f"child(lambda: (ctypes.CDLL(None).prctl({_PR_SET_NAME}, b'kubelet', 0, 0, 0), forever()))\n"
            "ready(); forever()"
        )
        tree = below(pid)
        until(lambda: {getattr(PROC.stat(item), "name", "") for item in tree - {pid}} == {"kubelet"})
        shielded = {item for item in tree if PROC.exe(item) == str(real)}
        assert len(tree) == 4, [PROC.stat(item) for item in tree]
        assert len(shielded) == 1
        outcome = act("agentKillProcessTree", pid, protection=Protection((str(real),), (), frozenset(), frozenset()))
        assert {item for item in tree if alive(item)} == shielded
        assert outcome.status == "incomplete", outcome
        assert {item["pid"] for item in outcome.details["spared"]} == shielded
        (spared,) = shielded
        refusal = act("agentKillProcess", spared, protection=Protection((str(real),), (), frozenset(), frozenset()))
        assert (refusal.status, refusal.rule) == ("refused", "protected:executable"), refusal
        os.kill(spared, signal.SIGKILL)


@case
def in_a_cgroup_of_its_own_nothing_survives() -> None:
    with namespace.cgroup("tree") as folder:
        if folder is None:
            print("no version 2 cgroup can be made here", file=sys.stderr)
            return
        other = bystander()
        pid = program(
            f"open({str(folder / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
            "child(lambda: (os.setsid(), child()))\n"
            "child(lambda: [(os.fork() and os._exit(0)) or time.sleep(0.001) for _ in range(100000)])\n"
            "ready(); forever()"
        )
        time.sleep(0.2)
        outcome = act("agentKillProcessTree", pid)
        assert outcome.status == "done", outcome
        assert (folder / "cgroup.procs").read_text() == ""
        assert alive(other)


@case
def a_cgroup_with_an_older_process_in_it_is_not_owned() -> None:
    with namespace.cgroup("shared") as folder:
        if folder is None:
            return
        join = f"open({str(folder / 'cgroup.procs')!r}, 'w').write(str(os.getpid())); ready(); forever()"
        older = program(join)
        time.sleep(0.05)
        pid = program(join)
        outcome = act("agentKillProcessTree", pid)
        assert not alive(pid)
        assert alive(older)
        look = PROC.stat(older)
        assert look is not None
        assert look.state not in "Tt"
        os.kill(older, signal.SIGKILL)
        assert outcome.status in ("done", "incomplete")


@case
def what_is_frozen_already_counts_as_stopped() -> None:
    for action in ("agentKillProcessTree", "agentKillProcessGroup"):
        with namespace.cgroup("frozen") as folder:
            if folder is None:
                print("no version 2 cgroup can be made here", file=sys.stderr)
                return
            join = f"open({str(folder / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))"
            pid = program(f"{join}; child(); child(); ready(); forever()")
            tree = grown(pid, 3)
            (folder / "cgroup.freeze").write_text("1")
            until(lambda folder=folder: "frozen 1" in (folder / "cgroup.events").read_text())
            outcome = act(action, pid)
            assert outcome.status == "done", outcome
            assert not any(map(alive, tree))


@case
def a_group() -> None:
    other = bystander()
    pid = program("child(); child(lambda: (os.setsid(), forever())); ready(); forever()")
    tree = grown(pid, 3)
    outside = until(lambda: {item for item in tree - {pid} if living()[item].pgid == item})
    group = tree - outside
    assert (len(group), len(outside)) == (2, 1)
    outcome = act("agentKillProcessGroup", pid)
    assert outcome.status == "done", outcome
    assert not any(map(alive, group))
    assert all(map(alive, outside))
    assert alive(other)


@case
def a_group_whose_leader_has_died() -> None:
    pid = program("a = child(); b = child(); ready(); forever()")
    members = below(pid) - {pid}
    assert len(members) == 2
    os.kill(pid, signal.SIGKILL)
    _CHILDREN[-1].wait()
    member = min(members)
    outcome = act("agentKillProcessGroup", member)
    assert outcome.status == "done", outcome
    assert not any(map(alive, members))


@case
def our_own_group() -> None:
    pid = program("ready(); forever()", setsid=False)
    outcome = act("agentKillProcessGroup", pid)
    assert (outcome.status, outcome.rule) == ("refused", "never:group"), outcome
    assert alive(pid)


@case
def a_group_with_a_protected_member() -> None:
    with tempfile.TemporaryDirectory() as folder:
        real = Path(folder, "sshd")
        shutil.copy(os.path.realpath(sys.executable), real)
        pid = program(
            "import subprocess\n"
            f"subprocess.Popen([{str(real)!r}, '-S', '-c', 'import time; time.sleep(1000)'], "
            "env={'PYTHONHOME': sys.base_prefix})\n"
            "child(); ready(); forever()"
        )
        group = below(pid)
        shielded = {item for item in group if PROC.exe(item) == str(real)}
        outcome = act("agentKillProcessGroup", pid, protection=Protection((str(real),), (), frozenset(), frozenset()))
        assert {item for item in group if alive(item)} == shielded
        assert outcome.status == "incomplete", outcome
        look = PROC.stat(min(shielded))
        assert look is not None
        assert look.state not in "Tt"
        os.kill(min(shielded), signal.SIGKILL)


@case
def a_group_number_that_is_anothers_by_now() -> None:
    pid = program("child(); ready(); forever()")
    event = event_of(pid)
    plan = ENGINES["agentKillProcessGroup"].evaluate(event)
    os.killpg(pid, signal.SIGKILL)
    _CHILDREN[-1].wait()
    for _ in range(5_000):
        # The number stays taken until the last of the group is reaped.
        time.sleep(0.02)
        namespace.hand_over(pid)
        other = os.fork()
        if other == 0:
            os.setsid()
            time.sleep(1000)
        if other == pid:
            break
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)
    assert other == pid
    time.sleep(0.02)
    (outcome,) = spyderresp.execute(plan, HOST, guard())
    assert outcome.status in ("mismatch", "already"), outcome
    assert alive(other)
    os.kill(other, signal.SIGKILL)
    os.waitpid(other, 0)


@case
def a_traced_one() -> None:
    pid = program("child(); ready(); forever()")
    (child,) = below(pid) - {pid}
    assert _libc.ptrace(16, child, None, None) == 0, os.strerror(ctypes.get_errno())
    os.waitpid(child, 0)
    reaped = threading.Thread(target=lambda: [os.waitpid(child, 0) for _ in range(1)], daemon=True)
    outcome = act("agentKillProcessTree", pid)
    reaped.start()
    assert outcome.status in ("done", "incomplete"), outcome
    assert not alive(pid)
    if outcome.status == "done":
        assert not alive(child)


@case
def all_threads_are_reniced_and_put_back() -> None:
    pid = program("[threading.Thread(target=forever, daemon=True).start() for _ in range(5)]; ready(); forever()")
    os.setpriority(os.PRIO_PROCESS, PROC.threads(pid)[2], 3)
    before = {tid: os.getpriority(os.PRIO_PROCESS, tid) for tid in PROC.threads(pid)}
    event = event_of(pid)
    plan = ENGINES["agentReniceProcess"].evaluate(event)
    (outcome,) = spyderresp.execute(plan, HOST, guard())
    assert outcome.status == "done", outcome
    assert {os.getpriority(os.PRIO_PROCESS, tid) for tid in PROC.threads(pid)} == {10}
    assert len(before) == 6
    undone = HOST.undo(outcome.step, outcome.details)
    assert undone.status == "done", undone
    assert {tid: os.getpriority(os.PRIO_PROCESS, tid) for tid in PROC.threads(pid)} == before
    os.kill(pid, signal.SIGKILL)
    _CHILDREN[-1].wait()
    assert HOST.undo(outcome.step, outcome.details).status == "already"


def inside(names: list[str], cases: dict[str, Callable[[], None]]) -> str:
    """Run cases, clear up after each, and return what failed, as JSON."""
    failures: dict[str, str] = {}
    for name in names:
        before = set(living())
        try:
            cases[name]()
        except Exception as error:  # noqa: BLE001 - the rig reports every case
            failures[name] = f"{type(error).__name__}: {error}"
        for pid in set(living()) - before:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for held in _CHILDREN:
            with contextlib.suppress(subprocess.TimeoutExpired):
                held.wait(1)
        _CHILDREN.clear()
    return json.dumps(failures)


def add_parser(verbs: Any) -> None:
    parser = verbs.add_parser("trees", help="trees and groups that fight back")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))


def run(args: argparse.Namespace) -> int:
    return report("trials.trees", (args.cases or list(CASES)) * args.times)


def report(module: str, names: list[str]) -> int:
    """Run cases of a module in a namespace of their own, and print trials and failures."""
    done = namespace.run(module, names, timeout=3600)
    sys.stderr.write(done.stderr)
    if done.returncode:
        return done.returncode
    failures = json.loads(done.stdout)
    print(json.dumps({"trials": len(names), "failures": failures}, indent=2))
    return 1 if failures else 0


if __name__ == "__main__":
    print(inside(sys.argv[1:], CASES))
