"""Configurations: everything that they can say, and every fault with its place, compared with the text in a file."""

from __future__ import annotations

import os
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import pytest

from spyderresp.cli.terminal import Paint, diagnostic_text
from spyderresp.guards import Limits, Protection, Silence
from spyderresp.policies.diagnostics import Source
from spyderresp.service.config.load import ConfigurationError, read_configuration, settings_of
from spyderresp.service.config.settings import GuardSettings, SenderLimits, Settings
from spyderresp.service.config.source_settings import (
    Address,
    BrokerTls,
    FileSource,
    HttpSource,
    KafkaSource,
    NatsSource,
    Secret,
    StdinSource,
    TcpSource,
    Tls,
    UnixSource,
)

CONFIGS = Path(__file__).parent / "configs"
WRONG = sorted(path.name for path in CONFIGS.iterdir() if path.suffix != ".txt" and path.stem != "everything")


@pytest.fixture
def here(monkeypatch):
    monkeypatch.chdir(CONFIGS)


def test_everything_that_can_be_said(here):
    settings = read_configuration("everything.yaml")
    assert [(said.name, said.settings) for said in settings.executors] == [
        ("dry-run", {}),
        ("jsonlines", {"path": "/var/log/flags.jsonl", "fsync": True}),
    ]
    assert replace(settings, executors=()) == Settings(
        policies=("policies/", "more.yaml"),
        strict=True,
        defaults="unless-overridden",
        not_in="documented",
        mode="audit",
        form="falco",
        events=(
            StdinSource(),
            FileSource("one.jsonl"),
            FileSource("two.jsonl", True, "end"),
            UnixSource("/run/events.sock", frozenset({0, 1000}), 0o660),
            TcpSource(Address("localhost", 7000)),
            HttpSource(Address("::1", 8080), Secret("token")),
            HttpSource(Address("0.0.0.0", 8443), None, Tls("chain.pem", "key.pem", "authorities.pem")),
            HttpSource(Address("10.0.0.1", 80), Secret(env="TOKEN"), plain=True),
            KafkaSource(("localhost:9092",), ("deviations",)),
            KafkaSource(
                ("broker-1.example.net:9092", "broker-2.example.net:9093", "[::1]:9094"),
                ("a.b", "c-d_e"),
                "response",
                "dead",
                "end",
                10.0,
                "spyderresp",
                Secret(env="KAFKA_PASSWORD"),
                "PLAIN",
                tls=BrokerTls("ca.pem", "chain.pem", "key.pem"),
            ),
            KafkaSource(("10.0.0.2:9092",), ("a",), plain=True),
            KafkaSource(("10.0.0.2:9092",), ("a",), tls=BrokerTls()),
            NatsSource(
                ("nats-1.example.net:4222",),
                "deviations",
                "deviations.*.prod.>",
                "response",
                "dead.response",
                "end",
                60.0,
                token=Secret(env="NATS_TOKEN"),
                tls=BrokerTls(),
            ),
            NatsSource(("localhost:4222", "localhost:4223"), "deviations", credentials="nats.creds"),
        ),
        guard=GuardSettings(
            300.0,
            None,
            3600.0,
            Limits(1, 2, 3, 30.0, 0, 0.0),
            Protection().including(
                executables=("/opt/db",),
                cgroups=("/a.slice",),
                users=frozenset({"postgres", 33}),
                namespaces=frozenset({"payments"}),
                unknown_namespaces=False,
            ),
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
        monitor=Address("127.0.0.1", 9090),
        limits=SenderLimits(100, 1 << 20, 65536, 4096, 7, 1.5),
        drain=120.0,
    )


def test_relative_paths_start_at_the_file(tmp_path):
    (tmp_path / "run.yaml").write_text("policies: p\njournal: /j\nevents: [{http: 1, token: {file: t}}, e.jsonl]\n")
    settings = read_configuration(str(tmp_path / "run.yaml"))
    assert settings.policies == (str(tmp_path / "p"),)
    assert settings.journal == "/j"
    assert settings.events == (
        HttpSource(Address("127.0.0.1", 1), Secret(str(tmp_path / "t"))),
        FileSource(str(tmp_path / "e.jsonl")),
    )


@pytest.mark.parametrize("name", WRONG)
def test_every_fault_in_one_pass(here, name):
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(name)
    text = "\n".join(diagnostic_text(item, Paint(enabled=False)) for item in caught.value.diagnostics) + "\n"
    expected = CONFIGS / f"{Path(name).stem}.txt"
    if os.environ.get("SPYDERRESP_UPDATE_EXPECTED"):
        expected.write_text(text)
    assert text == expected.read_text()
    assert "secret-in-plain-sight" not in "\n".join(item.message for item in caught.value.diagnostics)


def test_a_file_that_is_not_there():
    with pytest.raises(ConfigurationError, match=r"gone.yaml: error\[SR001\]: no such file or directory"):
        read_configuration("gone.yaml")


def executor(folder: Path, text: str) -> dict[str, object]:
    (folder / "run.yaml").write_text(f"executors:\n- {text}\n")
    (settings,) = read_configuration(str(folder / "run.yaml")).executors
    return dict(settings.settings)


@pytest.mark.parametrize("setting", ["local-host: {machine: m, exe_is_enough: %s}", "webhook: {url: u, plaintext: %s}"])
@pytest.mark.parametrize(
    ("word", "value"),
    [
        *((word, False) for word in ("no", "off", "False", "NO", '"false"', "false", "'no'")),
        *((word, True) for word in ("yes", "on", "True", "YES", '"true"', "true")),
    ],
)
def test_booleans_of_executors(tmp_path, setting, word, value):
    settings = executor(tmp_path, setting % word)
    assert value is settings[next(key for key in ("exe_is_enough", "plaintext") if key in settings)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("webhook: {url: 1, timeout: 5s, queue: 010}", {"url": "1", "timeout": 5.0, "queue": 10}),
        ("webhook: {url: no, headers: {a: 1, b: off}}", {"url": "no", "headers": {"a": "1", "b": "off"}}),
        ("webhook: {url: u, headers: {a: {env: A}}}", {"url": "u", "headers": {"a": Secret(env="A")}}),
        ("webhook: {url: u, certificate: [c, /k]}", {"url": "u", "certificate": ("{}/c", "/k")}),
        ("webhook: {url: u, ca: c}", {"url": "u", "ca": "{}/c"}),
        ("webhook: {url: u, secret: {file: s}}", {"url": "u", "secret": Secret(file="{}/s")}),
        ("webhook: {url: u, secret: {env: S}}", {"url": "u", "secret": Secret(env="S")}),
        ("spyderbat-api: {org: 1, token: {env: T}}", {"org": "1", "token": Secret(env="T")}),
        ("local-host: {machine: 7, wait: 1m30s}", {"machine": "7", "wait": 90.0}),
        ("local-host: {machine: [a, 7], pids: own}", {"machine": ["a", "7"], "pids": "own"}),
        ("jsonlines: {path: flags, actions: makeRedFlag}", {"path": "{}/flags", "actions": ["makeRedFlag"]}),
        ("jsonlines: {path: /dev/stdout, envelope: null}", {"path": "/dev/stdout", "envelope": None}),
        ("dry-run: {actions: [makeRedFlag]}", {"actions": frozenset({"makeRedFlag"})}),
        ("syslog: {limit: 1_000, address: 2026-12-01}", {"limit": 1000, "address": "2026-12-01"}),
    ],
)
def test_settings_of_executors_have_the_types_of_their_parameters(tmp_path, text, expected):
    def placed(value):
        if isinstance(value, Secret):
            return Secret(placed(value.file), value.env)
        if isinstance(value, tuple):
            return tuple(map(placed, value))
        return value.replace("{}", str(tmp_path)) if isinstance(value, str) else value

    assert executor(tmp_path, text) == {key: placed(value) for key, value in expected.items()}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("local-host: {machine: m, exe_is_enough: maybe}", "2:43: error[SR114]: `exe_is_enough` must be true or false"),
        ("webhook: {url: u, timeout: 5x}", "2:30: error[SR603]: `timeout` must be seconds"),
        ("webhook: {url: u, queue: 1.5}", "2:28: error[SR603]: `queue` must be an integer"),
        ("webhook: {url: [u]}", "2:18: error[SR113]: `url` must be a text, not a list"),
        (
            "webhook: {url: u, certificate: [c]}",
            "2:34: error[SR112]: `certificate` must be a list of 2 values",
        ),
        ("webhook: {url: u, headers: {a: [1]}}", "2:34: error[SR113]: `a` must be a text, not a list"),
        ("local-host: {machine: m, pids: owm}", "2:34: error[SR605]: unknown value `owm` of `pids`"),
        ("spyderbat-api: {org: o, token: abc}", "2:34: error[SR611]: `token` is a secret"),
        ("local-host: {machine: m, exe_is_enough: {env: X}}", "2:43: error[SR114]: `exe_is_enough` must be true or"),
        ("webhook: {url: u, timeout: {file: t}}", "2:30: error[SR113]: `timeout` must be a text, not a mapping"),
        ("webhook: {url: u, now: 5}", "2:21: error[SR601]: unknown key `now` in the settings of `webhook`"),
    ],
)
def test_faults_of_executors_have_a_place(tmp_path, text, fault):
    with pytest.raises(ConfigurationError) as caught:
        executor(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/run.yaml:{fault}")


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("drain: 1m30s", "drain", 90.0),
        ("drain: 1_0", "drain", 10.0),
        ("drain: 1e1", "drain", 10.0),
        ("limits: {bytes: 10MB}", "limits.bytes", 10_000_000),
        ("limits: {bytes: 1 MiB}", "limits.bytes", 1 << 20),
        ("limits: {events: 010}", "limits.events", 10),
        ("limits: {events: 1_000}", "limits.events", 1000),
        ("watch: 'NO'", "watch", False),
        ("watch: Off", "watch", False),
        ("policies: no", "policies", ("no",)),
        ("policies: [010, 2026-12-01]", "policies", ("010", "2026-12-01")),
    ],
)
def test_the_schema_decides_what_a_text_means(text, name, value):
    assert attrgetter(name)(settings_of(Source("run.yaml", text))) == value


def test_keys_of_another_kind_of_broker_change_nothing():
    text = "events: [{nats: localhost, stream: a, topics: b}]"
    with pytest.raises(ConfigurationError, match=r"^run.yaml:1:39: error\[SR601\]: unknown key `topics`[^\n]*$"):
        settings_of(Source("run.yaml", text))
