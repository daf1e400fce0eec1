"""Copying traces between stores."""

from __future__ import annotations

import hashlib

import pytest

from tracediff.model import Code, Query
from tracediff.pushing import BATCH, Pushed, push_rows, push_traces
from tracediff.stores.memory import MemoryStore
from tracediff.stores.walking import every_row
from tracediff.testing import make_trace

SOURCE = b"x = 1\n"
BLOB = hashlib.sha1(b"blob %d\0" % len(SOURCE) + SOURCE).hexdigest()


@pytest.fixture
def source():
    store = MemoryStore()
    store.save_source(BLOB, SOURCE)
    store.save(
        [
            make_trace(f"t{n:04}", result=n, started_at=n, code=Code(files={"a.py": BLOB}),
                       state="error" if n % 10 == 0 else "success")
            for n in range(BATCH * 2 + 10)
        ]
    )  # fmt: skip
    return store


def push(source, target, query=None):
    said = []
    done = push_rows(source, every_row(source, query or Query()), target, said.append)
    assert said[-1] == done
    assert len(said) == -(-(done.copied + done.known + done.unreadable) // BATCH)
    return done


def test_all_that_match_are_copied_with_their_sources(source):
    target = MemoryStore()
    assert push(source, target, Query(state="error", limit=3)) == Pushed(copied=41)
    rows = target.search(Query(limit=1000)).rows
    assert {row.state for row in rows} == {"error"}
    assert [target.load(row) for row in rows] == [
        source.load(row) for row in source.search(Query(state="error", limit=1000)).rows
    ]
    assert target.load_source(BLOB) == SOURCE


def test_what_is_there_already_is_neither_read_nor_saved_again(source, monkeypatch):
    target = MemoryStore()
    first = [source.load(row) for row in source.search(Query(limit=300)).rows]
    assert push_traces(first, target, lambda done: None) == Pushed(copied=300)
    read = []
    load = source.load
    monkeypatch.setattr(source, "load", lambda row: read.append(row.id) or load(row))
    assert push(source, target) == Pushed(copied=BATCH * 2 + 10 - 300, known=300)
    assert set(read).isdisjoint(trace.id for trace in first)
    assert push(source, target) == Pushed(known=BATCH * 2 + 10)


def test_what_cannot_be_read_is_named_and_the_rest_is_copied(source):
    frame = bytearray(source.blobs.get("traces/t0007"))
    frame[-1] ^= 1
    source.blobs.put("traces/t0007", frame)
    target = MemoryStore()
    done = push(source, target)
    assert (done.copied, done.unreadable) == (BATCH * 2 + 9, 1)
    assert "t0007" in done.problems[0]


def test_an_id_that_begins_another_is_not_taken_for_it():
    source, target = MemoryStore(), MemoryStore()
    source.save([make_trace("a"), make_trace("ab"), make_trace("abc")])
    target.save([make_trace("ab"), make_trace("abc")])
    assert push(source, target).copied == 1
    assert len(target.find("a", 10)) == 3
