"""The stores of every schema there was, laid out for a test as copies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
from bson import json_util

from servers import mongod, seaweed
from tracediff.digests import outcome_digest, tree_digest
from tracediff.model import Query
from tracediff.stores.base import Store

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "fixtures" / "stores"


class Kept:
    """A store as some released or earlier tracediff wrote it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.about = json.loads((directory / "about.json").read_text())
        self.expected = json.loads((directory / "traces.json").read_text())

    @property
    def schema(self) -> int:
        return int(self.about["schema"])

    def local(self, place: Path) -> Path:
        """A copy of its local store."""
        shutil.copytree(self.directory / "local", place)
        (place / "index.kept").rename(place / "index.sqlite")
        return place

    def documents(self) -> dict[str, Any]:
        text = (self.directory / "mongodb.json").read_text()
        return dict(json_util.loads(text, json_options=json_util.CANONICAL_JSON_OPTIONS))

    def verify(self, store: Store, *, waited: bool = False) -> None:
        """Everything that was ever saved is there as it was, and nothing else is."""
        wanted = {one["id"]: one for one in self.expected["there"]}
        if waited:
            wanted |= {one["id"]: one for one in self.expected["waiting"]}
        rows = store.search(Query(limit=1000)).rows
        assert {row.id for row in rows} == wanted.keys()
        for row in rows:
            self._verify_one(store, row, wanted[row.id])
        for tag in ("ri:1", "kept", "\ud800"):
            tagged = {one["id"] for one in wanted.values() if tag in one["tags"]}
            assert {row.id for row in store.search(Query(tags=(tag,))).rows} == tagged
        assert len(store.search(Query(key="price", state="error")).rows) == 2
        assert len(store.search(Query(context={"number": 2})).rows) == 3
        blob = "d539feee215f7631b303e003237405a1962847bf"
        assert store.load_source(blob) == self.expected["source"].encode()
        assert store.check() == []

    def _verify_one(self, store: Store, row: Any, wanted: dict[str, Any]) -> None:
        trace = store.load(row)
        assert (row.key, row.state, row.started_at) == tuple(
            wanted[name] for name in ("key", "state", "started_at")
        )
        assert (list(row.tags), dict(row.context)) == (wanted["tags"], wanted["context"])
        assert len(trace.steps) == wanted["steps"]
        assert {one.name: one.sha256 for one in trace.artifacts} == wanted["artifacts"]
        for one in trace.artifacts:  # one of them was recorded without its bytes
            assert one.data is not None or one.name == "big.bin"
        assert outcome_digest(trace).hex() == wanted["outcome"]
        assert tree_digest(trace).hex() == wanted["tree"]


EVERY = [Kept(path.parent) for path in sorted(KEPT.glob("*/about.json"))]


@pytest.fixture(params=EVERY, ids=lambda kept: f"schema-{kept.directory.name}")
def kept(request: pytest.FixtureRequest) -> Kept:
    return request.param


@pytest.fixture(scope="session")
def every() -> list[Kept]:
    return EVERY


@pytest.fixture(scope="session")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mongod.Mongod]:
    with mongod.Mongod(tmp_path_factory.mktemp("mongod")) as server:
        yield server


@pytest.fixture(scope="session")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.Seaweed]:
    with seaweed.Seaweed(tmp_path_factory.mktemp("weed"), buckets=("traces",)) as server:
        yield server


@pytest.fixture
def restored(
    mongo: mongod.Mongod, weed: seaweed.Seaweed, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Kept], tuple[str, str]]]:
    """Put a kept store's documents and objects into real servers; its URLs."""
    databases = []

    def restore(kept: Kept) -> tuple[str, str]:
        for variable, text in weed.identities["admin"].environment().items():
            monkeypatch.setenv(variable, text)
        database = f"kept_{kept.schema}_{len(databases)}"
        databases.append(database)
        with mongo.client() as client:
            for name, found in kept.documents().items():
                collection = client[database][name]
                collection.insert_many(found["documents"])
                for index, options in found["indexes"].items():
                    more = {key: value for key, value in options.items() if key != "key"}
                    collection.create_index(options["key"], name=index, **more)
        s3 = weed.client()
        root = kept.directory / "objects"
        for path in (one for one in root.rglob("*") if one.is_file()):
            key = path.relative_to(root).as_posix()
            s3.put_object(Bucket="traces", Key=key, Body=path.read_bytes())
        s3.close()
        return mongo.uri(database), f"s3://traces/prod?endpoint={weed.endpoint}"

    yield restore
    with pymongo.MongoClient(mongo.url) as client:
        for database in databases:
            client.drop_database(database)
