"""Make ``fixtures/stores/<schema>/``: stores as this tracediff writes them, for later ones to read.

    python scripts/store_fixture.py fixtures/stores/1 [--release 0.1.0]…

Run it when the schema of a store changes, and never again for a directory that is there: what was
released loads for ever, and ``tests/upgrades`` proves it.

    about.json     the schema, and the releases that write it
    traces.json    what has to be found in each of the stores, and what not
    local/         a local store, its index.sqlite under a name that every archive takes
    spool/         a spool with segments that wait
    mongodb.json   the collections of a remote store, and their indexes
    objects/       the objects of its bucket
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bson import json_util

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from servers.mongod import Mongod  # noqa: E402 - the checkout is put on the path above
from servers.seaweed import Seaweed  # noqa: E402 - the same
from tracediff import codec, digests  # noqa: E402 - the same
from tracediff.model import Artifact, Autotracing, Cut, Trace  # noqa: E402 - the same
from tracediff.stores.base import Store  # noqa: E402 - the same
from tracediff.stores.local import LocalStore  # noqa: E402 - the same
from tracediff.stores.mongo.preparing import SCHEMA  # noqa: E402 - the same
from tracediff.stores.remote import RemoteStore  # noqa: E402 - the same
from tracediff.stores.spool import SpoolStore  # noqa: E402 - the same
from tracediff.stores.urls import open_remote  # noqa: E402 - the same
from tracediff.testing import make_trace  # noqa: E402 - the same

BUCKET, PREFIX, DATABASE = "traces", "prod", "fixture"
LATER = 7_000_000_000 * 10**9
"""When traces that expire start, in 2191: a server removes what has expired."""

PAGE = bytes(range(256)) * 260
"""An artifact that is too large for its trace's frame."""

LARGE = (
    Artifact(
        name="page.html",
        sha256=hashlib.sha256(PAGE).hexdigest(),
        size=len(PAGE),
        media_type="text/html",
        data=PAGE,
    ),
)
DELETED = "t-deleted"
SOURCE = b"def price(store_id, product_id):\n    return 19\n"


def traces() -> Iterator[Trace]:
    """Traces of several kinds."""
    for path in sorted((ROOT / "fixtures" / "traces" / "v1").glob("*.trace")):
        yield replace(codec.load(path.read_bytes()), id=f"t-{path.stem}", started_at=LATER)
    for state in ("success", "warning", "error"):
        for number, key in enumerate(("price/one", "price/many", "tax/vat/rate")):
            yield make_trace(
                f"t-{state}-{number}",
                key=key,
                state=state,
                result={"net": number, "state": state},
                started_at=LATER - 10**18 + number,
                tags=(f"ri:{number}", state),
                meta=f"n={number}",
                context={"shop": "brno", "number": number, "share": number / 3},
            )
    yield make_trace("t-expires", started_at=LATER, retention=30)
    yield make_trace("t-expires-late", started_at=LATER, retention=300, tags=("kept",))
    yield make_trace("t-large", artifacts=LARGE, tags=("large",))
    yield make_trace("t-odd", key="odd/\ud800", tags=("\ud800",), context={"a.b": 1 << 70})
    cuts = (Cut(unit="pricing:rate", by="calls", calls=7),)
    full = Autotracing(patterns=("pricing.*",), max_calls=3, cuts=cuts)
    yield make_trace("t-full", depth="full", autotracing=full, warnings=("some was left out",))
    yield make_trace(DELETED, tags=("ri:1",))


def waiting() -> list[Trace]:
    """Traces that lie in the spool."""
    return [
        make_trace("w-one", tags=("waits",)),
        make_trace("w-large", tags=("waits",), artifacts=LARGE),
        make_trace("w-expires", tags=("waits",), started_at=LATER, retention=30),
    ]


def expected(trace: Trace) -> dict[str, Any]:
    """What has to be read of a trace, whatever reads it."""
    return {
        "id": trace.id,
        "key": trace.key,
        "state": trace.state,
        "started_at": trace.started_at,
        "tags": trace.tags,
        "context": dict(trace.context),
        "steps": len(trace.steps),
        "artifacts": {one.name: one.sha256 for one in trace.artifacts},
        "outcome": digests.outcome_digest(trace).hex(),
        "tree": digests.tree_digest(trace).hex(),
    }


