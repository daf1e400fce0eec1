"""polars' frames, series and types come back exactly, or say why not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal, assert_series_equal

from tracediff.values import encode, inert
from tracediff.values.frames import table

Back = Callable[..., Any]
SERIES: dict[str, Any] = {
    "categorical": pl.Series(["a", "b", None, "a"], dtype=pl.Categorical),
    "enum": pl.Series(["a", None], dtype=pl.Enum(["b", "a"])),
    "decimal": pl.Series([Decimal("1.500"), None], dtype=pl.Decimal(20, 3)),
    "struct": pl.Series([{"a": 1, "b": [1]}, None]),
    "array": pl.Series([[1, 2], None], dtype=pl.Array(pl.Int8, 2)),
    "lists": pl.Series([[["a"], []], None], dtype=pl.List(pl.List(pl.String))),
    "null": pl.Series([None, None]),
    "binary": pl.Series([b"a", None, b"x" * 30]),
    "time": pl.Series([time(1, 2, 3), None]),
    "duration": pl.Series([timedelta(1, 2), None]),
    "zone": pl.Series([datetime(2020, 1, 1), None]).dt.replace_time_zone("Europe/Paris"),
    "milliseconds": pl.Series([datetime(2020, 1, 1)], dtype=pl.Datetime("ms")),
    "wide": pl.Series([2**100, None], dtype=pl.Int128),
    "float32": pl.Series([1.5, None], dtype=pl.Float32),
    "bool": pl.Series([True, None, False]),
    "text": pl.Series(["a", None, "é" * 20, ""]),
    "empty": pl.Series([], dtype=pl.String),
}
TYPES: list[Any] = [
    pl.Int8(),
    pl.Enum(["b", "a"]),
    pl.Struct({"a": pl.List(pl.Int8)}),
    pl.Datetime("ms", "UTC"),
    pl.Schema({"a": pl.Int8(), "b": pl.String()}),
]


@pytest.mark.parametrize("name", SERIES)
def test_series_and_frames_of_every_type(name: str, back: Back) -> None:
    series = SERIES[name].alias("s")
    found = back(series)
    assert_series_equal(found, series, check_exact=True)
    assert found.dtype == series.dtype
    frame = pl.DataFrame([series, series.alias("t")])
    assert_frame_equal(back(frame), frame, check_exact=True)


@pytest.mark.parametrize("name", SERIES)
def test_columns_are_read_without_polars(name: str) -> None:
    series = SERIES[name].alias("s")
    found = table(inert(encode(series)), 10_000)
    assert found is not None
    cells = found.columns[0].cells(0, len(series))
    told = series.to_list()
    if name == "zone":
        told = [one and one.astimezone(UTC) for one in told]
    assert cells == told


@pytest.mark.parametrize("obj", TYPES, ids=str)
def test_types_and_schemas(obj: Any, back: Back) -> None:
    assert back(obj) == obj


def test_how_a_frame_was_made_is_not_data() -> None:
    frame = pl.DataFrame({"a": ["x" * 20, "y", None, "z"], "b": [1, 2, 3, 4]})
    parts = pl.concat([frame[:1], frame[1:]], rechunk=False)
    assert encode(parts) == encode(frame) == encode(frame.filter(pl.lit(value=True)))
    assert encode(frame[1:3]) == encode(pl.DataFrame(frame[1:3].to_dicts(), schema=frame.schema))


def test_what_has_no_exact_form_says_why(why: Callable[[Any], str]) -> None:
    ran: list[int] = []
    lazy = pl.LazyFrame({"a": [1]}).map_batches(lambda frame: ran.append(1) or frame)
    assert why(lazy) == "a query that was not run: to record it would be to run it"
    assert ran == []
    assert why(pl.Series([object()])) == "a frame that holds Python objects"
    assert why(pl.DataFrame({"o": [object()]})) == "a frame that holds Python objects"


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=20)),
            st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
            st.one_of(st.none(), st.floats()),
            st.one_of(st.none(), st.dates(date(1700, 1, 1))),
            st.one_of(st.none(), st.lists(st.one_of(st.none(), st.booleans()), max_size=3)),
        ),
        max_size=6,
    )
)
def test_any_frame(back: Back, rows: list[tuple[Any, ...]]) -> None:
    schema = {
        "s": pl.String,
        "i": pl.Int64,
        "f": pl.Float64,
        "d": pl.Date,
        "l": pl.List(pl.Boolean),
    }
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    assert_frame_equal(back(frame), frame, check_exact=True)
    found = table(inert(encode(frame)), 100_000)
    assert found is not None
    for name in ("s", "i", "d", "l"):
        assert found.column(name).cells(0, len(rows)) == frame[name].to_list()
