"""Failures of server and network: nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import os
import threading
from functools import partial

import pytest

from servers.mongod import Mongod
from servers.processes import wait_until
from servers.proxy import Proxy
from tracediff.errors import StoreError
from tracediff.model import Query
from tracediff.stores.mongo import MongoIndex
from tracediff.testing import make_row, refused

IMPATIENT = {
    "serverSelectionTimeoutMS": 700,
    "socketTimeoutMS": 400,
    "connectTimeoutMS": 400,
    "heartbeatFrequencyMS": 500,
}
AGAIN = ("store-unreachable", "store-busy")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that takes failpoints, which a user's own may not."""
    with Mongod(tmp_path_factory.mktemp("server")) as one:
        yield one


@pytest.fixture
def opening():
    """Open an index on a server, by itself or through a port; what was opened is closed."""
    opened = []

    def opening(mongod: Mongod, port: int | None = None, **options) -> MongoIndex:
        url = mongod.uri("db", **options)
        if port is not None:  # a proxy: the replica set's own address would go round it
            rest = url.partition("/db?")[2].replace("replicaSet=rs0", "directConnection=true")
            url = f"mongodb://127.0.0.1:{port}/db?{rest}"
        opened.append(MongoIndex(url))
        return opened[-1]

    yield opening
    for one in opened:
        one.close()


@pytest.fixture
def connect(server, opening):
    """Open an index on the server that lives on, which is empty again afterwards."""
    opening(server).prepare()
    yield partial(opening, server)
    with server.client() as client:
        client.drop_database("db")


@pytest.fixture
def connect_own(mongod, opening):
    """Open an index on a server of the test's own."""
    opening(mongod).prepare()
    return partial(opening, mongod)


class Ledger:
    """A file of ids that were acknowledged, each line on disk before the next batch."""

    def __init__(self, path):
        self.path = path
        self._file = path.open("a", buffering=1)

    def add(self, ids):
        self._file.write("".join(f"{one}\n" for one in ids))
        self._file.flush()
        os.fsync(self._file.fileno())

    def ids(self):
        self._file.close()
        return self.path.read_text().split()


def plain_ids(mongod) -> list[str]:
    """What pymongo alone finds, in whatever order."""
    with mongod.client() as client:
        return [one["_id"] for one in client.db.traces.find({}, {"_id": 1})]


def write_until(stop: threading.Event, index: MongoIndex, ledger: Ledger, name: str) -> None:
    """Batches one after the other, each again until it is acknowledged, as the spool does."""
    number = 0
    while not stop.is_set():
        ids = [f"{name}-{number}-{n}" for n in range(50)]
        rows = [make_row(one, tags=("all",)) for one in ids]
        while not stop.is_set():
            try:
                index.create(rows)
            except StoreError as error:
                assert error.slug in AGAIN, error  # noqa: PT017 - only then it is worth another try
                stop.wait(0.05)
            else:
                ledger.add(ids)
                break
        number += 1


def disturbed(connect, tmp_path, disturb, want: int = 1000) -> list[str]:
    """Write from two threads while ``disturb`` is called; the ids that were acknowledged."""
    stop, failed = threading.Event(), []
    ledgers = [Ledger(tmp_path / f"ledger-{n}") for n in range(2)]

    def work(number: int) -> None:
        try:
            write_until(stop, connect(**IMPATIENT), ledgers[number], f"w{number}")
        except BaseException as error:
            failed.append(error)
            raise

    def lines() -> int:
        return sum(ledger.path.read_bytes().count(b"\n") for ledger in ledgers)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: lines() > want or bool(failed), "writing")
        disturb()
        there = lines()
        wait_until(lambda: lines() > there + want or bool(failed), "writing after it")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed
    return [one for ledger in ledgers for one in ledger.ids()]


@pytest.mark.slow
def test_a_killed_server_loses_and_doubles_nothing(mongod, connect_own, tmp_path):
    def disturb():
        for _ in range(3):
            mongod.kill()
            mongod.start()

    acknowledged = disturbed(connect_own, tmp_path, disturb)
    found = plain_ids(mongod)
    assert set(acknowledged) <= set(found)
    assert len(found) == len(set(found))
    assert len(acknowledged) > 2000
    page = connect_own().search(Query(tags=("all",), limit=10**6))
    assert sorted(row.id for row in page.rows) == sorted(found)