def make(directory: Path, releases: list[str]) -> None:
    """Make all of it in a directory that is not there yet."""
    directory.mkdir(parents=True)
    every = list(traces())
    _write(directory / "about.json", {"schema": SCHEMA, "releases": releases})
    _write(
        directory / "traces.json",
        {
            "there": [expected(one) for one in every if one.id != DELETED],
            "deleted": [DELETED],
            "waiting": [expected(one) for one in waiting()],
            "source": SOURCE.decode(),
        },
    )
    _make_local(directory / "local", every)
    _make_spool(directory / "spool")
    with tempfile.TemporaryDirectory() as work:
        _make_remote(directory, Path(work), every)


def _make_local(directory: Path, every: Iterable[Trace]) -> None:
    store = LocalStore(directory)
    _fill(store, every)
    store.delete([DELETED])
    store.close()
    (directory / ".gitignore").unlink()  # it would keep the fixture out of the repository
    (directory / "index.sqlite").rename(directory / "index.kept")  # indexes are left out, too


def _make_spool(directory: Path) -> None:
    def open_nothing() -> RemoteStore:
        raise ConnectionError("nothing is uploaded from here")

    store = SpoolStore(directory, open_nothing, upload_every=3600.0)
    store.save(waiting())
    store.close()
    (directory / ".gitignore").unlink()


def _make_remote(directory: Path, work: Path, every: list[Trace]) -> None:
    with Mongod(work / "m") as mongod, Seaweed(work / "s", buckets=(BUCKET,)) as weed:
        os.environ |= weed.identities["admin"].environment()
        url = mongod.uri(DATABASE)
        blobs = f"s3://{BUCKET}/{PREFIX}?endpoint={weed.endpoint}"
        store = open_remote(url, blobs)
        store.prepare()
        _fill(store, every[:8])
        (kept,) = (ROOT / "fixtures" / "segments" / "v1").glob("*.zdict")
        store.blobs.put(f"dictionaries/{kept.name}", kept.read_bytes())
        store.blobs.put("dictionaries/current", kept.stem.encode())
        store.close()
        store = open_remote(url, blobs)  # which compresses with the dictionary
        _fill(store, every[8:])
        store.delete([DELETED])
        store.close()
        exact = json_util.dumps(
            _documents(mongod), json_options=json_util.CANONICAL_JSON_OPTIONS, indent=1
        )
        (directory / "mongodb.json").write_text(exact + "\n", encoding="ascii")
        _copy_objects(directory / "objects", weed)


def _fill(store: Store, some: Iterable[Trace]) -> None:
    some = list(some)
    store.save(some[:5])
    store.save(some[5:])
    store.save_source(hashlib.sha1(b"blob %d\0%s" % (len(SOURCE), SOURCE)).hexdigest(), SOURCE)


def _documents(mongod: Mongod) -> dict[str, Any]:
    with mongod.client() as client:
        database = client[DATABASE]
        return {
            name: {
                "documents": list(database[name].find().sort("_id")),
                "indexes": {
                    index: {key: value for key, value in options.items() if key != "v"}
                    for index, options in sorted(database[name].index_information().items())
                    if index != "_id_"
                },
            }
            for name in sorted(database.list_collection_names())
        }


def _copy_objects(directory: Path, weed: Seaweed) -> None:
    client = weed.client()
    try:
        for one in client.list_objects_v2(Bucket=BUCKET)["Contents"]:
            path = directory / one["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            with client.get_object(Bucket=BUCKET, Key=one["Key"])["Body"] as body:
                path.write_bytes(body.read())
    finally:
        client.close()


def _write(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="ascii")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--release", action="append", default=[], metavar="VERSION")
    given = parser.parse_args()
    make(given.directory, given.release)
    print(json.dumps({"made": str(given.directory), "schema": SCHEMA}))
