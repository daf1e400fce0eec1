"""Frames: writing one of 100,000 rows and 10 columns, comparing two of a million rows; models.

Beside the writers that the libraries bring, and beside pandas' own comparison of frames that have
the same labels.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable

import attrs
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import xarray as xr

from benchmarks.figures import Figure, timed
from benchmarks.measuring import in_turns, once, per_call
from tracediff import values
from tracediff.compare import value_changes
from tracediff.model import Value

ROWS = 100_000
MANY = 1_000_000
MODELS = 1_000


class Model(pydantic.BaseModel):
    """Ten numbers."""

    a: int = 1
    b: int = 2
    c: int = 3
    d: int = 4
    e: int = 5
    f: float = 0.1
    g: float = 0.2
    h: float = 0.3
    i: float = 0.4
    j: float = 0.5


Attrs = attrs.make_class("Attrs", {name: attrs.field(default=0.5) for name in "abcdefghij"})


def made(rows: int) -> pd.DataFrame:
    """A frame of eight columns of floats, a number and a text that tell rows apart."""
    random = np.random.default_rng(1)
    floats = {f"c{at}": random.random(rows) for at in range(8)}
    return pd.DataFrame(
        {"id": np.arange(rows) * 7, **floats, "name": [f"n{at}" for at in range(rows)]}
    )


def writing(rounds: int) -> list[Figure]:
    """What it takes to encode a frame, beside the library's own writers."""
    frame = made(ROWS)
    other = pl.DataFrame(frame)
    found = in_turns(
        {
            "pandas": lambda: once(lambda: values.encode(frame)),
            "parquet": lambda: once(lambda: frame.to_parquet(io.BytesIO())),
            "polars": lambda: once(lambda: values.encode(other)),
            "ipc": lambda: once(lambda: other.write_ipc(io.BytesIO(), compression="uncompressed")),
        },
        rounds,
    )
    what = f"encoding a frame of {ROWS:,} × 10 of"
    return [
        timed(f"{what} pandas", found["pandas"], "ms", base=found["parquet"],
              against="times pandas' Parquet writer", target=200),
        timed(f"{what} polars", found["polars"], "ms", base=found["ipc"],
              against="times polars' IPC writer", target=100),
    ]  # fmt: skip


def of_others(rounds: int) -> list[Figure]:
    """What it takes to encode values of other libraries."""
    numbers = np.random.default_rng(1).random(MANY)
    arrays = {
        f"a table of {ROWS:,} × 10 of pyarrow": pa.Table.from_pandas(made(ROWS)),
        f"an array of {MANY:,} floats of numpy": numbers,
        f"an array of {MANY:,} floats of xarray": xr.DataArray(numbers.reshape(1_000, -1)),
    }
    models = {"a model of ten fields of pydantic": Model(), "an object of ten of attrs": Attrs()}
    sides: dict[str, Callable[[], float]] = {
        what: functools.partial(once, functools.partial(values.encode, one))
        for what, one in arrays.items()
    }
    for what, one in models.items():
        sides[what] = functools.partial(per_call, functools.partial(_encode, one), MODELS)
    found = in_turns(sides, rounds)
    return [
        timed(f"encoding {what}", found[what], "ms" if what in arrays else "µs") for what in sides
    ]


def _encode(one: object, calls: int) -> None:
    for _ in range(calls):
        values.encode(one)


def comparing(rounds: int) -> list[Figure]:
    """What it takes to tell two frames apart, three of whose cells differ."""
    old = made(MANY)
    new = old.copy()
    for at, name in ((5, "c1"), (MANY // 2, "c2"), (MANY - 1, "c3")):
        new.loc[at, name] += 1
    data = Value(values.encode(old)), Value(values.encode(new))

    def told() -> None:
        found = value_changes(*data)
        if [one.path[0] for one in found] != ["c1", "c2", "c3"]:
            raise RuntimeError(f"{len(found)} changes were found, not the three cells")

    found = in_turns(
        {"told": lambda: once(told), "pandas": lambda: once(lambda: old.compare(new))}, rounds
    )
    what = f"comparing two frames of {MANY:,} × 10, three cells of which differ, from their bytes"
    return [
        timed(what, found["told"], "s", base=found["pandas"],
              against="times pandas' compare of the frames in memory", target=5),
    ]  # fmt: skip


def measure(quick: bool) -> list[Figure]:
    return [
        *writing(2 if quick else 20),
        *of_others(2 if quick else 20),
        *comparing(1 if quick else 5),
    ]
