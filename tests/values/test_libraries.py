"""Values of libraries come back exactly, and nothing imports a library that is not in use."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest
from polars.testing import assert_frame_equal, assert_series_equal

from tracediff.errors import CodecError
from tracediff.values import (
    Allow,
    Opaque,
    Record,
    encode,
    from_json,
    inert,
    json_safe,
    live,
    text,
    to_json,
)

REPO = Path(__file__).resolve().parents[2]


def back(obj: Any) -> Any:
    data = encode(obj)
    assert not isinstance(inert(data), Opaque), inert(data)
    assert encode(inert(data)) == data
    assert from_json(to_json(data)) == data
    text(inert(data))
    json_safe(inert(data))
    found = live(data, Allow([__name__]))
    assert type(found) is type(obj)
    assert encode(found) == data
    return found


SCALARS = [
    np.float64(0.1),
    np.float64("nan"),
    np.float64(-0.0),
    np.float32(0.1),
    np.float16(0.1),
    np.longdouble("0.1"),
    np.int8(-5),
    np.uint64(2**64 - 1),
    np.bool_(True),
    np.complex64(1 + 2j),
    np.str_("é"),
    np.bytes_(b"x"),
    np.datetime64("2020-01-01T00:00:00.123456789"),
    np.datetime64("NaT"),
    np.timedelta64(5, "s"),
    np.array([(1, 2.5)], dtype=[("a", "<i4"), ("b", "<f8")])[0],
]


@pytest.mark.parametrize("obj", SCALARS, ids=lambda it: f"{type(it).__name__}-{it}")
def test_numpy_scalars(obj: Any) -> None:
    found = back([obj])[0]
    assert type(found) is type(obj)
    assert found.dtype == obj.dtype
    assert found.tobytes() == obj.tobytes()


ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.arange(10)[::2],
    np.array(5),
    np.array([]),
    np.zeros((0, 3), dtype="f4"),
    np.array(["a", "bcd"]),
    np.array([b"a", b""]),
    np.array([1, 2], dtype=">i4"),
    np.array([True, False]),
    np.array([np.nan, -0.0, np.inf]),
    np.array([1 + 2j]),
    np.array(["2020-01-01", "NaT"], dtype="M8[ns]"),
    np.array([Decimal("1.10"), None, {"a": (1,)}], dtype=object),
    np.array([[Decimal(1), "x"], [None, 2**70]], dtype=object),
    np.array([(1, "x", [1.0, 2.0])], dtype=[("a", "<i4"), ("b", "<U2"), ("c", "<f8", (2,))]),
    np.zeros(2, dtype=np.dtype([("a", "i1"), ("b", "i8")])),
]


@pytest.mark.parametrize("obj", ARRAYS, ids=lambda it: f"{it.dtype}-{it.shape}")
def test_numpy_arrays(obj: Any) -> None:
    found = back(obj)
    assert found.dtype == obj.dtype
    assert found.shape == obj.shape
    if obj.dtype == object:
        assert found.tolist() == obj.tolist()
    else:
        assert found.tobytes() == obj.tobytes()
    assert found.flags.writeable
    assert found.flags.f_contiguous == np.array(obj, order="K").flags.f_contiguous


def test_numpy_dtypes_and_what_has_no_exact_form() -> None:
    assert back(np.dtype("<f8")) == np.dtype("<f8")
    for odd in (np.ma.array([1]), np.random.default_rng(1), np.array([(1, None)], "i4,O")):
        assert isinstance(inert(encode(odd)), Opaque)


def test_different_arrays_differ_and_equal_ones_do_not() -> None:
    kinds = [np.arange(3), np.arange(3.0), np.arange(3)[:, None], [0, 1, 2], np.arange(3, 6)]
    assert len({encode(one) for one in kinds}) == len(kinds)
    assert encode(np.arange(10)[::2]) == encode(np.arange(0, 10, 2))


@pytest.mark.parametrize(
    "parts",
    [
        {"dtype": "|O", "shape": (1,), "order": "C", "data": b"\0" * 8},
        {"dtype": "<f8", "shape": (2**40,), "order": "C", "data": b"\0" * 8},
        {"dtype": "<f8", "shape": (2**40, 0), "order": "C", "data": b"x"},
        {"dtype": "|V0", "shape": (2**62, 4), "order": "C", "data": b"x"},
        {"dtype": "nonsense", "shape": (1,), "order": "C", "data": b""},
        {},
    ],
)
def test_crafted_arrays_are_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(CodecError) as caught:
        live(encode(Record("numpy:ndarray", "library", parts)), Allow())
    assert caught.value.slug == "value-unreadable"


FRAME = pd.DataFrame(
    {
        "i": [1, 2, 3],
        "f": [0.1, float("nan"), -0.0],
        "s": ["a", None, "é"],
        "o": pd.Series([Decimal("1.10"), None, (1,)], dtype=object),
        "t": pd.to_datetime(["2020-01-01", None, "2020-01-02"]),
        "z": pd.to_datetime(["2020-01-01", None, "2020-06-02"]).tz_localize("Europe/Paris"),
        "d": pd.to_timedelta([1, None, 3], unit="s"),
        "c": pd.Categorical(["x", None, "y"], categories=["y", "x"], ordered=True),
        "n": pd.array([1, None, 3], dtype="Int8"),
        "g": pd.array([1.5, None, 3], dtype="Float32"),
        "b": pd.array([True, None, False], dtype="boolean"),
        "q": pd.array(["a", None, "b"], dtype=pd.StringDtype("python")),
        "w": pd.array([1, None, 3], dtype="int32[pyarrow]"),
    }
)


def test_pandas_frames() -> None:
    found = back(FRAME)
    pd.testing.assert_frame_equal(found, FRAME, check_exact=True)
    assert found.dtypes.tolist() == FRAME.dtypes.tolist()
    odd = FRAME.set_index(["i", "s"])[["f", "f", "c"]]
    odd.attrs["source"] = "x"
    found = back(odd)
    pd.testing.assert_frame_equal(found, odd, check_exact=True)
    assert found.attrs == {"source": "x"}
    pd.testing.assert_frame_equal(back(pd.DataFrame()), pd.DataFrame())


@pytest.mark.parametrize("name", FRAME.columns)
def test_pandas_series(name: str) -> None:
    pd.testing.assert_series_equal(back(FRAME[name]), FRAME[name], check_exact=True)


@pytest.mark.parametrize(
    "obj",
    [
        pd.RangeIndex(1, 9, 2, name="r"),
        pd.Index([3, 1], name=("a", 1)),
        pd.Index(["a", "b"]),
        pd.Index([1, "a"], dtype=object),
        pd.date_range("2020-01-01", periods=3, freq="MS", tz="UTC"),
        pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["x", None]),
        pd.CategoricalIndex(["a", "b", "a"]),
        pd.to_timedelta([1, 2], unit="s"),
    ],
    ids=lambda it: type(it).__name__,
)
def test_pandas_indexes(obj: Any) -> None:
    found = back(obj)
    pd.testing.assert_index_equal(found, obj, exact=True, check_exact=True)
    assert found.names == obj.names
    assert getattr(found, "freq", None) == getattr(obj, "freq", None)


@pytest.mark.parametrize(
    "obj",
    [
        pd.Timestamp("2020-01-01T00:00:00.123456789"),
        pd.Timestamp("2020-10-25T00:30", tz="UTC").tz_convert(ZoneInfo("Europe/Paris")),
        pd.Timestamp("2020-10-25T01:30", tz="UTC").tz_convert(ZoneInfo("Europe/Paris")),
        pd.Timestamp("2020-01-01", tz=UTC).as_unit("s"),
        pd.Timedelta(5, "ns"),
        pd.NaT,
        pd.NA,
    ],
    ids=str,
)
def test_pandas_scalars(obj: Any) -> None:
    found = back({"a": obj})["a"]
    assert type(found) is type(obj)
    assert found is obj or (found == obj and found.unit == obj.unit)
    if isinstance(obj, pd.Timestamp):
        assert found.tz == obj.tz


def test_polars_frames_and_series() -> None:
    frame = pl.DataFrame(
        {
            "i": [1, None, 3],
            "f": [0.1, float("nan"), -0.0],
            "s": ["a", None, "é"],
            "d": [date(2020, 1, 1), None, None],
            "t": [datetime(2020, 1, 1, tzinfo=UTC), None, None],
            "l": [[1], [], None],
            "n": [Decimal("1.10"), None, Decimal("2.00")],
            "st": [{"a": 1}, {"a": None}, None],
        },
        schema_overrides={"i": pl.Int8, "n": pl.Decimal(10, 2)},
    ).with_columns(pl.col("s").cast(pl.Enum(["a", "é"])).alias("e"))
    assert_frame_equal(back(frame), frame, check_exact=True)
    assert_frame_equal(back(pl.DataFrame()), pl.DataFrame())
    for name in frame.columns:
        assert_series_equal(back(frame[name]), frame[name], check_exact=True)
    chunked = pl.concat([frame[:1], frame[1:]], rechunk=False)
    assert encode(chunked) == encode(frame)
    assert isinstance(inert(encode(pl.DataFrame({"o": [object()]}))), Opaque)
    assert isinstance(inert(encode(frame.lazy())), Opaque)


def test_pyarrow_tables_and_arrays() -> None:
    table = pa.table(
        {
            "i": pa.array([1, None, 3], pa.int8()),
            "s": ["a", None, "é"],
            "n": pa.array([Decimal("1.10"), None, None], pa.decimal128(10, 2)),
            "d": pa.array(["x", "y", "x"]).dictionary_encode(),
            "l": [[1], [], None],
        }
    ).replace_schema_metadata({"k": "v"})
    assert back(table).equals(table, check_metadata=True)
    assert back(table.to_batches()[0]).equals(table.to_batches()[0])
    assert back(table.schema).equals(table.schema, check_metadata=True)
    for column in table.columns:
        assert back(column).equals(column)
        assert back(column.combine_chunks()).equals(column.combine_chunks())
    assert encode(pa.concat_tables([table[:1], table[1:]])) == encode(table)
    assert back(pa.array([], pa.int8())).equals(pa.array([], pa.int8()))
    assert back(pa.array([5, 6, 7])[1:]).equals(pa.array([6, 7]))


@pytest.mark.parametrize("key", ["pyarrow:table", "polars:frame", "pyarrow:array"])
def test_crafted_frames_are_refused(key: str) -> None:
    for crafted in (b"", b"nonsense", 5, {"a": 1}, b"\xff\xff\xff\xff\x10\x00\x00\x00" + bytes(40)):
        with pytest.raises(CodecError):
            live(encode(Record(key, "library", crafted)), Allow())


calls: list[Any] = []


@attrs.define
class Line:
    sku: str
    price: Decimal = attrs.field(converter=lambda it: calls.append(it) or it)
    rest: Any = attrs.field(factory=list)


@attrs.frozen(slots=False)
class Loose:
    x: Any


class Order(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    id: int
    lines: list[dict[str, Decimal]] = []
    _secret: int = pydantic.PrivateAttr(default=3)


def test_attrs_classes() -> None:
    line = Line("a", Decimal("1.10"), [Loose({1: 2})])
    calls.clear()
    assert back(line) == line
    assert calls == []
    found: Any = inert(encode(line))
    assert (found.kind, list(found.fields)) == ("attrs", ["sku", "price", "rest"])


def test_pydantic_models() -> None:
    order = Order(id=1, lines=[{"a": Decimal("1.10")}], extra=(1,))  # type: ignore[call-arg]  # allowed
    order._secret = 9
    found = back(order)
    assert found == order
    assert (found._secret, found.extra) == (9, (1,))
    assert found.model_fields_set == order.model_fields_set
    assert found.model_dump() == order.model_dump()


def test_no_library_is_imported_for_others() -> None:
    script = (
        "import sys\n"
        "from tracediff.values import encode, inert\n"
        "inert(encode([1, {1: 2}, object(), ValueError()]))\n"
        f"inert({encode([np.arange(3), FRAME, pl.DataFrame({'a': [1]}), pa.array([1])])!r})\n"
        "print([name for name in ('numpy', 'pandas', 'polars', 'pyarrow', 'attr', 'pydantic')"
        " if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=REPO
    )
    assert done.stdout.strip() == "[]", done.stderr
