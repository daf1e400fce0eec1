"""xarray's variables, arrays, datasets and trees come back exactly; what is not loaded stays so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from xarray.backends import BackendArray
from xarray.core import indexing

from tracediff.errors import CodecError
from tracediff.values import Allow, Record, encode, live

Back = Callable[..., Any]
LEVELS = pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["one", "two"])


def dataset() -> xr.Dataset:
    return xr.Dataset(
        {
            "t": (("x", "y"), np.arange(6.0).reshape(2, 3), {"units": "K"}),
            "p": ("x", [1, 2]),
        },
        coords={
            "x": ["a", "b"],
            "y": pd.date_range("2020", periods=3),
            "s": 5,
            "lab": ("y", [1.5, 2, np.nan]),
        },
        attrs={"a": 1, "b": [1, (2,)]},
    )


def same(one: Any, other: Any) -> None:
    xr.testing.assert_identical(one, other)
    assert {name: type(index) for name, index in one.xindexes.items()} == {
        name: type(index) for name, index in other.xindexes.items()
    }
    assert [one.coords[name].dtype for name in one.coords] == [
        other.coords[name].dtype for name in other.coords
    ]


def made() -> dict[str, Any]:
    whole = dataset()
    coords = xr.Coordinates.from_pandas_multiindex(LEVELS, "z").assign(k=("z", [1, 2, 3, 4]))
    levels = xr.Dataset({"v": ("z", np.arange(4))}, coords=coords)
    return {
        "dataset": whole,
        "array": whole.t,
        "no name": whole.t.rename(None),
        "no index": whole.drop_indexes("x"),
        "no coordinate": whole.drop_vars("x"),
        "levels": levels,
        "array with levels": levels.v,
        "one number": xr.DataArray(5),
        "empty": xr.Dataset(),
        "objects": xr.DataArray(np.array([1, "a", None], dtype=object), dims="q"),
    }


@pytest.mark.parametrize("name", made())
def test_arrays_and_datasets(name: str, back: Back) -> None:
    same(back(made()[name]), made()[name])


def test_variables_trees_and_encodings(back: Back) -> None:
    whole = dataset()
    xr.testing.assert_identical(back(whole.t.variable), whole.t.variable)
    assert back(whole.x.variable).identical(whole.x.variable)
    tree = xr.DataTree.from_dict(
        {"/": whole, "/c": xr.Dataset({"q": ("x", [3, 4])}), "/c/d": xr.Dataset(attrs={"z": 2})},
        name="r",
    )
    xr.testing.assert_identical(back(tree), tree)
    whole.t.encoding = {"dtype": "f4", "scale": 0.1}
    whole.encoding = {"source": "x"}
    found = back(whole)
    assert (found.t.encoding, found.encoding) == (whole.t.encoding, whole.encoding)


def test_what_is_not_loaded_is_not_computed(why: Callable[[Any], str]) -> None:
    ran: list[int] = []

    def compute(block: Any) -> Any:
        ran.append(1)
        return block

    lazy = xr.DataArray(da.ones(4, chunks=2).map_blocks(compute, dtype=float), dims="x")
    ran.clear()  # dask tries what it maps on nothing
    assert why(lazy) == "not loaded: to record it would be to compute it"
    assert why(lazy.to_dataset(name="v")) == "not loaded: to record it would be to compute it"
    assert ran == []


def test_what_has_no_exact_form_says_why(why: Callable[[Any], str]) -> None:
    coded = xr.DataArray(pd.Categorical(["a"]), dims="x")
    assert why(coded) == "its data is of pandas' type category"
    zoned = xr.DataArray([1], dims="t", coords={"t": pd.date_range("2020", periods=1, tz="UTC")})
    assert why(zoned) == "its data is of pandas' type datetime64[us, UTC]"


def test_crafted_values_are_refused() -> None:
    good = {"dims": ("x",), "data": np.arange(2), "attrs": {}}
    for key, crafted in {
        "variable": [{}, 5, {**good, "data": 5}, {**good, "dims": ("x", "y")}],
        "array": [{}, {"name": "a", "variable": good}],
        "dataset": [{}, {"variables": {"a": good}, "attrs": {}, "coords": 5}],
        "tree": [{}, {"name": "a", "nodes": {"/": 5}}],
    }.items():
        for parts in crafted:
            with pytest.raises(CodecError):
                live(encode(Record(f"xarray:{key}", "library", parts)), Allow())


@settings(deadline=None, max_examples=40)
@given(
    arrays.arrays(
        st.sampled_from(["f8", "i4", "M8[ns]", "U3", "?"]),
        arrays.array_shapes(min_dims=0, max_dims=3, max_side=3),
    ),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
def test_any_array(back: Back, data: Any, attrs: dict[str, int]) -> None:
    dims = ["a", "b", "c"][: data.ndim]
    array = xr.DataArray(data, dims=dims, attrs=attrs)
    same(back(array), array)


class Closed(BackendArray):
    """An array of a file, which nobody may read."""

    shape = (3,)
    dtype = np.dtype("f8")

    def __getitem__(self, key: Any) -> Any:
        raise OSError("read all the same")


def test_a_file_that_was_opened_is_not_read(why: Callable[[Any], str]) -> None:
    opened = xr.Variable(("x",), indexing.LazilyIndexedArray(Closed()))
    whole = xr.Dataset({"v": opened})
    assert why(whole) == "not loaded: to record it would be to compute it"
    assert why(whole.v) == "not loaded: to record it would be to compute it"
