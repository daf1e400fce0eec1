"""polars frames and series, as Arrow's file format, which polars writes by itself."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from tracediff.values import tags
from tracediff.values.leaves import InexactError
from tracediff.values.nodeshapes import Shape, Shaper

pl: Any = import_module("polars")


def encoder(cls: type) -> Shaper | None:
    """What writes instances of exactly this class."""
    if cls is pl.DataFrame:
        return _frame
    if cls is pl.Series:
        return _series
    return None


def _series(obj: Any) -> Shape:
    data = _file(obj.alias("").to_frame())
    return tags.LIBRARY, [b"polars:series", {"name": obj.name, "data": data}]


def _frame(obj: Any) -> Shape:
    return tags.LIBRARY, [b"polars:frame", _file(obj)]


def _file(frame: Any) -> bytes:
    """In one chunk and in fresh buffers: how the frame was made is not data."""
    if pl.Object in frame.dtypes:
        raise InexactError("a frame that holds Python objects")
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


DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "polars:frame": _read,
    "polars:series": _read_series,
}
"""Kind to what rebuilds it."""
