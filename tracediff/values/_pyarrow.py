"""pyarrow tables, batches and arrays, as Arrow's own stream format."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from tracediff.values import tags
from tracediff.values.framed import Framed
from tracediff.values.leaves import SaidError
from tracediff.values.nodeshapes import Shape, Shaper
from tracediff.values.sealedframes import stand_in

pa: Any = import_module("pyarrow")


def encoder(cls: type) -> Shaper | None:
    """What writes instances of exactly this class."""
    if cls is pa.Table:
        return _framed(lambda obj: _shape(b"pyarrow:table", obj))
    if cls is pa.RecordBatch:
        return _framed(lambda obj: _shape(b"pyarrow:batch", pa.Table.from_batches([obj])))
    if cls is pa.ChunkedArray:
        return lambda obj: _shape(b"pyarrow:chunked", pa.table([obj], names=[""]))
    if issubclass(cls, pa.Array):
        return lambda obj: _shape(b"pyarrow:array", pa.table([obj], names=[""]))
    if issubclass(cls, pa.Scalar):
        return lambda obj: _shape(b"pyarrow:scalar", _column(pa.array([obj], obj.type)))
    if cls is pa.Schema:
        return lambda obj: (tags.LIBRARY, [b"pyarrow:schema", obj.serialize().to_pybytes()])
    if cls is pa.Field:
        return lambda obj: _described(b"pyarrow:field", obj)
    if issubclass(cls, pa.DataType):
        return lambda obj: _described(b"pyarrow:type", pa.field("", obj))
    return None


def _framed(shape: Shaper) -> Framed:
    return Framed(
        "pyarrow:sealed",
        shape,
        lambda obj: (obj.schema.names, ()),
        lambda obj, at: obj.column(at),
        lambda obj, places: obj.select([at for at in range(obj.num_columns) if at not in places]),
    )


def _column(array: Any) -> Any:
    return pa.table([array], names=[""])


def _described(key: bytes, field: Any) -> Shape:
    return tags.LIBRARY, [key, pa.schema([field]).serialize().to_pybytes()]


def _shape(key: bytes, table: Any) -> Shape:
    return tags.LIBRARY, [key, stream(table)]


def stream(table: Any) -> bytes:
    """The table in one chunk and in fresh buffers: how it was made is not data."""
    table = table.combine_chunks()
    if table.num_rows and table.num_columns:
        try:
            table = table.take(pa.array(range(table.num_rows)))
        except pa.ArrowNotImplementedError as error:
            raise SaidError("a column of a type that Arrow cannot copy") from error
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def read_stream(data: Any) -> Any:
    """The table of a stream, checked: Arrow trusts offsets that it reads."""
    if type(data) is not bytes:
        raise TypeError("not a stream")
    table = pa.ipc.open_stream(data).read_all()
    table.validate(full=True)
    return table


def _read_batch(data: Any) -> Any:
    table = read_stream(data)
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _read_array(data: Any) -> Any:
    column = read_stream(data).column(0)
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _read_schema(data: Any) -> Any:
    return pa.ipc.read_schema(pa.py_buffer(data))


DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "pyarrow:table": read_stream,
    "pyarrow:batch": _read_batch,
    "pyarrow:chunked": lambda data: read_stream(data).column(0),
    "pyarrow:array": _read_array,
    "pyarrow:sealed": lambda parts: stand_in("pyarrow:sealed", parts),
    "pyarrow:scalar": lambda data: _read_array(data)[0],
    "pyarrow:schema": _read_schema,
    "pyarrow:field": lambda data: _read_schema(data).field(0),
    "pyarrow:type": lambda data: _read_schema(data).field(0).type,
}
"""Kind to what rebuilds it."""
