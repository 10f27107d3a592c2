"""docs/RUN.md names every key, signal and figure, and its configuration is one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spyderresp.service.config.load import read_configuration
from spyderresp.service.config.settings import (
    GuardLimits,
    GuardSettings,
    Protect,
    SenderLimits,
    Settings,
    SilenceKeys,
)
from spyderresp.service.config.source_settings import SOURCES, Address, FileSource, HttpSource
from spyderresp.service.config.values import keys_of
from spyderresp.service.intake import Intake
from spyderresp.service.metrics import Counts, StateReader
from spyderresp.service.prometheus import exposition

PAGE = (Path(__file__).parents[2] / "docs" / "RUN.md").read_text("utf-8")


@pytest.mark.parametrize(
    "key",
    [
        *keys_of(Settings),
        *(f".{key}" for key in keys_of(SenderLimits)),
        *(key for model in (*SOURCES.values(), GuardSettings) for key in keys_of(model)),
        *(key for model in (GuardLimits, Protect, SilenceKeys) for key in keys_of(model)),
    ],
)
def test_every_key_is_documented(key):
    wanted = {f"`{key}`", f"`limits{key}`", f"`- {key}:", f"`guard.{key}`"}
    assert any(word in PAGE for word in wanted), key


def test_the_configuration_shown_is_one(tmp_path):
    shown = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    (tmp_path / "run.yaml").write_text(shown[1])
    settings = read_configuration(str(tmp_path / "run.yaml"))
    assert [type(source) for source in settings.events] == [FileSource, HttpSource]
    assert [said.name for said in settings.executors] == ["jsonlines", "dry-run"]
    assert settings.monitor == Address("127.0.0.1", 9090)


def test_every_figure_is_documented(context):
    counts = Counts()
    counts.count_refusal("overload")
    counts.count_load("ok")
    counts.count_events("file", 1, 1)
    counts.count_steps([("makeRedFlag", "done")])
    text = exposition(counts, StateReader(context.engine, context.guard, Intake(), lambda: {"s": 1}).state)().decode()
    names = set(re.findall(r"^# TYPE (spyderresp_\S+)", text, re.MULTILINE))
    assert len(names) > 12
    for name in names:
        assert name in PAGE, name
