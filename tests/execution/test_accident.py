"""A wide selector meets many processes: a small turn of ``python -m tests.trials accident``."""

from __future__ import annotations

import json

import pytest
from trials import namespace

pytestmark = pytest.mark.skipif(bool(namespace.why_not()), reason=namespace.why_not())


@pytest.mark.parametrize("warm", [pytest.param("warm", marks=pytest.mark.slow), ""])
def test_no_more_than_the_limit_die_however_often_the_service_is_killed(warm: str) -> None:
    done = namespace.run("trials.accident", ["300", "3", warm])
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert 0 < said["killed"] <= said["limit"]
    assert said["ops_flags"]
    assert said["last_life"] == {"refused": 300 - said["killed"]}
