"""Clients that take long to load, and may not be installed, are loaded when an executor needs them."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=240)


def test_nothing_is_loaded_for_those_who_do_not_ask() -> None:
    code = "import sys, spyderresp, spyderresp.executors; print({'kubernetes', 'httpx', 'urllib3'} & set(sys.modules))"
    assert run(code).stdout == "set()\n"


@pytest.mark.parametrize(
    ("module", "extra", "call"),
    [("kubernetes", "kubernetes", "Kubernetes('prod')"), ("httpx", "spyderbat-api", "SpyderbatApi('org', 'token')")],
)
def test_without_the_extra_the_error_says_how_to_get_it(module: str, extra: str, call: str) -> None:
    name = call.partition("(")[0]
    done = run(f"import sys; sys.modules[{module!r}] = None; from spyderresp.executors import {name}; {call}")
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: the executor `{name}` needs the extra `{extra}`")
    assert last.endswith(f"pip install 'spyderresp[{extra}]'")
