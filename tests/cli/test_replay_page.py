"""The page that ``replay --html`` writes: whole in itself, safe to open, and looked at in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

HOSTILE = "<script>alert(1)</script>&\"'\x1b[31m$x^2$"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
VOID = {"meta", "br", "path", "use", "rect"}


def event(number: int) -> dict[str, object]:
    return {
        "id": str(number),
        "time": 1_764_000_000 + number * 7,
        "cluster": {"name": "prod-1"},
        "namespace": {"name": HOSTILE, "labels": {"env": "live"}},
        "pod": {"name": HOSTILE, "kuid": f"uid-{number % 50}", "labels": {"app": "payments"}},
        "container": {"image": "nginx:1"},
        "process": {"name": HOSTILE, "exe": "/bin/bash", "uid": f"proc:{number}"},
    }


@pytest.fixture
def page(run) -> str:
    """The page of a replay in which everything happens, under a policy with a hostile name."""
    policy = Path("policies/production.yaml")
    policy.write_text(policy.read_text().replace("name: production,", f"name: {json.dumps(HOSTILE)},"))
    Path("recorded.jsonl").write_text("".join(json.dumps(event(number)) + "\n" for number in range(300)))
    result = run("replay", "--policies", "policies", "--html", "page.html", "recorded.jsonl")
    assert (result.code, result.err) == (0, "")
    return Path("page.html").read_text("utf-8")


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data


def test_it_holds_everything_and_runs_nothing(page):
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert "script" not in reader.tags
    assert reader.tags.count("svg") == 3
    assert all(link.startswith("#") for link in reader.links)
    assert not re.search(r"url\((?!#)|@import", page)
    assert "default-src 'none'" in page
    assert "<script>alert(1)</script>&\"'\\x1b[31m" in reader.text
    assert "\x1b" not in page


def test_its_figures_are_those_of_the_report(run, page):
    said = json.loads(run("replay", "--policies", "policies", "--format", "json", "recorded.jsonl").out)
    figures = dict(re.findall(r"<dt>(.*?)</dt><dd>([\d,]+)</dd>", page))
    assert figures["events decided"] == f"{said['events']:,}" == "300"
    assert figures["pods would have died"] == f"{said['deaths']['pods']['executed']:,}" == "50"
    assert figures["kills refused by breakers"] == f"{said['breakers']['refused']:,}" != "0"


def test_the_same_replay_gives_the_same_page(run, page):
    assert run("replay", "--policies", "policies", "--html", "again.html", "recorded.jsonl").code == 0
    assert Path("again.html").read_text("utf-8") == page


def test_a_page_that_cannot_be_written(run):
    Path("recorded.jsonl").write_text(json.dumps(event(1)) + "\n")
    result = run("replay", "--policies", "policies", "--html", "gone/page.html", "recorded.jsonl")
    assert (result.code, result.out) == (3, "")
    assert result.err == "spyderresp: gone/page.html: cannot be written: no such file or directory\n"


def test_a_replay_of_nothing_is_a_page_too(run):
    Path("recorded.jsonl").write_text("{}\n")
    assert run("replay", "--policies", "policies", "--html", "page.html", "recorded.jsonl").code == 0
    assert "events decided</dt><dd>1</dd>" in Path("page.html").read_text()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_shows_it(page):
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir=profile", "--window-size=1000,2000"]
    address = Path("page.html").resolve().as_uri()
    # Once for what the browser makes of it, once for what is seen.
    done = subprocess.run([CHROMIUM, *arguments, "--dump-dom", address], capture_output=True, timeout=480, check=True)
    shown = done.stdout.decode()
    assert shown.count("<svg") == 3
    assert "agentKillProcessTree" in re.sub(r"<[^>]*>", " ", shown)
    assert "Refused to" not in done.stderr.decode()
    subprocess.run(
        [CHROMIUM, *arguments, "--screenshot=page.png", address], capture_output=True, timeout=480, check=True
    )
    # An empty page compresses to next to nothing.
    assert Path("page.png").stat().st_size > 30_000
