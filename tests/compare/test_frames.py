"""Two frames are told apart by columns, types, rows and cells, without the libraries."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracediff.compare import compare
from tracediff.compare.tolerances import Rules
from tracediff.compare.walker import Walk
from tracediff.model import MISSING, FrameChange, Tolerance, Value
from tracediff.reports import frames, json
from tracediff.reports.text.canvas import Look, paint
from tracediff.reports.text.comparison import comparison_lines
from tracediff.values import Record, encode, inert, text
from tracediff.values.frames import arrow

REPO = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "golden"
OLD = pd.DataFrame({"sku": ["a", "b", "c"], "qty": [1, 2, 3], "price": [1.0, 2.5, float("nan")]})


def walk(old: Any, new: Any, *rules: Tolerance) -> Walk:
    found = Walk(Rules(rules), (), None)
    found.values(Value(encode(old)), Value(encode(new)))
    return found


def told(found: Walk) -> list[tuple[Any, ...]]:
    """Path, kind, old, new and delta of each change."""
    return [
        (one.path, one.kind, *(None if side is MISSING else side for side in (one.old, one.new)))
        for one in found.changes
    ]


def changed() -> pd.DataFrame:
    new = OLD.copy()
    new.loc[1, "price"] = 2.75
    new.loc[2, "qty"] = 5
    return new


FORMS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda frame: frame,
    "polars": pl.DataFrame,
    "pyarrow": lambda frame: pl.DataFrame(frame).to_arrow(),
    "batch": lambda frame: pl.DataFrame(frame).to_arrow().combine_chunks().to_batches()[0],
}


@pytest.mark.parametrize("form", FORMS)
def test_cells_are_told_by_column_and_key(form: str) -> None:
    found = walk(FORMS[form](OLD), FORMS[form](changed()))
    assert told(found) == [
        (("price", "b"), "changed", 2.5, 2.75),
        (("qty", "c"), "changed", 3, 5),
    ]
    assert [one.delta for one in found.changes] == [0.25, 2]
    (summary,) = found.frames
    assert (summary.matched, summary.cells_changed, summary.rows_changed) == ("column sku", 2, 2)
    assert summary.old == summary.new == (3, 3)


@pytest.mark.parametrize("form", FORMS)
def test_rows_are_matched_by_key_wherever_they_stand(form: str) -> None:
    new = changed()[::-1].reset_index(drop=True)
    (order, *cells) = told(walk(FORMS[form](OLD), FORMS[form](new)))
    assert order == (("rows",), "order", ["a", "b", "c"], ["c", "b", "a"])
    assert [one[0] for one in cells] == [("price", "b"), ("qty", "c")]
    assert told(walk(OLD, OLD[::-1].reset_index(drop=True), Tolerance(unordered=True))) == []


@pytest.mark.parametrize("form", FORMS)
def test_rows_and_columns_come_and_go(form: str) -> None:
    new = pd.concat([OLD[1:], pd.DataFrame({"sku": ["z"], "qty": [9], "price": [0.5]})])
    new = new.reset_index(drop=True).drop(columns="qty").assign(tax=1)
    found = walk(FORMS[form](OLD), FORMS[form](new))
    rows = [one for one in told(found) if one[0][0] == "rows"]
    assert rows == [
        (("rows", "a"), "removed", {"sku": "a", "qty": 1, "price": 1.0}, None),
        (("rows", "z"), "added", None, {"sku": "z", "price": 0.5, "tax": 1}),
    ]
    assert [one[:2] for one in told(found)][:2] == [(("qty",), "removed"), (("tax",), "added")]
    (summary,) = found.frames
    assert (summary.rows_added, summary.rows_removed) == (1, 1)
    assert (summary.columns_added, summary.columns_removed) == (("tax",), ("qty",))


def test_an_index_names_the_rows_where_it_says_more_than_their_number() -> None:
    old, new = OLD.set_index("sku"), changed().set_index("sku")
    assert walk(old, new).frames[0].matched == "index sku"
    numbered = OLD.drop(columns="sku").assign(qty=1)
    assert walk(numbered, numbered.assign(qty=2)).frames[0].matched == "position"
    several = OLD.set_index(["sku", "qty"])
    other = several.assign(price=[1.0, 2.0, 3.0])
    assert told(walk(several, other))[0][0] == ("price", "('b', 2)")
    twice = OLD.assign(sku="a").set_index("sku")[["price"]]
    assert walk(twice, twice.assign(price=0.0)).frames[0].matched == "position"


def test_a_key_that_was_configured_comes_first_and_one_that_does_not_do_is_told() -> None:
    old = OLD.assign(place=["x", "x", "y"], sku=["a", "b", "a"])
    new = changed().assign(place=["x", "x", "y"], sku=["a", "b", "a"])
    found = walk(old, new, Tolerance(path="**", key=("place", "sku")))
    assert found.frames[0].matched == "columns place, sku"
    assert [one.path for one in found.changes] == [("price", "('x', 'b')"), ("qty", "('y', 'a')")]
    found = walk(old, new, Tolerance(path="**", key=("sku",)))
    assert found.frames[0].matched == "position"
    assert found.frames[0].remark == "the key sku does not tell the rows apart"


def test_without_a_key_rows_are_matched_from_both_ends() -> None:
    old = pd.DataFrame({"x": [1.0, 2.0, 2.0, 3.0]})
    new = pd.DataFrame({"x": [1.0, 2.0, 9.0, 2.0, 3.0]})
    assert told(walk(old, new)) == [(("rows", 2), "added", None, {"x": 9.0})]
    assert told(walk(new, old)) == [(("rows", 2), "removed", {"x": 9.0}, None)]
    assert told(walk(old, old[:0])) == [
        (("rows", at), "removed", {"x": x}, None) for at, x in enumerate(old["x"])
    ]


def test_another_type_is_told_once_and_only_cells_that_say_something_else() -> None:
    new = OLD.astype({"qty": "float64"})
    assert told(walk(OLD, new)) == [(("qty", "dtype"), "changed", "int64", "float64")]
    assert walk(OLD, new).frames[0].retyped == ("qty",)
    new.loc[0, "qty"] = 7.5
    assert told(walk(OLD, new))[1:] == [(("qty", "a"), "changed", 1, 7.5)]
    rule = Tolerance(types=(("int64", "float64"),))
    assert [one.within for one in walk(OLD, OLD.astype({"qty": "float64"}), rule).changes] == [True]


def test_tolerances_hold_for_cells_by_column_and_by_row() -> None:
    found = walk(OLD, changed(), Tolerance(path="price", rel=0.2))
    assert [(one.path, one.within) for one in found.changes] == [
        (("price", "b"), True),
        (("qty", "c"), False),
    ]
    assert (found.drift, found.frames[0].cells_within, found.frames[0].cells_changed) == (1, 1, 1)
    assert told(walk(OLD, changed(), Tolerance(path="*/b", ignore=True))) == [
        (("qty", "c"), "changed", 3, 5)
    ]
    assert told(walk(OLD, changed(), Tolerance(path="**", ignore=True))) == []
    near = OLD.assign(price=np.nextafter(OLD["price"], 9))
    assert walk(OLD, near, Tolerance(ulp=1)).beyond == 0
    assert walk(OLD, near, Tolerance(path="price", ulp=0, rel=1e-18)).beyond == 2


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(), min_size=1, max_size=30),
    st.floats(),
    st.data(),
    st.sampled_from([1e-9, 0.0, 0.5]),
)
def test_a_cell_is_close_exactly_when_a_number_of_its_own_is(
    cells: list[float], other: float, data: st.DataObject, rel: float
) -> None:
    at = data.draw(st.integers(0, len(cells) - 1))
    new = [*cells[:at], other, *cells[at + 1 :]]
    for rule in (Tolerance(rel=rel), Tolerance(abs=rel), Tolerance(ulp=3)):
        alone = walk(cells[at], other, rule)
        found = walk(pd.DataFrame({"x": cells}), pd.DataFrame({"x": new}), rule)
        assert (found.beyond, found.drift) == (alone.beyond, alone.drift)


def test_types_of_every_kind_are_told_apart_and_equal_ones_are_not() -> None:
    kinds: dict[str, tuple[Any, Any]] = {
        "text": (["a", None], ["a", "b"]),
        "object": ([1, (2,)], [1.0, (2,)]),
        "time": (pd.to_datetime(["2020-01-01", None]), pd.to_datetime(["2020-01-02", None])),
        "zone": (
            pd.to_datetime(["2020-01-01"] * 2).tz_localize("UTC"),
            pd.to_datetime(["2020-01-01", "2021-01-01"]).tz_localize("UTC"),
        ),
        "category": (pd.Categorical(["x", "y"]), pd.Categorical(["y", "y"], ["x", "y"])),
        "masked": (pd.array([1, None], "Int8"), pd.array([1, 2], "Int8")),
        "arrow": (
            pd.array(["x", None], "string[pyarrow]"),
            pd.array(["x", "y"], "string[pyarrow]"),
        ),
        "bool": ([True, False], [True, True]),
        "zero": ([0.0, 1.0], [-0.0, 1.0]),
        "delta": (pd.to_timedelta([1, 2], "s"), pd.to_timedelta([1, 3], "s")),
        "complex": ([1j, 2j], [1j, 3j]),
    }
    for name, (old, new) in kinds.items():
        left, right = (
            pd.DataFrame({"k": ["p", "q"], "x": old}),
            pd.DataFrame({"k": ["p", "q"], "x": new}),
        )
        found = walk(left, right)
        assert [one.path[0] for one in found.changes] == ["x"], (name, told(found))
        assert found.frames[0].cells_changed == 1, name
        assert walk(left, left.copy()).changes == []
    stamp = told(walk(pd.DataFrame({"x": kinds["time"][0]}), pd.DataFrame({"x": kinds["time"][1]})))
    assert stamp[0][2:] == (datetime(2020, 1, 1), datetime(2020, 1, 2))


def test_what_is_around_the_cells_is_told_too() -> None:
    new = OLD.copy()
    new.attrs["source"] = "x"
    assert told(walk(OLD, new)) == [(("attrs", "source"), "added", None, "x")]
    renamed = OLD.rename_axis("n")
    assert [one.path for one in walk(OLD, renamed).changes] == [("index", "name")]
    turned = OLD[["qty", "sku", "price"]]
    assert told(walk(OLD, turned)) == [
        ((), "order", ["sku", "qty", "price"], ["qty", "sku", "price"])
    ]
    assert [one.path for one in walk({"f": [OLD]}, {"f": [changed()]}).changes] == [
        ("f", 0, "price", "b"),
        ("f", 0, "qty", "c"),
    ]


def test_columns_of_one_name_keep_apart() -> None:
    old = pd.DataFrame([[1, 2], [3, 4]], columns=["x", "x"])
    new = pd.DataFrame([[1, 2], [3, 5]], columns=["x", "x"])
    assert told(walk(old, new)) == [(("x #2", 3), "changed", 4, 5)]


def test_all_cells_are_counted_and_the_first_are_listed() -> None:
    old = pd.DataFrame({"x": np.arange(5_000.0), "y": 0})
    found = walk(old, old + 1)
    assert len(found.changes) == 400
    assert found.cut
    (summary,) = found.frames
    assert (summary.cells_changed, summary.rows_changed) == (10_000, 5_000)
    assert summary.cells_listed == 400
    assert "10,000 cells changed in 5,000 rows (400 listed)" in frames.line(summary)


@pytest.mark.in_turn
@pytest.mark.slow
def test_a_million_rows_take_bounded_time_and_memory() -> None:
    rows = 1_000_000
    old = pd.DataFrame({f"c{at}": np.arange(rows) * (at + 0.5) for at in range(10)})
    old["c0"] = np.arange(rows) * 3
    new = old.copy()
    for at in (5, 500_000, rows - 1):
        new.loc[at, "c7"] += 1
    data = Value(encode(old)), Value(encode(new))
    started = time.perf_counter()
    found = Walk(Rules(), (), None)
    found.values(*data)
    assert time.perf_counter() - started < 20
    assert [one.path for one in found.changes] == [
        ("c7", 15), ("c7", 1_500_000), ("c7", 2_999_997),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "crafted",
    [
        {"start": 0, "stop": 2**60, "step": 1, "name": None},
        {"start": 0, "stop": -5, "step": 0, "name": None},
    ],
)
def test_a_crafted_pandas_frame_exhausts_nothing(crafted: dict[str, Any]) -> None:
    index = Record("pandas:range", "library", crafted)
    none = Record("pandas:range", "library", {"start": 0, "stop": 0, "step": 1, "name": None})
    frame = {"index": index, "columns": none, "arrays": [], "attrs": {}}
    other = {**frame, "attrs": {"a": 1}}
    tracemalloc.start()
    found = walk(*(Record("pandas:frame", "library", one) for one in (frame, other)))
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    assert found.beyond == 1


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_a_damaged_arrow_frame_is_told_as_a_difference_and_exhausts_nothing(
    data: st.DataObject,
) -> None:
    frame = pl.DataFrame({"s": ["x" * 40, "y"], "n": [1, None], "l": [[1], []], "z": [None, None]})
    for kind, whole in (("polars:frame", frame), ("pyarrow:table", frame.to_arrow())):
        record: Any = walk_base(whole)
        hurt = bytearray(record)
        for _ in range(data.draw(st.integers(1, 6))):
            hurt[data.draw(st.integers(0, len(hurt) - 1))] = data.draw(st.integers(0, 255))
        tracemalloc.start()
        found = walk(Record(kind, "library", record), Record(kind, "library", bytes(hurt)))
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
        tracemalloc.stop()
        assert bool(found.beyond) == (bytes(hurt) != record)


def walk_base(frame: Any) -> bytes:
    found: Any = inert(encode(frame))
    base: bytes = found.base
    return base


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.text(max_size=4), st.integers(-9, 9)), max_size=12, unique_by=lambda r: r[0]
    ),
    st.lists(
        st.tuples(st.text(max_size=4), st.integers(-9, 9)), max_size=12, unique_by=lambda r: r[0]
    ),
)
def test_what_differs_is_what_a_dict_of_the_rows_says(
    old: list[tuple[str, int]], new: list[tuple[str, int]]
) -> None:
    left, right = (pl.DataFrame(rows, schema={"k": pl.String, "x": pl.Int64}, orient="row")
                   for rows in (old, new))  # fmt: skip
    found = walk(left, right, Tolerance(path="**", key=("k",), unordered=True))
    before, after = dict(old), dict(new)
    cells = {one.path[1] for one in found.changes if one.path[0] == "x"}
    assert cells == {key for key in before.keys() & after.keys() if before[key] != after[key]}
    rows = {one.path[1] for one in found.changes if one.path[0] == "rows"}
    assert rows == before.keys() ^ after.keys()


def test_reports_sum_frames_up(trace: Callable[..., Any], node: Callable[..., Any]) -> None:
    old, new = (
        trace(node("Loading", args={}, result=one), result=len(one)) for one in (OLD, changed())
    )
    comparison = compare(old, new)
    look = Look(now=0, width=100)
    shown = paint(comparison_lines(comparison, look), look)
    assert "3 × 3 frame, rows matched by column sku: 2 cells changed in 2 rows" in " ".join(
        shown.split()
    )
    assert "price.b" in shown
    document = json.comparison_document(comparison)["divergences"][0]
    assert document["frames"]["result"][0]["cells"] == {"changed": 2, "listed": 2, "within": 0}
    assert document["changes"]["result"][0]["path"] == ["price", "b"]


@pytest.mark.parametrize("width", [80, 120])
def test_a_comparison_of_frames_looks_as_it_did(
    width: int, trace: Callable[..., Any], node: Callable[..., Any]
) -> None:
    more = pd.DataFrame({"sku": ["z"], "qty": [9], "price": [0.5]})
    sides = OLD, pd.concat([changed(), more], ignore_index=True).assign(tax=True)
    old, new = (
        trace(node("Loading", args={"file": "a.csv"}, result=one), result=one) for one in sides
    )
    look = Look(now=0, width=width)
    shown = paint(comparison_lines(compare(old, new), look), look)
    file = GOLDEN / f"frames-{width}.txt"
    if os.environ.get("GOLDEN") == "write":
        file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8")


def test_a_frame_needs_no_library_to_be_compared() -> None:
    pairs = [(encode(make(OLD)), encode(make(changed()))) for make in FORMS.values()]
    script = (
        "import sys\n"
        "from tracediff.compare import value_changes\n"
        "from tracediff.model import Value\n"
        f"for old, new in {pairs!r}:\n"
        "    print([one.path for one in value_changes(Value(old), Value(new))])\n"
        "names = ('numpy', 'pandas', 'polars', 'pyarrow')\n"
        "print([name for name in names if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=REPO
    )
    told = "[('price', 'b'), ('qty', 'c')]"
    assert done.stdout.splitlines() == [*[told] * 4, "[]"], done.stderr


def test_a_line_says_all_there_is() -> None:
    one = FrameChange(
        path=("x",), kind="pandas:frame", old=(1, 2), new=(3, 4), matched="position",
        rows_added=2, rows_removed=1, cells_within=3, columns_added=("a", "b"),
        columns_removed=("c",), retyped=("d",),
    )  # fmt: skip
    assert frames.line(one) == (
        "x: 1 × 2 → 3 × 4 frame, rows matched by position: 2 columns added (a, b), "
        "1 column removed (c), 1 column of another type (d), 2 rows added, 1 row removed, "
        "3 cells within tolerance"
    )
    assert text(1) == "1"


def test_tables_of_pyarrow_with_dictionaries_are_read() -> None:
    old, new = (pa.table({"k": ["p", "q"], "d": pa.array(one).dictionary_encode()})
                for one in (["x", "y"], ["x", "x"]))  # fmt: skip
    assert told(walk(old, new)) == [(("d", "q"), "changed", "y", "x")]


def crafted(body: bytes, blocks: int) -> bytes:
    """A file of polars whose end names its one batch over and over."""
    size = int.from_bytes(body[-10:-6], "little")
    table = bytearray(body[-10 - size : -10])
    at = next(
        at
        for at in range(0, len(table) - 28, 4)
        if int.from_bytes(table[at : at + 4], "little") == 1
        and body[int.from_bytes(table[at + 4 : at + 12], "little") :][:4] == b"\xff\xff\xff\xff"
    )
    named = next(
        one
        for one in range(0, len(table) - 4, 4)
        if one + int.from_bytes(table[one : one + 4], "little") == at
    )
    table[named : named + 4] = (len(table) - named).to_bytes(4, "little")
    more = bytes(table) + blocks.to_bytes(4, "little") + bytes(table[at + 4 : at + 28]) * blocks
    return body[: -10 - size] + more + len(more).to_bytes(4, "little") + b"ARROW1"


def test_a_batch_that_is_named_over_and_over_is_read_once_or_not_at_all() -> None:
    whole = walk_base(pl.DataFrame({"n": range(100_000)}))
    with pytest.raises(ValueError, match="overlap"):
        arrow.columns(crafted(whole, 5_000))
    forged = Record("polars:frame", "library", crafted(whole, 5_000))
    tracemalloc.start()
    found = walk(Record("polars:frame", "library", whole), forged)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()
    assert found.beyond == 1


def test_categories_that_are_a_range_without_end_take_no_time() -> None:
    frame = pd.DataFrame({"c": pd.Categorical.from_codes([0, 1], pd.RangeIndex(2))})
    parts: Any = walk_parts(frame)
    parts["arrays"][0]["values"].base["stop"] = 2**60
    forged = Record("pandas:frame", "library", parts)
    found = walk(frame, forged)
    assert found.beyond >= 1


def walk_parts(frame: Any) -> Any:
    found: Any = inert(encode(frame))
    return found.base


@pytest.mark.in_turn
@pytest.mark.parametrize("form", ["pandas", "polars"])
def test_a_frame_of_many_columns(form: str) -> None:
    old = pd.DataFrame(np.zeros((2, 9_000)), columns=[f"c{at}" for at in range(9_000)])
    new = old.copy()
    new.iloc[1, 8_999] = 1.0
    assert told(walk(FORMS[form](old), FORMS[form](new))) == [(("c8999", 1), "changed", 0.0, 1.0)]


def test_no_frame_hides_what_differs_in_another() -> None:
    old = {f"f{at}": pd.DataFrame({"x": np.arange(5_000.0)}) for at in range(4)}
    new = {name: frame + 1 for name, frame in old.items()}
    new["f3"] = old["f3"].copy()
    new["f3"].loc[7, "x"] = -1.0
    found = walk(old, new)
    assert [(one.path, one.cells_changed) for one in found.frames] == [
        (("f0",), 5_000), (("f1",), 5_000), (("f2",), 5_000), (("f3",), 1),
    ]  # fmt: skip
    assert len(found.changes) == 1_000
    assert found.cut


ELSEWHERE = Tolerance(path="**/elsewhere", abs=1.0)


@pytest.mark.parametrize("rules", [(), (ELSEWHERE,)], ids=["exact", "a-rule-elsewhere"])
def test_rows_counted_from_elsewhere_differ(rules: tuple[Tolerance, ...]) -> None:
    found = walk(OLD[["qty"]].set_axis(pd.RangeIndex(1, 4)), OLD[["qty"]], *rules)
    assert told(found) == [
        (("index", 0), "changed", 1, 0),
        (("index", 1), "changed", 2, 1),
        (("index", 2), "changed", 3, 2),
    ]


def test_the_type_of_an_index_is_one_difference() -> None:
    found = walk(OLD.set_axis(pd.Index([0, 1, 2])), OLD)
    assert told(found) == [(("index", "dtype"), "changed", "int64", "range")]


def of_category(*names: str) -> pl.DataFrame:
    return pl.DataFrame({"a": ["x"]}, {"a": pl.Enum(names)})


UNSEEN: dict[str, tuple[Any, Any]] = {
    "metadata": tuple(pa.table({"a": [1]}, metadata={"unit": unit}) for unit in ("kg", "lb")),
    "lists": tuple(
        pa.table({"a": pa.array([[1]], kind(pa.int64()))}) for kind in (pa.list_, pa.large_list)
    ),
    "categories": (of_category("x", "y"), of_category("x", "z")),
}


@pytest.mark.parametrize("pair", UNSEEN)
def test_no_rule_for_something_else_hides_what_no_cell_says(pair: str) -> None:
    old, new = UNSEEN[pair]
    assert walk(old, new, ELSEWHERE).beyond


def test_what_a_rule_accepts_is_no_difference_of_the_bytes() -> None:
    new = OLD.assign(price=[9.0, 9.0, 9.0])
    assert not walk(OLD, new, Tolerance(path="**/price", ignore=True)).beyond
    turned = OLD[["price", "sku", "qty"]]
    assert not walk(OLD, turned, Tolerance(path="**", unordered=True)).beyond


def test_decimals_that_signal_are_cells_like_others() -> None:
    signal = Decimal("sNaN")
    old, new = pd.DataFrame({"a": [signal, 1]}), pd.DataFrame({"a": [2.0, 1.0]})
    found = walk(old, new)
    assert [one.path for one in found.changes] == [("a", "dtype"), ("a", 0)]
    assert not walk(old, old.copy()).changes
