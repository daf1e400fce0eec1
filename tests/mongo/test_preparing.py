"""What a collection needs, how it is told from others, and what doctor says."""

from __future__ import annotations

import bson
import ormsgpack
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from servers.mongod import Mongod
from tracediff.model import Query
from tracediff.stores.mongo import MongoIndex, diagnosing, preparing
from tracediff.stores.mongo.planning import SEARCH_INDEXES
from tracediff.testing import make_row, refused


@pytest.fixture
def empty(open_index, tmp_path) -> MongoIndex:
    """An index that nobody prepared."""
    return open_index(tmp_path, prepared=False)


def test_what_is_needed_is_shown_first_and_made_once(empty, place):
    with place.client() as client:
        said = empty.prepare(dry_run=True)
        assert len(said) == len(SEARCH_INDEXES) + 3 + 4 + 2
        assert empty.address.database not in client.list_database_names()
        assert empty.prepare() == said
        assert empty.prepare(dry_run=True) == empty.prepare() == []
        found = client[empty.address.database].traces.index_information()
    assert found["traces_expiry"]["expireAfterSeconds"] == 0
    assert found["traces"]["key"] == [("f", 1), ("s", 1), ("t", 1), ("_id", 1)]


def test_nothing_is_made_in_secret(empty, place):
    for use in (
        lambda: empty.create([make_row("a")]),
        lambda: empty.update(make_row("a")),
        lambda: empty.delete(["a"]),
        lambda: empty.find("a"),
        lambda: empty.search(Query()),
    ):
        with refused("store-unprepared"):
            use()
    with place.client() as client:
        assert empty.address.database not in client.list_database_names()
    empty.prepare()
    empty.create([make_row("a")])  # no new index object is needed


def test_a_collection_of_somebody_elses_is_left_alone(empty, place):
    with place.client() as client:
        client[empty.address.database].traces.insert_one({"theirs": 1})
        for dry_run in (True, False):
            with refused("store-foreign"):
                empty.prepare(dry_run=dry_run)
        assert list(client[empty.address.database].traces.index_information()) == ["_id_"]


@pytest.mark.parametrize(
    ("schema", "slug"),
    [(3, "store-newer"), (10**12, "store-newer"), ("x", "store-foreign"), (0, "store-foreign")],
)
def test_a_collection_in_another_form_is_refused(empty, place, schema, slug):
    empty.prepare()
    with place.client() as client:
        client[empty.address.database]["traces.about"].update_one({}, {"$set": {"schema": schema}})
    with refused(slug):
        empty.create([make_row("a")])
    with refused(slug):
        empty.prepare()


def test_a_document_that_is_no_row_is_named(index, plain):
    plain.insert_one({"_id": "odd", "f": [0], "s": 1, "t": 5, "r": b"\xc1"})
    with refused("store-foreign"):
        index.search(Query())
    for fields in ({"r": b"\x90"}, {"e": b"{}", "l": []}, {"e": 1, "l": ["a", 1, 1]}, {"s": "x"}):
        plain.update_one({"_id": "odd"}, {"$set": fields})
        with refused("store-foreign"):
            index.find("odd")


def test_a_row_whose_fields_have_other_types_is_refused(index, plain):
    index.create([make_row("a", tags=("x",), context={"n": 1})])
    good = plain.find_one()
    packed = ormsgpack.unpackb(good["r"])
    others = [{"k": 1}, {"g": [1]}, {"g": 5}, {"c": {"n": [1]}}, {"c": 1}, {"_id": "odd id"}]
    for at, value in ((0, 1), (1, "x"), (4, "x"), (6, b""), (9, 7), (10, -1)):
        others.append({"r": ormsgpack.packb([*packed[:at], value, *packed[at + 1 :]])})
    for fields in others:
        with refused("store-foreign"):
            plain.delete_many({})
            plain.insert_one(good | fields)
            index.search(Query())


