"""Options of the test run, and fixtures that several folders of tests share."""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

# Children import the package that is installed, not the one in the directory where the tests are run.
os.environ["PYTHONSAFEPATH"] = "1"

# A shell starts background jobs with SIGINT ignored, and child processes inherit that. With a handler in its place the
# run still ignores SIGINT, and child processes start with the default, so that tests can interrupt them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, lambda *_: None)

# Spark Connect brings gRPC, which by default starts its threads again in every forked child; with no descriptors left
# there, they abort it.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# pyspark takes a `__main__` without a file, such as that of an xdist worker, for its own doctests, and exits.
vars(sys.modules["__main__"]).setdefault("__file__", os.devnull)

# Each run draws new examples; a failure prints how to replay it. `--hypothesis-profile=thorough` tries more of them.
PHASES = [Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink]
settings.register_profile("default", deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", parent=settings.get_profile("default"), max_examples=25)
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=5_000)
# Where every step costs ten times as much: under sanitizers.
settings.register_profile("slow-machine", parent=settings.get_profile("default"), max_examples=40)
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too, and try more examples")


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--slow") and not config.getoption("--hypothesis-profile"):
        settings.load_profile("quick")


def pytest_collection_finish() -> None:
    """Leave what is imported by now out of garbage collections; many tests start one."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("slow") and not item.config.getoption("--slow"):
        pytest.skip("slow: `--slow` runs it")


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The directory with real policies and real events; named by ``SPYDERRESP_CORPUS``."""
    named = os.environ.get("SPYDERRESP_CORPUS")
    if not named:
        pytest.skip("SPYDERRESP_CORPUS is not set: the corpus is no part of the package")
    path = Path(named).resolve()
    if not (path / "corpus").is_dir():
        pytest.fail(f"SPYDERRESP_CORPUS={named} holds no corpus/")
    return path


@pytest.fixture(scope="session")
def conformance() -> list[Path]:
    """The files of worked cases. Those in folders are for features that are not built yet."""
    return sorted(Path(__file__).with_name("conformance").glob("*.json"))
