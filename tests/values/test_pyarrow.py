"""pyarrow's tables, arrays, scalars and types come back exactly, or say why not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracediff.errors import CodecError
from tracediff.values import Allow, Record, encode, inert, live
from tracediff.values.frames import table

Back = Callable[..., Any]
ARRAYS: dict[str, Any] = {
    "dictionary": pa.array(["a", None, "a"]).dictionary_encode(),
    "extension": pa.array([b"0" * 16], pa.uuid()),
    "null": pa.nulls(3),
    "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int8())),
    "large": pa.array(["a", None], pa.large_string()),
    "binary": pa.array([b"a", None]),
    "fixed": pa.array([b"ab", None], pa.binary(2)),
    "struct": pa.array([{"a": 1, "b": [None]}, None]),
    "lists": pa.array([[1], [], None]),
    "fixed lists": pa.array([[1, 2], None], pa.list_(pa.int8(), 2)),
    "decimal": pa.array([Decimal("1.10"), None], pa.decimal128(10, 2)),
    "wide": pa.array([Decimal("1.10"), Decimal("-2.00")], pa.decimal256(50, 2)),
    "moment": pa.array([datetime(2020, 1, 1, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
    "duration": pa.array([timedelta(1), None], pa.duration("ms")),
    "half": pa.array([1.5, None], pa.float16()),
    "unsigned": pa.array([2**64 - 1, None], pa.uint64()),
    "bool": pa.array([True, None, False]),
    "date": pa.array([datetime(2020, 1, 1), None], pa.date64()),
}
OTHERS: dict[str, Any] = {
    "scalar": pa.scalar(1),
    "missing": pa.scalar(None, pa.decimal128(5, 2)),
    "text": pa.scalar("a"),
    "struct": pa.scalar({"a": 1}),
    "coded": pa.array(["a"]).dictionary_encode()[0],
    "type": pa.int8(),
    "list": pa.list_(pa.field("x", pa.int8(), metadata={"a": "b"})),
    "field": pa.field("a", pa.int8(), nullable=False, metadata={"a": "b"}),
    "schema": pa.schema([("a", pa.int8())], metadata={"k": "v"}),
    "chunks": pa.chunked_array([[1], [2]]),
    "empty": pa.table({}),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_and_tables_of_every_type(name: str, back: Back) -> None:
    array = ARRAYS[name]
    assert back(array).equals(array)
    assert back(array).type == array.type
    whole = pa.table({"a": array, "b": array}, metadata={"k": "v"})
    assert back(whole).equals(whole, check_metadata=True)
    batch = whole.to_batches()[0]
    assert back(batch).equals(batch)


@pytest.mark.parametrize("name", ARRAYS)
def test_columns_are_read_without_pyarrow(name: str) -> None:
    array = ARRAYS[name]
    found = table(inert(encode(array)), 10_000)
    assert found is not None
    cells = found.columns[0].cells(0, len(array))
    told = array.to_pylist()
    if name == "map":
        told = [one and [{"key": key, "value": value} for key, value in one] for one in told]
    if name == "extension":
        told = [one.bytes for one in told]
    assert cells == told


@pytest.mark.parametrize("name", OTHERS)
def test_scalars_types_and_what_is_around_them(name: str, back: Back) -> None:
    assert back(OTHERS[name]).equals(OTHERS[name])


def test_how_an_array_was_made_is_not_data() -> None:
    array = pa.array(["a", "b", "c"])
    assert encode(array[1:]) == encode(pa.array(["b", "c"]))
    assert encode(pa.chunked_array([["a"], ["b"]])) == encode(pa.chunked_array([["a", "b"]]))


def test_what_has_no_exact_form_says_why(why: Callable[[Any], str]) -> None:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array([5]))
    assert why(runs) == "a column of a type that Arrow cannot copy"


@pytest.mark.parametrize("key", ["pyarrow:scalar", "pyarrow:type", "pyarrow:field"])
def test_crafted_values_are_refused(key: str) -> None:
    for crafted in (b"", b"nonsense", 5, {"a": 1}, encode(1)):
        with pytest.raises(CodecError):
            live(encode(Record(key, "library", crafted)), Allow())


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=9)), max_size=9)
)
def test_any_texts(back: Back, cells: list[str | None]) -> None:
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        array = pa.array(cells, kind)
        assert back(array).equals(array)
        found = table(inert(encode(array)), 10_000)
        assert found is not None
        assert found.columns[0].cells(0, len(cells)) == cells
