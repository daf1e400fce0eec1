"""Users: a recorder cannot read, a reader cannot write, and refusals say what to do."""

from __future__ import annotations

import traceback
from urllib.parse import quote

import pytest

from servers.mongod import Mongod
from tracediff.errors import StoreError
from tracediff.model import Query
from tracediff.stores.mongo import MongoIndex
from tracediff.testing import make_row, refused

PASSWORD = "p@ss/w:r%d +ü"
ABOUT = {"resource": {"db": "db", "collection": "traces.about"}, "actions": ["find"]}


def role(*actions: str) -> list[dict]:
    """The privileges that docs/production.md gives: on the rows, and to see what they are."""
    return [{"resource": {"db": "db", "collection": "traces"}, "actions": list(actions)}, ABOUT]


BESIDE = [
    {"resource": {"db": "db", "collection": f"traces.{end}"}, "actions": ["find", "listIndexes"]}
    for end in ("parts", "graves", "deltas", "statistics")
]


def beside(name: str, *actions: str) -> dict:
    return {"resource": {"db": "db", "collection": f"traces.{name}"}, "actions": list(actions)}


ROLES = {
    "recorder": [
        *role("insert", "update", "remove"),
        beside("parts", "insert", "update", "remove"),
        beside("graves", "find", "insert", "update"),
        beside("deltas", "find", "insert", "remove"),
        beside("statistics", "find", "insert", "update", "remove"),
    ],
    "reader": [*role("find", "listIndexes"), *BESIDE],
    "cleaner": [
        *role("find", "remove"),
        beside("parts", "remove"),
        beside("graves", "insert", "update"),
        beside("deltas", "insert"),
    ],
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server that asks for a password, with a user for each role and one with none."""
    with Mongod(tmp_path_factory.mktemp("guarded"), auth=True) as mongod:
        with mongod.client() as client:
            for name, privileges in ROLES.items():
                client.admin.command("createRole", name, privileges=privileges, roles=[])
        for name in ROLES:
            mongod.add_user(name, PASSWORD, [name])
        mongod.add_user("nobody", PASSWORD, [])
        admin = MongoIndex(mongod.uri("db"))
        admin.prepare()
        admin.create([make_row("there")])
        admin.close()
        yield mongod


@pytest.fixture
def as_user(guarded):
    opened = []

    def as_user(name: str, password: str = PASSWORD, **options) -> MongoIndex:
        opened.append(MongoIndex(guarded.uri("db", name, password, **options)))
        return opened[-1]

    yield as_user
    for one in opened:
        one.close()


def test_a_recorder_writes_and_cannot_read_or_delete(as_user):
    index = as_user("recorder")
    index.create([make_row("one"), make_row("there")])
    running = [make_row("live", state="running", parts=parts) for parts in (1, 2)]
    index.create(running[:1])
    index.create(running)
    assert index.lose(running[:1]) == 1
    index.create([make_row("live", parts=3), make_row("lost", state="running", parts=1)])
    index.bury(["lost"])
    for use in (
        lambda: index.parts("live"),
        lambda: index.update(make_row("one", state="error")),
        lambda: index.search(Query()),
        lambda: index.find("one"),
        lambda: index.delete(["one"]),
        index.prepare,
    ):
        with refused("store-denied"):
            use()


def test_a_reader_reads_and_cannot_write(as_user):
    index = as_user("reader")
    assert index.find("there")
    assert index.search(Query(key="price")).rows
    for use in (
        lambda: index.create([make_row("two")]),
        lambda: index.update(make_row("there")),
        lambda: index.delete(["there"]),
    ):
        with refused("store-denied"):
            use()


def test_one_who_cleans_up_deletes(as_user):
    as_user("recorder").create([make_row("old"), make_row("live", parts=2)])
    assert as_user("cleaner").delete(["old", "live"]) == 2


def test_doctor_names_what_a_user_may_do(as_user):
    said = {name: as_user(name).diagnose() for name in ("recorder", "reader", "nobody")}
    texts = {name: " ".join(one.text for one in found) for name, found in said.items()}
    assert "recorder@admin may write, update, delete in traces" in texts["recorder"]
    assert "reader@admin may read in traces" in texts["reader"]
    assert "all indexes are there" in texts["reader"]
    assert "nobody@admin may do nothing" in texts["nobody"]
    assert all(one.ok for one in said["recorder"] + said["reader"])
    assert not all(one.ok for one in said["nobody"])


@pytest.mark.parametrize("password", ["wr0ng", PASSWORD + "x", "%25", "s3cr3t ü/@:"])
def test_a_wrong_password_is_refused_and_not_shown(as_user, password):
    index = as_user("recorder", password, serverSelectionTimeoutMS=300)
    with pytest.raises(StoreError) as caught:
        index.create([make_row("a")])
    assert caught.value.slug == "store-denied"
    said = "".join(traceback.format_exception(caught.value)) + str(caught.value.hint)
    assert password == "%25" or password not in said.replace(repr(password), "")
    assert f":{password}@" not in said
    assert quote(password, safe="") not in said
    assert caught.value.__cause__ is None
    (found,) = index.diagnose()
    assert not found.ok


def test_a_missing_password_is_refused(guarded):
    index = MongoIndex(f"mongodb://127.0.0.1:{guarded.port}/db")
    with refused("store-denied"):
        index.search(Query())
    index.close()
