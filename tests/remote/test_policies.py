"""The roles of docs/production.md are enough, and no more than that."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from servers.mongod import Mongod
from tracediff.model import Query
from tracediff.stores import open_store
from tracediff.stores.spool import SpoolStore
from tracediff.testing import make_trace, refused

PAGE = Path(__file__).parents[2] / "docs" / "production.md"


@pytest.fixture(scope="module")
def roles():
    found = re.search(r"<!-- policy: mongo -->\n```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return json.loads(found.group(1))


@pytest.fixture
def open_as(tmp_path, roles, weed, monkeypatch):
    """Open the store as one of the page's roles, on a server that asks for passwords."""
    opened = []
    with Mongod(tmp_path / "mongod", auth=True) as server:
        with server.client() as root:
            for name, privileges in roles.items():
                root.admin.command("createRole", name, privileges=privileges, roles=[])
                root.admin.command("createUser", name, pwd=f"of-{name}", roles=[name])

        def open_as(role: str, identity: str):
            for variable, text in weed.identities[identity].environment().items():
                monkeypatch.setenv(variable, text)
            url = f"mongodb://{role}:of-{role}@127.0.0.1:{server.port}/prod?authSource=admin"
            blobs = f"s3://traces-a,traces-b/{tmp_path.name}?endpoint={weed.endpoint}"
            opened.append(open_store(f"{url}&replicaSet=rs0", blobs=blobs))
            return opened[-1]

        yield open_as
        for store in opened:
            store.close()


def test_each_role_can_do_its_work_and_not_the_others(open_as, tmp_path):
    open_as("traceAdmin", "admin").prepare()

    spool = SpoolStore(
        tmp_path / "spool", lambda: open_as("traceRecorder", "recorder"), upload_every=3600
    )
    now = time.time_ns()  # what began long ago has expired: the server deletes it every minute
    traces = [make_trace(f"t{n}", result=n, retention=30, started_at=now) for n in range(3)]
    spool.save(traces)
    assert spool.flush(30)
    spool.close()

    recorder = open_as("traceRecorder", "recorder")
    with refused("store-denied"):
        recorder.search(Query())
    with refused("store-denied"):
        recorder.blobs.get("30d/segments/anything.seg")
    with refused("store-denied"):
        recorder.delete(["t0"])

    reader = open_as("traceReader", "reader")
    rows = reader.search(Query()).rows
    assert [reader.load(row) for row in sorted(rows, key=lambda row: row.id)] == traces
    with refused("store-denied"):
        reader.save([make_trace("more")])
    with refused("store-denied"):
        reader.delete(["t0"])
    with refused("store-denied"):
        reader.index.create(rows)

    assert open_as("traceAdmin", "admin").delete(["t0"]) == 1
