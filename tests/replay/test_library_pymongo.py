"""``pymongo`` as a library of ``inputs``: recorded on a mongod, replayed where it is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from servers.mongod import Mongod
from tracediff.model import Trace

pytestmark = pytest.mark.slow  # what they share takes some seconds to be recorded

JOBS = """
    import asyncio
    import base64
    import datetime as dt
    import os
    import re
    import threading
    import uuid

    import bson
    import gridfs
    import pymongo
    from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, ObjectId, Regex, Timestamp
    from bson.codec_options import CodecOptions, DatetimeConversion
    from bson.raw_bson import RawBSONDocument
    from pymongo import AsyncMongoClient, DeleteOne, InsertOne, MongoClient, ReturnDocument
    from pymongo import UpdateOne
    from pymongo.errors import (AutoReconnect, BulkWriteError, DuplicateKeyError, NetworkTimeout,
                                OperationFailure, ServerSelectionTimeoutError)

    URL = os.environ.get("SHOP_MONGO", "mongodb://127.0.0.1:2/?replicaSet=none")
    client = MongoClient(URL, connect=False, serverSelectionTimeoutMS=4000)
    db = client.shop
    RATE = Decimal128("1.10").to_decimal()

    @td.step("price of an item")
    def price(item):
        return item["price"] * RATE

    def read(below):
        cheap = db.items.find({"n": {"$lt": below}}).sort("n")
        found = {item["name"]: price(item) for item in cheap}
        one = db.items.find_one({"n": 3}, {"_id": 0})
        sums = list(db.items.aggregate([{"$group": {"_id": None, "sum": {"$sum": "$price"}}}]))
        return (found, one, sums, db.items.count_documents({}), db.items.estimated_document_count(),
                sorted(db.items.distinct("name", {"n": {"$lt": 3}})),
                sorted(db.list_collection_names())[:1], db.command("ping")["ok"],
                sorted(db.items.index_information()))

    VALUES = {
        "id": ObjectId("6b08acb826ba410f1fc95b4c"), "decimal": Decimal128("1.50"),
        "long": Int64(5), "int": 5, "big": 2**60, "float": -0.0, "none": None, "true": True,
        "bytes": b"\\0\\xff", "binary": Binary(b"ab", 128), "uuid": Binary(b"0123456789abcdef", 4),
        "regex": Regex("^a+", "im"), "timestamp": Timestamp(5, 6), "at": dt.datetime(2026, 1, 2),
        "ref": DBRef("items", 1, "shop", more=2), "code": Code("f()", {"a": 1}), "max": MaxKey(),
        "nested": {"list": [1, [2.5, {"a": "b"}]]}, "text": "h\\u00e9 \\U0001f600", "empty": {},
    }

    def types():
        db.values.insert_one({"_id": 1, **VALUES})
        plain = db.values.find_one()
        options = CodecOptions(tz_aware=True, uuid_representation=4)
        aware = db.get_collection("values", codec_options=options).find_one()
        raw = db.get_collection("values", codec_options=CodecOptions(RawBSONDocument)).find_one()
        far = db.values.insert_one({"_id": 2, "at": bson.datetime_ms.DatetimeMS(10**15)})
        ms = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
        late = db.get_collection("values", codec_options=ms).find_one(2)
        return (plain == {"_id": 1, **VALUES}, plain, type(plain["long"]).__name__,
                aware["at"].isoformat(), str(aware["uuid"]), len(raw.raw), raw["decimal"],
                int(late["at"]), far.inserted_id)

    def write():
        first = db.orders.insert_one({"item": 1, "lines": [1, 2]})
        many = db.orders.insert_many([{"item": n} for n in (2, 3)])
        changed = db.orders.update_many({"item": {"$gt": 1}}, {"$set": {"late": True}})
        upserted = db.orders.update_one({"item": 9}, {"$set": {"x": 1}}, upsert=True)
        replaced = db.orders.replace_one({"_id": first.inserted_id}, {"item": 7})
        found = db.orders.find_one_and_update({"item": 7}, {"$inc": {"item": 1}},
                                              return_document=ReturnDocument.AFTER)
        bulk = db.orders.bulk_write([InsertOne({"item": 20}), DeleteOne({"item": 3}),
                                     UpdateOne({"item": 20}, {"$set": {"y": 1}})])
        gone = db.orders.delete_many({"item": 2})
        made = [db.orders.find_one({"_id": one})["item"] for one in many.inserted_ids[:0]]
        db.orders.with_options(write_concern=pymongo.WriteConcern(w=0)).insert_one({"_id": "quick"})
        db.orders.aggregate([{"$match": {"item": 8}}, {"$out": "copies"}])
        return (found["_id"] == first.inserted_id, found["item"], changed.modified_count,
                upserted.upserted_id is not None, replaced.matched_count,
                bulk.bulk_api_result["nInserted"], bulk.deleted_count,
                gone.deleted_count, made, ObjectId() > first.inserted_id)

    def refused():
        said = []
        db.unique.create_index("name", unique=True)
        db.unique.insert_one({"_id": 1, "name": "a"})
        try:
            db.unique.insert_one({"_id": 2, "name": "a"})
        except DuplicateKeyError as error:
            said.append((error.code, error.details["keyValue"], str(error)))
        try:
            db.unique.insert_many([{"_id": n, "name": "n" * n} for n in (1, 5, 6)], ordered=False)
        except BulkWriteError as error:
            wrong = [one["index"] for one in error.details["writeErrors"]]
            said.append((error.details["nInserted"], wrong))
        try:
            db.command("noSuchCommand")
        except OperationFailure as error:
            said.append((error.code, error.details["codeName"], error.timeout))
        try:
            list(db.items.find({"$where": "x"}, max_time_ms=1000).hint("none_such"))
        except OperationFailure as error:
            said.append(error.code)
        return said

    READ = 0

    def half():
        cursor = db.numbers.find({}, batch_size=10).sort("_id")
        some = [next(cursor)["_id"] for _ in range(READ or 15)]
        alive = cursor.alive
        cursor.close()
        command = db.numbers.aggregate([{"$sort": {"_id": -1}}], batchSize=7)
        last = [one["_id"] for _, one in zip(range(9), command)]
        return some, alive, last

    def transaction():
        with client.start_session() as session:
            with session.start_transaction():
                db.accounts.update_one({"_id": "a"}, {"$inc": {"money": -5}}, session=session)
                db.accounts.update_one({"_id": "b"}, {"$inc": {"money": 5}}, session=session)
                inside = db.accounts.find_one({"_id": "a"}, session=session)["money"]
            try:
                with session.start_transaction():
                    db.accounts.delete_many({}, session=session)
                    raise KeyError("back")
            except KeyError:
                pass
            moved = session.with_transaction(
                lambda s: db.accounts.find_one_and_delete({"_id": "c"}, session=s)["money"])
        return inside, db.accounts.count_documents({}), moved

    def files():
        bucket = gridfs.GridFSBucket(db, chunk_size_bytes=1000)
        key = bucket.upload_from_stream("photo", bytes(range(256)) * 12, metadata={"of": "ann"})
        stream = bucket.open_download_stream(key)
        found = next(bucket.find({"filename": "photo"}))
        return len(stream.read(300)), stream.read()[-1], found.length

    def watched():
        with db.watched.watch(max_await_time_ms=200) as stream:
            db.watched.insert_one({"_id": 1})
            change = stream.next()
            return change["operationType"], change["documentKey"], stream.try_next()

    @td.job("reads")
    def reads():
        return {"read": read(4), "types": types(), "half": half()}

    @td.job("writes")
    def writes():
        return {"write": write(), "refused": refused(), "transaction": transaction(),
                "watched": watched()}

    @td.job("files")
    def stored():
        return files()

    @td.job("secrets")
    def secrets(encoded):
        given = base64.b64decode(encoded).decode()
        db.members.insert_one({"_id": "ann", "password": given, "token": given + "-token",
                               "login": {"api_key": given + "-key"}})
        db.members.create_index("token", unique=True)
        ann = db.members.find_one({"password": given})
        db.members.update_one({"_id": "ann"}, {"$set": {"copy.password": ann["password"]}})
        found = db.members.find_one({"token": ann["token"]}, {"token": 1})
        try:
            db.members.insert_one({"_id": "bob", "token": ann["token"]})
        except DuplicateKeyError as error:
            refused = error.code
        db.command("createUser", "joe", pwd=given, roles=[])
        return ann["_id"], found["token"] == ann["token"], refused

    @td.job("raises")
    def raises(encoded):
        given = base64.b64decode(encoded).decode()
        try:
            db.command("find", "members", filter={"password": {"$regex": "(" + given}})
        except OperationFailure as error:
            raise ValueError(f"wrong: ({given}") from error

    @td.job("missing")
    def missing(encoded):
        given = base64.b64decode(encoded).decode()
        said = []
        nowhere = MongoClient(f"mongodb://ann:{given}@127.0.0.1:1/", serverSelectionTimeoutMS=50)
        for _ in range(2):
            try:
                nowhere.shop.items.find_one()
            except ServerSelectionTimeoutError as error:
                said.append((type(error).__name__, "127.0.0.1:1" in str(error), error.timeout))
        nowhere.close()
        denied = MongoClient(URL.replace("://", f"://ann:{given}@"), serverSelectionTimeoutMS=500)
        try:
            denied.shop.items.find_one()
        except OperationFailure as error:
            said.append((error.code, error.details["codeName"]))
        return said

    @td.job("broken")
    def broken():
        got = []
        try:
            for one in db.numbers.find({}, batch_size=10).sort("_id"):
                got.append(one["_id"])
        except AutoReconnect as error:
            return got, type(error).__name__

    @td.job("retried")
    def retried():
        return db.items.find_one({"n": 1})["name"]

    @td.job("threads")
    def threads():
        said = []

        def one(number):
            said.append(db.items.find_one({"n": number})["name"])

        all_ = [threading.Thread(target=td.propagate(one), args=(n,)) for n in (1, 2, 3)]
        [t.start() for t in all_]
        [t.join() for t in all_]
        return sorted(said)

    @td.job("async")
    async def run_async():
        async with AsyncMongoClient(URL, serverSelectionTimeoutMS=4000) as other:
            async def one(number):
                return (await other.shop.items.find_one({"n": number}))["name"]

            names = await asyncio.gather(*(one(number) for number in (3, 1, 2)))
            some = []
            async for item in other.shop.numbers.find({}, batch_size=10).sort("_id"):
                some.append(item["_id"])
                if len(some) == 12:
                    break
            try:
                await other.shop.unique.insert_one({"_id": 77, "name": "a"})
            except DuplicateKeyError as error:
                refused = error.code
            made = await other.shop.orders.insert_one({"of": "async"})
            async with other.start_session() as session, await session.start_transaction():
                await other.shop.accounts.insert_one({"_id": "async"}, session=session)
            slow = asyncio.create_task(other.shop.items.find_one(
                {"$where": "sleep(3000) || true"}))
            await asyncio.sleep(0.3)
            slow.cancel()
            try:
                await slow
            except asyncio.CancelledError:
                cancelled = True
            try:
                with pymongo.timeout(0.1):
                    await other.shop.items.find_one({"$where": "sleep(3000) || true"})
            except Exception as error:
                late = error.timeout
            return names, some, refused, type(made.inserted_id).__name__, cancelled, late

    @td.input("numbers of an input")
    def numbers():
        return db.numbers.count_documents({})

    @td.job("loose")
    def loose():
        said = []

        def one():
            try:
                said.append(client.shop.items.find_one())
            except BaseException as error:
                said.append(type(error).__name__)

        thread = threading.Thread(target=one)
        thread.start()
        thread.join()
        return said if "ReplayAbort" in said else len(said)

    NEW = False

    def added():
        many = db.new.insert_many([{"a": 1}, {"a": 2}]).inserted_ids
        changed = db.new.update_one({"a": 1}, {"$set": {"a": 3}}).modified_count
        gone = db.new.find_one_and_delete({"a": 2})
        return len(many), changed, gone, db.new.find_one(), db.new.distinct("a")

    @td.job("plain")
    def plain():
        return added() if NEW else db.items.find_one({"n": 1})["name"]

    @td.job("once")
    def once():
        return numbers()
