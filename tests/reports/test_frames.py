"""Frames of every library are tables on a page, with no library there to read them."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pytest

from tracediff.reports.pages import valuetables
from tracediff.values import Record, encode, inert

FRAME = pl.DataFrame({"a": [1, None], "b": ["x", "y"]})


@pytest.mark.parametrize(
    "frame",
    [FRAME, FRAME.to_arrow(), FRAME.to_arrow().to_batches()[0]],
    ids=["frame", "table", "batch"],
)
def test_a_frame_of_arrow_is_a_table(frame: object) -> None:
    found = valuetables.grid(inert(encode(frame)))
    assert found is not None
    assert found.summary == "2 rows × 2 columns"
    cells = {one.name: [one.cell(0), one.cell(1)] for one in found.columns}
    assert cells == {"a": [1, None], "b": ["x", "y"]}
    assert [one.number for one in found.columns] == [True, False]
    assert valuetables.scalar(inert(encode(frame))) is None


def test_a_series_and_a_frame_with_odd_columns_are_tables() -> None:
    found = valuetables.grid(inert(encode(pl.Series("s", [1.5, 2]))))
    assert found is not None
    assert found.columns[0].cell(1) == 2.0
    index = pd.MultiIndex.from_tuples([(1, 2), (3, 4)])
    frame = pd.DataFrame({"p": pd.period_range("2020", periods=2, freq="D")}, index=index)
    found = valuetables.grid(inert(encode(frame)))
    assert found is not None
    assert valuetables.cell_text(found.columns[0].cell(1)) == "2020-01-02"
    assert found.index(1) == "(3, 4)"


def test_what_is_damaged_or_large_is_told_by_its_size() -> None:
    forged = Record("polars:frame", "library", b"ARROW1\0\0nonsense")
    assert valuetables.grid(forged) is None
    assert valuetables.scalar(forged) == ("polars.frame", "16 bytes of Arrow data")
    large = inert(encode(pl.DataFrame({"a": ["x" * 60] * 80_000})))
    assert valuetables.grid(large) is None
    assert valuetables.scalar(large) is not None
