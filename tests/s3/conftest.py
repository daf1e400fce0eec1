"""A SeaweedFS for each test process, and buckets and credentials of its own for each test."""

from __future__ import annotations

import pytest

from servers.seaweed import Seaweed


@pytest.fixture(scope="session")
def weed(tmp_path_factory):
    """The server that all tests share which do not kill it."""
    with Seaweed(tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture
def own_weed(tmp_path):
    """A server that the test may kill; not started yet."""
    server = Seaweed(tmp_path / "weed")
    yield server
    server.kill()
