"""Corners in which the wrong one could be killed, or the right one forgotten. Runs in a PID namespace of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import spyderresp
from spyderresp.execution.protection import Protection
from spyderresp.executors import LocalHost
from trials import namespace, trees
from trials.events import PROC, engine_for, event_of, guard
from trials.trees import act, alive, below, ended, living, program, until

NOTHING = Protection((), (), frozenset(), frozenset())
SLEEPS = "import time; time.sleep(1000)"
EXEC = f"os.execv(sys.executable, {[sys.executable, '-S', '-c', SLEEPS]})"
CASES: dict[str, Callable[[], None]] = {}


def case(function: Callable[[], None]) -> Callable[[], None]:
    CASES[function.__name__] = function
    return function


def started(*command: str, **settings: Any) -> int:
    held = subprocess.Popen(command or (sys.executable, "-S", "-c", SLEEPS), stdin=subprocess.DEVNULL, **settings)
    trees._CHILDREN.append(held)
    time.sleep(0.1)
    return held.pid


@contextlib.contextmanager
def cgroup(name: str) -> Any:
    with namespace.cgroup(name) as folder:
        if folder is None:
            print("no version 2 cgroup can be made here", file=sys.stderr)
        yield folder


def into(folder: Path, *pids: int) -> None:
    for pid in pids:
        (folder / "cgroup.procs").write_text(str(pid))


def stopped(pid: int) -> bool:
    look = PROC.stat(pid)
    return look is not None and look.state in "Tt"


@case
def a_younger_neighbour_in_the_same_cgroup_lives() -> None:
    with cgroup("neighbours") as folder:
        if folder is None:
            return
        for own_session in (True, False):
            pid = program("child(); ready(); forever()")
            tree = below(pid)
            innocent = started(start_new_session=own_session)
            into(folder, *tree, innocent)
            outcome = act("agentKillProcessTree", pid)
            assert not any(map(alive, tree)), outcome
            assert alive(innocent), outcome
            assert not stopped(innocent)
            assert (folder / "cgroup.freeze").read_text().strip() == "0"
            os.kill(innocent, signal.SIGKILL)


@case
def in_the_scope_of_a_container_nothing_survives() -> None:
    with cgroup("runtime") as folder:
        if folder is None:
            return
        scope = folder / f"docker-{'0123456789abcdef' * 4}.scope"
        scope.mkdir()
        pid = program("child(); ready(); forever()")
        tree = below(pid)
        # As `docker exec` starts it: no child of the container's first process.
        beside = started(start_new_session=True)
        into(scope, *tree, beside)
        outcome = act("agentKillProcessTree", pid)
        assert outcome.status == "done", outcome
        assert not any(map(alive, (*tree, beside)))
        scope.rmdir()


@case
def a_paused_cgroup_stays_paused_where_it_is_not_the_targets() -> None:
    with cgroup("paused") as folder:
        if folder is None:
            return
        older = started()
        pid = program("ready(); forever()")
        into(folder, older, pid)
        (folder / "cgroup.freeze").write_text("1")
        act("agentKillProcessTree", pid)
        assert alive(older)
        assert (folder / "cgroup.freeze").read_text().strip() == "1"


@case
def a_cgroup_of_its_own_dies_whole_whoever_escaped_in_it() -> None:
    with cgroup("own") as folder:
        if folder is None:
            return
        for body in (
            "child(lambda: (os.setsid(), child()))",
            "child(lambda: child(lambda: (os.setsid(), forever())))",
            "child(lambda: child())",
            "child(lambda: [(os.fork() and os._exit(0)) or time.sleep(0.001) for _ in range(100000)])",
            f"child(lambda: child(lambda: {EXEC}))",
            f"child(lambda: child(lambda: (os.setsid(), {EXEC})))",
        ):
            pid = program(
                f"open({str(folder / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n{body}\nready(); forever()"
            )
            time.sleep(0.2)
            outcome = act("agentKillProcessTree", pid)
            assert outcome.status == "done", (body, outcome)
            assert (folder / "cgroup.procs").read_text() == "", body


@case
def a_protected_cgroup_is_known_from_inside_a_cgroup_namespace() -> None:
    if os.environ.get("SPYDERRESP_RIG_INNER") != "1":
        with cgroup("outer") as outer, cgroup("guarded") as guarded:
            if outer is None or guarded is None:
                return
            command = [
                "sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec unshare --cgroup "$@"', str(outer),
                sys.executable, "-c",
                "import sys; from trials import corners; corners.inner(sys.argv[1], sys.argv[2])",
                str(guarded), next(path for kind, path in PROC.cgroups(os.getpid()) if not kind),
            ]  # fmt: skip
            done = subprocess.run(command, env={**os.environ}, capture_output=True, text=True, check=False, timeout=240)
            assert done.returncode == 0, done.stderr


def inner(guarded: str, ours: str) -> None:
    pid, other = program("ready(); forever()"), program("ready(); forever()")
    into(Path(guarded), pid)
    as_the_host_sees_it = f"{ours.rstrip('/')}/{Path(guarded).name}"
    protection = Protection((), (as_the_host_sees_it,), frozenset(), frozenset())
    outcome = act("agentKillProcess", pid, protection=protection)
    assert (outcome.status, outcome.rule) == ("refused", "protected:cgroup"), outcome
    assert alive(pid)
    outcome = act("agentKillProcess", other, protection=protection)
    assert outcome.status == "done", outcome
    os.kill(pid, signal.SIGKILL)
    trees._CHILDREN[0].wait()


@case
def a_protected_path_in_a_mount_namespace_of_its_own_shields_nothing() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sshd")
        shutil.copy(os.path.realpath("/bin/sleep"), path)
        mine = (
            f"mount -t tmpfs none {folder} && cp /bin/sleep {path} || exit; {path} 1000 & "
            f'while [ "$(readlink /proc/$!/exe)" != {path} ]; do sleep 0.01; done; rm {path}; wait'
        )
        started("unshare", "--mount", "sh", "-c", mine, start_new_session=True)
        (disguised,) = until(lambda: [item for item in living() if PROC.exe(item) == f"{path} (deleted)"])
        protection = Protection((str(path),), (), frozenset(), frozenset())
        outcome = act("agentKillProcess", disguised, protection=protection)
        assert outcome.status == "done", outcome


@case
def a_protected_program_that_was_replaced_is_protected_still() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sshd")
        shutil.copy(os.path.realpath("/bin/sleep"), path)
        pid = started(str(path), "1000")
        path.unlink()
        shutil.copy(os.path.realpath("/bin/sleep"), path)
        outcome = act("agentKillProcess", pid, protection=Protection((str(path),), (), frozenset(), frozenset()))
        assert (outcome.status, outcome.rule) == ("refused", "protected:executable"), outcome
        os.kill(pid, signal.SIGKILL)


@case
def one_that_becomes_protected_after_it_was_resolved_is_spared() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sshd")
        shutil.copy(os.path.realpath("/bin/sleep"), path)
        protection = Protection((str(path),), (), frozenset(), frozenset())
        for action in ("agentKillProcess", "agentKillProcessGroup", "agentKillProcessTree", "agentReniceProcess"):
            pid = program(
                f"signal.signal(signal.SIGUSR1, lambda *_: os.execv({str(path)!r}, [{str(path)!r}, '1000']))\n"
                "ready(); forever()"
            )
            (outcome,) = spyderresp.execute(
                trees.ENGINES[action].evaluate(event_of(pid)),
                Between(trees.HOST, lambda: becomes(pid, str(path))),  # noqa: B023 - called in this very turn
                guard(protection=protection),
            )
            assert alive(pid), outcome
            assert outcome.status in ("refused", "incomplete"), outcome
            os.kill(pid, signal.SIGKILL)


def becomes(pid: int, path: str) -> None:
    os.kill(pid, signal.SIGUSR1)
    until(lambda: PROC.exe(pid) == path)


class Between:
    """Does something after the target was resolved."""

    def __init__(self, host: LocalHost, meanwhile: Callable[[], object]) -> None:
        self.name, self.actions = host.name, host.actions
        self._host, self._meanwhile = host, meanwhile

    def resolve(self, step: Any, protection: Protection) -> Any:
        held = self._host.resolve(step, protection)
        self._meanwhile()
        return held

    def close(self) -> None: ...


@case
def a_leader_that_has_ended_leaves_its_group_to_be_killed() -> None:
    pid = program("child(); child(); ready(); forever()")
    members = below(pid) - {pid}
    plan = trees.ENGINES["agentKillProcessGroup"].evaluate(event_of(pid))
    os.kill(pid, signal.SIGKILL)
    # Ended, and not waited for: it has its number still, and that of its group.
    until(lambda: ended(pid))
    (outcome,) = spyderresp.execute(plan, trees.HOST, guard())
    assert outcome.status == "done", outcome
    assert not any(map(alive, members))


@case
def a_leader_that_is_gone_is_no_reason_to_say_that_its_group_is() -> None:
    pid = program("child(); child(); ready(); forever()")
    members = below(pid) - {pid}
    plan = trees.ENGINES["agentKillProcessGroup"].evaluate(event_of(pid))
    os.kill(pid, signal.SIGKILL)
    trees._CHILDREN[-1].wait()
    (outcome,) = spyderresp.execute(plan, trees.HOST, guard())
    # Nobody can say any more that they are of the event's process: named, not killed.
    assert all(map(alive, members)), outcome
    assert outcome.status == "incomplete", outcome
    assert {item["pid"] for item in outcome.details["survivors"]} == members
    for item in members:
        os.kill(item, signal.SIGKILL)


@case
def a_group_whose_target_ends_before_the_act_is_killed() -> None:
    pid = program("child(); child(); ready(); forever()")
    members = below(pid) - {pid}
    (outcome,) = spyderresp.execute(
        trees.ENGINES["agentKillProcessGroup"].evaluate(event_of(pid)),
        Between(trees.HOST, lambda: (os.kill(pid, signal.SIGKILL), trees._CHILDREN[-1].wait())),
        guard(),
    )
    assert not any(map(alive, members)) or outcome.status == "incomplete", outcome
    assert outcome.status in ("done", "incomplete"), outcome


@case
def one_that_forks_and_ends_at_any_pace_is_never_hidden_behind_done() -> None:
    for pace in ("0.0003", "0", "0.003", "0.0003", "0", "0.0001"):
        before = set(living())
        pid = program(
            f"child(lambda: [(os.fork() and os._exit(0)) or time.sleep({pace}) for _ in range(10**6)])\n"
            "ready(); forever()"
        )
        outcome = act("agentKillProcessTree", pid)
        left = set(living()) - before
        while now := set(living()) - before:
            for item in now:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(item, signal.SIGKILL)
        assert not (left and outcome.status == "done"), (pace, left, outcome)
        trees._CHILDREN[-1].wait()


@case
def one_that_waits_for_its_vforked_child_is_no_survivor() -> None:
    # CLONE_VFORK alone: the parent sleeps uninterruptibly until the child ends, which is stopped first.
    pid = program(
        "libc = ctypes.CDLL(None)\nready()\n"
        "if libc.syscall(56, 0x4000 | signal.SIGCHLD, 0, 0, 0, 0) == 0: forever()\nforever()"
    )
    until(lambda: getattr(PROC.stat(pid), "state", "") == "D")
    tree = below(pid)
    assert len(tree) == 2
    outcome = act("agentKillProcessTree", pid)
    assert not any(map(alive, tree)), outcome
    assert outcome.status == "done", outcome


@case
def a_traced_one_whose_tracer_lets_it_run() -> None:
    pid = program("child(lambda: [time.sleep(0.001) for _ in range(10**6)]); ready(); forever()")
    tree = below(pid)
    tracer = program(
        "libc = ctypes.CDLL(None)\n"
        + "".join(f"libc.ptrace(0x4206, {item}, None, None)\n" for item in tree)
        + "ready()\nwhile True:\n"
        "    try: got, status = os.waitpid(-1, 0x40000000)\n"
        "    except ChildProcessError: time.sleep(1); continue\n"
        "    if os.WIFSTOPPED(status): libc.ptrace(7, got, None, None)\n"
    )
    outcome = act("agentKillProcessTree", pid)
    assert not any(map(alive, tree)), outcome
    assert alive(tracer)
    assert outcome.status in ("done", "incomplete"), outcome


@case
def names_are_escaped_where_people_read_them() -> None:
    pid = program(f"ctypes.CDLL(None).prctl({trees._PR_SET_NAME}, b'a\\n\\x1b[2J`b', 0, 0, 0); ready(); forever()")
    outcome = act("agentKillProcess", pid)
    assert outcome.status == "done", outcome
    assert outcome.reason.isprintable(), outcome.reason


def weak(pid: int, **more: Any) -> dict[str, Any]:
    """Return an event that tells its process by epoch start time and executable."""
    event = event_of(pid)
    look, booted = PROC.stat(pid), PROC.boot_time()
    assert look is not None
    assert booted is not None
    event["process"] = {
        "pid": pid,
        "exe": PROC.exe(pid),
        "start_time": booted + look.start_ticks / os.sysconf("SC_CLK_TCK"),
        **more,
    }
    return event


@case
def in_a_namespace_of_pids_alone_a_start_time_and_the_exe_suffice() -> None:
    pid = program("ready(); forever()")
    (outcome,) = spyderresp.execute(trees.ENGINES["agentKillProcess"].evaluate(weak(pid)), trees.HOST, guard())
    assert outcome.status == "done", outcome


@case
def in_a_container_with_pids_of_its_own_only_exact_identity_counts() -> None:
    command = ["unshare", "--uts", sys.executable, "-c", "from trials import corners; corners.contained()"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr


def contained() -> None:
    pid = program("ready(); forever()")
    engine = engine_for("agentKillProcess")
    absent = event_of(pid)
    absent["process"]["pid"] = 31_999
    for event in (weak(pid), weak(pid, ppid=os.getpid()), absent):
        (outcome,) = spyderresp.execute(engine.evaluate(event), trees.HOST, guard())
        assert (outcome.status, outcome.rule) == ("refused", "pid-namespace"), outcome
    # The host says that events speak of these very pids.
    own = LocalHost("rig-host", pids="own")
    (outcome,) = spyderresp.execute(engine.evaluate(absent), own, guard())
    assert outcome.status == "already", outcome
    (outcome,) = spyderresp.execute(engine.evaluate(weak(pid)), own, guard())
    assert outcome.status == "done", outcome
    pid = program("ready(); forever()")
    (outcome,) = spyderresp.execute(engine.evaluate(event_of(pid)), trees.HOST, guard())
    assert outcome.status == "done", outcome


@case
def a_proc_of_another_pid_namespace_is_refused() -> None:
    pid = program("ready(); forever()")
    command = [
        "unshare",
        "--pid",
        "--fork",
        sys.executable,
        "-c",
        f"from trials import corners; corners.elsewhere({pid})",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert alive(pid)


def elsewhere(pid: int) -> None:
    """Here /proc is that of the namespace above; our own calls count otherwise."""
    children = [os.fork() for _ in range(3)]
    if 0 in children:
        time.sleep(1000)
    for number in (pid, *children, 2, 3):
        event = {**event_of(pid)}
        event["process"] = {**event["process"], "pid": number}
        for action in trees.ENGINES:
            (outcome,) = spyderresp.execute(trees.ENGINES[action].evaluate(event), trees.HOST, guard())
            assert outcome.status == "refused", outcome
            assert outcome.rule in ("pid-namespace", "never:init"), outcome
    for child in children:
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        os.kill(child, signal.SIGKILL)


@case
def a_proc_that_hides_others_is_refused() -> None:
    pid = program("ready(); forever()")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        subprocess.run(["mount", "-t", "proc", "-o", "hidepid=2", "proc", folder], check=True)
        try:
            hidden = LocalHost("rig-host", proc=folder)
            as_nobody(pid, hidden, ("refused",))
        finally:
            subprocess.run(["umount", folder], check=True)
    assert alive(pid)


def as_nobody(pid: int, host: LocalHost, expected: tuple[str, ...]) -> None:
    """Try everything on a process as a user who may do nothing."""
    plans = [engine.evaluate(event_of(pid)) for engine in trees.ENGINES.values()]
    # The interpreter's own files may be out of that user's reach: what is needed is loaded before.
    act("agentKillProcess", 1)
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        answers = [outcome for plan in plans for outcome in spyderresp.execute(plan, host, guard())]
        os._exit(0 if {answer.status for answer in answers} <= set(expected) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@case
def who_may_not_signal_says_so() -> None:
    pid = program("ready(); forever()")
    as_nobody(pid, LocalHost("rig-host"), ("refused", "failed"))
    assert alive(pid)
    look = PROC.stat(pid)
    assert look is not None
    assert look.state not in "Tt"


def add_parser(verbs: Any) -> None:
    parser = verbs.add_parser("corners", help="corners in which the wrong one could be killed")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))


def run(args: Any) -> int:
    return trees.report("trials.corners", (args.cases or list(CASES)) * args.times)


if __name__ == "__main__":
    print(trees.inside(sys.argv[1:], CASES))
