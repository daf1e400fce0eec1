"""The file in which gc and erasure keep their notes, when the disk has no room for it."""

from __future__ import annotations

import pytest

from tracediff.stores.upkeep.chosen import Chosen
from tracediff.stores.upkeep.tally import Tally
from tracediff.testing import refused


def full(scratch):
    """A full disk, as SQLite meets it: its file may not grow."""
    scratch._db.execute("PRAGMA max_page_count = 1")
    return scratch


IDS = [f"{n:0200}" for n in range(10_000)]


@pytest.mark.parametrize(
    "note",
    [
        lambda scratch: scratch.add(IDS),
        lambda scratch: [scratch.touch(one) for one in IDS],
    ],
    ids=["traces", "segments"],
)
def test_an_erasure_says_that_the_disk_is_full(note):
    with full(Chosen()) as chosen, refused("store-full"):
        note(chosen)


def test_gc_says_that_the_disk_is_full():
    with full(Tally()) as tally, refused("store-full"):
        tally.remains(IDS)


def test_a_file_goes_with_its_context(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Chosen() as chosen, Tally():
        chosen.add(IDS)
        assert len(list(tmp_path.iterdir())) == 2
        assert list(chosen.ids()) == IDS
        assert chosen.count() == len(IDS)
    assert list(tmp_path.iterdir()) == []
