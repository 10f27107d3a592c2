"""What the tests of integrations share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def connect() -> Iterator[Any]:
    """A session of a Spark Connect server in this process."""
    sail = pytest.importorskip("pysail.spark")
    sql = pytest.importorskip("pyspark.sql")
    server = sail.SparkConnectServer(port=0)
    server.start(background=True)
    session = sql.SparkSession.builder.remote(f"sc://127.0.0.1:{server.listening_address[1]}").getOrCreate()
    yield session
    session.stop()
    server.stop()
