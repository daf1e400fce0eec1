"""What a search must find in every ``Index``, in which order, and page by page."""
# ruff: noqa: S101, D102 - a suite consists of asserts, and a test's name says what must hold

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tracediff.model import Query, Row
from tracediff.stores.base import Index
from tracediff.testing.builders import START, make_row
from tracediff.testing.refusal import refused

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


class Searching:
    """The part of ``IndexConformance`` that searches."""

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
