"""A job that gives a frame is explained by its cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import polars as pl
import pytest

from tracediff.explain.outcomes import MOST_FIELDS, Outcome, differing, fields, mark
from tracediff.values import Record, encode

CELLS = {"sku": ["a", "b"], "price": [1.0, 2.0]}


def outcome(obj: Any) -> Outcome:
    return Outcome(encode(obj), None, "success", ())


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_the_fields_of_a_frame_are_its_cells(make: Callable[..., Any]) -> None:
    old, new = (fields(outcome({"f": make({**CELLS, "price": one})})) for one in ([1, 2], [1, 3]))
    assert differing(old, new) == [("result", "f", "price", "b")]
    assert (old["result", "f", "price", "b"], new["result", "f", "price", "b"]) == (2, 3)


def test_equal_frames_are_equal_however_large() -> None:
    frame = pd.DataFrame({"x": range(MOST_FIELDS + 1)})
    found = fields(outcome(frame))
    assert [path for path in found if path[0] == "result"] == [("result",)]
    assert differing(found, fields(outcome(frame.copy()))) == []
    assert differing(found, fields(outcome(frame + 1))) == [("result",)]


def test_a_value_of_a_library_is_known_by_its_bytes() -> None:
    one, other = (Record("numpy:ndarray", "library", memoryview(b"ab")) for _ in range(2))
    assert mark(one) == mark(other)
