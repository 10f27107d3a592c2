"""Fixtures that several rooms of the tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

# Children import the package that is installed, not the one in the directory where the tests are run.
os.environ["PYTHONSAFEPATH"] = "1"

# Examples are drawn anew in each run; a failure prints how to replay it. `--hypothesis-profile=thorough` looks longer.
PHASES = [Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink]
settings.register_profile("default", deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=5_000)
# Where every step costs ten times as much: under sanitizers.
settings.register_profile("slow-machine", parent=settings.get_profile("default"), max_examples=40)
settings.load_profile("default")


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The directory with real policies and real events; named by ``SPYDERRESP_CORPUS``."""
    named = os.environ.get("SPYDERRESP_CORPUS")
    if not named:
        if os.environ.get("CI") == "true":
            pytest.fail("SPYDERRESP_CORPUS is not set, and in CI the corpus tests must run")
        pytest.skip("SPYDERRESP_CORPUS is not set: the corpus is no part of the package")
    path = Path(named).resolve()
    if not (path / "corpus").is_dir():
        pytest.fail(f"SPYDERRESP_CORPUS={named} holds no corpus/")
    return path


@pytest.fixture(scope="session")
def conformance() -> list[Path]:
    """The files of worked cases. Those in folders are for features that are not built yet."""
    return sorted(Path(__file__).with_name("conformance").glob("*.json"))
