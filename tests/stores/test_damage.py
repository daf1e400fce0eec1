"""A local store whose files were cut, hurt, deleted or made up: the rest stays readable."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracediff.model import Query
from tracediff.stores.local import LocalStore
from tracediff.stores.packing import pack
from tracediff.stores.rows import dump_row
from tracediff.stores.segments import scan, tombstone_frame, trace_frame
from tracediff.testing import make_row, make_trace, refused

TRACES = [make_trace(f"t{n}", result="x" * n * 40, tags=("x",), started_at=n) for n in range(5)]


@pytest.fixture
def directory(tmp_path):
    """A store that holds TRACES in one segment and is closed."""
    with_traces(tmp_path / "store", *TRACES)
    return tmp_path / "store"


def with_traces(directory: Path, *traces) -> None:
    store = LocalStore(directory)
    for trace in traces:
        store.save([trace])
    store.close()


def segment_of(directory: Path) -> Path:
    (path,) = (directory / "segments").glob("*.seg")
    return path


def add_segment(directory: Path, name: str, *frames: bytes) -> Path:
    (directory / "segments").mkdir(parents=True, exist_ok=True)
    path = directory / "segments" / f"{name}.seg"
    path.write_bytes(b"".join(frames))
    return path


def delete_index(directory: Path) -> None:
    for path in directory.glob("index.sqlite*"):
        path.unlink()


class opened:
    def __init__(self, directory: Path):
        self.directory = directory

    def __enter__(self) -> LocalStore:
        self.store = LocalStore(self.directory)
        return self.store

    def __exit__(self, *_):
        self.store.close()


def ids(store: LocalStore) -> list[str]:
    return [row.id for row in store.search(Query(limit=1000)).rows]


ALL = ["t4", "t3", "t2", "t1", "t0"]


# Torn tails


@pytest.mark.parametrize("lost", [1, 60, 500, "half"])
def test_a_torn_tail_is_cut_at_the_last_good_frame_and_the_rest_is_indexed(directory, lost):
    path = segment_of(directory)
    last = list(scan(path.read_bytes()))[-1]
    cut = last.length // 2 if lost == "half" else min(lost, last.length - 1)
    os.truncate(path, last.offset + last.length - cut)
    delete_index(directory)
    with opened(directory) as store:
        assert ids(store) == ALL[1:]
        assert path.stat().st_size == last.offset
        assert store.check() == []
        store.save(TRACES)
        assert ids(store) == ALL
        assert store.check() == []


def test_frames_that_were_written_and_not_indexed_are_found_by_the_next_opening(directory):
    more = [pack(make_trace(f"more{n}", started_at=10 + n)).frame for n in range(3)]
    path = segment_of(directory)
    with path.open("ab") as file:
        file.write(b"".join(more) + more[0][:100])
    with opened(directory) as store:
        assert ids(store) == ["more2", "more1", "more0", *ALL]
        assert store.check() == []
    assert path.read_bytes().endswith(more[2])


def test_a_segment_whose_writer_lives_is_left_alone(directory):
    writer = LocalStore(directory)
    writer.save([make_trace("first", started_at=9)])
    path = max((directory / "segments").glob("*.seg"))
    with path.open("ab") as file:
        file.write(b"\x89TDF half a frame")
    size = path.stat().st_size
    with opened(directory) as store:
        assert path.stat().st_size == size
        assert ids(store) == ["first", *ALL]
        assert store.check() == []  # a frame that is being written is not hurt
    writer.close()
    with opened(directory):
        assert path.stat().st_size < size


def test_what_was_whole_once_is_not_cut_but_named(directory):
    path = segment_of(directory)
    whole = path.read_bytes()
    last = list(scan(whole))[-1]
    for position in (last.offset + 5, last.offset + last.length - 1):
        hurt = bytearray(whole)
        hurt[position] ^= 1
        path.write_bytes(hurt)
        delete_index(directory)
        for _ in range(2):
            with opened(directory) as store:
                assert ids(store) == ALL[1:]
                assert len(store.check()) == 1
        assert path.read_bytes() == hurt


def test_frames_of_a_newer_version_are_not_cut(directory):
    path = segment_of(directory)
    last = list(scan(path.read_bytes()))[-1]
    newer = bytearray(path.read_bytes())
    newer[last.offset + 4] = 2
    path.write_bytes(newer)
    delete_index(directory)
    with opened(directory) as store:
        assert ids(store) == ALL[1:]
    assert path.read_bytes() == newer


# Flipped bits


@pytest.mark.parametrize("rebuild", [False, True])
def test_a_flipped_bit_leaves_the_other_traces_and_check_names_the_hurt_one(directory, rebuild):
    path = segment_of(directory)
    whole = path.read_bytes()
    frames = list(scan(whole))
    for position in random.sample(range(len(whole)), 12):
        hurt = bytearray(whole)
        hurt[position] ^= 1 << random.randrange(8)
        path.write_bytes(hurt)
        struck = next(one for one in frames if position < one.offset + one.length)
        if rebuild:
            delete_index(directory)
        with opened(directory) as store:
            rows = {row.id: row for row in store.search(Query()).rows}
            for trace in TRACES:
                if trace.id != struck.id:
                    assert store.load(rows[trace.id]) == trace
                elif not rebuild:
                    with refused("trace-hurt"):
                        store.load(rows[trace.id])
            said = store.check()
            assert said, position
            if not rebuild or position >= struck.offset + 58:
                assert any(f"trace {struck.id}" in one for one in said), (position, said)
            assert not any(f"trace {one.id}" in text for one in frames for text in said
                           if one is not struck)  # fmt: skip


def test_two_traces_hurt_are_two_traces_named(directory):
    path = segment_of(directory)
    data = bytearray(path.read_bytes())
    for frame in list(scan(bytes(data)))[1:3]:
        data[frame.offset + frame.length - 1] ^= 1
    path.write_bytes(data)
    with opened(directory) as store:
        said = "\n".join(store.check())
        assert "trace t1" in said
        assert "trace t2" in said
        assert "t0" not in said


def test_a_segment_that_is_gone_is_said_of_each_of_its_traces(directory):
    with opened(directory) as other:
        other.save([make_trace("own", started_at=9)])
        min((directory / "segments").glob("*.seg")).unlink()
        assert len(other.check()) == 5
        assert other.load(other.find("own")[0]) == make_trace("own", started_at=9)
        with refused("trace-gone"):
            other.load(other.find("t1")[0])


def test_a_hurt_source_is_named(directory):
    blob = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    with opened(directory) as store:
        store.save_source(blob, b"")
        (directory / "sources" / blob[:2] / blob[2:]).write_bytes(b"other")
        (directory / "sources" / "odd").write_bytes(b"")
        with refused("source-hurt"):
            store.load_source(blob)
        said = "\n".join(store.check())
        assert blob in said
        assert "odd" in said
        store.save_source(blob, b"")
        assert store.load_source(blob) == b""


# The index


def garbage(directory: Path) -> None:
    (directory / "index.sqlite").write_bytes(b"garbage" * 1000)


def empty(directory: Path) -> None:
    (directory / "index.sqlite").write_bytes(b"")


def cut_short(directory: Path) -> None:
    os.truncate(directory / "index.sqlite", 5000)


def pages_overwritten(directory: Path) -> None:
    path = directory / "index.sqlite"
    with path.open("r+b") as file:
        for page in range(2, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(random.randbytes(4096))


def rows_overwritten(directory: Path) -> None:
    db = sqlite3.connect(directory / "index.sqlite")
    with db:
        db.execute("UPDATE traces SET row = x'00ff' WHERE id = 't2'")
    db.close()


def another_schema(directory: Path) -> None:
    db = sqlite3.connect(directory / "index.sqlite")
    with db:
        db.execute("UPDATE meta SET value = 0")
    db.close()


def another_database(directory: Path) -> None:
    delete_index(directory)
    db = sqlite3.connect(directory / "index.sqlite")
    with db:
        db.execute("CREATE TABLE mine (a)")
    db.close()


DAMAGES = [
    delete_index, garbage, empty, cut_short, pages_overwritten, rows_overwritten, another_schema,
    another_database,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_index_that_is_gone_or_hurt_is_rebuilt(directory, damage):
    damage(directory)
    with opened(directory) as store:
        assert ids(store) == ALL
        assert [row.id for row in store.search(Query(tags=("x",))).rows] == ALL
        assert [store.load(store.find(trace.id)[0]) for trace in TRACES] == TRACES
        store.save([make_trace("more", started_at=9)])
        assert ids(store) == ["more", *ALL]
        assert store.check() == []


@pytest.mark.parametrize("damage", [one for one in DAMAGES if one is not cut_short])
def test_an_index_that_goes_while_it_is_open_is_rebuilt(directory, damage):
    with opened(directory) as store, opened(directory) as other:
        store.save([make_trace("own", started_at=9)])
        other.save([make_trace("other", started_at=10)])
        if damage is not delete_index:
            db = sqlite3.connect(directory / "index.sqlite")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            db.close()
        damage(directory)
        store.save([make_trace("new", started_at=11)])
        # It gave up its segment, so that what it had saved before is there for itself too.
        assert {"new", "own", *ALL} <= set(ids(store))
        other.save([make_trace("newer", started_at=12)])
        assert ids(other) == ["newer", "new", "other", "own", *ALL]
    with opened(directory) as store:
        assert ids(store) == ["newer", "new", "other", "own", *ALL]
        assert store.check() == []


def test_a_log_that_a_deleted_index_left_behind_is_not_played_into_the_new_one(directory, run):
    run(
        """
        store = LocalStore(Path(sys.argv[1]))
        for n in range(300):
            store.save([make_trace(f"w{n}", started_at=100 + n)])
        os._exit(0)
        """,
        directory,
    )
    assert (directory / "index.sqlite-wal").stat().st_size > 100_000
    (directory / "index.sqlite").unlink()
    with opened(directory) as store:
        assert len(ids(store)) == 305
        assert store.check() == []
        # Right at once, not because what the log did was noticed and mended.
        assert (directory / "index.sqlite-wal.hurt").exists()
        assert not (directory / "index.sqlite.hurt").exists()
        store.save([make_trace("more")])
        assert store.check() == []


def test_a_store_that_is_deleted_under_a_running_process_is_made_again(directory):
    with opened(directory) as store:
        store.save([make_trace("before")])
        shutil.rmtree(directory)
        store.save([make_trace("after")])
        assert ids(store) == ["after"]
    with opened(directory) as store:
        assert ids(store) == ["after"]
        assert store.load(store.find("after")[0]) == make_trace("after")


def test_segments_that_are_deleted_under_a_running_process_are_made_again(directory):
    with opened(directory) as store:
        store.save([make_trace("before")])
        shutil.rmtree(directory / "segments")
        store.save([make_trace("after")])
        assert store.load(store.find("after")[0]) == make_trace("after")


def test_an_index_that_points_elsewhere_gives_errors_and_no_other_file(directory):
    places = [("../../etc/passwd", 0, 10), ("index.sqlite", 0, 100), ("segments", 0, 1),
              (f"segments/{segment_of(directory).name}", 0, 1 << 62), ("\0", 0, 1)]  # fmt: skip
    for place in places:
        db = sqlite3.connect(directory / "index.sqlite")
        with db:
            db.execute("UPDATE traces SET blob = ?, start = ?, length = ? WHERE id = 't1'", place)
        db.close()
        with opened(directory) as store:
            with refused("trace-gone", "trace-hurt"):
                store.load(store.find("t1")[0])
            assert len(store.check()) == 1


def test_check_says_that_the_index_is_hurt_and_goes_on(directory):
    with opened(directory) as store:
        rows_overwritten(directory)
        said = store.check()
        assert len(said) == 1
        assert "index" in said[0]


# Deletions


def test_a_deleted_trace_does_not_come_back_with_the_index(directory):
    with opened(directory) as store:
        assert store.delete(["t1", "t3"]) == 2
        store.save([TRACES[3]])
    delete_index(directory)
    with opened(directory) as store:
        assert ids(store) == ["t4", "t3", "t2", "t0"]
        assert store.load(store.find("t3")[0]) == TRACES[3]


def test_deletions_hold_whatever_order_segments_are_read_in(tmp_path):
    first, again = make_trace("a", result=1), make_trace("a", result=2, tags=("new",))
    frames = {
        "saved": [pack(first).frame],
        "deleted": [tombstone_frame("a", 0)],
        "again": [pack(again, 1).frame],
    }
    orders = ["012", "021", "102", "120", "201", "210"]
    for order in orders:
        directory = tmp_path / order
        for (_, parts), name in zip(frames.items(), order, strict=True):
            add_segment(directory, name, *parts)
        with opened(directory) as store:
            assert ids(store) == ["a"], order
            assert store.load(store.find("a")[0]) == again, order
            assert len(store.search(Query(tags=("new",))).rows) == 1
            store.delete(["a"])
            assert ids(store) == []
        delete_index(directory)
        with opened(directory) as store:
            assert ids(store) == []


# Segments that were made up


def a_row(**changes) -> bytes:
    return dump_row(make_row("evil", **changes))


ROWS = {
    "no JSON": b"\xff{",
    "nothing": b"",
    "a list": b"[]",
    "deep": b"[" * 200_000,
    "another id": dump_row(make_row("t0", started_at=99)),
    "a bad id": dump_row(make_row("../evil")),
    "a state": a_row(state="odd"),
    "a time": a_row(started_at=2**70),
    "context": a_row(context={"a": [1]}),
    "nested context": a_row(context={"a": {"b": 1}}),
    "tags": a_row().replace(b'"tags":[]', b'"tags":"abc"'),
    "an expiry": a_row().replace(b'"expires_at":null', b'"expires_at":"x"'),
    "an error": a_row().replace(b'"error":null', b'"error":[]'),
    "digits": a_row().replace(b'"steps":3', b'"steps":' + b"9" * 5000),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_a_segment_with_a_made_up_row_does_not_keep_the_store_from_opening(directory, row):
    good = pack(make_trace("good", started_at=9)).frame
    add_segment(directory, "0-evil", trace_frame("evil", row, b"raw"), good)
    with opened(directory) as store:
        assert ids(store) == ["good", *ALL]
        assert any("evil" in said for said in store.check())


def test_what_is_no_file_among_the_segments_is_passed_over(directory, tmp_path):
    mine = tmp_path / "mine"
    mine.write_bytes(bytes(100))  # zeros, which would be cut off a segment
    segments = directory / "segments"
    os.mkfifo(segments / "pipe.seg")
    (segments / "link.seg").symlink_to(mine)
    (segments / "directory.seg").mkdir()
    with opened(directory) as store:
        assert ids(store) == ALL
        assert store.check() == []
        row = store.find("t1")[0]
        for name in ("pipe", "directory"):
            elsewhere = replace(row, location=(f"segments/{name}.seg", 0, 10))
            assert store.load(elsewhere) == store.load(row)  # the index is asked where it is
            with refused("trace-gone"):
                store.load(replace(elsewhere, id="nobody"))
        store.save([make_trace("more")])
    assert mine.stat().st_size == 100


def test_an_id_that_a_made_up_tombstone_buried_for_ever_is_refused(directory):
    add_segment(directory, "evil", tombstone_frame("t1", 2**32 - 1))
    with opened(directory) as store:
        assert "t1" not in ids(store)
        with refused("row-invalid"):
            store.save([TRACES[1]])
        store.save([make_trace("more")])
        assert store.delete(["more", "t1"]) == 1


@settings(max_examples=max(settings.default.max_examples // 10, 5))  # each makes a store
@given(st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=9)), min_size=1))
def test_a_store_with_a_mutated_segment_opens_and_reads(tmp_path_factory, edits):
    directory = tmp_path_factory.mktemp("mutated")
    data = b"".join(pack(trace).frame for trace in TRACES)
    for place, some in edits:
        at = place % len(data)
        data = data[:at] + some + data[at + len(some) :]
    path = add_segment(directory, "a", data)
    with opened(directory) as store:
        for row in store.search(Query()).rows:
            assert store.load(row) in TRACES  # what was hurt never got a row
        for said in store.check():
            assert path.name in said or "trace" in said
        store.save([make_trace("more")])
        assert "more" in ids(store)
    shutil.rmtree(directory)
