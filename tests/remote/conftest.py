"""Stores whose rows are in a real MongoDB and whose bytes are in files or in a real S3.

``production`` is a project whose programs record into both. What it stored is read by plain pymongo
and boto3 and by the segment reader below, which follows the docstring of tracediff's
stores/segments.py and imports nothing of the package: a second opinion.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import struct
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import ormsgpack
import pymongo
import pytest
import xxhash
import zstandard

from servers import mongod, seaweed
from tracediff.model import STATES
from tracediff.stores import open_store
from tracediff.stores.base import Store
from tracediff.stores.mongo import MongoIndex
from tracediff.testing.counting import total

ROOT = Path(__file__).parents[2]
BUCKETS = ("traces-a", "traces-b")
SECONDS = 60.0


@pytest.fixture(scope="session")
def own_mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mongod.Mongod]:
    """A server that a test may kill and make fail, if it starts it again."""
    with mongod.Mongod(tmp_path_factory.mktemp("mongod")) as server:
        yield server


@pytest.fixture(scope="session")
def mongo_url(request: pytest.FixtureRequest) -> str:
    """The user's own server where there is one."""
    own = os.environ.get(mongod.VARIABLE)
    return own or request.getfixturevalue("own_mongod").url


@pytest.fixture(scope="session")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.Seaweed]:
    """A server that a test may kill, if it starts it again."""
    with seaweed.Seaweed(tmp_path_factory.mktemp("weed")) as server:
        yield server


def named(url: str, database: str) -> str:
    """The URL with this database."""
    base, _, query = url.partition("?")
    scheme, _, rest = base.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/{database}" + (f"?{query}" if query else "")


def database_of(directory: Path) -> str:
    return "tracediff_" + re.sub(r"\W", "_", "_".join(directory.parts[-3:]))[-40:]


@pytest.fixture
def open_remote(
    mongo_url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Store]]:
    """Open the store that a directory stands for, with its blobs in files or in S3."""
    opened: list[Store] = []
    databases: set[str] = set()

    def open_remote(directory: Path, *, s3: bool, tenant: str | None = None) -> Store:
        database = database_of(directory)
        databases.add(database)
        if s3:
            weed = request.getfixturevalue("weed")
            for variable, text in weed.identities["admin"].environment().items():
                monkeypatch.setenv(variable, text)
            blobs = f"s3://traces-a,traces-b/{database}?endpoint={weed.endpoint}"
        else:
            blobs = str(directory / "blobs")
        store = open_store(named(mongo_url, database), blobs=blobs, tenant=tenant)
        opened.append(store)
        store.prepare()
        return store

    yield open_remote
    for store in opened:
        store.close()
    with pymongo.MongoClient(mongo_url) as client:
        for database in databases:
            client.drop_database(database)


@dataclass(frozen=True, kw_only=True)
class StoredFrame:
    """A frame both of whose checksums hold, and where it lies; ``kind`` 2 is a part's."""

    place: tuple[str, int, int]
    kind: int
    id: str
    row: dict[str, Any]
    raw: bytes


def read_frames(key: str, data: bytes) -> Iterator[StoredFrame]:
    """The frames of an uploaded segment, which is nothing else."""
    at = 0
    while at < len(data):
        head = data[at : at + 56]
        magic, version, kind, id_length = struct.unpack_from("<4sBBH", head)
        row_length, _generation, payload_length, raw_length = struct.unpack_from("<IIQQ", head, 8)
        assert (magic, version) == (b"\x89TDF", 1)
        assert kind in (0, 2)
        start = at + 56 + id_length
        name, middle = data[at + 56 : start], start + row_length
        end = middle + payload_length
        assert head[48:] == xxhash.xxh3_64_digest(head[:48] + name)
        assert head[32:48] == xxhash.xxh3_128_digest(data[start:end])
        raw = zstandard.decompress(data[middle:end])
        assert len(raw) == raw_length
        row = json.loads(data[start:middle])
        place = (key, at, end - at)
        yield StoredFrame(place=place, kind=kind, id=name.decode("ascii"), row=row, raw=raw)
        at = end


@dataclass(frozen=True)
class Stored:
    """What the servers hold: rows by id, and every frame of every segment.

    Of live traces, their documents by id and the places of their parts by id and number.
    """

    rows: dict[str, tuple[str, int, int]]
    frames: list[StoredFrame]
    objects: dict[str, bytes]
    live: dict[str, dict[str, Any]]
    parts: dict[tuple[str, int], tuple[str, int, int]]

    @property
    def jobs(self) -> Counter[str]:
        """How many traces carry each tag: the programs here tag each job with a name of its own."""
        return Counter(tag for frame in self.frames if frame.kind == 0 for tag in frame.row["tags"])


