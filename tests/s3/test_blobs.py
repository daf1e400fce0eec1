"""What blobs in a real S3 do beyond what all blobs must."""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tracediff.errors import StoreError
from tracediff.stores.s3 import S3Blobs, layout, uploads
from tracediff.testing import refused

SEGMENT = "30d/segments/ab.seg"


@pytest.fixture
def plain(weed):
    client = weed.client()
    yield client
    client.close()


@pytest.fixture
def blobs(open_blobs, prefix):
    return open_blobs(prefix)


def stored(client, prefix, buckets=("traces-a", "traces-b")):
    """Each bucket's objects of this prefix, by key."""
    return {
        (bucket, one["Key"]): one["LastModified"]
        for bucket in buckets
        for one in client.list_objects_v2(Bucket=bucket).get("Contents", ())
        if f"/{prefix}/" in one["Key"]
    }


def unfinished(client, prefix):
    return [
        one
        for bucket in ("traces-a", "traces-b")
        for one in client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())
        if f"/{prefix}/" in one["Key"]
    ]


def test_a_segment_is_never_replaced_by_other_bytes(blobs):
    for key in (SEGMENT, "keep/segments/x.seg", "dictionaries/7.zdict"):
        blobs.put(key, b"first")
        blobs.put(key, b"first")
        for other in (b"other", b"longer than the first"):
            with refused("blob-exists"):
                blobs.put(key, other)
        assert blobs.get(key) == b"first"


def test_what_changes_is_replaced(blobs):
    for data in (b"7", b"8", b"900"):
        blobs.put("dictionaries/current", data)
        assert blobs.get("dictionaries/current") == data


def test_putting_the_same_bytes_again_writes_nothing(blobs, plain, prefix):
    blobs.put(SEGMENT, b"x" * 100)
    before = stored(plain, prefix)
    blobs.put(SEGMENT, b"x" * 100)
    assert stored(plain, prefix) == before


def test_of_many_that_put_at_once_one_wins_and_the_others_are_told(blobs):
    bodies = [b"%d" % number * 50 for number in range(8)]
    told = []

    def work(body):
        try:
            blobs.put(SEGMENT, body)
        except StoreError as error:
            told.append(error.slug)
            return None
        return body

    with ThreadPoolExecutor(8) as pool:
        winners = [body for body in pool.map(work, bodies) if body]
    assert [blobs.get(SEGMENT)] == winners
    assert told == ["blob-exists"] * 7


def test_an_object_that_something_else_put_is_compared_by_its_bytes(blobs, plain, prefix):
    made = layout.object_of(SEGMENT, prefix)
    bucket = next(layout.ranked(SEGMENT, ("traces-a", "traces-b")))
    plain.put_object(Bucket=bucket, Key=made, Body=b"bytes")
    blobs.put(SEGMENT, b"bytes")
    with refused("blob-exists"):
        blobs.put(SEGMENT, b"other")
    assert blobs.get(SEGMENT) == b"bytes"


def test_a_whole_blob_that_was_changed_is_hurt(blobs, plain, prefix):
    blobs.put(SEGMENT, b"bytes")
    bucket = next(layout.ranked(SEGMENT, ("traces-a", "traces-b")))
    plain.put_object(
        Bucket=bucket,
        Key=layout.object_of(SEGMENT, prefix),
        Body=b"bytez",
        Metadata={"sha256": hashlib.sha256(b"bytes").hexdigest()},
    )
    with refused("blob-hurt"):
        blobs.get(SEGMENT)


def test_several_buckets_share_the_load(blobs, plain, prefix):
    names = [f"3d/segments/{number}" for number in range(24)]
    for name in names:
        blobs.put(name, name.encode())
    assert {bucket for bucket, _ in stored(plain, prefix)} == {"traces-a", "traces-b"}
    assert len(stored(plain, prefix)) == len(names)
    assert list(blobs.keys("3d/")) == sorted(names)


def test_a_bucket_can_be_added_later(open_blobs, prefix):
    one = open_blobs(prefix, buckets="traces-b")
    names = [f"3d/segments/{number}" for number in range(12)]
    for name in names:
        one.put(name, name.encode())
    both = open_blobs(prefix, buckets="traces-a,traces-b")
    assert [both.get(name, 3) for name in names] == [name[3:].encode() for name in names]
    both.put("dictionaries/current", b"1")
    assert sorted([*names, "dictionaries/current"]) == list(both.keys())
    assert both.delete([*names, names[0], "nothing"]) == len(names)
    assert list(both.keys()) == ["dictionaries/current"]
    with refused("blob-missing"):
        both.get(names[0], 0, 1)


def test_a_blob_that_lies_in_two_buckets_is_one(open_blobs, prefix):
    key = next(
        name
        for name in map(str, range(99))
        if next(layout.ranked(name, ("traces-a", "traces-b"))) == "traces-a"
    )
    open_blobs(prefix, buckets="traces-b").put(key, b"old")
    both = open_blobs(prefix)
    both.put(key, b"new")
    assert both.get(key) == b"new"
    assert list(both.keys()) == [key]
    assert both.delete([key]) == 1
    assert list(both.keys()) == []