"""

RUN = """
    for n in (1, 2, 3, 4):
        db.items.insert_one({"n": n, "name": f"item {n}", "price": n})
    db.numbers.insert_many([{"_id": n} for n in range(40)])
    db.accounts.insert_many([{"_id": one, "money": 10} for one in "abc"])
    db.create_collection("watched")
    reads(); writes(); stored(); secrets("aHVudGVyMjI=")
    try:
        raises("aHVudGVyMjI=")
    except ValueError:
        pass
    missing("aHVudGVyMjI="); threads(); loose(); once(); plain()
    for name, run in (("getMore", broken), ("find", retried)):
        client.admin.command("configureFailPoint", "failCommand", mode={"times": 1},
                             data={"failCommands": [name], "closeConnection": True})
        run()
    asyncio.run(run_async())
    client.close()
"""


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    with Mongod(tmp_path_factory.mktemp("mongod")) as server:
        yield server


@pytest.fixture(scope="session")
def recorded(new_shop: Callable[[], Any], mongod: Mongod) -> Any:
    project = new_shop()
    project.settings('inputs = ["pymongo", "uuid", "random"]\n')
    project.jobs(JOBS.replace("* RATE", "* float(RATE)"))
    traces = {one.key: one for one in project.record(RUN, SHOP_MONGO=mongod.uri("shop"))}
    return project, traces


SOME = ("reads", "missing", "broken", "retried", "threads")


def in_turn(key: str) -> Any:
    """A parameter that a run of CI takes every third of."""
    return pytest.param(key, marks=pytest.mark.in_turn)


def check(project: Any, trace: Trace, *, same_order: bool = True) -> Trace:
    """It replays exactly."""
    new: Trace = project.replay(trace)
    assert not new.replay.misses, new.replay.misses
    assert new.steps[0].error == trace.steps[0].error
    both = [[(one.kind, one.name, one.args, one.result) for one in side.steps]
            for side in (new, trace)]  # fmt: skip
    if not same_order:
        both = [sorted(side, key=repr) for side in both]
    assert both[0] == both[1]
    return new


@pytest.mark.parametrize("key", ["writes", "async", *map(in_turn, SOME)])
def test_it_replays_without_the_server(recorded: Any, key: str) -> None:
    project, traces = recorded
    check(project, traces[key], same_order=key not in ("threads", "async"))


def test_values_are_exact_and_errors_have_their_details(recorded: Any) -> None:
    project, traces = recorded
    read = project.result(traces["reads"])
    assert read["read"][0] == {"item 1": 1.1, "item 2": 2.2, "item 3": 3.3000000000000003}
    assert read["types"][0] is True
    assert read["half"][0] == list(range(15))
    written = project.result(traces["writes"])
    assert written["write"] == (True, 8, 2, True, 1, 1, 1, 1, [], True)
    duplicate, bulk, unknown, hint = written["refused"]
    assert duplicate[:2] == (11000, {"name": "a"})
    assert (bulk, unknown, hint) == ((2, [0]), (59, "CommandNotFound", False), 2)
    assert written["transaction"] == (5, 2, 10)
    assert written["watched"] == ("insert", {"_id": 1}, None)


def test_a_connection_that_breaks_is_an_error_and_what_is_tried_again_two_steps(
    recorded: Any,
) -> None:
    project, traces = recorded
    assert project.result(traces["broken"]) == (list(range(10)), "AutoReconnect")
    assert project.result(traces["retried"]) == "item 1"
    failed, found = traces["retried"].steps[-2:]
    assert failed.name == found.name == "pymongo find items"
    assert (failed.error.type, found.error) == ("pymongo.errors:AutoReconnect", None)
    assert project.result(traces["missing"])[-1] == (18, "AuthenticationFailed")


def test_what_reads_is_an_input_and_what_writes_an_output(recorded: Any) -> None:
    _, traces = recorded
    kinds = {(one.kind, one.name) for trace in traces.values() for one in trace.steps}
    for name in ("find items", "getMore numbers", "aggregate items", "ping", "ObjectId", "connect"):
        assert ("input", f"pymongo {name}") in kinds
    for name in ("insert orders", "aggregate orders", "commitTransaction", "createIndexes unique"):
        assert ("output", f"pymongo {name}") in kinds
    assert not any("killCursors" in name or "endSessions" in name for _, name in kinds)
    assert not any(name.startswith(("uuid", "random")) for _, name in kinds)


@pytest.mark.in_turn
def test_new_commands_are_answered_as_if_all_went_well(recorded: Any) -> None:
    project, traces = recorded
    project.change("NEW = False", "NEW = True")
    try:
        new = project.replay(traces["plain"], on_miss="stub")
    finally:
        project.change("NEW = True", "NEW = False")
    assert project.result(new) == (2, 1, None, None, [])
    assert any("pymongo insert new" in one for one in new.warnings)


@pytest.mark.in_turn
def test_a_thread_without_the_jobs_context_is_recorded_nowhere_and_refused(recorded: Any) -> None:
    project, traces = recorded
    assert len(traces["loose"].steps) == 1
    assert project.result(project.replay(traces["loose"])) == ["ReplayAbort"]


@pytest.mark.in_turn
def test_new_code_that_reads_further_misses_what_was_not_fetched(recorded: Any) -> None:
    project, traces = recorded
    project.change("READ = 0", "READ = 25")
    try:
        (miss,) = project.replay(traces["reads"]).replay.misses
    finally:
        project.change("READ = 25", "READ = 0")
    assert miss.name == "pymongo getMore numbers"


def test_a_changed_query_and_a_changed_document_are_seen(recorded: Any) -> None:
    project, traces = recorded
    project.change('{"n": 3}, {"_id": 0}', '{"n": 3, "name": "item 3"}, {"_id": 0}')
    project.change('{"item": 1, "lines": [1, 2]}', '{"item": 1, "lines": [1, 3]}')
    try:
        (miss,) = project.replay(traces["reads"]).replay.misses
        new = project.replay(traces["writes"], on_miss="nearest")
        said = project.cli("compare", traces["writes"].id)
    finally:
        project.change(', "name": "item 3"}, {"_id": 0}', '}, {"_id": 0}')
        project.change('"lines": [1, 3]', '"lines": [1, 2]')
    assert miss.name == "pymongo find items"
    assert new.steps[0].result == traces["writes"].steps[0].result
    assert said.returncode == 1
    assert "documents[0].lines[1]" in said.stdout


def test_what_an_input_of_the_program_reads_is_not_recorded_again(recorded: Any) -> None:
    _, traces = recorded
    assert [one.name for one in traces["once"].steps] == ["once", "numbers of an input"]


def test_no_secret_is_stored(recorded: Any) -> None:
    project, traces = recorded
    assert project.result(traces["secrets"]) == ("ann", True, 11000)
    check(project, traces["secrets"])
    assert traces["raises"].steps[0].error.message == "wrong: [redacted]"
    project.replay(traces["raises"])
    assert b"hunter22" not in project.stored()
    assert b"ann" in project.stored()


@pytest.mark.in_turn
def test_a_file_of_gridfs_is_served(recorded: Any) -> None:
    project, traces = recorded
    new = project.replay(traces["files"])
    assert not new.replay.misses
    assert new.steps[0].result == traces["files"].steps[0].result


@pytest.mark.in_turn
def test_the_store_of_tracediff_is_none_of_a_jobs_inputs(
    new_shop: Callable[[], Any], mongod: Mongod
) -> None:
    project = new_shop()
    store = mongod.uri("traces", blobs=f"file://{project.directory}/blobs")
    project.settings(f'inputs = ["pymongo"]\nmode = "live"\nstore = "{store}"\n')
    assert project.cli("init", "--yes").returncode == 0
    project.jobs("""
        import os
        from pymongo import MongoClient
        from tracediff.api import open_project
        from tracediff.model import Query
        client = MongoClient(os.environ.get("SHOP_MONGO", "mongodb://127.0.0.1:1"))

        @td.job("flushes")
        def flushes():
            made = client.shop.flushed.insert_one({"_id": 1}).inserted_id
            td.flush()
            if "SHOP_MONGO" in os.environ:  # a replay has no network
                with open_project() as project:
                    list(project.search(Query()).rows)
            client.shop.flushed.delete_one({"_id": made})
            return made
    """)
    (trace,) = project.record("flushes()", SHOP_MONGO=mongod.uri("shop"))
    assert [one.name for one in trace.steps[1:]] == [
        "pymongo connect", "pymongo insert flushed", "pymongo delete flushed"]  # fmt: skip
    check(project, trace)