@dataclass
class Production:
    """A project whose programs record into MongoDB and S3, and what these hold of it."""

    directory: Path
    mongod: mongod.Mongod
    weed: seaweed.Seaweed
    name: str
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def url(self, *, mongo: int | None = None, s3: str | None = None, **options: object) -> str:
        """The URL of its store, by way of other ports if some are given."""
        given: dict[str, object] = {"heartbeatFrequencyMS": 500, **options}
        if mongo is None:
            base = self.mongod.uri(self.name, **given)
        else:  # a proxy: the replica set's own address would go round it
            more = "&".join(f"{key}={value}" for key, value in given.items())
            base = f"mongodb://127.0.0.1:{mongo}/{self.name}?directConnection=true&{more}"
        blobs = f"s3://{','.join(BUCKETS)}/{self.name}?endpoint={s3 or self.weed.endpoint}"
        return f"{base}&blobs={quote(blobs, safe='')}"

    def environment(self, **more: str) -> dict[str, str]:
        """That of a process that imports this checkout and records into the store."""
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("TRACEDIFF_", "COV_", "AWS_"))
        }
        return kept | self.weed.identities["admin"].environment() | {
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TRACEDIFF_STORE": self.url(),
            "TRACEDIFF_UPLOAD_EVERY": "0.1",
        } | more  # fmt: skip

    def write(self, text: str, name: str = "program.py") -> None:
        """Write a program; ``td`` and what ``PRELUDE`` has are there."""
        (self.directory / name).write_text(PRELUDE + textwrap.dedent(text))

    def start(self, *command: object, **more: str) -> subprocess.Popen[str]:
        """Start a program of the project, or with ``-m`` a module."""
        process = subprocess.Popen(
            [sys.executable, *map(str, command or ("program.py",))],
            cwd=self.directory, env=self.environment(**more), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def run(
        self, *command: object, status: int = 0, seconds: float = SECONDS, **more: str
    ) -> tuple[str, str]:
        """Run a program to its end; what it wrote to stdout and stderr."""
        process = self.start(*command, **more)
        out, err = process.communicate(timeout=seconds)
        assert process.returncode == status, f"{process.returncode}\n{out}\n{err}"
        return out, err

    def doctor(self, **more: str) -> list[dict[str, Any]]:
        """What the command ``doctor`` finds."""
        process = self.start("-m", "tracediff", "doctor", "--format", "json", **more)
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode in (0, 1), err
        return json.loads(out)["findings"]

    @property
    def spools(self) -> list[Path]:
        """The spools on this machine, one a store."""
        return sorted((self.directory / ".tracediff" / "spool").glob("*"))

    def waiting(self) -> list[Path]:
        """The segments that are not uploaded."""
        return [path for spool in self.spools for path in spool.glob("segments/*/*.seg")]

    def acknowledged(self) -> list[str]:
        """The ids in the ledgers; a kill may have cut the last one of each."""
        return [
            one
            for path in sorted(self.directory.glob("*.acknowledged"))
            for one in path.read_text().rpartition("\n")[0].splitlines()
        ]

    def upload(self, name: str = "later") -> None:
        """What any later process of the project does: upload what others left.

        It records a job of this name, which is to be another one each time: see ``verify``.
        """
        self.write("job(sys.argv[1])\nsys.exit(not td.flush(50, upload=True))", name="later.py")
        self.run("later.py", name)
        assert self.waiting() == []

    def stored(self) -> Stored:
        """What plain pymongo and boto3 find."""
        with self.mongod.client() as client:
            found = list(client[self.name].traces.find())
            parts = list(client[self.name].traces.parts.find())
        objects = dict(self.objects_of())
        segments = {key: data for key, data in sorted(objects.items()) if "/segments/" in key}
        frames = [frame for key, data in segments.items() for frame in read_frames(key, data)]
        rows = {one["_id"]: _place(one) for one in found if "n" not in one}
        live = {one["_id"]: one for one in found if "n" in one}
        return Stored(rows, frames, objects, live, dict(map(_part, parts)))

    def objects_of(self) -> Iterator[tuple[str, bytes]]:
        """Each object, by the key of the blob it keeps, as plain boto3 finds it."""
        client = self.weed.client()
        try:
            for bucket in BUCKETS:
                for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                    for one in page.get("Contents", ()):
                        kept, _, rest = one["Key"].partition("/")
                        if rest.startswith(self.name + "/"):
                            got = client.get_object(Bucket=bucket, Key=one["Key"])
                            key = rest.removeprefix(self.name + "/")
                            with got["Body"] as body:
                                yield (key if kept == "keep" else f"{kept}/{key}"), body.read()
        finally:
            client.close()

    def verify(self, *, rejected: int = 0) -> Stored:
        """Every acknowledged trace is there, at the place its row says; none is there twice."""
        found, said = self.stored(), self.acknowledged()
        assert len(said) == len(set(said)), "a trace was acknowledged twice"
        said = [one for one in said if one not in found.live]
        ids = Counter(frame.id for frame in found.frames if frame.kind == 0)
        assert [one for one, count in ids.items() if count > 1] == [], "a trace is there twice"
        assert [one for one, count in found.jobs.items() if count > 1] == [], "a job is there twice"
        assert set(said) <= ids.keys(), "an acknowledged trace is lost"
        assert len(ids) - len(found.rows) == rejected, "a trace cannot be found"
        places = {frame.id: frame.place for frame in found.frames if frame.kind == 0}
        assert found.rows.items() <= places.items()
        self.verify_counts()
        return found

    def verify_live(self) -> Stored:
        """All parts are there of each live trace, at the places that are said; what ended has."""
        found = self.stored()
        lengths = Counter(trace_id for trace_id, _ in found.parts)
        assert lengths.keys() == found.live.keys()
        assert all(lengths[one] >= document["n"] for one, document in found.live.items())
        assert found.parts.keys() == {
            (one, n) for one, some in lengths.items() for n in range(some)
        }
        frames = {(one.id, one.row["parts"] - 1, one.place) for one in found.frames if one.kind}
        assert {(*part, place) for part, place in found.parts.items()} <= frames
        ended = {one for one, document in found.live.items() if document["s"] in (1, 2, 3)}
        assert {one for one in self.acknowledged() if one not in found.rows} <= ended
        self.verify_counts()
        return found

    def verify_counts(self) -> None:
        """The statistics say of each state what plain pymongo counts."""
        with self.mongod.client() as client:
            found = Counter(STATES[one["s"]] for one in client[self.name].traces.find())
        index = MongoIndex(self.mongod.uri(self.name))
        try:
            bucket = total(index)
        finally:
            index.close()
        del found["running"]
        assert {state: bucket.of(state) for state in bucket.tallies} == dict(found)


PRELUDE = '''
import os, sys, time
import tracediff as td

def ledger(name):
    """Acknowledged ids go to a file that is synced for each."""
    file = os.open(f"{name}.acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    def on_ack(trace_id):
        os.write(file, f"{trace_id}\\n".encode())
        os.fsync(file)
    return on_ack

@td.input("Read")
def read(size):
    return os.urandom(size)

@td.job("made/one")
def job(name, size=100):
    td.tag(name)
    return len(read(size))

def endless(parent=os.getppid()):
    """Numbers for as long as the tests run: nothing goes on when they were killed."""
    n = 0
    while os.getppid() == parent:
        yield n
        n += 1

'''


def _place(document: dict[str, Any]) -> tuple[str, int, int]:
    if "l" in document:
        blob, start, length = document["l"]
    else:
        blob, start, length = ormsgpack.unpackb(document["r"])[9:12]
    return blob, int(start), int(length)


def _part(document: dict[str, Any]) -> tuple[tuple[str, int], tuple[str, int, int]]:
    trace_id, _, number = document["_id"].partition("/")
    blob, start, length = document["l"]
    return (trace_id, int(number)), (blob, int(start), int(length))


@pytest.fixture
def production(
    own_mongod: mongod.Mongod, weed: seaweed.Seaweed, tmp_path: Path, monkeypatch
) -> Iterator[Production]:
    """A project that records into servers which are prepared for it."""
    directory = tmp_path / "project"
    directory.mkdir()
    made = Production(directory, own_mongod, weed, database_of(tmp_path))
    for variable, text in weed.identities["admin"].environment().items():
        monkeypatch.setenv(variable, text)
    store = open_store(made.url())
    store.prepare()
    store.close()
    yield made
    for process in made.processes:
        if process.returncode is None:  # else its number may be another's by now
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its children, too
        process.communicate()
    with own_mongod.client() as client:
        client.drop_database(made.name)


@pytest.fixture
def poll() -> Callable[..., None]:
    """Ask until the answer is yes."""

    def poll(condition: Callable[[], object], seconds: float = SECONDS) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until
            time.sleep(0.02)

    return poll
