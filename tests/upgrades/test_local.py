"""Local stores of every schema are read and upgraded; one of a newer schema is left alone."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tracediff.model import Query
from tracediff.stores.local import LocalStore
from tracediff.stores.sqlite_file import SCHEMA
from tracediff.stores.summing import counting
from tracediff.testing import make_trace, refused

NEWER = SCHEMA + 1


def schema_of(directory: Path) -> int:
    with closing(sqlite3.connect(directory / "index.sqlite")) as db:
        return int(db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()[0])


def columns(directory: Path) -> dict[str, list[str]]:
    with closing(sqlite3.connect(directory / "index.sqlite")) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE sql != ''")]
        return {one: [row[1] for row in db.execute(f"PRAGMA table_info({one})")] for one in tables}


def snapshot(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def make_newer(directory: Path) -> None:
    with closing(sqlite3.connect(directory / "index.sqlite")) as db, db:
        db.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (NEWER,))


def test_an_older_store_is_upgraded_in_place_and_everything_is_there(kept, tmp_path):
    directory = kept.local(tmp_path / "store")
    segments = snapshot(directory / "segments")
    with closing(LocalStore(directory)) as store:
        kept.verify(store)
        assert schema_of(directory) == SCHEMA
        store.save([make_trace("new", tags=("ri:1",))])
        assert store.delete(["t-expires"]) == 1
        store.save([make_trace("t-deleted")])  # at a higher generation than its tombstone
    assert json.loads((directory / "store.json").read_text())["schema"] == SCHEMA
    assert not list(directory.glob("*.hurt"))
    assert segments.items() <= snapshot(directory / "segments").items()
    with closing(LocalStore(tmp_path / "made")):
        assert columns(directory) == columns(tmp_path / "made")
    (directory / "index.sqlite").unlink()
    with closing(LocalStore(directory)) as store:  # the segments alone give the same
        found = {row.id for row in store.search(Query(limit=1000)).rows}
        assert found == {one["id"] for one in kept.expected["there"]} - {"t-expires"} | {
            "new",
            "t-deleted",
        }


def test_what_was_there_before_counts_in_the_statistics(kept, tmp_path):
    with closing(LocalStore(kept.local(tmp_path / "store"))) as store:
        checked = list(counting(store).verify_statistics())
    assert len(checked) > 10
    assert [one for one in checked if not one.equal] == []


def test_an_older_store_that_can_only_be_read_is_read_as_it_is(kept, tmp_path, monkeypatch):
    directory = kept.local(tmp_path / "store")
    before = snapshot(directory)
    monkeypatch.setattr(os, "access", lambda *_, **__: False)  # for root, too
    with closing(LocalStore(directory)) as store:
        assert store.read_only
        kept.verify(store)
        with refused("store-read-only"):
            store.save([make_trace("new")])
    assert snapshot(directory) == before


@pytest.mark.parametrize("told", ["index", "file", "both", "file alone"])
def test_a_newer_store_is_refused_and_nothing_of_it_is_touched(kept, tmp_path, told):
    directory = kept.local(tmp_path / "store")
    with closing(LocalStore(directory)):
        pass
    if told in ("index", "both"):
        make_newer(directory)
    else:
        (directory / "store.json").write_text(json.dumps({"schema": NEWER}))
    if told == "index":
        (directory / "store.json").unlink()
    if told == "file alone":
        (directory / "index.sqlite").unlink()
    before = snapshot(directory)
    for _ in range(2):
        with refused("store-newer"):
            LocalStore(directory)
    after = snapshot(directory)
    for name in ("index.sqlite-wal", "index.sqlite-shm"):
        after.pop(name, None)
    assert after == before


def test_a_newer_index_that_is_hurt_is_not_set_aside(tmp_path):
    directory = tmp_path / "store"
    with closing(LocalStore(directory)) as store:
        store.save([make_trace(f"t{n}") for n in range(50)])
    make_newer(directory)
    (directory / "store.json").unlink()
    with (directory / "index.sqlite").open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 2)
    with refused("store-newer", "index-hurt"):
        LocalStore(directory)
    (directory / "store.json").write_text(json.dumps({"schema": NEWER}))
    with refused("store-newer"):
        LocalStore(directory)
    assert not list(directory.glob("*.hurt"))


def test_a_process_that_has_it_open_when_it_is_upgraded_stops_writing_and_mends_nothing(tmp_path):
    directory = tmp_path / "store"
    with closing(LocalStore(directory)) as store:
        store.save([make_trace("before")])
        make_newer(directory)
        with refused("store-newer"):
            store.save([make_trace("after")])
        with refused("store-newer"):
            store.delete(["before"])
        with closing(sqlite3.connect(directory / "index.sqlite")) as db, db:
            db.execute("ALTER TABLE traces RENAME TO rows")  # a newer schema has what it wants
        with refused("store-newer"):
            store.search(Query())
    assert not list(directory.glob("*.hurt"))
    assert schema_of(directory) == NEWER


KILLED = """
import os, signal, sys
from pathlib import Path
from tracediff.stores import sqlite_upgrades
from tracediff.stores.local import LocalStore

at = int(sys.argv[2])
steps = 0
real = sqlite_upgrades._change

class Counting:
    def __init__(self, db):
        self._db = db
    def execute(self, *given):
        global steps
        if steps == at:
            os.kill(os.getpid(), signal.SIGKILL)
        steps += 1
        return self._db.execute(*given)
    def __getattr__(self, name):
        return getattr(self._db, name)

sqlite_upgrades._change = lambda db: real(Counting(db))
LocalStore(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("at", [1, 3, 6])
def test_a_process_that_is_killed_while_it_upgrades_changes_nothing(kept, tmp_path, at):
    if kept.schema == SCHEMA:
        return
    directory = kept.local(tmp_path / "store")
    done = subprocess.run([sys.executable, "-c", KILLED, str(directory), str(at)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert schema_of(directory) == kept.schema
    with closing(LocalStore(directory)) as store:
        kept.verify(store)


def test_what_an_older_one_indexed_anew_in_between_is_indexed_again(every, tmp_path):
    """It knows nothing of store.json, and set the index aside as if it were hurt."""
    oldest = min(every, key=lambda one: one.schema)
    directory = oldest.local(tmp_path / "store")
    with closing(sqlite3.connect(directory / "index.sqlite")) as db, db:
        db.execute("DELETE FROM traces WHERE id = 't-large'")  # which it did not understand
        db.execute("DELETE FROM labels WHERE id = 't-large'")
    (directory / "store.json").write_text(json.dumps({"schema": SCHEMA}))
    with closing(LocalStore(directory)) as store:
        oldest.verify(store)


def test_the_version_file_can_be_hurt_and_is_made_again(tmp_path):
    directory = tmp_path / "store"
    for text in ("", "{", "[1]", '{"schema": "x"}', '{"schema": -1}', "[" * 3000):
        with closing(LocalStore(directory)):
            pass
        (directory / "store.json").write_text(text)
        with closing(LocalStore(directory)) as store:
            store.save([make_trace("t")])
        assert json.loads((directory / "store.json").read_text())["schema"] == SCHEMA
    assert stat.S_IMODE((directory / "store.json").stat().st_mode) == 0o600
