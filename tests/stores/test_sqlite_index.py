"""What the local index reads for a search."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tracediff.errors import StoreError
from tracediff.model import STATES, Query
from tracediff.stores.sqlite_index import SqliteIndex
from tracediff.testing import make_row

FILTERS = {
    "key": {"key": "a/b"},
    "tag": {"tags": ("t:1", "t:2")},
    "context": {"context": {"store": 1}},
    "other context": {"context": {"kind": "x"}},
    "path": {"path_signature": b"1" * 16},
}
MATCHING = {
    "key": "a/b/c", "tags": ("t:2",), "context": {"store": 1, "kind": "x"},
    "path_signature": b"1" * 16,
}  # fmt: skip
MISSING = {
    "key": {"key": "a/bc"},
    "tag": {"tags": ("t:3",)},
    "context": {"context": {"store": 2, "kind": "x"}},
    "other context": {"context": {"store": 1, "kind": "y"}},
    "path": {"path_signature": b"2" * 16},
}


def query(*names):
    fields = {}
    for name in names:
        for field, value in FILTERS[name].items():
            fields[field] = fields.get(field, {}) | value if field == "context" else value
    return Query(**fields)


@pytest.fixture
def index(tmp_path):
    """A row that has all; and for each filter one that misses it, whose bytes are hurt."""
    with closing(SqliteIndex(tmp_path / "index.sqlite")) as index:
        index.create([
            make_row("all", **MATCHING),
            *(make_row(name.replace(" ", ""), **(MATCHING | MISSING[name])) for name in MISSING),
        ])  # fmt: skip
        with closing(sqlite3.connect(index.path)) as db, db:
            db.execute("UPDATE traces SET row = x'00' WHERE id <> 'all'")
        yield index


def test_a_row_that_any_filter_rules_out_is_not_read(index):
    assert [row.id for row in index.search(query(*FILTERS)).rows] == ["all"]


@pytest.mark.parametrize("name", FILTERS)
def test_without_its_filter_it_would_be_read(index, name):
    with pytest.raises(StoreError):
        index.search(query(*(one for one in FILTERS if one != name)))


def test_of_a_prefix_that_many_share_the_newest_are_read_and_no_others(tmp_path):
    rows = [
        make_row(f"abc{n:03}", started_at=1000 + n * 7919 % 500, state=STATES[n % 4])
        for n in range(500)
    ]
    newest = sorted(rows, key=lambda row: row.started_at, reverse=True)
    with closing(SqliteIndex(tmp_path / "index.sqlite")) as index:
        index.create([*rows, make_row("abd", started_at=9999)])
        assert index.find("abc", 500) == newest
        assert index.find("abc12", 500) == [row for row in newest if row.id.startswith("abc12")]
        with closing(sqlite3.connect(index.path)) as db, db:
            db.execute("UPDATE traces SET row = x'00' WHERE started_at < 1490")
        # The streams of the four states are each one row ahead.
        assert index.find("abc", 3) == newest[:3]
