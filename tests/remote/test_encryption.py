"""Encrypted payloads and tenants on the real servers: nothing in the clear, prefixes that hold."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import random
import re
import signal

import bson
import pytest

from tracediff.config.encryption import VARIABLE
from tracediff.model import Artifact, Query
from tracediff.stores import open_store
from tracediff.stores.places import LARGE
from tracediff.testing import make_trace, refused

BLOCK = random.Random(8250).randbytes(8 << 10)
MARK = BLOCK[1000:1064]
"""Random, so that compression leaves it as it is."""

PROGRAM = """
BLOCK = bytes.fromhex(open("block.hex").read())

@td.input("Secrets")
def secrets():
    return BLOCK

@td.job("shop/price", context=lambda n: {"shop": "acme" if n % 2 else "other/one"})
def price(n):
    td.tag(f"n:{n}")
    td.artifact("large.bin", BLOCK * 10)
    return secrets()

td.configure(on_ack=ledger("shop"))
for n in range(int(sys.argv[1])):
    price(n)
sys.exit(not td.flush(50, upload=True))
"""


def keys(*names: str) -> str:
    secrets = (hashlib.sha256(name.encode()).digest() for name in names)
    pairs = zip(names, secrets, strict=True)
    return ",".join(f"{name}={base64.b64encode(one).decode()}" for name, one in pairs)


def holding(production) -> set[str]:
    """Where the mark lies: in documents, in objects, in files of the project."""
    found = set()
    with production.mongod.client() as client:
        database = client[production.name]
        for name in database.list_collection_names():
            if any(MARK in bson.encode(one) for one in database[name].find()):
                found.add(name)
    found |= {key.split("/")[0] for key, data in production.objects_of() if MARK in data}
    files = (production.directory / ".tracediff").rglob("*")
    return found | {one.name for one in files if one.is_file() and MARK in one.read_bytes()}


def opened(production, monkeypatch, *names: str):
    monkeypatch.setenv(VARIABLE, keys(*names))
    return contextlib.closing(open_store(production.url(), tenant="shop"))


@pytest.mark.slow
def test_nothing_of_a_payload_lies_on_the_servers_in_the_clear(production, monkeypatch):
    (production.directory / "block.hex").write_text(BLOCK.hex())
    production.write(PROGRAM)
    settings = {"TRACEDIFF_TENANT": "shop", VARIABLE: keys("k1", "acme/k7")}
    _, err = production.run("program.py", 6, **settings)
    assert err == ""
    assert holding(production) == set()
    places = {key.rpartition("/segments/")[0] for key, _ in production.objects_of()
              if "/segments/" in key}  # fmt: skip
    assert places == {"keep/tenants/acme", "keep/tenants/other_2fone"}
    with opened(production, monkeypatch, "k2", "k1", "acme/k7") as store:
        traces = [store.load(row) for row in store.search(Query()).rows]
        assert len(traces) == 6
        assert all(one.artifacts[0].data == BLOCK * 10 for one in traces)
        assert store.check() == []
    production.run("program.py", 1)  # without keys it does: the mark can be found
    assert "keep" in holding(production)


@pytest.mark.slow
def test_a_recorder_that_was_killed_leaves_a_spool_of_ciphertext_that_any_process_moves(
    production, poll, monkeypatch
):
    (production.directory / "block.hex").write_text(BLOCK.hex())
    production.write(PROGRAM)
    settings = {"TRACEDIFF_TENANT": "shop", VARIABLE: keys("k1", "acme/k7")}
    process = production.start("program.py", 10_000, TRACEDIFF_UPLOAD_EVERY="3600", **settings)
    poll(lambda: len(production.acknowledged()) >= 20)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert holding(production) == set()
    production.upload()  # a process without keys
    assert holding(production) == set()
    with opened(production, monkeypatch, "k1", "acme/k7") as store:
        rows = store.search(Query(key="shop", limit=1000)).rows
        assert set(production.acknowledged()) <= {row.id for row in rows}
        assert {store.load(row).artifacts[0].data for row in rows} == {BLOCK * 10}


@pytest.fixture
def shops(own_mongod, weed, monkeypatch):
    """Open the store of the shops as somebody of S3, with some keys."""
    stores = []

    def shops(identity: str, *names: str):
        for variable, text in weed.identities[identity].environment().items():
            monkeypatch.setenv(variable, text)
        monkeypatch.setenv(VARIABLE, keys(*names))
        blobs = f"s3://traces-a,traces-b/shops?endpoint={weed.endpoint}"
        stores.append(open_store(own_mongod.uri("shops"), blobs=blobs, tenant="shop"))
        return stores[-1]

    yield shops
    for store in stores:
        store.close()
    with own_mongod.client() as client:
        client.drop_database("shops")


def test_who_has_a_tenants_prefix_and_key_reads_that_tenants_traces_alone(shops):
    data = MARK + b"\0" * LARGE
    large = Artifact(name="a", sha256=hashlib.sha256(data).hexdigest(), size=len(data), data=data)
    traces = {
        f"{shop}-{days}": make_trace(
            f"{shop}-{days}", context={"shop": shop}, retention=days, artifacts=(large,),
            started_at=2_000_000_000 * 10**9,
        )
        for shop in ("acme", "acme-two", "other")
        for days in (30, None)
    }  # fmt: skip
    admin = shops("admin", "k1", "acme/k7")
    admin.prepare()
    admin.save(list(traces.values()))
    rows = {row.id: row for row in admin.search(Query()).rows}
    assert rows.keys() == traces.keys()
    acme = shops("acme", "acme/k7")
    for name, row in rows.items():
        if re.fullmatch(r"acme-(30|None)", name):
            assert acme.load(row) == traces[name]
        else:
            with refused("store-denied"):
                acme.load(row)
    for stranger, slug in (("acme", "key-missing"), ("reader", "key-missing")):
        with refused(slug):
            shops(stranger, "k9").load(rows["acme-30"])
