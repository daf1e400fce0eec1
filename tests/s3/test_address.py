"""The URL of blobs in S3."""

from __future__ import annotations

import pytest

from tracediff.errors import StoreError
from tracediff.stores.s3 import S3Blobs
from tracediff.stores.s3.address import Address, read_address

SECRET = "AKIAIOSFODNN7EXAMPLEwJalrXUtnFEMI"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("s3://traces", Address(buckets=("traces",), prefix="tracediff")),
        ("s3://a-1,b.2x/prod", Address(buckets=("a-1", "b.2x"), prefix="prod")),
        ("s3://abc/a/b%20c/", Address(buckets=("abc",), prefix="a/b c")),
        (
            "s3://abc/p?endpoint=http://127.0.0.1:1/",
            Address(buckets=("abc",), prefix="p", endpoint="http://127.0.0.1:1", path_style=True),
        ),
        (
            "s3://abc/p?endpoint=https%3A%2F%2Fr2.test%2Fx&path_style=false&region=auto",
            Address(buckets=("abc",), prefix="p", endpoint="https://r2.test/x", region="auto"),
        ),
        (
            "s3://abc/p?sse=aws:kms&kms_key=arn:aws:kms:eu:1:key/a-b&storage_class=STANDARD_IA",
            Address(
                buckets=("abc",),
                prefix="p",
                sse="aws:kms",
                kms_key="arn:aws:kms:eu:1:key/a-b",
                storage_class="STANDARD_IA",
            ),
        ),
    ],
)
def test_a_url_says_where_and_how(url, address):
    assert read_address(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "s3:",
        "s3:///prefix",
        "s3://ab",
        "s3://Traces",
        "s3://abc,",
        "s3://abc,abc/p",
        "s3://a_c",
        "http://abc/p",
        "s3://abc/p#fragment",
        "s3://abc/../p",
        "s3://abc/a//b",
        "s3://abc/%00",
        "s3://abc/" + "x/" * 120,
        "s3://abc/p?",
        "s3://abc/p?sse",
        "s3://abc/p?sse=rot13",
        "s3://abc/p?sse=AES256&sse=AES256",
        "s3://abc/p?kms_key=k",
        "s3://abc/p?sse=AES256&kms_key=k",
        "s3://abc/p?path_style=maybe",
        "s3://abc/p?endpoint=nowhere",
        "s3://abc/p?endpoint=ftp://host",
        "s3://abc/p?endpoint=http://host?a=b",
        "s3://abc/p?region=Mars!",
        "s3://abc/p?storage_class=slow",
        "s3://[abc/p",
    ],
)
def test_a_url_that_says_neither_is_refused(url):
    if url == "s3://abc/p?":
        assert read_address(url).prefix == "p"
        return
    with pytest.raises(StoreError) as caught:
        read_address(url)
    assert caught.value.slug == "store-url-invalid"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("endpont", "did you mean endpoint?"),
        ("pathstyle", "did you mean path_style?"),
        ("colour", "the options are"),
    ],
)
def test_an_unknown_option_is_named_with_the_one_that_was_meant(option, meant):
    with pytest.raises(StoreError, match=f"no option {option}") as caught:
        read_address(f"s3://abc/p?{option}=x")
    assert meant in caught.value.hint


@pytest.mark.parametrize(
    "url",
    [
        f"s3://{SECRET}:{SECRET}@abc/p",
        f"s3://{SECRET}@abc/p",
        f"s3://abc/p?access_key={SECRET}",
        f"s3://abc/p?aws_secret_access_key={SECRET}",
        f"s3://abc/p?session_token={SECRET}",
        f"s3://abc/p?X-Amz-Signature={SECRET}",
        f"s3://abc/p?X-Amz-Credential={SECRET}",
        f"s3://abc/p?password={SECRET}",
        f"s3://abc/p?endpoint=https://me:{SECRET}@host",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url):
    with pytest.raises(StoreError, match="credentials do not belong in it") as caught:
        S3Blobs(url)
    assert SECRET not in f"{caught.value.message}{caught.value.hint}"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "url",
    [
        f"s3://{SECRET}/p",
        f"s3://{SECRET}:{SECRET}/p",
        f"s3://abc/p?{SECRET}=1",
        f"s3://abc/p?region={SECRET}",
        f"s3://abc/p?endpoint={SECRET}",
        f"s3://abc/{SECRET}\0",
    ],
)
def test_no_value_of_a_url_is_repeated_that_could_be_a_secret(url):
    with pytest.raises(StoreError) as caught:
        read_address(url)
    assert SECRET not in f"{caught.value.message}{caught.value.hint}"