def test_a_document_that_is_no_bson_is_refused(index, plain):
    index.create([make_row("a", key="price")])
    data = bson.encode(plain.find_one()).replace(b"price", b"pri\xffe")
    plain.delete_many({})
    plain.insert_one(RawBSONDocument(data))
    with refused("store-foreign"):
        index.search(Query())


def test_an_index_of_another_form_is_made_anew(index, plain):
    plain.drop_index("traces")
    plain.create_index([("f", 1)], name="traces")
    assert len(index.prepare(dry_run=True)) == 1
    index.prepare()
    assert index.prepare(dry_run=True) == []


def test_two_collections_of_one_database_are_two_stores(open_index, tmp_path):
    one, other = open_index(tmp_path), open_index(tmp_path, collection="other.traces")
    one.create([make_row("a")])
    assert other.search(Query()).rows == ()


def test_a_client_of_the_callers_is_used_and_left_open(place, index):
    index.create([make_row("a")])
    with place.client() as client:
        injected = MongoIndex(client=client, database=index.address.database)
        assert injected.find("a")
        injected.close()
        client.admin.command("ping")
        made = []

        def make() -> MongoClient:
            made.append(place.client())
            return made[-1]

        lazy = MongoIndex(client=make, database=index.address.database)
        assert not made
        assert lazy.find("a")
        assert lazy.find("a")
        assert len(made) == 1
        lazy.close()
        made[0].admin.command("ping")
        made[0].close()


def test_a_closed_index_says_so(index):
    index.close()
    for use in (lambda: index.search(Query()), lambda: index.create([make_row("a")])):
        with refused("store-closed"):
            use()


def test_doctor_finds_a_healthy_store_healthy(index):
    found = index.diagnose()
    assert [one for one in found if not one.ok] == []
    said = "\n".join(one.text for one in found)
    for word in ("answers", "clock", "MongoDB", "replica set", "one of traces", "indexes"):
        assert word in said


def test_doctor_names_what_is_missing_and_the_fix(index, plain, monkeypatch):
    plain.drop_index("traces_expiry")
    monkeypatch.setattr(diagnosing, "OLDEST", (99, 0))
    monkeypatch.setattr(diagnosing.time, "time", lambda: 10**9)
    bad = {one.text: one.hint for one in index.diagnose() if not one.ok}
    assert len(bad) == 3
    assert all(bad.values())
    assert any("traces_expiry" in text for text in bad)
    assert any("ahead of" in text for text in bad)
    assert any("too old" in text for text in bad)


def test_doctor_says_that_nothing_was_prepared(empty):
    last = empty.diagnose()[-1]
    assert not last.ok
    assert "init" in last.hint


def test_doctor_says_that_the_server_is_down():
    index = MongoIndex("mongodb://127.0.0.1:1/db?serverSelectionTimeoutMS=200")
    (found,) = index.diagnose()
    index.close()
    assert not found.ok
    assert "127.0.0.1" in found.text


def test_an_old_server_is_refused(empty, monkeypatch):
    monkeypatch.setattr(preparing, "OLDEST", (99, 0))
    with refused("store-old-server"):
        empty.prepare()


def test_a_server_without_a_replica_set_is_refused(tmp_path):
    with Mongod(tmp_path, replicas=False) as alone:
        index = MongoIndex(alone.uri("db"))
        with refused("store-unsuitable"):
            index.prepare()
        assert any("replica set" in one.text and not one.ok for one in index.diagnose())
        index.close()


@pytest.mark.slow
def test_what_has_expired_goes_by_itself(index):
    from servers.processes import wait_until

    index.create([
        make_row("old", expires_at=10**9), make_row("new", expires_at=2**62), make_row("ever"),
        make_row("far", expires_at=2**80),
    ])  # fmt: skip
    # A minute, where the server is the user's own.
    wait_until(lambda: not index.find("old"), "the removal of what has expired", 90)
    assert {row.id for row in index.search(Query()).rows} == {"new", "ever", "far"}
