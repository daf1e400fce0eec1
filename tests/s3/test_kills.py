"""No blob is lost that a put was acknowledged for, whenever the server is killed.

The ledger is a file of its own, written through to the disk after each acknowledged put, and what
is there is read with plain boto3.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from servers.proxy import Proxy
from tracediff.stores.s3 import S3Blobs, layout
from tracediff.testing import refused

ROOT = Path(__file__).parents[2]
BUCKETS = ("traces-a", "traces-b")

WRITER = """
import hashlib, os, sys, time
from concurrent.futures import ThreadPoolExecutor
from tracediff.errors import StoreError
from tracediff.stores.s3 import S3Blobs

url, ledger, end = sys.argv[1:]
blobs = S3Blobs(url, attempts=1, connect_seconds=1, read_seconds=1)
out = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

def work(worker):
    number = 0
    while not os.path.exists(end):
        key = f"30d/segments/{worker}-{number}.seg"
        size = 9 << 20 if number % 40 == 7 else 2000 + number
        data = hashlib.sha256(key.encode()).digest() * (size // 32)
        try:
            blobs.put(key, data)
        except StoreError as error:
            # What a server that dies or comes back may say: nothing is acknowledged, go on.
            assert error.slug in ("store-unreachable", "store-busy", "store-denied"), error
            time.sleep(0.05)
            continue  # the same key and bytes again
        os.write(out, f"{key} {len(data)}\\n".encode())
        os.fsync(out)
        number += 1

with ThreadPoolExecutor(3) as pool:
    for done in [pool.submit(work, worker) for worker in range(3)]:
        done.result()
"""


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def wait_until(what, seconds=40):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_no_acknowledged_blob_is_lost_when_the_server_is_killed(own_weed, act_as, tmp_path):
    act_as(own_weed, "admin")
    own_weed.start()
    url = f"s3://{','.join(BUCKETS)}/prod?endpoint={own_weed.endpoint}"
    ledger, end = tmp_path / "ledger", tmp_path / "end"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, url, str(ledger), str(end)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for kills in range(3):
            before = len(lines(ledger))
            wait_until(lambda before=before: len(lines(ledger)) > before + 50)
            if kills < 2:
                own_weed.kill()
                own_weed.start()
        end.touch()
        _, said = writer.communicate(timeout=60)
        assert writer.returncode == 0, said
    finally:
        writer.kill()
        writer.communicate()

    acknowledged = dict(line.split() for line in lines(ledger))
    assert len(acknowledged) == len(lines(ledger)) > 150
    client = own_weed.client()
    for key, size in acknowledged.items():
        bucket = next(layout.ranked(key, BUCKETS))
        answer = client.get_object(Bucket=bucket, Key=layout.object_of(key, "prod"))
        want = hashlib.sha256(key.encode()).digest() * (int(size) // 32)
        assert answer["Body"].read() == want, key
    blobs = S3Blobs(url)
    assert set(acknowledged) <= set(blobs.keys("30d/"))
    blobs.close()
    client.close()


@pytest.mark.slow
def test_a_server_that_is_down_at_first_is_used_when_it_is_there(own_weed, act_as):
    act_as(own_weed, "admin")
    own_weed.start()
    own_weed.kill()
    blobs = S3Blobs(f"s3://traces-a/prod?endpoint={own_weed.endpoint}", attempts=1)
    with refused("store-unreachable"):
        blobs.put("a", b"1")
    own_weed.start()
    blobs.put("a", b"1")
    assert blobs.get("a") == b"1"
    blobs.close()


@pytest.mark.slow
def test_a_slow_connection_is_waited_for_and_a_half_open_one_is_not(weed, act_as, prefix):
    act_as(weed, "admin")
    host, _, port = weed.endpoint.removeprefix("http://").partition(":")
    data = bytes(range(256)) * 6000
    direct = S3Blobs(f"s3://traces-a/{prefix}?endpoint={weed.endpoint}")
    direct.put("30d/segments/slow.seg", data)
    direct.close()
    with Proxy(host, int(port), rate=500_000) as proxy:
        url = f"s3://traces-a/{prefix}?endpoint=http://127.0.0.1:{proxy.port}"
        blobs = S3Blobs(url, attempts=1, read_seconds=2.0)
        assert blobs.get("30d/segments/slow.seg") == data  # takes longer than two seconds
        proxy.stall()
        with refused("store-unreachable"):
            blobs.get("30d/segments/slow.seg", 0, 10)
        with refused("store-unreachable"):
            blobs.put("30d/segments/stalled.seg", b"1")
        proxy.resume()
        blobs.put("30d/segments/stalled.seg", b"1")
        proxy.cut()
        assert blobs.get("30d/segments/stalled.seg") == b"1"
        proxy.refuse()
        with refused("store-unreachable"):
            blobs.get("30d/segments/stalled.seg")
        blobs.close()
