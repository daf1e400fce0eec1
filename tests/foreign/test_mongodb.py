"""The index of Trifle::Traces out of a real MongoDB, beside its payloads in a directory."""

from __future__ import annotations

import datetime as dt

import bson
import pymongo
import pytest

from servers.mongod import Mongod

pytestmark = pytest.mark.in_turn


@pytest.fixture(scope="module")
def mongod(tmp_path_factory):
    with Mongod(tmp_path_factory.mktemp("mongod"), auth=True, replicas=False) as server:
        yield server


def test_the_index_and_the_payloads_together(mongod, payloads, run, traces):
    reference = bson.ObjectId()
    payloads.trace(str(reference), 12)
    document = {
        "_id": reference,
        "key": "jobs/price/one",
        "segments": ["jobs", "jobs/price", "jobs/price/one"],
        "tags": ["ri:1"],
        "state": "error",
        "meta": '{"store": 9}',
        "context": {"shop": "x", "size": bson.Int64(3)},
        "duration": 2500,
        "counters": {"states": {"success": 3}, "types": {}, "max_level": 1},
        "parts": 3,
        "first_at": dt.datetime(2023, 11, 14, 22, 13, 20, 123_000, dt.UTC),
        "retention": 3,
    }
    with pymongo.MongoClient(mongod.url) as client:
        client["app"]["trifle_traces"].insert_one(document)
    url = mongod.uri("app")
    assert run("import", "payloads", url).out == "1 imported, 0 there already\n"
    assert run("import", mongod.uri("app.trifle_traces"), "payloads").out.startswith("0 imported")
    (trace,) = traces()
    assert (trace.key, trace.state, trace.tags) == ("jobs/price/one", "error", ("ri:1",))
    assert trace.context["size"] == 3
    assert trace.started_at == 1_700_000_000_123_000_000
    assert trace.warnings == ()
    asked = run("ls", "--context", f"trifle_reference={reference}", "--format", "json").out
    assert trace.id in asked
    assert "#import-empty" in run("import", url).err
    refused = run("import", url.replace(mongod.password, "wrong-password"), "payloads")
    assert (refused.code, "#import-source" in refused.err) == (2, True)
    assert "wrong-password" not in refused.err
    mongod.kill()
    gone = run("import", f"{url}&serverSelectionTimeoutMS=200")
    assert (gone.code, "#import-source" in gone.err) == (2, True)
    assert mongod.password not in gone.err