@pytest.mark.slow
def test_a_step_down_loses_and_doubles_nothing(mongod, connect_own, tmp_path):
    acknowledged = disturbed(connect_own, tmp_path, mongod.step_down)
    found = plain_ids(mongod)
    assert set(acknowledged) <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    "failure",
    [
        {"closeConnection": True},
        {"errorCode": 10107},  # NotWritablePrimary
        {"errorCode": 11600},  # InterruptedAtShutdown
        {"errorCode": 189},  # PrimarySteppedDown
        {"writeConcernError": {"code": 91, "errmsg": "x"}, "errorLabels": ["RetryableWriteError"]},
        {"writeConcernError": {"code": 64, "errmsg": "waiting timed out"}},
    ],
)
def test_a_failure_that_passes_is_not_even_noticed(server, connect, failure):
    index = connect(heartbeatFrequencyMS=500)
    index.create([make_row("a")])
    for command, use in (
        ("insert", lambda: index.create([make_row("b"), make_row("c")])),
        ("update", lambda: index.update(make_row("b", state="error"))),
        ("delete", lambda: index.delete(["c"])),
    ):
        if "writeConcernError" not in failure:  # which the commit alone can have
            server.fail(command, **failure)
            use()
        server.fail("commitTransaction", **failure)
        use()
    if "writeConcernError" not in failure:
        server.fail("find", **failure)
    assert [(row.id, row.state) for row in index.search(Query()).rows] == [
        ("b", "error"), ("a", "success"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("failure", "slug"),
    [
        ({"closeConnection": True}, "store-unreachable"),
        ({"errorCode": 10107}, "store-busy"),
        ({"errorCode": 13}, "store-denied"),
        ({"errorCode": 18}, "store-denied"),
        ({"errorCode": 14031}, "store-full"),
        ({"errorCode": 50}, "store-busy"),
        ({"errorCode": 8}, "store-io"),
        ({"writeConcernError": {"code": 64, "errmsg": "waiting timed out"}}, "store-busy"),
        ({"writeConcernError": {"code": 100, "errmsg": "not enough"}}, "store-busy"),
    ],
)
def test_a_failure_that_stays_is_named_and_the_batch_may_be_repeated(
    server, connect, failure, slug, monkeypatch
):
    monkeypatch.setattr("tracediff.stores.mongo.transactions.LONGEST", 0.5)
    index = connect(**IMPATIENT)
    index.create([make_row("a")])
    command = "commitTransaction" if "writeConcernError" in failure else "insert"
    server.fail(command, times=10_000, **failure)
    rows = [make_row("a"), make_row("b"), make_row("c")]
    with refused(slug):
        index.create(rows)
    server.fail(command, times=0)
    index.create(rows)
    assert sorted(plain_ids(server)) == ["a", "b", "c"]


def test_a_write_that_no_majority_confirms_is_not_acknowledged_among_duplicates(
    server, connect, monkeypatch
):
    """A batch of nothing but rows that are there may hide one that only the primary has."""
    monkeypatch.setattr("tracediff.stores.mongo.transactions.LONGEST", 0.5)
    index = connect()
    index.create([make_row("a")])
    failure = {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}
    server.fail("commitTransaction", times=10_000, **failure)
    with refused("store-busy"):
        index.create([make_row("a")])
    server.fail("commitTransaction", times=0)


@pytest.mark.slow
def test_a_server_that_is_down_is_named_and_used_when_it_is_back(mongod, connect_own):
    index = connect_own(**IMPATIENT)
    mongod.kill()
    other = connect_own(**IMPATIENT)
    for one in (index, other):
        for use in (lambda: one.create([make_row("a")]), lambda: one.search(Query())):  # noqa: B023 - used at once
            with refused(*AGAIN):
                use()
    mongod.start()
    for one in (index, other):
        wait_until(lambda: accepted(one), "writing again")  # noqa: B023 - used at once
        assert one.find("a")


def accepted(index: MongoIndex, one: str = "a") -> bool:
    try:
        index.create([make_row(one)])
    except StoreError as error:
        assert error.slug in AGAIN  # noqa: PT017 - only then it is worth another try
        return False
    return True


def test_a_half_open_connection_is_given_up_in_time(server, connect):
    with Proxy("127.0.0.1", server.port) as proxy:
        index = connect(proxy.port, **IMPATIENT)
        index.create([make_row("a")])
        proxy.stall()
        with refused(*AGAIN):
            index.create([make_row("b")])
        with refused(*AGAIN):
            index.search(Query())
        proxy.resume()
        wait_until(lambda: accepted(index), "writing again")
        # The server ends what began on the other connection, and has b to itself until then.
        wait_until(lambda: accepted(index, "b"), "writing b")
        assert sorted(plain_ids(server)) == ["a", "b"]


def test_a_cut_connection_is_made_anew(server, connect):
    with Proxy("127.0.0.1", server.port) as proxy:
        index = connect(proxy.port)
        for number in range(5):
            index.create([make_row(f"r{number}")])
            proxy.cut()
        assert len(index.search(Query()).rows) == 5
        proxy.refuse()
        with refused(*AGAIN):
            connect(proxy.port, **IMPATIENT).search(Query())


def test_a_slow_network_is_only_slow(server, connect):
    with Proxy("127.0.0.1", server.port, latency=0.02, rate=2_000_000) as proxy:
        index = connect(proxy.port)
        index.create([make_row(f"r{number}") for number in range(500)])
        assert len(index.search(Query(limit=500)).rows) == 500
        assert proxy.accepted > 0
