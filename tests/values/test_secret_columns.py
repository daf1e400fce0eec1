"""Columns with a secret name are sealed, in frames of every library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import polars as pl
import pytest

from tracediff.compare.tolerances import Rules
from tracediff.compare.walker import Walk
from tracediff.errors import ReplayError
from tracediff.model import Value
from tracediff.recording.redaction import Redactor
from tracediff.replay.unkept import holds
from tracediff.values import (
    Allow,
    Placeholder,
    Record,
    Redacted,
    encode,
    inert,
    live,
    node_of,
    text,
)

SECRET = "hunter22-hunter22"
MAKE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "pyarrow": lambda cells: pl.DataFrame(cells).to_arrow(),
    "batch": lambda cells: pl.DataFrame(cells).to_arrow().to_batches()[0],
}


def cells(secret: str = SECRET, price: float = 1.5) -> dict[str, Any]:
    return {"sku": ["a", "b"], "api_token": [secret, "x"], "price": [price, 2.5]}


def redactor() -> Redactor:
    return Redactor((), lambda: b"k" * 32)


@pytest.mark.parametrize("form", MAKE)
@pytest.mark.parametrize("careful", [False, True])
def test_a_secret_column_is_sealed(form: str, careful: bool) -> None:
    redaction = redactor()
    redaction.scrub_values = careful
    data = encode({"frame": MAKE[form](cells())}, redaction=redaction)
    assert SECRET.encode() not in data
    assert SECRET not in repr(inert(data))
    found: Any = inert(data)
    assert isinstance(found["frame"], Record)
    ((name, sealed),) = found["frame"].base["sealed"]
    assert (name, type(sealed)) == ("api_token", Redacted)
    assert data == encode({"frame": MAKE[form](cells())}, redaction=redaction)


@pytest.mark.parametrize("form", MAKE)
def test_a_line_shows_the_frame_with_all_its_columns(form: str) -> None:
    shown = text(inert(encode(MAKE[form](cells()), redaction=redactor())))
    assert shown.endswith("(2 × 3: sku, api_token, price)")
    odd = Record("pandas:sealed", "library", {"names": 3, "frame": None, "sealed": []})
    assert text(odd).startswith("sealed(")


@pytest.mark.parametrize("form", MAKE)
def test_the_other_columns_are_compared(form: str) -> None:
    redaction = redactor()
    old, new, other = (
        Value(encode(MAKE[form](one), redaction=redaction))
        for one in (cells(), cells(price=9.0), cells("another"))
    )
    found = Walk(Rules(), (), None)
    found.values(old, new)
    assert [one.path for one in found.changes] == [("frame", "price", "a")]
    found = Walk(Rules(), (), None)
    found.values(old, other)
    assert [one.path[0] for one in found.changes] == ["sealed"]


def test_a_replay_gets_the_frame_of_pandas_with_stand_ins() -> None:
    found: Any = live(encode(pd.DataFrame(cells()), redaction=redactor()), Allow())
    assert list(found.columns) == ["sku", "api_token", "price"]
    assert list(found["price"]) == [1.5, 2.5]
    assert type(found["api_token"][0]) is Placeholder


@pytest.mark.parametrize("form", ["polars", "pyarrow"])
def test_a_stand_in_stands_for_the_frames_of_others(form: str) -> None:
    found = live(encode(MAKE[form](cells()), redaction=redactor()), Allow())
    assert type(found) is Placeholder


def test_series_and_indexes_with_a_secret_name_are_sealed_whole() -> None:
    redaction = redactor()
    frame = pd.DataFrame(cells()).set_index("api_token")
    for obj in (
        frame,
        frame["price"],
        pd.Series([SECRET], name="password"),
        pl.Series("password", [SECRET]),
    ):
        data = encode([obj], redaction=redaction)
        assert SECRET.encode() not in data
        whole: Any = inert(data)
        assert type(whole[0]) is Redacted
    levels = pd.DataFrame(
        [[SECRET, 1]], columns=pd.MultiIndex.from_tuples([("token", "a"), ("b", "c")])
    )
    assert SECRET.encode() not in encode(levels, redaction=redaction)


def test_frames_without_secrets_are_as_ever() -> None:
    for make in MAKE.values():
        plain = make({"sku": ["a"], "token_count": [1]})
        assert encode(plain, redaction=redactor()) == encode(plain)


@pytest.mark.parametrize("form", ["pandas", "polars", "pyarrow"])
def test_a_replay_hands_a_sealed_frame_on_as_it_was(form: str) -> None:
    data = encode(MAKE[form](cells()), redaction=redactor())
    again = live(data, Allow())
    assert encode(again, redaction=redactor()) == data
    if type(again) is Placeholder:
        assert holds(Value(data), node_of(again))
        with pytest.raises(ReplayError, match="with columns that are redacted"):
            again["sku"]
