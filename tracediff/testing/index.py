"""What every ``Index`` must do. The memory driver is the reference."""
# ruff: noqa: S101, D102 - a suite consists of asserts, and a test's name says what must hold

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from tracediff.model import Query, Row
from tracediff.stores.base import Index
from tracediff.stores.memory import MemoryIndex
from tracediff.testing.builders import START, make_row
from tracediff.testing.drawing import draw_query, draw_row
from tracediff.testing.refusal import refused

BAD_IDS = (
    *("", " ", "a b", "a\0b", "a\nb", "\x7f", "é", "\ud800", "a/b", "../a", "..", "."),
    *(".tmp-1", "x" * 201),
)
"""Ids that not every driver could keep, so none does."""

GOOD_IDS = ("a", "A", "0", "-rf", "a%_b", "a*", "[a]", "'", '"', "a;--", "\\", "~", "x" * 200)

TEXTS = (
    *("", "/", "//", "a/", "/a", " ", "a\0b", "\ud800", "ключ/键", "'; DROP TABLE x", "%", "a_c"),
    *("*", "a\nb", "x" * 10_000, "/".join(["deep"] * 60)),
)
"""Keys and tags of every kind: what users write there is up to them."""

UNEQUAL: tuple[tuple[str | int | float | bool, ...], ...] = (
    (1, 1.0),
    (True,),
    (False,),
    (0, 0.0, -0.0),
    ("1",),
    ("True",),
    ("",),
    ("nan",),
    (math.nan, -math.nan),
    (math.inf,),
    (-math.inf,),
    (0.1,),
    (0.1 + 2**-56,),
    (2**53, float(2**53)),
    (2**53 + 1,),
    (10**30,),
    (1e30,),
    (-1,),
    ("\ud800",),
)
"""Context values: those in one group are equal to each other and to no others."""


