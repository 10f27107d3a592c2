"""Configurations: everything that they can say, and every fault with its place, compared with the text in a file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from spyderresp.cli.terminal import Paint, diagnostic_text
from spyderresp.guards import Limits, Protection, Silence
from spyderresp.service.config.executor_settings import Installed
from spyderresp.service.config.load import ConfigurationError, read_configuration
from spyderresp.service.config.settings import (
    BrokerSource,
    BrokerTls,
    FileSource,
    GuardSettings,
    Login,
    Monitor,
    NetworkSource,
    Secret,
    Settings,
    StdinSource,
    Tls,
    UnixSource,
)

CONFIGS = Path(__file__).parent / "configs"
WRONG = sorted(path.name for path in CONFIGS.iterdir() if path.suffix != ".txt" and path.stem != "everything")


@pytest.fixture
def here(monkeypatch):
    monkeypatch.chdir(CONFIGS)


def test_everything_that_can_be_said(here):
    settings = read_configuration("everything.yaml", Installed())
    assert [(said.name, said.settings) for said in settings.executors] == [
        ("dry-run", {}),
        ("jsonlines", {"path": "/var/log/flags.jsonl", "fsync": "true"}),
    ]
    assert replace(settings, executors=()) == Settings(
        policies=("policies/", "more.yaml"),
        strict=True,
        defaults="unless-overridden",
        not_in="documented",
        mode="audit",
        form="falco",
        sources=(
            StdinSource(),
            FileSource("one.jsonl"),
            FileSource("two.jsonl", True, "end"),
            UnixSource("/run/events.sock", frozenset({0, 1000}), 0o660),
            NetworkSource("tcp", "localhost", 7000),
            NetworkSource("http", "::1", 8080, Secret("token")),
            NetworkSource("http", "0.0.0.0", 8443, None, Tls("chain.pem", "key.pem", "authorities.pem")),
            NetworkSource("http", "10.0.0.1", 80, Secret(env="TOKEN"), plain=True),
            BrokerSource("kafka", ("localhost:9092",), ("deviations",), "deviations.dead-letters"),
            BrokerSource(
                "kafka",
                ("broker-1.example.net:9092", "broker-2.example.net:9093", "[::1]:9094"),
                ("a.b", "c-d_e"),
                "dead",
                "response",
                "end",
                10.0,
                login=Login("spyderresp", Secret(env="KAFKA_PASSWORD"), "PLAIN"),
                tls=BrokerTls("ca.pem", "chain.pem", "key.pem"),
            ),
            BrokerSource("kafka", ("10.0.0.2:9092",), ("a",), "a.dead-letters", plain=True),
            BrokerSource("kafka", ("10.0.0.2:9092",), ("a",), "a.dead-letters", tls=BrokerTls()),
            BrokerSource(
                "nats",
                ("nats-1.example.net:4222",),
                ("deviations",),
                "dead.response",
                "response",
                "end",
                60.0,
                "deviations.*.prod.>",
                Login(token=Secret(env="NATS_TOKEN")),
                BrokerTls(),
            ),
            BrokerSource(
                "nats",
                ("localhost:4222", "localhost:4223"),
                ("deviations",),
                "dead-letters.deviations",
                patience=30.0,
                login=Login(credentials="nats.creds"),
            ),
        ),
        guard=GuardSettings(
            Protection().including(
                executables=("/opt/db",),
                cgroups=("/a.slice",),
                users=frozenset({"postgres", 33}),
                namespaces=frozenset({"payments"}),
            ),
            Limits(1, 2, 3, 30.0, 0, 0.0),
            300.0,
            None,
            3600.0,
            (
                Silence(
                    {"policy": ("a", "b"), "namespace.name": ("dev-*",)},
                    1796083200.0,
                    "load test",
                    frozenset({"makeOpsFlag"}),
                ),
            ),
        ),
        journal="/var/lib/j.sqlite",
        positions="p.json",
        watch=False,
        monitor=Monitor("127.0.0.1", 9090),
        max_events=100,
        max_bytes=1 << 20,
        max_body=65536,
        max_line=4096,
        max_connections=7,
        patience=1.5,
        drain=120.0,
        path="everything.yaml",
    )


def test_relative_paths_start_at_the_file(tmp_path):
    (tmp_path / "run.yaml").write_text("policies: p\njournal: /j\nevents: [{http: 1, token: {file: t}}, e.jsonl]\n")
    settings = read_configuration(str(tmp_path / "run.yaml"), Installed())
    assert settings.policies == (str(tmp_path / "p"),)
    assert settings.journal == "/j"
    assert settings.sources == (
        NetworkSource("http", "127.0.0.1", 1, Secret(str(tmp_path / "t"))),
        FileSource(str(tmp_path / "e.jsonl")),
    )


@pytest.mark.parametrize("name", WRONG)
def test_every_fault_in_one_pass(here, name):
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(name, Installed())
    text = "\n".join(diagnostic_text(item, Paint(enabled=False)) for item in caught.value.diagnostics) + "\n"
    expected = CONFIGS / f"{Path(name).stem}.txt"
    if os.environ.get("SPYDERRESP_UPDATE_EXPECTED"):
        expected.write_text(text)
    assert text == expected.read_text()
    assert "secret-in-plain-sight" not in "\n".join(item.message for item in caught.value.diagnostics)


def test_a_file_that_is_not_there():
    with pytest.raises(ConfigurationError, match=r"gone.yaml: error\[SR001\]: no such file or directory"):
        read_configuration("gone.yaml", Installed())