def test_stores_with_other_prefixes_see_nothing_of_each_other(open_blobs, prefix):
    first, second = open_blobs(f"{prefix}-1"), open_blobs(f"{prefix}-2")
    for key in (SEGMENT, "a"):
        first.put(key, b"1")
    assert list(second.keys()) == []
    assert second.delete([SEGMENT, "a"]) == 0
    with refused("blob-missing"):
        second.get(SEGMENT)
    assert list(first.keys()) == sorted([SEGMENT, "a"])


def test_foreign_objects_are_left_alone(open_blobs, prefix, plain):
    plain.put_object(Bucket="traces-a", Key=f"{prefix}/foreign", Body=b"1")
    plain.put_object(Bucket="traces-a", Key=f"keep/{prefix}/a[b", Body=b"1")
    blobs = open_blobs(prefix)
    assert list(blobs.keys()) == []
    plain.delete_object(Bucket="traces-a", Key=f"{prefix}/foreign")
    plain.delete_object(Bucket="traces-a", Key=f"keep/{prefix}/a[b")


def test_a_large_blob_goes_up_in_parts_and_comes_back(blobs, plain, prefix):
    data = secrets.token_bytes(uploads.PART + 1000)
    for _ in range(2):
        blobs.put(SEGMENT, data)
    assert blobs.get(SEGMENT) == data
    assert blobs.get(SEGMENT, uploads.PART - 5, 10) == data[uploads.PART - 5 :][:10]
    with refused("blob-exists"):
        blobs.put(SEGMENT, data[::-1])
    assert unfinished(plain, prefix) == []


def test_what_is_put_is_encrypted_and_classed_as_the_url_says(open_blobs, prefix, plain):
    blobs = open_blobs(prefix, buckets="traces-a", sse="AES256", storage_class="STANDARD_IA")
    blobs.put(SEGMENT, b"bytes")
    blobs.put("current", b"1")
    blobs.put("current", b"2")
    for key in (SEGMENT, "current"):
        said = plain.head_object(Bucket="traces-a", Key=layout.object_of(key, prefix))
        assert said["ServerSideEncryption"] == "AES256"
        assert said["StorageClass"] == "STANDARD_IA"
    assert blobs.get(SEGMENT, 1, 2) == b"yt"


def test_closed_blobs_say_so(open_blobs, s3_url, prefix):
    blobs = S3Blobs(s3_url(prefix))
    blobs.close()
    with refused("store-closed"):
        blobs.put("a", b"1")


def test_a_client_may_be_handed_over_and_is_not_closed(weed, s3_url, prefix, plain):
    for given in (plain, lambda: plain):
        blobs = S3Blobs(s3_url(prefix), client=given)
        blobs.put(SEGMENT, b"1")
        assert blobs.get(SEGMENT) == b"1"
        blobs.delete([SEGMENT])
        if given is plain:
            blobs.close()
    assert plain.list_buckets()["Buckets"]


def in_child(work):
    """Fork, work in the child, and return its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_uses_a_client_of_its_own(blobs, prefix, s3_url, plain):
    blobs.put("parent", b"1")
    client = blobs._clients._client
    assert client is not None
    held = blobs._clients._lock
    assert held.acquire()  # as by another thread, at the time of the fork
    try:

        def work():
            blobs.put("child", b"2")
            mine = blobs._clients._client
            return blobs.get("parent") == b"1" and mine is not client

        assert in_child(work) == 0
    finally:
        held.release()
    assert blobs._clients._client is client
    assert blobs.get("child") == b"2"

    given = S3Blobs(s3_url(prefix), client=plain)

    def refuse():
        with refused("store-driver"):
            given.get("parent")
        return True

    assert in_child(refuse) == 0


def test_threads_share_one_client(s3_url, prefix):
    blobs = S3Blobs(s3_url(prefix))
    started = threading.Barrier(6)
    seen = []

    def work():
        started.wait()
        list(blobs.keys())
        seen.append(blobs._clients._client)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(one) for one in seen}) == 1
    blobs.close()


def test_opening_imports_no_client_and_tracediff_no_driver():
    code = """
import sys
import tracediff, tracediff.stores
assert "tracediff.stores.s3" not in sys.modules
from tracediff.stores.s3 import S3Blobs
S3Blobs("s3://traces/p")
assert not {"boto3", "botocore"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_boto3_it_says_what_to_install():
    code = """
import sys
sys.modules["boto3"] = None
from tracediff.stores.s3 import S3Blobs
from tracediff.testing import refused
with refused("store-driver"):
    S3Blobs("s3://traces/p")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_keys_are_sorted_where_the_server_sorts_otherwise(blobs):
    """SeaweedFS lists folders by their bare names: ``a/b`` before ``a-b``."""
    names = ["a/b", "a-b", "a+c", "3d/a/b", "3d/a-b", "3", "30d"]
    for name in names:
        blobs.put(name, b"1")
    assert list(blobs.keys()) == sorted(names)
    assert list(blobs.keys("3")) == ["3", "30d", "3d/a-b", "3d/a/b"]
    assert list(blobs.keys("3d/")) == ["3d/a-b", "3d/a/b"]
