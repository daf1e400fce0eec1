"""pandas' arrays, indexes, scalars and types of every kind come back exactly, or say why not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracediff.errors import CodecError
from tracediff.values import Allow, Record, encode, inert, live
from tracediff.values.frames import table

Back = Callable[..., Any]
INDEXES: dict[str, Any] = {
    "period": pd.period_range("2020-01", periods=3, freq="M"),
    "period-missing": pd.PeriodIndex(["2020Q1", None], freq="Q-FEB", name="x"),
    "interval": pd.interval_range(0, 3, closed="left", name="i"),
    "interval-times": pd.interval_range(pd.Timestamp("2020"), periods=2, freq="D"),
    "interval-missing": pd.IntervalIndex.from_tuples([(0.5, 1), None]),
    "category": pd.CategoricalIndex(["a", "b"], categories=["b", "a"], ordered=True, name="c"),
    "business days": pd.date_range("2020", periods=3, freq="B"),
    "weeks": pd.date_range("2020", periods=2, freq="2W-WED", tz="Europe/Paris"),
    "deltas": pd.timedelta_range(0, periods=3, freq="7h"),
    "bool": pd.Index([True, False]),
    "int8": pd.Index([1, 2], dtype="int8"),
    "nullable": pd.Index([1, None], dtype="Int64"),
    "arrow": pd.Index(["a", None], dtype="string[pyarrow]"),
    "mixed": pd.Index([1, "a", None, (1, 2)], dtype=object),
    "seconds": pd.DatetimeIndex(["2020"], dtype="M8[s]"),
    "fold": pd.DatetimeIndex(["2020-10-25 00:30", "2020-10-25 01:30"], tz="UTC").tz_convert(
        "Europe/Paris"
    ),
    "fixed": pd.DatetimeIndex(["2020"], tz=timezone(timedelta(hours=5), "X")),
    "levels": pd.MultiIndex.from_arrays(
        [[1, 1, 2], ["a", None, "a"], pd.to_datetime(["2020", "2021", "2022"])],
        names=["x", "y", None],
    ),
    "unused level": pd.MultiIndex.from_product([[1, 2, 3], ["a", "b"]])[:2],
    "periods in levels": pd.MultiIndex.from_product(
        [pd.period_range("2020", periods=2, freq="D"), [1]]
    ),
    "twice": pd.Index([1, 1]),
    "cut": pd.CategoricalIndex(pd.cut([1, 2, 3], 2)),
}
COLUMNS: dict[str, Any] = {
    "sparse": pd.arrays.SparseArray([0, 0, 1, 0]),
    "sparse-float": pd.arrays.SparseArray([np.nan, 1.5]),
    "sparse-block": pd.arrays.SparseArray([0, 2, 2, 0], kind="block"),
    "sparse-bool": pd.arrays.SparseArray([True, False], fill_value=False),
    "lists": pd.array([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    "decimal": pd.array([None], dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
    "dictionary": pd.array(["a", "b"], dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))),
    "UInt8": pd.array([1, None], dtype="UInt8"),
    "Float64": pd.array([1.5, None], dtype="Float64"),
    "boolean": pd.array([None, True], dtype="boolean"),
    "str": pd.array(["a", np.nan], dtype="str"),
    "python strings": pd.array(["a", None], dtype="string[python]"),
    "interval": pd.arrays.IntervalArray.from_breaks([0, 1, 2], closed="both"),
    "period": pd.array(["2020-01-01", None], dtype="period[D]"),
    "months": pd.array(["2020-01", "2020-02"], dtype="period[M]"),
    "weeks": pd.array(["2020-01-01"], dtype="period[W-TUE]"),
    "half": np.array([1, np.nan], dtype="f2"),
    "complex": np.array([1j], dtype="c8"),
    "wide": np.array([2**64 - 1], dtype="u8"),
    "mixed": np.array(
        [1, 1.0, True, "a", None, np.nan, pd.NaT, pd.NA, np.float32(1), pd.Timestamp("2020")],
        dtype=object,
    ),
}
SCALARS: dict[str, Any] = {
    "Period": pd.Period("2020-01", "M"),
    "week": pd.Period("2020-01-01", "W-TUE"),
    "Interval": pd.Interval(0, 1.5, "both"),
    "times": pd.Interval(pd.Timestamp("2020"), pd.Timestamp("2021")),
    "offset": pd.offsets.MonthEnd(2),
    "CategoricalDtype": pd.CategoricalDtype(["a", "b"], ordered=True),
    "Int64Dtype": pd.Int64Dtype(),
    "DatetimeTZDtype": pd.DatetimeTZDtype("ns", "UTC"),
    "StringDtype": pd.StringDtype(),
    "PeriodDtype": pd.PeriodDtype("M"),
    "SparseDtype": pd.SparseDtype("float"),
    "ArrowDtype": pd.ArrowDtype(pa.int8()),
}


def same_frame(one: Any, other: Any) -> None:
    pd.testing.assert_frame_equal(one, other, check_exact=True, check_freq=True, check_flags=True)
    assert one.dtypes.tolist() == other.dtypes.tolist()


def same_series(one: Any, other: Any) -> None:
    pd.testing.assert_series_equal(one, other, check_exact=True, check_freq=True, check_flags=True)
    assert one.dtype == other.dtype


@pytest.mark.parametrize("name", INDEXES)
def test_indexes_alone_and_of_frames_and_series(name: str, back: Back) -> None:
    index = INDEXES[name]
    found = back(index)
    pd.testing.assert_index_equal(found, index, exact=True, check_exact=True)
    assert (found.dtype, getattr(found, "freq", None)) == (
        index.dtype,
        getattr(index, "freq", None),
    )
    assert list(found.names) == list(index.names)
    series = pd.Series(range(len(index)), index=index, name="v")
    same_series(back(series), series)
    if len(set(index)) == len(index):
        frame = pd.DataFrame([range(len(index))], columns=index)
        same_frame(back(frame), frame)


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_every_type(name: str, back: Back) -> None:
    series = pd.Series(COLUMNS[name])
    same_series(back(series), series)
    frame = pd.DataFrame({"a": series, "b": 1})
    same_frame(back(frame), frame)
    found = back(series.array)
    assert found.dtype == series.array.dtype
    seen = table(inert(encode(frame)), 10_000)
    assert seen is not None
    assert seen.names == ("a", "b")


@pytest.mark.parametrize("name", SCALARS)
def test_scalars_and_types(name: str, back: Back) -> None:
    assert back(SCALARS[name]) == SCALARS[name]


def test_objects_keep_their_types_in_a_column(back: Back) -> None:
    mixed = COLUMNS["mixed"]
    assert [type(one) for one in back(pd.Series(mixed))] == [type(one) for one in pd.Series(mixed)]


def test_flags_and_attrs(back: Back) -> None:
    frame = pd.DataFrame({"a": [1]})
    plain = encode(frame)
    frame.flags.allows_duplicate_labels = False
    frame.attrs = {"a": {"b": (1,)}}
    found = back(frame)
    assert found.flags.allows_duplicate_labels is False
    assert found.attrs == {"a": {"b": (1,)}}
    assert encode(frame) != plain
    series = pd.Series([1]).set_flags(allows_duplicate_labels=False)
    assert back(series).flags.allows_duplicate_labels is False


def test_empty_frames(back: Back) -> None:
    for frame in (
        pd.DataFrame(index=[1, 2]),
        pd.DataFrame(columns=["a"]),
        pd.DataFrame([[1, 2]]),
        pd.DataFrame([[1, 2]], columns=[5, "a"]),
    ):
        same_frame(back(frame), frame)


def test_what_has_no_exact_form_says_why(why: Callable[[Any], str]) -> None:
    holidays = pd.offsets.CustomBusinessDay(holidays=["2020-01-03"])
    index = pd.date_range("2020", periods=3, freq=holidays)
    assert why(index) == "the frequency of its index has no name"
    assert why(pd.DataFrame({"a": 1}, index=index)) == "the frequency of its index has no name"
    assert why(pd.DateOffset(months=1)) == "an offset that has no name"

    class Own(pd.DataFrame):
        pass

    assert why(Own({"a": [1]})).startswith("   a")  # its text: nobody knows what it adds


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.text(max_size=3),
        st.sampled_from(["float64", "Int64", "str", "boolean", "datetime64[ns]", "object"]),
        max_size=4,
    ),
    st.integers(0, 5),
    st.data(),
)
def test_any_frame(back: Back, types: dict[str, str], rows: int, data: st.DataObject) -> None:
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "float64": st.floats(),
        "Int64": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        "str": st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=4)),
        "boolean": st.one_of(st.none(), st.booleans()),
        "datetime64[ns]": st.integers(-(2**60), 2**60),
        "object": st.one_of(st.none(), st.integers(), st.floats(), st.binary(max_size=3)),
    }
    cells = {
        name: data.draw(st.lists(kinds[kind], min_size=rows, max_size=rows))
        for name, kind in types.items()
    }
    frame = pd.DataFrame(
        {name: pd.Series(some, dtype=types[name]) for name, some in cells.items()},
        index=range(rows),
    )
    same_frame(back(frame), frame)


@pytest.mark.parametrize(
    "parts",
    [
        {"kind": "sparse", "size": 2**40, "fill": 0, "form": "integer", "data": [], "places": []},
        {"kind": "period", "freq": "M", "data": "x"},
        {"kind": "period", "freq": "nonsense", "data": np.array([1])},
        {"kind": "interval", "closed": "left", "left": 1, "right": 2},
        {"kind": "interval", "closed": "odd", "left": pd.Index([1]), "right": pd.Index([2])},
        {"kind": "odd"},
        {},
        5,
    ],
)
def test_crafted_arrays_are_refused(parts: Any) -> None:
    with pytest.raises(CodecError):
        live(encode(Record("pandas:array", "library", parts)), Allow())
    frame = {"index": pd.RangeIndex(2), "columns": pd.Index(["a"]), "arrays": [parts], "attrs": {}}
    assert table(inert(encode(Record("pandas:frame", "library", frame))), 1_000) is None
