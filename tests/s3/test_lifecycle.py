"""What ``init`` makes in S3, and what ``doctor`` says of it."""

from __future__ import annotations

import pytest

from servers.faulty_http import FaultyHttp
from servers.seaweed import free_ports
from tracediff.stores.s3 import S3Blobs
from tracediff.testing import refused

FOREIGN = {
    "ID": "theirs",
    "Status": "Enabled",
    "Filter": {"Prefix": "logs/"},
    "Expiration": {"Days": 5},
}


@pytest.fixture
def plain(weed):
    client = weed.client()
    yield client
    client.close()


@pytest.fixture
def buckets(plain, prefix):
    """The names of two buckets that there are not; removed in the end."""
    names = [f"{prefix}-{one}" for one in "ab"]
    yield names
    there = {one["Name"] for one in plain.list_buckets()["Buckets"]}
    for name in there & set(names):
        plain.delete_bucket(Bucket=name)


@pytest.fixture
def open_in(weed, act_as):
    opened = []

    def open_in(buckets, who="admin", endpoint=None):
        act_as(weed, who)
        url = f"s3://{','.join(buckets)}/prod?endpoint={endpoint or weed.endpoint}"
        opened.append(S3Blobs(url, attempts=1))
        return opened[-1]

    yield open_in
    for blobs in opened:
        blobs.close()


def rules(client, bucket):
    found = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    return {
        rule["ID"]: (
            rule["Filter"]["Prefix"],
            rule.get("Expiration", {}).get("Days"),
            rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"),
        )
        for rule in found
    }


def test_what_is_missing_is_shown_first_and_then_made(open_in, buckets, plain):
    blobs = open_in(buckets)
    shown = blobs.prepare([30, 3], dry_run=True)
    assert [line for line in shown if buckets[0] in line] == [
        f"make bucket {buckets[0]}",
        (
            f"set in bucket {buckets[0]} rule tracediff-keep-prod: keep/prod/: "
            "unfinished uploads end after 3 days"
        ),
        (
            f"set in bucket {buckets[0]} rule tracediff-3d-prod: 3d/prod/: expire after 4 days, "
            "unfinished uploads end after 3 days"
        ),
        (
            f"set in bucket {buckets[0]} rule tracediff-30d-prod: 30d/prod/: expire after 31 days, "
            "unfinished uploads end after 3 days"
        ),
    ]
    assert not {one["Name"] for one in plain.list_buckets()["Buckets"]} & set(buckets)
    assert blobs.prepare([30, 3], dry_run=False) == shown
    for bucket in buckets:
        assert rules(plain, bucket) == {
            "tracediff-keep-prod": ("keep/prod/", None, 3),
            "tracediff-3d-prod": ("3d/prod/", 4, 3),
            "tracediff-30d-prod": ("30d/prod/", 31, 3),
        }
    assert blobs.prepare([30, 3], dry_run=False) == []


def test_the_rules_of_others_are_kept(open_in, buckets, plain):
    own = {**FOREIGN, "ID": "tracediff-9d-prod", "Filter": {"Prefix": "9d/prod/"}}
    plain.create_bucket(Bucket=buckets[0])
    plain.put_bucket_lifecycle_configuration(
        Bucket=buckets[0], LifecycleConfiguration={"Rules": [FOREIGN, own]}
    )
    blobs = open_in(buckets[:1])
    said = blobs.prepare([30], dry_run=False)
    assert said[0] == f"keep in bucket {buckets[0]} rule theirs: logs/: expire after 5 days"
    known = rules(plain, buckets[0])
    assert known["theirs"] == ("logs/", 5, None)
    assert known["tracediff-9d-prod"] == ("9d/prod/", 5, None)  # its objects are still there
    assert set(known) == {
        "theirs", "tracediff-9d-prod", "tracediff-keep-prod", "tracediff-30d-prod",
    }  # fmt: skip


