"""A SeaweedFS for each test process, and a prefix of its own for each test.

``TRACEDIFF_TEST_S3`` names another S3, which what needs only an S3 is then tested against: its
buckets ``traces-a`` and ``traces-b``, or those that ``TRACEDIFF_TEST_S3_BUCKETS`` names.
"""

from __future__ import annotations

import os
import secrets

import pytest

from servers.faulty_http import FaultyHttp
from servers.seaweed import VARIABLE, Seaweed
from tracediff.stores.s3 import S3Blobs


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


@pytest.fixture
def prefix():
    """A prefix that no other test has."""
    return f"test-{secrets.token_hex(6)}"


@pytest.fixture
def act_as(monkeypatch):
    """Make this process one of a server's identities, by the environment that boto3 reads."""

    def act_as(server: Seaweed, name: str) -> None:
        for variable, text in server.identities[name].environment().items():
            monkeypatch.setenv(variable, text)

    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    return act_as


@pytest.fixture
def s3_url(request, monkeypatch):
    """Make URLs of blobs, of an S3 that this process may do anything in.

    ``s3_url(prefix, buckets="traces-a", sse="AES256")``
    """
    endpoint = os.environ.get(VARIABLE)
    if endpoint is None:
        server = request.getfixturevalue("weed")
        request.getfixturevalue("act_as")(server, "admin")
        endpoint = server.endpoint

    def s3_url(prefix: str, buckets: str | None = None, **options: str) -> str:
        named = buckets or os.environ.get(f"{VARIABLE}_BUCKETS") or "traces-a,traces-b"
        more = "".join(f"&{name}={value}" for name, value in options.items())
        return f"s3://{named}/{prefix}?endpoint={endpoint}{more}"

    return s3_url


@pytest.fixture
def open_blobs(s3_url):
    """Open blobs that are emptied and closed at the end of the test."""
    opened = []

    def open_blobs(prefix: str, **options: str) -> S3Blobs:
        blobs = S3Blobs(s3_url(prefix, **options))
        opened.append(blobs)
        return blobs

    yield open_blobs
    for blobs in opened:
        blobs.delete(list(blobs.keys()))
        blobs.close()


@pytest.fixture
def proxy(weed, act_as):
    """A proxy before the server that all share; this process may do anything."""
    act_as(weed, "admin")
    with FaultyHttp(weed.endpoint) as proxy:
        yield proxy


@pytest.fixture
def faulty(proxy, prefix):
    """Blobs behind the proxy, that try everything twice."""
    blobs = S3Blobs(f"s3://traces-a/{prefix}?endpoint={proxy.endpoint}", attempts=2)
    yield blobs
    blobs.close()


@pytest.fixture
def hasty(proxy, prefix):
    """The same blobs, that try everything once."""
    blobs = S3Blobs(f"s3://traces-a/{prefix}?endpoint={proxy.endpoint}", attempts=1)
    yield blobs
    blobs.close()
