"""Payloads as the gem's S3 driver keeps them, out of a real SeaweedFS."""

from __future__ import annotations

import gzip
import json
import os

import pytest

from servers.seaweed import Seaweed

pytestmark = pytest.mark.in_turn


@pytest.fixture(scope="module")
def weed(tmp_path_factory):
    with Seaweed(tmp_path_factory.mktemp("weed")) as server:
        yield server


def test_payloads_in_two_buckets(weed, run, traces, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    for variable, text in weed.identities["admin"].environment().items():
        monkeypatch.setenv(variable, text)
    client = weed.client()
    entries = [{"at": 1_700_000_000, "message": "Done", "state": "success", "type": "text"}]
    for number, bucket in enumerate(("traces-a", "traces-b")):
        place = f"3/foreign/jobs/price/{number:024}"
        body = gzip.compress(json.dumps(entries).encode())
        client.put_object(Bucket=bucket, Key=f"{place}/data_1.json.gz", Body=body)
        client.put_object(Bucket=bucket, Key=f"{place}/artifacts/a.json", Body=b"no JSON")
    client.close()
    url = f"s3://traces-a,traces-b/3/foreign?endpoint={weed.endpoint}"
    assert run("import", url, "--key", "jobs/price").out == "2 imported, 0 there already\n"
    assert run("import", url).out.startswith("2 imported")
    keys = sorted(one.key for one in traces())
    assert keys == ["foreign/jobs/price"] * 2 + ["jobs/price"] * 2
    missing = run("import", f"s3://nowhere/3?endpoint={weed.endpoint}")
    assert missing.code == 2
    assert "hint:" in missing.err
    weed.kill()
    gone = run("import", url)
    assert gone.code == 2
    assert "hint:" in gone.err
