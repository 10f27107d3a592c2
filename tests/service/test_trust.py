"""What a service that can kill believes: files that nobody but root and itself can change."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from service.conftest import POLICY, line

from spyderresp.service.trusted_files import privileged, untrusted_files, untrusted_reason

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away, and is held to this")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    # pytest's own directories are this user's alone; /tmp above them is sticky.
    folder = tmp_path / "policies"
    folder.mkdir(mode=0o755)
    path = folder / "policy.yaml"
    path.write_text(POLICY)
    path.chmod(0o644)
    return path


def test_what_nobody_else_can_change(file):
    assert untrusted_reason(str(file)) is None
    assert list(untrusted_files(str(file.parent))) == []


@pytest.mark.parametrize(("mode", "who"), [(0o664, "group"), (0o646, "everybody"), (0o602, "everybody")])
def test_a_file_that_others_may_write(file, mode, who):
    file.chmod(mode)
    for reason in (untrusted_reason(str(file)), *untrusted_files(str(file.parent))):
        assert reason is not None
        assert f"it may be written by {who}" in reason


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_a_directory_that_others_may_write(file, mode):
    file.parent.chmod(mode)
    assert f"{file.parent} may be written by" in str(untrusted_reason(str(file)))
    assert len(list(untrusted_files(str(file.parent)))) == 1
    # A sticky one keeps what is in it its owner's; but policies can be put there.
    file.parent.chmod(mode | 0o1000)
    assert untrusted_reason(str(file)) is None
    assert len(list(untrusted_files(str(file.parent)))) == 1


@ROOT_ONLY
def test_a_file_of_somebody_else(file):
    os.chown(file, 65534, 0)
    assert "it belongs to user 65534" in str(untrusted_reason(str(file)))
    os.chown(file, 0, 0)
    os.chown(file.parent, 65534, 0)
    assert f"{file.parent} belongs to user 65534" in str(untrusted_reason(str(file)))


def test_links_are_followed_and_looked_at_on_the_way(file, tmp_path):
    loose = tmp_path / "loose"
    loose.mkdir()
    loose.chmod(0o777)
    (tmp_path / "direct").symlink_to(file)
    assert untrusted_reason(str(tmp_path / "direct")) is None
    (loose / "link").symlink_to(file)
    (tmp_path / "detour").symlink_to("loose/link")
    assert f"{loose} may be written by everybody" in str(untrusted_reason(str(tmp_path / "detour")))
    (tmp_path / "up").symlink_to("loose/../policies/policy.yaml")
    assert f"{loose} may be written by everybody" in str(untrusted_reason(str(tmp_path / "up")))
    (tmp_path / "ring").symlink_to("ring")
    assert "too many links" in str(untrusted_reason(str(tmp_path / "ring")))


def test_what_cannot_be_looked_at_is_not_believed(tmp_path):
    assert "no such file" in str(untrusted_reason(str(tmp_path / "gone")))


@ROOT_ONLY
def test_what_is_mounted_read_only_is_believed():
    if not os.statvfs("/sys").f_flag & os.ST_RDONLY:
        pytest.skip("nothing here is mounted read-only")
    assert untrusted_reason("/sys") is None


def test_who_is_privileged():
    code = "import os; {}; from spyderresp.service.trusted_files import privileged; print(privileged())"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    if os.geteuid() == 0:
        done = subprocess.run(
            [sys.executable, "-c", code.format("pass")], capture_output=True, text=True, check=True, env=environment
        )
        assert done.stdout == "True\n"
    assert privileged() == (os.geteuid() == 0)


LOCAL = ("--executor", "local-host", "--set", "local-host.machine=node-7")


@ROOT_ONLY
def test_a_service_that_can_kill_refuses_what_others_can_change(start, tmp_path):
    (tmp_path / "events.jsonl").write_bytes(line(1))
    policy = tmp_path / "policy.yaml"
    arguments = ("--policies", "policy.yaml", "--events", "events.jsonl", "--check")
    assert start(*arguments, *LOCAL).end() == 0
    policy.chmod(0o666)
    # Without an executor that kills it may be read.
    assert start(*arguments).end() == 0
    program = start(*arguments, *LOCAL)
    assert program.end() == 3
    assert program.err[0] == "policy.yaml: error[SR613]: it may be written by everybody"
    policy.chmod(0o644)
    (tmp_path / "events.jsonl").chmod(0o666)
    assert start(*arguments, *LOCAL).end() == 3
    (tmp_path / "events.jsonl").chmod(0o644)
    (tmp_path / "run.yaml").write_text("watch: no\n")
    (tmp_path / "run.yaml").chmod(0o620)
    program = start(*arguments, *LOCAL, "--config", "run.yaml")
    assert program.end() == 3
    assert program.err[0].startswith("run.yaml: error[SR613]: it may be written by group")


@ROOT_ONLY
def test_a_service_that_can_kill_refuses_senders_whom_it_does_not_know(start, tmp_path):
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    token.chmod(0o600)
    arguments = ("--policies", "policy.yaml", "--check", *LOCAL)
    for kind in ("http", "tcp"):
        program = start(*arguments, "--events", f"{kind}:0")
        assert program.end() == 3
        assert "error[SR610]: senders need not authenticate" in program.err[0]
        assert start(*arguments, "--events", f"{kind}:0", "--token-file", "token").end() == 0
    token.chmod(0o644)
    program = start(*arguments, "--events", "http:0", "--token-file", "token")
    assert program.end() == 3
    assert "everybody can read it" in program.err[0]


@ROOT_ONLY
def test_a_reload_refuses_them_too(start, tmp_path, until):
    (tmp_path / "events.jsonl").write_bytes(b"")
    program = start("--policies", "policy.yaml", "--events", "events.jsonl", "--follow", *LOCAL)
    until(lambda: any("events from" in said for said in program.err))
    (tmp_path / "policy.yaml").chmod(0o666)
    until(lambda: any("may be written by everybody" in said for said in program.err))
    assert any("the previous policies stay in force" in said for said in program.err)
    program.process.terminate()
    assert program.end() == 0
