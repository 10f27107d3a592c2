"""Executors by name: those that ship, those that others offer, and those that are broken."""

from __future__ import annotations

import inspect
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
from flagged import records

from spyderresp import executors
from spyderresp.executors import DeliveryError, JsonLines, discovery
from spyderresp.executors.discovery import BUILT_IN, GROUP, ExecutorError, made, names

if sys.version_info >= (3, 11):
    import tomllib


class Offering:
    """Installs distributions that offer executors."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def install(self, name: str, entries: str, code: str = "") -> None:
        module = name.replace("-", "_")
        (self.root / f"{module}.py").write_text(code)
        info = self.root / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entries}\n")


@pytest.fixture
def offering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield Offering(tmp_path)
    for name in set(sys.modules) - before:
        if name.startswith("offers_"):
            del sys.modules[name]


PAGER = """
class Pager:
    name = "pager"
    actions = frozenset({"makeRedFlag"})
    def __init__(self, team, *, urgent=False):
        self.team, self.urgent = team, urgent
    def resolve(self, step, protection): ...
    def close(self): ...
"""


def test_every_executor_that_ships_has_a_name() -> None:
    # `Recording` is for tests, and not for configuration files.
    shipped = {
        name
        for name in executors.__all__
        if inspect.isclass(value := getattr(executors, name))
        and not getattr(value, "_is_protocol", False)
        and not issubclass(value, Exception)
    } - {"Recording"}
    assert set(BUILT_IN.values()) == shipped
    assert set(BUILT_IN) <= set(names())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with Python 3.11")
def test_pyproject_lists_the_same() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    listed = tomllib.loads(text)["project"]["entry-points"][GROUP]
    assert set(listed) == set(BUILT_IN)
    for name, value in listed.items():
        module, _, attribute = value.partition(":")
        held = getattr(executors, BUILT_IN[name])
        assert (held.__module__, held.__name__) == (module, attribute)


def test_one_that_ships(tmp_path: Path) -> None:
    sink = made("jsonlines", {"path": str(tmp_path / "flags.jsonl"), "fsync": True})
    assert isinstance(sink, JsonLines)
    sink.deliver(records())
    assert len((tmp_path / "flags.jsonl").read_text().splitlines()) == 2
    assert made("dry-run", {}).name == "dry-run"
    assert made("webhook", {"url": "https://example.com/", "secret": "0123456789abcdef"}).name == "webhook"


def test_one_that_another_distribution_offers(offering: Offering) -> None:
    offering.install("offers-pager", "pager = offers_pager:Pager", PAGER)
    assert "pager" in names()
    assert "offers_pager" not in sys.modules, "nothing is loaded before it is asked for"
    pager: Any = made("pager", {"team": "red", "urgent": True})
    assert (pager.team, pager.urgent) == ("red", True)


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("webhok", {}, "there is none; did you mean `webhook`?"),
        ("webhook", {"ur": "x"}, "has no setting `ur`; did you mean `url`?"),
        ("webhook", {}, "needs `url`, `secret`"),
        ("webhook", {"url": "http://example.com/", "secret": None}, "is not encrypted"),
        ("syslog", {"facility": "no"}, "no facility `no`"),
        ("sqlite", {"path": 5}, "TypeError: expected str"),
        ("webhook", {"url": "https://example.com/", "secret": "x" * 16, "ca": "/no/such"}, "No such file or directory"),
    ],
)
def test_what_is_wrong_is_said(name: str, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ExecutorError) as caught:
        made(name, settings)
    assert str(caught.value).startswith(f"executor `{name}`: ")
    assert reason in caught.value.reason
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_broken_one_is_an_error_only_where_it_is_asked_for(offering: Offering) -> None:
    offering.install("offers-bad", "bad = offers_bad:Bad\nless = offers_bad.less:x", "raise RuntimeError('broken')")
    offering.install("offers-thing", "thing = offers_thing:THING\nlost = offers_thing:Lost", "THING = 5")
    offering.install(
        "offers-none",
        "none = offers_none:make\nany = offers_none:any_",
        "def make(): ...\ndef any_(**k): raise KeyError",
    )
    offering.install("offers-pager", "pager = offers_pager:Pager", PAGER)
    assert {"bad", "less", "thing", "lost", "none", "pager"} <= set(names())
    assert made("pager", {"team": "x"}).name == "pager"
    assert made("dry-run", {}).name == "dry-run"
    for name, reason in {
        "bad": "`offers-bad` offers it, but it cannot be loaded: RuntimeError: broken",
        "less": "`offers-bad` offers it, but it cannot be loaded: RuntimeError: broken",
        "thing": "`offers-thing` offers `offers_thing:THING`, which is neither a class nor a function",
        "lost": "`offers-thing` offers it, but it cannot be loaded: AttributeError: module 'offers_thing' has no",
        "none": "its entry point made an object without `name`, `actions`, `resolve`, `close`",
        "any": "KeyError",
    }.items():
        with pytest.raises(ExecutorError) as caught:
            made(name, {})
        assert caught.value.reason.startswith(reason)
    with pytest.raises(ExecutorError, match="has no setting `x`; it has no settings"):
        made("none", {"x": 1})


def test_two_of_one_name_are_refused(offering: Offering) -> None:
    offering.install("offers-a", "pager = offers_a:Pager\nwebhook = offers_a:Pager", PAGER)
    offering.install("offers-b", "pager = offers_b:Pager", PAGER)
    with pytest.raises(ExecutorError, match="is offered by `offers-a`, `offers-b`: uninstall one of them"):
        made("pager", {"team": "x"})
    with pytest.raises(ExecutorError, match="is offered by `spyderresp`, `offers-a`"):
        made("webhook", {"team": "x"})


def test_entry_points_that_cannot_be_read_take_no_other_with_them(offering: Offering) -> None:
    offering.install("offers-pager", "pager = offers_pager:Pager", PAGER)
    offering.install("offers-broken", "x = offers_broken:X", "")
    (offering.root / "offers_broken-1.0.dist-info/entry_points.txt").write_bytes(b"\xff\xfe[[[")
    assert made("pager", {"team": "x"}).name == "pager"
    with pytest.raises(ExecutorError, match="there is none"):
        made("x", {})


def test_an_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "spyderresp.executors.sinks.webhook", raising=False)
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ExecutorError, match=r"`Webhook` needs the extra `webhook`"):
        made("webhook", {"url": "https://example.com/", "secret": None})
    assert discovery.names()
    assert issubclass(DeliveryError, Exception)