class IndexConformance:
    """Subclass it, name the class ``Test…`` and say how to open your index."""

    def make_index(self, directory: Path) -> Index:
        """Open the index that ``directory`` stands for; empty the first time."""
        raise NotImplementedError

    @contextlib.contextmanager
    def opened(self, directory: Path, *rows: Row) -> Iterator[Index]:
        """An index that holds ``rows`` and is closed afterwards."""
        index = self.make_index(directory)
        try:
            index.create(rows)
            yield index
        finally:
            index.close()

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

    # Searching

    def found(self, index: Index, **filters: Any) -> str:
        """The ids that a search finds, in its order, as one text."""
        page = index.search(Query(**filters))
        assert page.cursor is None
        return " ".join(row.id for row in page.rows)

    def test_a_key_finds_what_lies_below_by_whole_segments(self, tmp_path: Path) -> None:
        keys = {"1": "a", "2": "a/b", "3": "a/b/c", "4": "ab", "5": "a/bc", "6": "A/b"}
        rows = [make_row(one, key=key) for one, key in keys.items()]
        with self.opened(tmp_path, *rows) as index:
            assert self.found(index, key="a") == "5 3 2 1"
            assert self.found(index, key="a/b") == "3 2"
            assert self.found(index, key="a/b/c") == "3"
            assert self.found(index, key="ab") == "4"
            for key in ("a/", "a/b/", "b", "", "%", "a_", "a/b/c/d", "a%"):
                assert not self.found(index, key=key)

    def test_any_text_is_a_key_and_a_tag(self, tmp_path: Path) -> None:
        rows = [make_row(f"{n:02}", key=text, tags=(text,)) for n, text in enumerate(TEXTS)]
        with self.opened(tmp_path, *rows) as index:
            for row in rows:
                below = [r.id for r in reversed(rows) if f"{r.key}/".startswith(f"{row.key}/")]
                assert self.found(index, key=row.key).split() == below
                assert self.found(index, tags=row.tags) == row.id

    def test_a_long_key_is_found_by_each_of_its_starts(self, tmp_path: Path) -> None:
        parts = [f"p{number}" for number in range(60)]
        longer = make_row("b", key="/".join([*parts, "more"]))
        other = make_row("c", key="/".join([*parts[:50], "other"]))
        with self.opened(tmp_path, make_row("a", key="/".join(parts)), longer, other) as index:
            for count in range(1, 61):
                want = "c b a" if count <= 50 else "b a"
                assert self.found(index, key="/".join(parts[:count])) == want

    def test_tags_find_what_has_any_of_them_once(self, tmp_path: Path) -> None:
        rows = [
            make_row("1", tags=("x",)),
            make_row("2", tags=("y", "x")),
            make_row("3", tags=("y", "y")),
            make_row("4", tags=("xy",)),
            make_row("5"),
        ]
        with self.opened(tmp_path, *rows) as index:
            assert self.found(index, tags=("x",)) == "2 1"
            assert self.found(index, tags=("x", "y")) == "3 2 1"
            assert self.found(index, tags=("y", "y", "none")) == "3 2"
            assert not self.found(index, tags=("X",))
            assert self.found(index, tags=()) == "5 4 3 2 1"

    def test_a_state_finds_its_rows(self, tmp_path: Path) -> None:
        rows = [make_row(one, state=one) for one in ("running", "success", "warning", "error")]
        with self.opened(tmp_path, *rows) as index:
            for row in rows:
                assert self.found(index, state=row.state) == row.id
            assert not self.found(index, state="odd")

    def test_since_is_inclusive_and_until_exclusive(self, tmp_path: Path) -> None:
        ends = {"first": -(2**63), "zero": 0, "one": 1, "two": 2, "last": 2**63 - 1}
        rows = [make_row(one, started_at=at) for one, at in ends.items()]
        with self.opened(tmp_path, *rows) as index:
            assert self.found(index, since=1) == "last two one"
            assert self.found(index, until=1) == "zero first"
            assert self.found(index, since=1, until=2) == "one"
            assert not self.found(index, since=2, until=2)
            assert not self.found(index, since=2, until=1)
            assert self.found(index, since=-(2**63), until=-(2**63) + 1) == "first"
            assert self.found(index, since=2**63 - 1) == "last"
            assert self.found(index, until=2**63 - 1) == "two one zero first"
            everything = "last two one zero first"
            assert self.found(index, since=-(2**80), until=2**80) == everything
            assert not self.found(index, since=2**63)
            assert not self.found(index, until=-(2**63))

    def test_context_values_are_equal_within_their_family_only(self, tmp_path: Path) -> None:
        rows = [
            make_row(f"{group:02}-{number}", context={"field": value, "other": group})
            for group, values in enumerate(UNEQUAL)
            for number, value in enumerate(values)
        ]
        with self.opened(tmp_path, *rows) as index:
            for group, values in enumerate(UNEQUAL):
                want = [row.id for row in reversed(rows) if row.id.startswith(f"{group:02}-")]
                for value in values:
                    assert self.found(index, context={"field": value}).split() == want

    def test_all_context_fields_must_be_there(self, tmp_path: Path) -> None:
        rows = [make_row("1", context={"a": 1}), make_row("2", context={"a": 1, "b": 2, "": ""})]
        with self.opened(tmp_path, *rows) as index:
            assert self.found(index, context={"a": 1}) == "2 1"
            assert self.found(index, context={"a": 1, "b": 2}) == "2"
            assert self.found(index, context={"b": 2, "a": 1}) == "2"
            assert self.found(index, context={"": ""}) == "2"
            for context in ({"a": 2}, {"a": 1, "b": 1}, {"c": 1}, {"A": 1}, {"a=1": ""}):
                assert not self.found(index, context=context)

    def test_a_path_signature_finds_its_rows(self, tmp_path: Path) -> None:
        rows = [make_row(str(n), path_signature=it) for n, it in enumerate([b"", b"a", b"b", b"a"])]
        with self.opened(tmp_path, *rows) as index:
            assert self.found(index, path_signature=b"a") == "3 1"
            assert self.found(index, path_signature=b"") == "0"
            assert not self.found(index, path_signature=b"aa")

    def test_filters_narrow_each_other(self, tmp_path: Path) -> None:
        fields: dict[str, Any] = {
            "key": "k/a",
            "tags": ("x",),
            "state": "error",
            "context": {"n": 1},
            "path_signature": b"p",
        }
        others: dict[str, Any] = {
            "key": "k2",
            "tags": ("y",),
            "state": "success",
            "context": {"n": True},
            "path_signature": b"q",
        }
        rows = [make_row("all", **fields)]
        rows += [make_row(name, **(fields | {name: others[name]})) for name in fields]
        with self.opened(tmp_path, *rows) as index:
            assert self.found(index, since=START, until=START + 1, **fields) == "all"
            for name in fields:
                rest = {one: value for one, value in fields.items() if one != name}
                assert self.found(index, **rest) == " ".join(sorted(("all", name), reverse=True))

    def test_newest_come_first_and_equal_times_by_id(self, tmp_path: Path) -> None:
        rows = [make_row(one, started_at=at) for one, at in zip("cABab~", (1, 2, 2, 2, 1, 2))]  # noqa: B905 - equal lengths
        with self.opened(tmp_path, *rows) as index:
            assert self.found(index) == "~ a B A c b"

    def test_an_empty_index_finds_nothing(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as index:
            assert not self.found(index)
            assert not self.found(index, key="a", tags=("x",), state="error", context={"a": 1})
            assert index.find("a") == []

    # Pages

    def walk(self, index: Index, query: Query) -> list[str]:
        """The ids of all pages."""
        ids: list[str] = []
        while True:
            page = index.search(query)
            assert len(page.rows) <= query.limit
            ids += [row.id for row in page.rows]
            if page.cursor is None:
                return ids
            assert len(page.rows) == query.limit
            query = replace(query, cursor=page.cursor)

    def test_pages_show_each_row_once_in_order(self, tmp_path: Path) -> None:
        rows = [
            make_row(f"{n:02}", started_at=n // 4, tags=("even",) if n % 2 == 0 else ("odd", "x"))
            for n in range(24)
        ]
        with self.opened(tmp_path, *rows) as index:
            everything = [f"{n:02}" for n in range(23, -1, -1)]
            for limit in range(1, 26):
                assert self.walk(index, Query(limit=limit)) == everything
                assert self.walk(index, Query(limit=limit, tags=("even", "x"))) == everything
                assert self.walk(index, Query(limit=limit, tags=("even",))) == everything[1::2]

    def test_rows_that_arrive_meanwhile_hide_and_repeat_none(self, tmp_path: Path) -> None:
        rows = [make_row(f"r{n}", started_at=n) for n in range(10, 20)]
        with self.opened(tmp_path, *rows) as index:
            page = index.search(Query(limit=4))
            index.create([make_row("newer", started_at=99), make_row("older", started_at=1)])
            index.create([make_row("r16a", started_at=16), make_row("r15a", started_at=15)])
            index.delete([page.rows[-1].id])  # the row that the cursor stands at
            rest = self.walk(index, Query(limit=4, cursor=page.cursor))
            assert [row.id for row in page.rows] == ["r19", "r18", "r17", "r16"]
            assert rest == ["r15a", "r15", "r14", "r13", "r12", "r11", "r10", "older"]

    def test_a_page_may_have_another_length_than_the_one_before(self, tmp_path: Path) -> None:
        with self.opened(tmp_path, *(make_row(str(n)) for n in range(9))) as index:
            page = index.search(Query(limit=2))
            assert self.found(index, limit=50, cursor=page.cursor) == "6 5 4 3 2 1 0"

    def test_a_cursor_belongs_to_its_query(self, tmp_path: Path) -> None:
        query = Query(
            limit=1,
            key="k",
            tags=("x", "y"),
            state="error",
            since=0,
            until=START * 2,
            context={"n": 1, "m": "a"},
            path_signature=b"p",
        )
        fields: dict[str, Any] = {"key": "k", "tags": ("x",), "state": "error"}
        fields |= {"context": {"n": 1, "m": "a"}, "path_signature": b"p"}
        with self.opened(tmp_path, make_row("a", **fields), make_row("b", **fields)) as index:
            cursor = index.search(query).cursor
            same = replace(query, cursor=cursor, tags=("y", "x", "y"), context={"m": "a", "n": 1.0})
            assert [row.id for row in index.search(same).rows] == ["a"]
            others: list[dict[str, Any]] = [
                *({"key": one} for one in (None, "k/", "K")),
                *({"tags": one} for one in ((), ("x",), ("x", "y", "z"), ("xy",))),
                *({"state": one} for one in (None, "success")),
                *({"since": None}, {"since": 1}, {"until": None}, {"until": START * 2 + 1}),
                *({"context": {"m": "a", "n": one}} for one in (True, "1", 2)),
                *({"context": one} for one in ({}, {"n": 1}, {"n": "a", "m": 1})),
                *({"path_signature": one} for one in (None, b"", b"q")),
            ]
            for other in others:
                with refused("cursor-invalid"):
                    index.search(replace(query, cursor=cursor, **other))

    def test_what_is_no_cursor_is_refused(self, tmp_path: Path) -> None:
        with self.opened(tmp_path, *(make_row(str(n)) for n in range(3))) as index:
            good = index.search(Query(limit=1)).cursor
            assert good is not None
            middle = len(good) // 2
            for cursor in (
                *("", " ", "x", "AAAA", "A" * 1_000_000, "é", "\ud800", "\0", "null", "[]"),
                *(good[:-4], good[4:], good + good, good.swapcase(), f" {good}"),
                good[:middle] + ("A" if good[middle] != "A" else "B") + good[middle + 1 :],
            ):
                with refused("cursor-invalid"):
                    index.search(Query(cursor=cursor))

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
