"""The statistics of a local store: exact whoever is killed, and mended when they are hurt."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tracediff.stores.local import LocalStore
from tracediff.stores.sqlite_index import SqliteIndex
from tracediff.testing import make_row, make_trace, refused
from tracediff.testing.counting import total

WRITER = """
import itertools, sys, time
from pathlib import Path
from tracediff.stores import sqlite_statistics
from tracediff.stores.local import LocalStore
from tracediff.testing import make_trace
sqlite_statistics.EVERY = 3
store = LocalStore(Path(sys.argv[1]))
for n in itertools.count():
    store.save([make_trace(f"{sys.argv[2]}-{n}-{m}", started_at=time.time_ns()) for m in range(2)])
    if n % 4 == 3:
        store.delete([f"{sys.argv[2]}-{n - 1}-0"])
    print(n, flush=True)
"""


def wrong(index):
    return [one for one in index.verify_statistics() if one.equal is not True]


def test_writers_that_are_killed_count_each_trace_once(tmp_path):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "store"), f"w{n}"],
            stdout=subprocess.PIPE, text=True,
        )
        for n in range(3)
    ]  # fmt: skip
    for number, one in enumerate(writers):
        while int(one.stdout.readline()) < 12 + number:
            pass
    for one in writers:
        one.kill()
        one.communicate()
    store = LocalStore(tmp_path / "store")
    try:
        rows = list(store.index.rows())
        assert len(rows) > 60
        assert total(store).count == len(rows)
        assert wrong(store) == []
    finally:
        store.close()


def test_an_index_that_is_made_anew_counts_no_trace_twice(tmp_path):
    store = LocalStore(tmp_path / "store")
    traces = [make_trace(f"t{n}", started_at=time.time_ns()) for n in range(20)]
    store.save(traces)
    store.delete(["t3"])
    store.close()
    for name in ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm"):
        (tmp_path / "store" / name).unlink(missing_ok=True)
    again = LocalStore(tmp_path / "store")
    assert total(again).count == 19
    assert wrong(again) == []
    again.close()


@pytest.fixture
def index(tmp_path):
    opened = SqliteIndex(tmp_path / "index.sqlite")
    yield opened
    opened.close()


def test_a_hurt_delta_keeps_nobody_from_writing_and_is_gone_when_counted_anew(index):
    index.create([make_row("a", started_at=time.time_ns())])
    index._db.execute("UPDATE deltas SET data = x'c1'")
    for number in range(300):
        index.create([make_row(f"r{number}", started_at=time.time_ns())])
    with refused("statistics-hurt"):
        total(index)
    done = index.rebuild_statistics()
    assert (done.hurt, done.rows) == (1, 301)
    assert total(index).count == 301
    assert wrong(index) == []


def test_what_has_expired_stays_counted_and_is_left_when_counted_anew(index):
    now = time.time_ns()
    index.create([make_row(f"r{n}", started_at=now, expires_at=now + 1) for n in range(5)])
    index.fold_statistics()
    index._db.execute("DELETE FROM traces")
    index._db.execute("DELETE FROM labels")
    assert {one.equal for one in index.verify_statistics()} == {None}
    done = index.rebuild_statistics()
    assert done.written == 0
    assert done.left > 0
    assert total(index).count == 5


def test_minutes_and_hours_are_kept_for_a_while_and_days_for_ever(index):
    now = time.time_ns()
    for days in (1, 10, 500):
        index.create([make_row(f"r{days}", started_at=now - days * 86_400 * 10**9)])
    index.fold_statistics()
    count = "SELECT resolution, count(*) FROM statistics WHERE key = x'' GROUP BY resolution"
    assert dict(index._db.execute(count)) == {0: 1, 1: 2, 2: 3}
    assert total(index).count == 3
    assert wrong(index) == []


def test_a_store_that_can_only_be_read_is_read_with_what_is_not_folded(tmp_path):
    path = tmp_path / "index.sqlite"
    writer = SqliteIndex(path)
    writer.create([make_row("a", started_at=time.time_ns())])
    reader = SqliteIndex(path, read_only=True)
    assert total(reader).count == 1
    assert wrong(reader) == []
    reader.close()
    writer.close()