def test_a_rule_that_somebody_changed_is_set_right(open_in, buckets, plain):
    blobs = open_in(buckets[:1])
    blobs.prepare([30], dry_run=False)
    mine = plain.get_bucket_lifecycle_configuration(Bucket=buckets[0])["Rules"]
    for rule in mine:
        if "Expiration" in rule:
            rule["Expiration"]["Days"] = 2
    plain.put_bucket_lifecycle_configuration(
        Bucket=buckets[0], LifecycleConfiguration={"Rules": mine}
    )
    assert len(blobs.prepare([30], dry_run=False)) == 1
    assert rules(plain, buckets[0])["tracediff-30d-prod"] == ("30d/prod/", 31, 3)


def test_who_may_not_set_rules_is_told_so(open_in):
    with refused("store-denied"):
        open_in(["traces-a"], "reader").prepare([30], dry_run=False)


def objects(client, bucket):
    return [one["Key"] for one in client.list_objects_v2(Bucket=bucket).get("Contents", ())]


def test_all_is_well_after_init_and_nothing_is_left_behind(open_in, buckets, plain):
    blobs = open_in(buckets)
    blobs.prepare([30], dry_run=False)
    found = blobs.diagnose([30])
    assert [one.ok for one in found] == [True] * 4
    assert found[0].text == (
        f"bucket {buckets[0]}: these credentials may list, read, write: recorder and reader"
    )
    for bucket in buckets:
        assert objects(plain, bucket) == []
        assert not plain.list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_missing_rules_are_named_with_what_sets_them(open_in, buckets):
    blobs = open_in(buckets[:1])
    blobs.prepare([], dry_run=False)
    assert all(one.ok for one in blobs.diagnose())
    blobs.put("7d/segments/x.seg", b"1")  # nobody said so, and there are such objects
    (bad,) = [one for one in blobs.diagnose([30]) if not one.ok]
    assert bad.text.endswith("rules are missing: tracediff-7d-prod, tracediff-30d-prod")
    assert "tracediff init" in bad.hint
    blobs.delete(["7d/segments/x.seg"])


@pytest.mark.parametrize(
    ("who", "text"),
    [
        ("recorder", "may write, not list, read: recorder"),
        ("reader", "may list, read, not write: reader"),
    ],
)
def test_the_part_that_credentials_can_play_is_said(open_in, plain, who, text):
    before = objects(plain, "traces-a")
    found = open_in(["traces-a"], who).diagnose()
    assert found[0].ok
    assert found[0].text.endswith(text)
    assert objects(plain, "traces-a") == before


def test_what_is_wrong_with_a_bucket_is_said(open_in, weed, act_as, monkeypatch):
    (missing,) = open_in(["nobodys-bucket"]).diagnose()
    assert not missing.ok
    assert "there is no such bucket" in missing.text
    (denied,) = open_in(["nobodys-bucket"], "recorder").diagnose()
    assert "may do nothing" in denied.text
    (port,) = free_ports(1)
    (gone,) = open_in(["aaa", "bbb"], endpoint=f"http://127.0.0.1:{port}").diagnose()
    assert gone.text.startswith("cannot reach bucket aaa")
    blobs = open_in(["traces-a"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    (wrong,) = blobs.diagnose()
    assert "does not accept the credentials" in wrong.text
    assert all(one.hint for one in (missing, denied, gone, wrong))


def test_a_clock_that_is_wrong_is_said(open_in, weed):
    with FaultyHttp(weed.endpoint) as proxy:
        blobs = open_in(["traces-a"], endpoint=proxy.endpoint)
        proxy.fail(1, headers={"Date": "Wed, 01 Jan 2020 00:00:00 GMT"})
        (clock,) = [one for one in blobs.diagnose() if "clock" in one.text]
    assert not clock.ok
    assert "ahead of the server's" in clock.text


def test_a_server_that_checks_no_bytes_is_found_out(open_in, weed, plain):
    taken = plain.put_object  # what such a server would do with the wrong checksum

    class Careless:
        def __getattr__(self, name):
            return getattr(plain, name)

        def put_object(self, ChecksumSHA256=None, **arguments):
            return taken(**arguments)

    before = objects(plain, "traces-a")
    blobs = S3Blobs("s3://traces-a/prod", client=Careless())
    (found,) = blobs.diagnose()
    assert not found.ok
    assert "takes bytes that do not have their checksum" in found.text
    assert objects(plain, "traces-a") == before
