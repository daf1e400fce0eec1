"""What every ``Index`` must do. The memory driver is the reference."""
# ruff: noqa: S101, D102 - a suite consists of asserts, and a test's name says what must hold

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from tracediff.model import Query
from tracediff.stores.base import Index
from tracediff.stores.memory import MemoryIndex
from tracediff.testing.builders import START, make_row
from tracediff.testing.drawing import draw_query, draw_row
from tracediff.testing.refusal import refused
from tracediff.testing.searching import Searching

BAD_IDS = (
    *("", " ", "a b", "a\0b", "a\nb", "\x7f", "é", "\ud800", "a/b", "../a", "..", "."),
    *(".tmp-1", "x" * 201),
)
"""Ids that not every driver could keep, so none does."""

GOOD_IDS = ("a", "A", "0", "-rf", "a%_b", "a*", "[a]", "'", '"', "a;--", "\\", "~", "x" * 200)


class IndexConformance(Searching):
    """Subclass it, name the class ``Test…`` and say how to open your index."""

    # Rows

    def test_is_an_index(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as index:
            assert isinstance(index, Index)

    def test_a_row_comes_back_as_it_was(self, tmp_path: Path) -> None:
        rows = [
            make_row("plain"),
            make_row("least", key="", meta="", job="", path_signature=b"", outcome=b"", steps=0),
            make_row("text", key="\ud800/ключ", meta="\0\n🗝", tags=("", "\ud800", "a" * 5000)),
            make_row("context", context={"": 10**30, "b": True, "f": -0.0, "\ud800": ""}),
            make_row("first", started_at=-(2**63), duration=0, expires_at=2**70, commit="abc"),
            make_row("last", started_at=2**63 - 1, state="error", error="m:E", depth="inputs"),
            make_row("place", location=("ключ/b", 2**63 - 1, 2**62)),
        ]
        with self.opened(tmp_path, *rows) as index:
            for row in rows:
                assert index.find(row.id, 1) == [row]
                assert repr(index.find(row.id, 1)) == repr([row])  # 1 is not True, 0.0 not -0.0

    def test_creating_a_row_again_leaves_the_first(self, tmp_path: Path) -> None:
        first, second = make_row("a", tags=("old",)), make_row("a", tags=("new",), key="other")
        with self.opened(tmp_path, first) as index:
            index.create([second])
            assert index.find("a") == [first]
            assert not index.search(Query(tags=("new",))).rows

    def test_of_two_rows_with_one_id_in_a_batch_the_first_is_kept(self, tmp_path: Path) -> None:
        first, second = make_row("a", tags=("old",)), make_row("a", tags=("new",), started_at=1)
        with self.opened(tmp_path, first, second) as index:
            assert index.search(Query()).rows == (first,)
            assert index.search(Query(tags=("old",))).rows == (first,)
            assert not index.search(Query(tags=("new",))).rows

    def test_a_row_that_cannot_be_kept_is_refused_with_its_batch(self, tmp_path: Path) -> None:
        bad: list[dict[str, Any]] = [
            *({"trace_id": one} for one in BAD_IDS),
            *({"started_at": at} for at in (2**63, -(2**63) - 1)),
            {"started_at": 1.5},
            {"duration": 1.5},
            {"state": "odd"},
            {"context": {"a": None}},
            {"context": {"a": [1]}},
            {"context": {"a": 10**5000}},
            *({"location": at} for at in (("a", -1, 0), ("a", 0, 2**63), ("../a", 0, 1))),
        ]
        with self.opened(tmp_path) as index:
            for fields in bad:
                with refused("row-invalid"):
                    index.create([make_row("good"), make_row(**fields)])
                with refused("row-invalid"):
                    index.update(make_row(**fields))
            assert index.search(Query()).rows == ()

    def test_an_odd_id_is_an_id(self, tmp_path: Path) -> None:
        rows = [make_row(one) for one in GOOD_IDS]
        with self.opened(tmp_path, *rows) as index:
            for row in rows:
                assert row in index.find(row.id, 100)
            assert {row.id for row in index.search(Query(limit=100)).rows} == set(GOOD_IDS)
            assert index.delete(GOOD_IDS) == len(GOOD_IDS)

    def test_an_update_replaces_the_row_and_what_it_is_found_by(self, tmp_path: Path) -> None:
        old = make_row("a", key="k/old", tags=("old", "both"), context={"n": 1}, state="running")
        new = replace(
            old, key="k/new", tags=("new", "both"), context={"n": 2}, state="error", started_at=9
        )
        with self.opened(tmp_path, old, make_row("b", started_at=START - 1)) as index:
            index.update(new)
            index.update(new)
            assert index.find("a") == [new]
            for gone in (
                Query(key="k/old"),
                Query(tags=("old",)),
                Query(context={"n": 1}),
                Query(state="running"),
                Query(since=START),
            ):
                assert index.search(gone).rows == ()
            for there in (
                Query(key="k/new"),
                Query(tags=("new",)),
                Query(tags=("both",)),
                Query(context={"n": 2}),
                Query(state="error"),
                Query(until=10),
            ):
                assert index.search(there).rows == (new,)
            assert [row.id for row in index.search(Query()).rows] == ["b", "a"]

    def test_updating_what_is_not_there_is_refused(self, tmp_path: Path) -> None:
        with self.opened(tmp_path, make_row("a")) as index:
            with refused("trace-unknown"):
                index.update(make_row("b"))
            index.delete(["a"])
            with refused("trace-unknown"):
                index.update(make_row("a"))
            assert index.search(Query()).rows == ()

    def test_deleting_counts_what_was_there(self, tmp_path: Path) -> None:
        with self.opened(tmp_path, *(make_row(one, tags=("x",)) for one in "abcd")) as index:
            assert index.delete([]) == 0
            assert index.delete(iter(["a", "b", "a", "nothing", *BAD_IDS])) == 2
            assert index.delete(["a"]) == 0
            assert index.find("a") == []
            assert {row.id for row in index.search(Query(tags=("x",))).rows} == {"c", "d"}
            index.create([make_row("a")])
            assert index.find("a") == [make_row("a")]

    # Finding by id

    def test_finds_ids_by_their_start_newest_first(self, tmp_path: Path) -> None:
        rows = [make_row(one, started_at=at) for at, one in enumerate(["a", "ab", "abc", "b", "A"])]
        with self.opened(tmp_path, *rows) as index:
            assert [row.id for row in index.find("a", 9)] == ["abc", "ab", "a"]
            assert [row.id for row in index.find("a")] == ["abc", "ab"]
            assert [row.id for row in index.find("ab", 1)] == ["abc"]
            assert [row.id for row in index.find("", 9)] == ["A", "b", "abc", "ab", "a"]
            assert [row.id for row in index.find("abc", 10**30)] == ["abc"]

    def test_what_begins_no_id_finds_nothing(self, tmp_path: Path) -> None:
        with self.opened(tmp_path, make_row("a"), make_row("b")) as index:
            for prefix in ("aa", "%", "_", "*", "?", "[ab]", "a\0", "\0", "é", "\ud800", "/"):
                assert index.find(prefix, 9) == []
            assert index.find("a" * 10_000, 9) == []

    def test_at_least_one_row_must_be_asked_for(self, tmp_path: Path) -> None:
        with self.opened(tmp_path, make_row("a")) as index:
            for limit in (0, -1, -(2**70)):
                with refused("query-invalid"):
                    index.find("a", limit)
                with refused("query-invalid"):
                    index.search(Query(limit=limit))
            assert len(index.search(Query(limit=2**70)).rows) == 1

    # Life

    def test_closing_twice_is_fine(self, tmp_path: Path) -> None:
        with self.opened(tmp_path, make_row("a")) as index:
            index.close()
            index.close()

    def test_threads_may_share_it(self, tmp_path: Path) -> None:
        def work(number: int) -> None:
            for n in range(12):
                row = make_row(f"{number}-{n}", tags=("all", f"t{number}"), started_at=n)
                index.create([row, make_row("shared", started_at=n)])
                index.update(replace(row, state="error"))
                assert len(index.search(Query(tags=(f"t{number}",))).rows) == n + 1
                assert index.find(f"{number}-{n}", 1)[0].state == "error"
                self.walk(index, Query(limit=7, tags=("all",)))
            assert index.delete([f"{number}-{n}" for n in range(6)]) == 6

        with self.opened(tmp_path) as index, ThreadPoolExecutor(6) as pool:
            for done in [pool.submit(work, number) for number in range(6)]:
                done.result()
            assert len(index.search(Query(tags=("all",), limit=500)).rows) == 36
            assert len(index.find("shared", 9)) == 1

    def test_does_what_the_reference_does(self, tmp_path: Path) -> None:
        for seed in range(8):
            random = Random(seed)  # noqa: S311 - made-up data
            reference = MemoryIndex()
            with self.opened(tmp_path / str(seed)) as index:
                for _ in range(40):
                    _change(random, reference, index)
                    query = draw_query(random)
                    assert self.walk(index, query) == self.walk(reference, query), (seed, query)
                    prefix = random.choice(["", "a", "b", "ab", "zz"])
                    # As text: not-a-number is not equal to itself.
                    assert repr(index.find(prefix, 3)) == repr(reference.find(prefix, 3))


def _change(random: Random, *indexes: Index) -> None:
    """One change, the same in each of these."""
    known = [row.id for row in indexes[0].find("", 1000)]
    choice = random.random()
    if choice < 0.6 or not known:
        rows = [draw_row(random) for _ in range(random.randrange(4))]
        for index in indexes:
            index.create(rows)
    elif choice < 0.8:
        row = replace(draw_row(random), id=random.choice(known))
        for index in indexes:
            index.update(row)
    else:
        ids = random.choices([*known, "nothing"], k=3)
        counts = {index.delete(ids) for index in indexes}
        assert len(counts) == 1, ids
