"""What stands under ``examples/`` is right: configurations read, manifests hold what they say, programs run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import spyderresp
from spyderresp.policies.diagnostics import Source
from spyderresp.service.config.load import settings_of

EXAMPLES = Path(__file__).parents[2] / "examples"
MANIFESTS = sorted(EXAMPLES.glob("kubernetes/*.yaml"))
CONFIGURATIONS = sorted(EXAMPLES.glob("*/run.yaml"))


def manifests() -> list[dict[str, Any]]:
    return [document for path in MANIFESTS for document in yaml.safe_load_all(path.read_text())]


def environment() -> dict[str, str]:
    root = str(Path(spyderresp.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.parent.name)
def test_a_configuration_reads(path: Path) -> None:
    settings = settings_of(Source(str(path), path.read_text()))
    assert settings.journal
    assert settings.executors


def test_the_configurations_in_manifests_read() -> None:
    held = [document for document in manifests() if document["kind"] == "ConfigMap"]
    assert len(held) == 2
    for document in held:
        settings = settings_of(Source(document["metadata"]["name"], document["data"]["run.yaml"]))
        assert settings.journal
        mounted = {
            mount["mountPath"]
            for other in manifests()
            if other["kind"] in ("Deployment", "DaemonSet")
            for container in other["spec"]["template"]["spec"]["containers"]
            for mount in container["volumeMounts"]
        }
        for path in (*settings.policies, settings.journal):
            assert any(str(path).startswith(place) for place in mounted), path


def test_every_pod_gives_up_what_it_does_not_need() -> None:
    for document in manifests():
        if document["kind"] not in ("Deployment", "DaemonSet"):
            continue
        pod = document["spec"]["template"]["spec"]
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["capabilities"]["drop"] == ["ALL"]
            assert security["readOnlyRootFilesystem"]
            assert not security["allowPrivilegeEscalation"]
            names = {volume["name"] for volume in pod["volumes"]}
            assert {mount["name"] for mount in container["volumeMounts"]} <= names
        # The one with the host's processes has no way to the API, and the other way round.
        assert pod.get("hostPID", False) != ("serviceAccountName" in pod)


def test_the_unit_is_one() -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    unit = EXAMPLES / "systemd/spyderresp.service"
    done = subprocess.run([program, "verify", str(unit)], capture_output=True, text=True, timeout=240, check=False)
    # That the program is not installed here is all that may be wrong.
    complaints = [line for line in done.stderr.splitlines() if "spyderresp.service" in line]
    assert all("not executable" in line or "No such file" in line for line in complaints), done.stderr


def test_the_embedding_service_runs(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "embed.py"), str(EXAMPLES / "policies"), "node-7"]
    events = (EXAMPLES / "events.jsonl").read_text() + "not json\n"
    for turn in ("done", "duplicate"):
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(),
            input=events,
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        )
        flags = [line for line in done.stdout.splitlines() if " make" in line]
        assert flags
        assert all(line.split()[1] in (turn, "audit") for line in flags), done.stdout
        assert " done agent" not in done.stdout
        assert "not decided: not valid JSON" in done.stderr or "not decided: Expecting value" in done.stderr
    written = [json.loads(line) for line in (tmp_path / "flags.jsonl").read_text().splitlines()]
    assert len({flag["id"] for flag in written}) == len(written) > 0


def test_the_walk_through_from_falco_shows_what_it_says() -> None:
    alert = json.loads((EXAMPLES / "falco/alert.json").read_text())
    event = spyderresp.adapt(alert)
    assert event["process"]["start_time"] == pytest.approx(1795482122.9)
    engine = spyderresp.Engine(spyderresp.load(EXAMPLES / "falco/policy.yaml"))
    assert [action.name for action in engine.evaluate(event)] == ["makeRedFlag", "agentKillProcessTree"]
    text = (EXAMPLES / "falco/README.md").read_text()
    (fence,) = text.split("```yaml\n")[1:]
    settings = yaml.safe_load(fence.split("```")[0])
    asked = set(settings["append_output"][0]["extra_fields"])
    assert {"proc.pid", "proc.pid.ts", "proc.exepath"} <= asked
