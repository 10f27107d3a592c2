"""Finding files, and files that are not what they seem."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import spyderresp


def policy(name: str, **more: str) -> str:
    extra = "".join(f", {key}: {value}" for key, value in more.items())
    return (
        f"apiVersion: spyderbat/v1\nkind: SpyderbatPolicy\nmetadata: {{name: {name}, type: cluster{extra}}}\n"
        "spec: {mode: audit, clusterSelector: {name: a}}\n"
    )


def names(*paths: Path) -> list[str]:
    return [item.name for item in spyderresp.load(*paths)]


def codes(*paths: object) -> list[str]:
    with pytest.raises(spyderresp.PolicyError) as caught:
        spyderresp.load(*paths)  # type: ignore[arg-type]
    return [item.code for item in caught.value.diagnostics]


def test_a_directory_is_read_by_path_parts(tmp_path: Path) -> None:
    for path in ("b.yaml", "a/z.yml", "a.yaml", "a/b/c.json", "a-b/x.yaml", "B.yaml"):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(policy(path.replace("/", "_")))
    wanted = ["B.yaml", "a_b_c.json", "a_z.yml", "a-b_x.yaml", "a.yaml", "b.yaml"]
    assert names(tmp_path) == wanted
    assert names(tmp_path / "b.yaml", tmp_path / "a") == ["b.yaml", "a_b_c.json", "a_z.yml"]


def test_what_a_directory_leaves_out(tmp_path: Path) -> None:
    real = tmp_path / "..data"
    real.mkdir()
    (real / "p.yaml").write_text(policy("mounted"))
    (tmp_path / "p.yaml").symlink_to(real / "p.yaml")
    (tmp_path / "linked").symlink_to(real)
    (tmp_path / ".hidden.yaml").write_text("[")
    (tmp_path / "notes.txt").write_text("[")
    (tmp_path / "e.yaml.bak").write_text("[")
    assert names(tmp_path) == ["mounted"]


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(policy("a"))
    (tmp_path / "b.yaml").symlink_to(tmp_path / "gone.yaml")
    assert codes(tmp_path) == ["SR002"]


def test_pipes_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.yaml")
    assert codes(tmp_path / "p.yaml") == ["SR002"]
    assert codes(tmp_path) == ["SR003"]
    assert codes("/dev/null") == ["SR002"]


def test_odd_paths() -> None:
    assert codes("a\0b.yaml") == ["SR001"]
    assert codes("a\ud800.yaml") == ["SR001"]
    assert codes("") == ["SR001"]
    with pytest.raises(TypeError):
        spyderresp.load()
    with pytest.raises(TypeError):
        spyderresp.loads(b"x")  # type: ignore[arg-type]


def test_every_file_is_reported_in_one_pass(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(policy("a").replace("audit", "adit") + "---\n[")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfea\0")
    (tmp_path / "c.yaml").write_text(policy("a", uid="x") + "---\n" + policy("b", uid="x"))
    assert codes(tmp_path) == ["SR132", "SR007", "SR005", "SR124"]


@pytest.mark.parametrize("marks", ["\ufeff", "\ufeff\ufeff"], ids=["one", "two"])
def test_byte_order_marks_are_no_text(tmp_path: Path, marks: str) -> None:
    (tmp_path / "a.yaml").write_text(marks + policy("a"))
    assert names(tmp_path) == ["a"]
    policies = spyderresp.loads(marks + policy("a"))
    assert len(policies) == 1
    event = marks + '{"id": "e"}'
    assert spyderresp.Engine(policies).evaluate_json(event).event == "e"
    assert spyderresp.Engine(policies).evaluate_json(event.encode()).event == "e"


def test_a_faulty_list_is_not_called_empty() -> None:
    for text, code in (('{"items": [{}]}', "SR102"), ('{"apiVersion": "v1", "items": {}}', "SR112"), ("[]", "SR003")):
        with pytest.raises(spyderresp.PolicyError) as caught:
            spyderresp.loads(text)
        assert [item.code for item in caught.value.diagnostics] == [code]


def test_json_is_tried_first_and_then_yaml(tmp_path: Path) -> None:
    flow = "{apiVersion: spyderbat/v1, kind: SpyderbatPolicy, metadata: {name: a, type: cluster},"
    path = tmp_path / "a.json"
    path.write_text(flow + " spec: {mode: audit, clusterSelector: {name: a}}} # YAML\n")
    assert names(path) == ["a"]
    path.write_text('{"apiVersion": "spyderbat/v1",\n "kind": "x" "y"}')
    with pytest.raises(spyderresp.PolicyError, match=r"a\.json:2:14: error\[SR007\]: not valid JSON: expected `,`"):
        spyderresp.load(path)


# Each in a process of its own, with 6 GB of address space and a minute: enough for a clear error, not for harm.
HOSTILE = {
    "nested brackets": (lambda: b"[" * 100_000, "SR009"),
    "nested braces": (lambda: b'{"a":' * 100_000, "SR009"),
    "nested block lists": (lambda: b"- " * 100_000, "SR009"),
    "an alias bomb": (
        lambda: (
            b"a0: &a0 [x, x]\n"
            + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 30))
        ),
        "SR011",
    ),
    "300 MB": (lambda: b"a" * 300_000_000, "SR004"),
    "binary": (lambda: os.urandom(1_000_000), "SR005|SR006"),
    "NULs": (lambda: bytes(1_000_000), "SR006"),
    "UTF-16": (lambda: policy("a").encode("utf-16"), "SR005"),
    "UTF-16 without a mark": (lambda: policy("a").encode("utf-16-le"), "SR006"),
    "UTF-32": (lambda: policy("a").encode("utf-32"), "SR005"),
    "Latin-1": (lambda: policy("é").encode("latin-1"), "SR005"),
    "surrogates in UTF-8": (lambda: policy("\ud800").encode("utf-8", "surrogatepass"), "SR005"),
    "surrogates in JSON": (lambda: b'{"kind": "\\ud800"}', "SR018"),
    "surrogates in YAML": (lambda: b'kind: "\\ud800"', "SR007"),
    "half a file": (lambda: policy("a").encode()[:-20], "SR007"),
    "one long line": (lambda: b"a: [" + b"x, " * 4_000_000 + b"]", "SR102|SR103"),
    "too many values": (lambda: b"[" + b"1," * 25_000_000 + b"1]", "SR010"),
    "many keys": (lambda: b"".join(b"k%d: x\n" % n for n in range(500_000)), "SR102|SR103"),
    "many anchors": (lambda: b"".join(b"- &a%d x\n" % n for n in range(500_000)), "SR101"),
    "a long number": (lambda: policy("a").encode().replace(b"audit", b"9" * 5_000_000), "SR132"),
    "a long tag": (lambda: b"!<" + b"x" * 1_000_000 + b"> a", "SR015|SR007"),
}


# Hundreds of megabytes, or seconds.
SLOW = {"300 MB", "one long line", "too many values", "many keys", "many anchors"}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] if kind in SLOW else []) for kind in HOSTILE]
)
def test_hostile_files_end_in_an_error_that_names_them(kind: str, tmp_path: Path) -> None:
    make, wanted = HOSTILE[kind]
    path = tmp_path / "policy.yaml"
    path.write_bytes(make())
    done = subprocess.run(
        # In units of 1,024 bytes: 6 GB.
        ["sh", "-c", 'ulimit -v 6291456 && exec "$@"', "sh", sys.executable, "-m", "spyderresp", "check", str(path)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 2, (done.stdout[-500:], done.stderr[-500:])
    assert "Traceback" not in done.stderr
    first = done.stdout.splitlines()[0]
    assert str(path) in first
    assert any(code in done.stdout for code in wanted.split("|")), first
    assert len(done.stdout) < 5_000_000
