"""What blobs in S3 do when the server, the network or the permissions fail."""

from __future__ import annotations

import os
import traceback

import pytest

from servers.seaweed import Identity, free_ports
from tracediff.errors import StoreError
from tracediff.stores.s3 import S3Blobs, uploads
from tracediff.stores.s3.failures import answered
from tracediff.testing import refused

SEGMENT = "30d/segments/ab.seg"


def s3_error(slug, call):
    """The StoreError of a call: its slug, its hint, and no secret in what it shows."""
    with pytest.raises(StoreError) as caught:
        call()
    error = caught.value
    assert error.slug == slug, error
    assert error.hint
    shown = "".join(traceback.format_exception(error))
    for secret in (os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")):
        assert not secret or secret not in shown
    for word in ("Signature=", "X-Amz", "scripted", "botocore.exceptions"):
        assert word not in shown
    assert error.__cause__ is None
    assert error.__context__ is None
    return error


def unfinished(weed, prefix):
    client = weed.client()
    found = client.list_multipart_uploads(Bucket="traces-a").get("Uploads", ())
    client.close()
    return [one for one in found if f"/{prefix}/" in one["Key"]]


@pytest.mark.parametrize(
    "answer", [(500, "InternalError"), (503, "ServiceUnavailable"), (503, "SlowDown")]
)
def test_a_failure_that_passes_is_not_noticed(faulty, proxy, answer):
    proxy.fail(1, method="PUT", answer=answer)
    faulty.put(SEGMENT, b"bytes")
    proxy.fail(1, method="GET", answer=answer)
    assert faulty.get(SEGMENT) == b"bytes"
    assert proxy.pending == 0


@pytest.mark.parametrize(
    ("answer", "slug"),
    [
        ((500, "InternalError"), "store-busy"),
        ((503, "SlowDown"), "store-busy"),
        ((503, ""), "store-busy"),
        ((599, ""), "store-busy"),
        ((429, "TooManyRequests"), "store-busy"),
        ((400, "BadDigest"), "blob-hurt"),
        ((403, "AccessDenied"), "store-denied"),
        ((403, "SignatureDoesNotMatch"), "store-denied"),
        ((403, "RequestTimeTooSkewed"), "store-denied"),
        ((404, "NoSuchBucket"), "bucket-missing"),
        ((501, "NotImplemented"), "store-refused"),
        ((400, "InvalidStorageClass"), "store-refused"),
        ((400, "KeyTooLongError"), "blob-key-invalid"),
        ((507, "InsufficientStorage"), "store-full"),
    ],
)
def test_a_failure_that_stays_is_an_error_with_a_name(hasty, proxy, answer, slug):
    proxy.fail(1, answer=answer)
    s3_error(slug, lambda: hasty.put(SEGMENT, b"bytes"))
    hasty.put(SEGMENT, b"bytes")
    proxy.fail(1, answer=answer)
    s3_error(slug, lambda: hasty.get(SEGMENT, 1, 2))


def test_bytes_that_change_on_the_way_are_refused_by_the_server(hasty, proxy):
    proxy.fail(1, method="PUT", flip_request=True)
    s3_error("blob-hurt", lambda: hasty.put(SEGMENT, b"bytes" * 100))
    with refused("blob-missing"):
        hasty.get(SEGMENT)


def test_a_part_that_changes_on_the_way_leaves_no_upload_behind(hasty, proxy, weed, prefix):
    proxy.fail(1, method="PUT", flip_request=True)
    s3_error("blob-hurt", lambda: hasty.put(SEGMENT, bytes(uploads.PART + 1)))
    assert unfinished(weed, prefix) == []
    with refused("blob-missing"):
        hasty.get(SEGMENT)


def test_a_whole_blob_that_changes_on_the_way_back_is_hurt(faulty, proxy):
    faulty.put(SEGMENT, b"bytes" * 100)
    proxy.fail(1, method="GET", flip_answer=True)
    s3_error("blob-hurt", lambda: faulty.get(SEGMENT))
    assert faulty.get(SEGMENT) == b"bytes" * 100


def test_a_put_whose_answer_is_lost_is_done_again_and_changes_nothing(faulty, proxy):
    proxy.fail(1, method="PUT", lost=True)
    faulty.put(SEGMENT, b"bytes")
    assert [method for method, _ in proxy.requests] == ["PUT", "PUT", "HEAD"]
    assert faulty.get(SEGMENT) == b"bytes"


def test_two_writers_at_once_are_told_apart(faulty, proxy):
    proxy.fail(2, method="PUT", answer=(409, "ConditionalRequestConflict"))
    faulty.put(SEGMENT, b"bytes")
    assert faulty.get(SEGMENT) == b"bytes"
    proxy.fail(1, method="PUT", answer=(409, "ConditionalRequestConflict"))
    s3_error("blob-exists", lambda: faulty.put(SEGMENT, b"other"))


def test_an_answer_that_is_cut_is_an_error(faulty, proxy):
    faulty.put(SEGMENT, bytes(1000))
    for call in (lambda: faulty.get(SEGMENT), lambda: faulty.get(SEGMENT, 10, 900)):
        proxy.fail(1, method="GET", cut=100)
        s3_error("store-unreachable", call)
    assert faulty.get(SEGMENT) == bytes(1000)


def test_an_answer_that_never_comes_is_an_error(prefix, proxy):
    blobs = S3Blobs(
        f"s3://traces-a/{prefix}?endpoint={proxy.endpoint}", read_seconds=0.2, attempts=1
    )
    proxy.fail(1, hang=True)
    s3_error("store-unreachable", lambda: blobs.put(SEGMENT, b"bytes"))
    blobs.close()


def test_reading_a_part_is_one_request(faulty, proxy):
    faulty.put(SEGMENT, bytes(range(256)))
    proxy.forget()
    assert faulty.get(SEGMENT, 10, 5) == bytes(range(10, 15))
    assert [method for method, _ in proxy.requests] == ["GET"]


def test_a_server_that_gives_the_whole_object_for_a_part_is_understood(faulty, proxy, weed):
    faulty.put(SEGMENT, b"0123456789")
    client = weed.client()
    whole = client.get_object  # the real answer to a request without a range

    class WithoutRanges:
        def __getattr__(self, name):
            return getattr(client, name)

        def get_object(self, Range=None, **arguments):
            return whole(**arguments)

    blobs = S3Blobs(f"s3://traces-a/{faulty.address.prefix}", client=WithoutRanges())
    assert blobs.get(SEGMENT, 3, 4) == b"3456"
    with refused("blob-truncated"):
        blobs.get(SEGMENT, 3, 40)
    client.close()


def test_a_server_that_is_not_there_is_an_error(act_as, weed):
    act_as(weed, "admin")
    (port,) = free_ports(1)
    blobs = S3Blobs(f"s3://traces-a/p?endpoint=http://127.0.0.1:{port}", attempts=1)
    s3_error("store-unreachable", lambda: blobs.put(SEGMENT, b"1"))
    s3_error("store-unreachable", lambda: list(blobs.keys()))
    blobs.close()


def test_wrong_credentials_are_an_error_that_does_not_show_them(weed, act_as, monkeypatch, prefix):
    act_as(weed, "admin")
    blobs = S3Blobs(f"s3://traces-a/{prefix}?endpoint={weed.endpoint}")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-but-secret")
    s3_error("store-denied", lambda: blobs.put(SEGMENT, b"1"))
    blobs.close()
    stranger = Identity(name="stranger", actions=())
    for variable, text in stranger.environment().items():
        monkeypatch.setenv(variable, text)
    blobs = S3Blobs(f"s3://traces-a/{prefix}?endpoint={weed.endpoint}")
    s3_error("store-denied", lambda: blobs.get(SEGMENT))
    blobs.close()


def test_no_credentials_are_an_error(weed, act_as, monkeypatch):
    act_as(weed, "admin")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    blobs = S3Blobs(f"s3://traces-a/p?endpoint={weed.endpoint}")
    s3_error("store-denied", lambda: blobs.put(SEGMENT, b"1"))
    blobs.close()


def test_a_missing_bucket_is_an_error(weed, act_as):
    act_as(weed, "admin")
    blobs = S3Blobs(f"s3://nobodys-bucket/p?endpoint={weed.endpoint}")
    for call in (
        lambda: blobs.put(SEGMENT, b"1"),
        lambda: blobs.put(SEGMENT, bytes(uploads.PART + 1)),
        lambda: blobs.get(SEGMENT),
        lambda: blobs.get(SEGMENT, 0, 1),
        lambda: list(blobs.keys()),
    ):
        s3_error("bucket-missing", call)
    blobs.close()


def test_a_reader_cannot_write_and_a_recorder_cannot_read(weed, act_as, prefix):
    def opened(name):
        act_as(weed, name)
        return S3Blobs(f"s3://traces-a/{prefix}?endpoint={weed.endpoint}")

    recorder = opened("recorder")
    for _ in range(2):  # the second time as after a lost answer: it cannot look, and goes on
        recorder.put(SEGMENT, b"bytes")
        recorder.put("dictionaries/current", b"7")
    s3_error("store-denied", lambda: recorder.get(SEGMENT))
    s3_error("store-denied", lambda: list(recorder.keys()))
    recorder.put(SEGMENT, b"other")  # it cannot know
    reader = opened("reader")
    assert reader.get(SEGMENT) == b"bytes"
    assert list(reader.keys()) == [SEGMENT, "dictionaries/current"]
    s3_error("store-denied", lambda: reader.put(SEGMENT, b"other"))
    s3_error("store-denied", lambda: reader.put("new", bytes(uploads.PART + 1)))
    s3_error("store-denied", lambda: reader.delete([SEGMENT]))
    assert reader.get(SEGMENT) == b"bytes"
    for blobs in (recorder, reader):
        blobs.close()


def test_a_key_that_this_server_does_not_take_is_an_error(weed, act_as, prefix):
    act_as(weed, "admin")
    blobs = S3Blobs(f"s3://traces-a/{prefix}?endpoint={weed.endpoint}")
    for key in ("..", "a\0b", "x" * 900, "30d/../x"):
        s3_error("blob-key-invalid", lambda key=key: blobs.put(key, b"1"))
    key = "[" * 255  # fits, and does not once it is escaped
    s3_error("blob-key-invalid", lambda: blobs.put(key, b"1"))
    blobs.put("new\nline", b"1")
    assert list(blobs.keys()) == ["new\nline"]
    assert blobs.delete(["new\nline", "..", "a\0b"]) == 1
    blobs.close()


def test_a_code_that_nobody_knows_is_shown_and_nothing_else_of_the_server_s():
    assert "(Odd.Code)" in answered("Odd.Code", "put it").message
    assert "AKIA" not in answered("AKIA is <secret>", "put it").message
