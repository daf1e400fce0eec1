"""MongoDB URLs: what they may say, and that no password gets out."""

from __future__ import annotations

import pytest

from tracediff.stores.mongo import MongoIndex
from tracediff.stores.mongo.address import client_options, parse_address
from tracediff.testing import refused


@pytest.mark.parametrize(
    ("url", "database", "collection", "shown"),
    [
        ("mongodb://host/db", "db", "traces", "mongodb://host/db"),
        ("mongodb://host:1,other:2/db?collection=x.y", "db", "x.y", "mongodb://host:1,other:2/db"),
        ("mongodb://u:p@[::1]:3/db?authSource=admin&w=majority", "db", "traces", "mongodb://[::1]:3/db"),
        ("mongodb+srv://u:p%40@host.example/db?retryWrites=true", "db", "traces",
         "mongodb+srv://host.example/db"),
        ("mongodb://%2Ftmp%2Fmongodb-27017.sock/db", "db", "traces",
         "mongodb://%2Ftmp%2Fmongodb-27017.sock/db"),
    ],
)  # fmt: skip
def test_a_url_names_a_collection(url, database, collection, shown):
    address = parse_address(url)
    assert (address.database, address.collection, address.shown) == (database, collection, shown)
    assert "collection" not in address.url
    MongoIndex(url).close()  # nothing is connected


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://host",
        "mongodb://host/",
        "mongodb://host/?collection=x",
        "mongodb:///db",
        "mongodb://host:99999/db",
        "mongodb://host:port/db",
        "mongodb://user:pass@word@host/db",
        "mongodb://user:pass/word@host/db",
        "mongodb://user:pass%zzword@host/db name",
        "mongodb://host/db?collection=",
        "mongodb://host/db?collection=system.users",
        "mongodb://host/db?collection=a$b",
        "mongodb://host/" + "d" * 64,
    ],
)
def test_what_names_none_is_refused(url):
    with refused("store-url-invalid"):
        MongoIndex(url)


@pytest.mark.parametrize(
    "option",
    ["colection=x", "unknown=1", "w=0", "w=1", "journal=false", "fsync=true", "socketTimeoutMS=x",
     "tracediff=1", "W=1", "tlsCAFile=/nonexistent.pem", "readPreference=odd"],
)  # fmt: skip
def test_an_option_that_is_none_or_that_would_lose_traces_is_refused(option):
    with refused("store-option-invalid"):
        MongoIndex(f"mongodb://host/db?{option}")


@pytest.mark.parametrize(
    ("url", "slug"),
    [
        ("mongodb://127.0.0.1:1/db?maxStalenessSeconds=100", "store-option-invalid"),
        ("mongodb://127.0.0.1:1/db?authMechanism=GSSAPI", "store-option-invalid"),
        ("mongodb+srv://u:p@nonexistent.invalid/db", "store-unreachable"),
    ],
)
def test_what_only_connecting_finds_out_is_named_too(url, slug):
    index = MongoIndex(url)
    with refused(slug):
        index.find("a")
    index.close()


def test_options_that_need_each_other_are_taken_together():
    parse_address("mongodb://h/db?readPreference=secondary&readPreferenceTags=dc:ny")
    parse_address("mongodb://h/db?readPreference=nearest&maxStalenessSeconds=120")


def test_an_option_of_the_url_goes_before_the_default():
    address = parse_address(
        "mongodb://h/db?socketTimeoutMS=50&serverselectiontimeoutms=60&tls=true"
    )
    assert "socketTimeoutMS" not in client_options(address)
    assert "serverSelectionTimeoutMS" not in client_options(address)
    assert client_options(address)["connectTimeoutMS"] == 5000


@pytest.mark.parametrize(
    ("typed", "spellings"),
    [
        ("s3cr3t", ["s3cr3t"]),
        ("p%40ss%2Fw%3Ard", ["p%40ss%2Fw%3Ard", "p@ss/w:rd"]),
        ("a+b%20c", ["a+b%20c", "a+b c", "a b c"]),
    ],
)
def test_no_spelling_of_a_password_is_shown(typed, spellings):
    address = parse_address(f"mongodb://anna:{typed}@127.0.0.1:1/db")
    assert not any(one in repr(address) + address.shown for one in spellings)
    for one in spellings:
        assert one not in address.masked(f"before {one} after")


def test_other_secrets_of_a_url_are_masked_too():
    address = parse_address(
        "mongodb://host/db?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:t0ken"
    )
    assert address.masked("it said t0ken") == "it said ***"


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://anna:s3cr3t/w@host/db",
        "mongodb://anna:s3cr3t@w@host/db",
        "mongodb://anna:s3cr3t@host:port/db",
        "mongodb://anna:s3cr3t@host/db?unknown=s3cr3t",
        "mongodb://anna:s3cr3t@host/",
        "mongodb://anna:s3cr3t%@ho%st/db",
        "mongodb://an:na:s3cr3t@host/db",
    ],
)
def test_an_error_about_a_url_shows_no_password(url):
    import traceback

    from tracediff.errors import StoreError

    with pytest.raises(StoreError) as caught:
        MongoIndex(url)
    said = "".join(traceback.format_exception(caught.value)) + repr(caught.value.hint)
    lines = [line for line in said.splitlines() if "MongoIndex(url" not in line]
    assert "s3cr3t" not in "\n".join(lines)
    assert caught.value.__cause__ is None
