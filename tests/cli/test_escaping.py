"""No input reaches a terminal as anything but text."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from pathlib import Path

import pytest

from spyderresp.cli.terminal import safe

BIDI = {0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
DANGEROUS = [
    chr(code)
    for code in range(sys.maxunicode + 1)
    if code in BIDI or unicodedata.category(chr(code)) in ("Cc", "Cs", "Zl", "Zp")
]
EVIL = "a\x1b[31m\x00\x7f\x9b\u202e\u2066\u2028\u2029\ud800\r\nforged: error\t\U000e0041z"
SHOWN = (
    "a\\x1b[31m\\x00\\x7f\\x9b\\u202e\\u2066\\u2028\\u2029\\ud800\\r\\nforged: error\\t\\U000e0041z"
)  # fmt: skip


def test_every_dangerous_character_is_escaped():
    for char in DANGEROUS:
        assert safe(char).isascii(), hex(ord(char))
        assert safe(char).isprintable(), hex(ord(char))


def test_text_of_any_script_stays():
    for text in (
        "plain",
        "\u65e5\u672c\u8a9e",
        "e\u0301",
        "\u0645\u0631\u062d\u0628\u0627",
        "\u0928\u200d\u092e",
        "\U0001f600",
        "back\\slash",
    ):
        assert safe(text) == text


def test_how_it_looks():
    assert safe(EVIL) == SHOWN


def assert_harmless(text: str) -> None:
    assert not set(text.replace("\n", "")) & set(DANGEROUS)
    assert "\nforged" not in text


def policy(name: str) -> str:
    document = {
        "apiVersion": "spyderbat/v1",
        "kind": "SpyderbatPolicy",
        "metadata": {"name": name, "type": "cluster", "uid": name},
        "spec": {
            "mode": "audit",
            "clusterSelector": {"matchFields": {"name": [name, "*"]}},
            "response": {
                "default": [{"makeRedFlag": {"severity": "high", "impact": name, "content": f"x\n{name}"}}],
                "actions": [
                    {"agentKillPod": {"podSelector": {"matchLabels": {name: name}}}},
                    {"agentKillProcess": {"processSelector": {"matchFields": {"exe": name}}}},
                ],
            },
        },
    }
    return json.dumps(document)


@pytest.fixture
def evil() -> str:
    """Text that a policy may hold: all but the surrogate."""
    return EVIL.replace("\ud800", "")


@pytest.mark.parametrize("verb", ["plan", "explain"])
@pytest.mark.parametrize("attributed", [{}, {"policy_uid": EVIL}, {"policy_name": EVIL.replace("\ud800", "")}])
def test_plans_and_explanations(run, evil, verb, attributed):
    Path("evil.json").write_text(policy(evil))
    event = {
        "id": EVIL,
        "time": EVIL,
        "cluster": {"name": EVIL},
        "machine": {"hostname": EVIL},
        "namespace": {"name": EVIL},
        "pod": {"name": EVIL, "labels": {evil: EVIL}},
        "container": {"containerName": EVIL, "image": EVIL},
        "service": {"name": EVIL, "cgroup": EVIL},
        "process": {"name": EVIL, "exe": EVIL, "euser": EVIL, "pid": EVIL},
    }
    for line in (event | attributed, attributed):
        result = run(verb, "--policies", "evil.json", "--format", "text", stdin=json.dumps(line))
        assert result.code == 0, result.err
        assert_harmless(result.out + result.err)
        result = run(verb, "--policies", "evil.json", "--format", "json", stdin=json.dumps(line))
        assert result.out.isascii()
        assert result.out.replace("\n", "").isprintable()


@pytest.mark.parametrize("form", ["text", "github"])
def test_diagnostics(run, evil, form):
    document = json.loads(policy(evil))
    document["spec"][evil] = evil
    document["spec"]["response"]["actions"].append({evil: {}})
    document["metadata"]["type"] = evil
    Path("bad.json").write_text(json.dumps(document))
    Path("bad.yaml").write_text(f"kind: \u202e\u2066\n{evil}: [\n", "utf-8", newline="")
    result = run("check", "--format", form, "bad.json", "bad.yaml", "gone\x1b[2J\u202e\udce9\n")
    assert result.code == 2
    assert result.out.count("SR001") >= 1
    assert_harmless(result.out + result.err)


def test_json_diagnostics_are_ascii(run, evil):
    Path("bad.json").write_text(policy(evil).replace("audit", "\u202e"))
    result = run("check", "--format", "json", "bad.json", "gone\udce9\x1b")
    assert result.out.isascii()
    assert json.loads(result.out)["diagnostics"]


def test_bad_events_and_words_of_the_command_line(run):
    events = [
        json.dumps({"schema": EVIL}),
        json.dumps({"process": {EVIL: 1}, "pod": {"labels": EVIL}}),
        EVIL.split("\n")[0],
    ]
    data = "\n".join(events).encode("utf-8", "surrogatepass")
    assert_harmless(run("plan", "--policies", "policies", stdin=data).err)
    path = EVIL.replace("\x00", "").replace("\ud800", "\udce9")
    for arguments in (
        [EVIL],
        ["-" + EVIL],
        ["schema", EVIL],
        ["check", "--x" + EVIL],
        ["check", "--format", EVIL, "x"],
        ["plan", "--policies", "policies", path],
        ["explain", "--policies", "policies", "--policy", EVIL],
    ):
        result = run(*arguments)
        assert result.code == 3
        assert_harmless(result.err)


def test_a_path_that_is_no_text(program, place):
    name = b"caf\xe9\x1b[31m.yaml"
    Path(os.fsdecode(name)).write_text("nonsense: true\n")
    result = program("check", os.fsdecode(name))
    assert result.code == 2
    assert result.out.startswith("caf\\udce9\\x1b[31m.yaml:1:1: error[SR102]: ")
    assert_harmless(result.out)


def test_a_stream_that_takes_ascii_only(program):
    Path("policies/trial.yaml").write_text(
        Path("policies/trial.yaml").read_text().replace("quiet", "l\u00e4rm"), "utf-8"
    )
    result = program(
        "plan", "--policies", "policies", "--format", "text", "events.jsonl", env={"PYTHONIOENCODING": "ascii"}
    )
    assert (result.code, result.err) == (0, "")
    assert "l\\xe4rm" in result.out


def test_github_properties_and_data(run):
    Path("a:b,c%.yaml").write_text(Path("mixed.yaml").read_text("utf-8").replace("urgent", "'100%'"), "utf-8")
    result = run("check", "--format", "github", "a:b,c%.yaml")
    assert "::error file=a%3Ab%2Cc%25.yaml,line=8,col=" in result.out
    assert ",title=SR308::unknown severity `100%25`%0Ahelp: " in result.out
    assert all(line.startswith("::") for line in result.out.splitlines())
