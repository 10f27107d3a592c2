"""A private PID namespace: whatever is killed in it, nothing outside can be."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import spyderresp

_UNSHARE = ("unshare", "--pid", "--fork", "--mount", "--mount-proc", "--kill-child")


@functools.lru_cache(maxsize=1)
def why_not() -> str:
    """Return why no namespace can be made here, or an empty text."""
    try:
        done = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, timeout=240, check=False)
    except OSError as error:
        return f"unshare cannot be run: {error}"
    return "" if done.returncode == 0 else f"no private PID namespace can be made here: {done.stderr.strip()}"


def run(module: str, arguments: Sequence[str] = (), *, timeout: float = 1200) -> subprocess.CompletedProcess[str]:
    """Run a module of the rig as the second process of a namespace of its own; its first one only reaps."""
    root = str(Path(spyderresp.__file__).parents[1])
    tests = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, tests, os.environ.get("PYTHONPATH")]))
    command = [*_UNSHARE, sys.executable, "-m", "trials.reaper", sys.executable, "-m", module, *arguments]
    return subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=timeout, check=False
    )


def hand_over(pid: int) -> None:
    """Make the next process of this namespace have a number that is free."""
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))


@contextlib.contextmanager
def cgroup(name: str) -> Iterator[Path | None]:
    """A version 2 cgroup of its own, or None where there can be none."""
    mount = Path("/sys/fs/cgroup")
    if not (mount / "cgroup.controllers").exists():
        mount = Path("/sys/fs/cgroup/unified")
    if not (mount / "cgroup.controllers").exists():
        mount = Path("/tmp/spyderresp-cgroup2")
        mount.mkdir(exist_ok=True)
        if not (mount / "cgroup.controllers").exists():
            done = subprocess.run(["mount", "-t", "cgroup2", "none", str(mount)], capture_output=True, check=False)
            if done.returncode:
                yield None
                return
    folder = mount / f"spyderresp-{name}-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError:
        yield None
        return
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            (folder / "cgroup.kill").write_text("1")
        for _ in range(100):
            try:
                folder.rmdir()
                break
            except OSError:
                time.sleep(0.02)
