"""Stores in MongoDB and S3 of every schema: read, upgraded by init alone, refused when newer."""

from __future__ import annotations

import shutil
from contextlib import closing

import pytest

from tracediff.model import Query
from tracediff.stores.mongo import index as mongo_index
from tracediff.stores.mongo.preparing import SCHEMA
from tracediff.stores.spool import SpoolStore
from tracediff.stores.urls import open_remote
from tracediff.testing import make_trace, refused


def schema_there(mongo, url: str, schema: int | None = None) -> int:
    """The schema that plain pymongo finds, or sets."""
    with mongo.client() as client:
        about = client[url.rpartition("/")[2].partition("?")[0]]["traces.about"]
        if schema is not None:
            about.update_one({}, {"$set": {"schema": schema}})
        return int(about.find_one()["schema"])


@pytest.mark.slow
def test_an_older_store_is_read_and_init_upgrades_it(kept, restored, mongo, tmp_path):
    url, blobs = restored(kept)
    store = open_remote(url, blobs)
    kept.verify(store)

    spool = tmp_path / "spool"
    shutil.copytree(kept.directory / "spool", spool)
    recorder = SpoolStore(spool, lambda: open_remote(url, blobs), upload_every=3600)
    if kept.schema < SCHEMA:
        with refused("store-unprepared"):
            store.save([make_trace("new")])
        with refused("store-unprepared"):
            store.delete(["t-large"])
        assert not recorder.flush(30, patient=False)
        assert "tracediff init" in recorder.unmoved() or not recorder.unmoved()
        assert "tracediff init" in (recorder.shipper.problem or "")
        assert any("tracediff init" in (one.hint or "") for one in store.diagnose() if not one.ok)
        said = store.prepare(dry_run=True)
        assert any(f"from schema {kept.schema} to {SCHEMA}" in line for line in said)
        assert schema_there(mongo, url) == kept.schema
        assert store.prepare() == said
    assert schema_there(mongo, url) == SCHEMA
    assert store.prepare(dry_run=True) == []

    assert recorder.flush(30)
    recorder.close()
    kept.verify(store, waited=True)
    store.save([make_trace("new")])
    assert store.find("new")
    assert store.delete(["new", "t-large"]) == 2
    assert [one.text for one in store.diagnose() if not one.ok] == []
    store.close()


@pytest.mark.slow
def test_a_newer_store_is_refused_also_by_who_uses_it_already(mongo, weed, monkeypatch, tmp_path):
    for variable, text in weed.identities["admin"].environment().items():
        monkeypatch.setenv(variable, text)
    url, blobs = mongo.uri("newer"), f"s3://traces/newer?endpoint={weed.endpoint}"
    with closing(open_remote(url, blobs)) as store, closing(open_remote(url, blobs)) as other:
        store.prepare()
        store.save([make_trace("before")])
        schema_there(mongo, url, SCHEMA + 1)
        monkeypatch.setattr(mongo_index, "_CHECKED_EVERY", 0.0)  # a minute has passed
        for one in (store, other):
            for use in (
                lambda one=one: one.save([make_trace("after")]),
                lambda one=one: one.search(Query()),
                lambda one=one: one.find("before"),
                lambda one=one: one.delete(["before"]),
                lambda one=one: one.prepare(),
            ):
                with refused("store-newer"):
                    use()
        recorder = SpoolStore(
            tmp_path / "spool", lambda: open_remote(url, blobs), upload_every=3600
        )
        recorder.save([make_trace("waits")])
        assert not recorder.flush(20, patient=False)
        assert list((tmp_path / "spool").glob("segments/*/*.seg")), "it waits for a newer one"
        schema_there(mongo, url, SCHEMA)
        assert recorder.flush(20)
        recorder.close()
        assert {row.id for row in store.search(Query()).rows} == {"before", "waits"}
