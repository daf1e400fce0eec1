"""polars frames and series, as Arrow's file format, which polars writes by itself."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from tracediff.values import tags
from tracediff.values.framed import Framed
from tracediff.values.leaves import SaidError
from tracediff.values.nodeshapes import Shape, Shaper
from tracediff.values.sealedframes import stand_in

pl: Any = import_module("polars")


def encoder(cls: type) -> Shaper | None:
    """What writes instances of exactly this class."""
    if cls is pl.DataFrame:
        return _FRAMED
    if cls is pl.Series:
        return _NAMED
    if cls is pl.LazyFrame:
        return _lazy
    if cls is pl.Schema:
        return lambda obj: (tags.LIBRARY, [b"polars:schema", _file(pl.DataFrame(schema=obj))])
    if issubclass(cls, pl.DataType):
        return _dtype
    return None


def _dtype(obj: Any) -> Shape:
    """By an empty series of it, which says all there is to say of a type."""
    empty = pl.Series([], dtype=obj)
    if empty.dtype != obj:
        raise SaidError("a type that no series has")
    return tags.LIBRARY, [b"polars:dtype", _file(empty.to_frame())]


def _lazy(obj: Any) -> Shape:
    raise SaidError("a query that was not run: to record it would be to run it")


def _series(obj: Any) -> Shape:
    data = _file(obj.alias("").to_frame())
    return tags.LIBRARY, [b"polars:series", {"name": obj.name, "data": data}]


def _frame(obj: Any) -> Shape:
    return tags.LIBRARY, [b"polars:frame", _file(obj)]


def _file(frame: Any) -> bytes:
    """In one chunk and in fresh buffers: how the frame was made is not data."""
    if pl.Object in frame.dtypes:
        raise SaidError("a frame that holds Python objects")
    frame = frame.rechunk().select(pl.all().gather(pl.int_range(frame.height)))
    sink = io.BytesIO()
    frame.write_ipc(sink, compression="uncompressed")
    return sink.getvalue()


def _read(data: Any) -> Any:
    try:
        return pl.read_ipc(io.BytesIO(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(str(error)) from error


def _read_series(parts: Any) -> Any:
    return _read(parts["data"]).to_series(0).alias(parts["name"])


def _without(obj: Any, places: set[int]) -> Any:
    return obj.select([pl.nth(at) for at in range(obj.width) if at not in places])


_FRAMED: Final = Framed(
    "polars:sealed",
    _frame,
    lambda obj: (obj.columns, ()),
    lambda obj, at: obj.to_series(at),
    _without,
)
_NAMED: Final = Framed(
    "polars:sealed",
    _series,
    lambda obj: ((), (obj.name,)),
    lambda obj, at: obj,
    lambda obj, places: obj,
)
DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "polars:frame": _read,
    "polars:sealed": lambda parts: stand_in("polars:sealed", parts),
    "polars:series": _read_series,
    "polars:schema": lambda data: _read(data).schema,
    "polars:dtype": lambda data: _read(data).dtypes[0],
}
"""Kind to what rebuilds it."""
