"""What an ``Index`` or ``Store`` must do that also keeps live traces. Memory is the reference."""
# ruff: noqa: S101, D102 - a suite consists of asserts, and a test's name says what must hold

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from tracediff import codec
from tracediff.model import Artifact, Query, Row, Trace
from tracediff.stores.base import LiveIndex, LiveStore
from tracediff.stores.memory import MemoryIndex
from tracediff.stores.walking import loaded_packed
from tracediff.testing.builders import make_parts, make_row, make_trace
from tracediff.testing.opening import StoreSuite
from tracediff.testing.refusal import refused


def part_row(trace_id: str, parts: int, state: str = "running", **fields: Any) -> Row:
    """The row of a live trace after so many parts, the last of them at a place of its own."""
    place = (f"segments/{trace_id}.seg", parts * 100, 100)
    return make_row(trace_id, **({"parts": parts, "state": state, "location": place} | fields))


class LiveIndexConformance:
    """Subclass it, name the class ``Test…`` and say how to open your index."""

    def make_index(self, directory: Path) -> Any:
        """Open the index that ``directory`` stands for; empty the first time."""
        raise NotImplementedError

    @contextlib.contextmanager
    def opened(self, directory: Path) -> Iterator[Any]:
        """An index that is closed afterwards."""
        index = self.make_index(directory / "index")
        try:
            yield index
        finally:
            index.close()

    def test_is_a_live_index(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as index:
            assert isinstance(index, LiveIndex)

    def test_a_row_gives_way_to_one_of_more_parts(self, tmp_path: Path) -> None:
        rows = [part_row("a", 1, tags=("old",)), part_row("a", 2, tags=("new",), steps=9)]
        with self.opened(tmp_path) as index:
            for row in rows:
                index.create([row])
                assert index.find("a") == [row]
            assert index.search(Query(tags=("new",), state="running")).rows == (rows[1],)
            assert index.search(Query(tags=("old",))).rows == ()
            assert index.parts("a") == [(0, rows[0].location), (1, rows[1].location)]
            assert index.parts("b") == []

    def test_rows_may_come_in_any_order_together_and_again(self, tmp_path: Path) -> None:
        rows = [part_row("a", parts) for parts in range(1, 5)] + [part_row("a", 5, "warning")]
        places = [(row.parts - 1, row.location) for row in rows]
        for seed in range(4):
            random = Random(seed)  # noqa: S311 - made-up data
            with self.opened(tmp_path / str(seed)) as index:
                shuffled = random.sample([*rows, *rows, make_row("b")], 2 * len(rows) + 1)
                while shuffled:
                    count = random.randrange(1, 4)
                    index.create(shuffled[:count])
                    del shuffled[:count]
                assert index.find("a") == [rows[-1]]
                assert index.parts("a") == places
                assert index.find("b") == [make_row("b")]

    def test_a_part_stays_where_it_was_first(self, tmp_path: Path) -> None:
        first = part_row("a", 1)
        with self.opened(tmp_path) as index:
            index.create([first])
            index.create([replace(first, location=("segments/other.seg", 0, 100), tags=("x",))])
            assert index.find("a") == [first]
            assert index.parts("a") == [(0, first.location)]

    def test_what_was_written_at_once_or_has_ended_stays(self, tmp_path: Path) -> None:
        whole, ended = make_row("a"), part_row("b", 2, "error")
        with self.opened(tmp_path) as index:
            index.create([whole, ended])
            index.create([part_row("a", 1), part_row("b", 1), part_row("b", 9)])
            index.create([make_row("b"), part_row("b", 3, "success")])
            assert index.find("a") == [whole]
            assert index.parts("a") == []
            assert index.find("b") == [ended]

    def test_the_lost_stay_lost_until_they_turn_out_to_have_ended(self, tmp_path: Path) -> None:
        first, later = part_row("a", 1, tags=("x",)), part_row("a", 2)
        ended = part_row("a", 3, "success")
        with self.opened(tmp_path) as index:
            index.create([first, part_row("b", 2, "error"), make_row("c")])
            assert index.lose([first, part_row("b", 1), make_row("c"), make_row("d")]) == 1
            assert index.lose([first]) == 0
            lost = replace(first, state="lost")
            assert index.search(Query(state="lost")).rows == (lost,)
            assert index.search(Query(state="running")).rows == ()
            index.create([later])
            assert index.find("a") == [lost]
            assert index.parts("a") == [(0, first.location), (1, later.location)]
            index.create([ended])
            assert index.find("a") == [ended]
            assert len(index.parts("a")) == 3

    def test_losing_takes_no_more_than_id_key_and_start(self, tmp_path: Path) -> None:
        row = part_row("a", 2, tags=("x",), context={"n": 1, "\ud800": ""}, duration=5)
        with self.opened(tmp_path) as index:
            index.create([row])
            little = Row(
                id="a", key=row.key, state="running", started_at=row.started_at, duration=0, steps=0
            )
            assert index.lose([little, little]) == 1
            assert index.find("a") == [replace(row, state="lost")]

    def test_what_is_deleted_does_not_come_back_by_a_later_part(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as index:
            index.create([part_row("a", 1), part_row("b", 2, "error"), part_row("aa", 1)])
            assert index.delete(["a", "b"]) == 2
            index.create([part_row("a", 2), part_row("b", 2, "error"), part_row("a", 3, "success")])
            assert index.search(Query()).rows == (part_row("aa", 1),)
            assert index.parts("a") == index.parts("b") == []
            assert len(index.parts("aa")) == 1
            index.create([make_row("a")])
            assert index.find("a", 1) == [make_row("a")] or len(index.find("a")) == 2

    def test_what_is_buried_is_gone_and_stays_so(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as index:
            index.create([part_row("a", 1), part_row("aa", 1)])
            index.bury(["a", "b"])
            index.bury(iter(["a"]))
            index.create([part_row("a", 2), part_row("b", 1), part_row("b", 2, "success")])
            assert index.search(Query()).rows == (part_row("aa", 1),)
            assert index.parts("a") == index.parts("b") == []

    def test_does_what_the_reference_does_of_live_traces(self, tmp_path: Path) -> None:
        for seed in range(4):
            random = Random(seed)  # noqa: S311 - made-up data
            reference = MemoryIndex()
            with self.opened(tmp_path / str(seed)) as index:
                for _ in range(40):
                    _change(random, reference, index)
                    query = Query(state=random.choice([None, "running", "lost", "success"]))
                    assert index.search(query) == reference.search(query), seed
                    for one in "abcd":
                        assert index.parts(one) == reference.parts(one), (seed, one)


def _change(random: Random, *indexes: Any) -> None:
    """One change, the same in each of these."""
    ids = random.choices("abcd", k=2)
    choice = random.random()
    if choice < 0.7:
        rows = [
            part_row(one, random.randrange(1, 4), started_at=ord(one))
            if random.random() < 0.8
            else part_row(one, 4, random.choice(["success", "error"]), started_at=ord(one))
            for one in ids
        ]
        for index in indexes:
            index.create(rows)
    elif choice < 0.85:
        lost = {index.lose([make_row(one) for one in ids]) for index in indexes}
        assert len(lost) == 1, ids
    elif choice < 0.95:
        deleted = {index.delete(ids) for index in indexes}
        assert len(deleted) == 1, ids
    else:
        running = [row.id for row in indexes[0].search(Query(state="running")).rows]
        for index in indexes:
            index.bury(running[:1])


class LiveStoreConformance(StoreSuite[Any]):
    """Subclass it, name the class ``Test…`` and say how to open your store."""

    def loaded(self, store: Any, trace_id: str = "a") -> Trace:
        """The one trace with this id."""
        (row,) = (row for row in store.find(trace_id, 1000) if row.id == trace_id)
        trace: Trace = store.load(row)
        return trace

    def test_is_a_live_store(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as store:
            assert store.capabilities.live
            store.save_parts([])
            store.ignore([])
            assert isinstance(store, LiveStore)

    def test_a_trace_grows_and_ends_as_any_other(self, tmp_path: Path) -> None:
        trace = make_trace("a", tags=("x",), context={"n": 1}, retention=40_000)
        with self.opened(tmp_path) as store:
            for part in make_parts(trace):
                store.save_parts([part])
                (row,) = store.search(Query(tags=("x",))).rows
                assert row == replace(part.row, location=row.location)
                assert store.search(Query(state=part.row.state)).rows == (row,)
                grown = store.load(row)
                assert len(grown.steps) == row.steps
                assert grown.state == row.state
                assert grown.warnings == ()
            assert self.loaded(store) == trace
            assert store.search(Query(state="running")).rows == ()
            assert store.check() == []

    def test_parts_may_come_in_any_order_together_and_again(self, tmp_path: Path) -> None:
        trace = make_trace("a", result="ok")
        parts = make_parts(trace, 5)
        for seed in range(3):
            random = Random(seed)  # noqa: S311 - made-up data
            with self.opened(tmp_path / str(seed)) as store:
                shuffled = random.sample([*parts, *parts], 10)
                while shuffled:
                    count = random.randrange(1, 4)
                    store.save_parts(shuffled[:count])
                    del shuffled[:count]
                assert self.loaded(store) == trace
                assert store.check() == []

    def test_saving_a_part_again_keeps_the_first(self, tmp_path: Path) -> None:
        first, *_ = make_parts(make_trace("a"))
        other, *_ = make_parts(make_trace("a", tags=("new",), meta="other"))
        with self.opened(tmp_path) as store:
            store.save_parts([first, other])
            store.save_parts([other])
            assert self.loaded(store).meta == ""
            assert store.search(Query(tags=("new",))).rows == ()

    def test_a_trace_that_was_saved_whole_has_no_parts(self, tmp_path: Path) -> None:
        trace = make_trace("a")
        with self.opened(tmp_path) as store:
            store.save([trace])
            store.save_parts(make_parts(make_trace("a", tags=("new",))))
            assert self.loaded(store) == trace
            store.save_parts(make_parts(make_trace("b")))
            store.save([make_trace("b", tags=("new",))])
            assert self.loaded(store, "b") == make_trace("b")
            assert store.check() == []

    def test_who_watches_reads_only_what_is_new(self, tmp_path: Path) -> None:
        parts = make_parts(make_trace("a"), 4)
        with self.opened(tmp_path) as store:
            store.save_parts(parts)
            (row,) = store.find("a")
            for first in range(6):
                assert store.load_parts(row, first) == parts[first:]
            assert store.load_parts(replace(row, parts=2)) == parts[:2]

    def test_where_a_part_is_missing_a_trace_that_runs_says_so(self, tmp_path: Path) -> None:
        zero, _, two, last = make_parts(make_trace("a"), 4)
        with self.opened(tmp_path) as store:
            store.save_parts([zero, two])
            grown = self.loaded(store)
            assert len(grown.warnings) == 1
            assert "part 1" in grown.warnings[0]
            assert grown.state == "running"
            store.save_parts([last])
            with refused("trace-hurt"):
                self.loaded(store)
            assert len(store.check()) == 1

    def test_the_lost_can_be_read_as_far_as_they_came(self, tmp_path: Path) -> None:
        parts = make_parts(make_trace("a"), 4)
        with self.opened(tmp_path) as store:
            store.save_parts(parts[:2])
            index = getattr(store, "index", None)
            if index is None:
                return
            index.lose([parts[0].row])
            trace = self.loaded(store)
            assert trace.state == "lost"
            assert len(trace.steps) == parts[1].row.steps
            store.save_parts(parts[2:])
            assert self.loaded(store) == make_trace("a")

    def test_large_artifacts_come_back(self, tmp_path: Path) -> None:
        data = bytes(range(256)) * 1000
        sha256 = hashlib.sha256(data).hexdigest()
        artifacts = tuple(
            Artifact(name=f"page{n}", sha256=sha256, size=len(data), data=data) for n in range(2)
        )
        trace = make_trace("a", artifacts=artifacts)
        with self.opened(tmp_path) as store:
            for part in make_parts(trace):
                store.save_parts([part])
            assert self.loaded(store) == trace

    def test_what_is_deleted_does_not_come_back_by_a_later_part(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as store:
            for count in (1, 2, 3):
                trace_id = f"a{count}"
                parts = make_parts(make_trace(trace_id))
                store.save_parts(parts[:count])
                assert store.delete([trace_id]) == 1
                store.save_parts(parts)
                assert store.find(trace_id) == []
                store.save([make_trace(trace_id, result=count)])
                assert self.loaded(store, trace_id) == make_trace(trace_id, result=count)
            assert store.check() == []

    def test_what_is_ignored_is_gone_and_stays_so(self, tmp_path: Path) -> None:
        parts = make_parts(make_trace("a", tags=("x",)), 4)
        with self.opened(tmp_path) as store:
            store.save_parts([*parts[:2], *make_parts(make_trace("b"))])
            store.ignore(iter(["a", "unknown"]))
            store.save_parts(parts[2:])
            store.save_parts(make_parts(make_trace("unknown")))
            assert [row.id for row in store.search(Query()).rows] == ["b"]
            assert store.find("a") == []
            assert store.check() == []

    def test_a_part_that_cannot_be_kept_is_refused_with_its_batch(self, tmp_path: Path) -> None:
        good = make_parts(make_trace("good"))
        bad = make_parts(make_trace("a"))[0]
        with self.opened(tmp_path) as store:
            for part in (
                replace(bad, number=1),
                replace(bad, row=good[0].row),
                replace(bad, row=replace(bad.row, parts=0)),
                replace(bad, row=replace(bad.row, started_at=2**63)),
                *make_parts(make_trace("a b")),
            ):
                with refused("row-invalid"):
                    store.save_parts([good[0], part])
            assert store.search(Query()).rows == ()
            assert store.check() == []

    def test_live_traces_are_read_among_others(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as store:
            store.save([make_trace("b")])
            store.save_parts([*make_parts(make_trace("a")), make_parts(make_trace("c"))[0]])
            packed = {row.id: data for row, data in loaded_packed(store, store.find("", 9))}
            assert sorted(packed) == ["a", "b", "c"]
            for row in store.find("", 9):
                data = packed[row.id]
                assert isinstance(data, bytes)
                assert codec.load(data) == store.load(row)

    def test_what_was_saved_is_there_when_it_is_opened_again(self, tmp_path: Path) -> None:
        trace = make_trace("a")
        parts = make_parts(trace, 4)
        with self.opened(tmp_path) as store:
            if not store.capabilities.durable:
                return
            store.save_parts(parts[:2])
        for part in parts[2:]:
            with self.opened(tmp_path) as store:
                assert store.find("a")[0].parts == part.number
                store.save_parts([part])
        with self.opened(tmp_path) as store:
            assert self.loaded(store) == trace
            assert store.check() == []
