"""The types of BSON that Python has none of, as pymongo gives them: ids, decimals, patterns."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from tracediff.values import tags
from tracediff.values.nodeshapes import Shape, Shaper

bson: Any = import_module("bson")
raw_bson: Any = import_module("bson.raw_bson")
datetime_ms: Any = import_module("bson.datetime_ms")
codec_options: Any = import_module("bson.codec_options")

_OPTIONS: Final = codec_options.CodecOptions(
    datetime_conversion=codec_options.DatetimeConversion.DATETIME_AUTO
)
"""What reads a document so that writing it again gives the same bytes."""


def encoder(cls: type) -> Shaper | None:
    """What writes instances of exactly this class."""
    return _SHAPERS.get(cls)


def _shaper(name: str, parts: Callable[[Any], Any]) -> Shaper:
    key = f"bson:{name}".encode()
    return lambda obj: (tags.LIBRARY, [key, parts(obj)])


def _decimal(obj: Any) -> Any:
    """Its digits; its bits where these say more, as of a NaN that signals."""
    text = str(obj)
    return text if bson.Decimal128(text).bid == obj.bid else obj.bid


def _read_decimal(said: Any) -> Any:
    return bson.Decimal128(said) if type(said) is str else bson.Decimal128.from_bid(said)


def _dbref(obj: Any) -> Any:
    found = dict(obj.as_doc())
    head = [found.pop("$ref"), found.pop("$id"), found.pop("$db", None)]
    return [*head, found] if found else head


def _read_dbref(parts: Any) -> Any:
    collection, id_, database, *more = parts
    return bson.DBRef(collection, id_, database, more[0] if more else None)


def _raw(obj: Any) -> Shape:
    return tags.LIBRARY, [b"bson:RawBSONDocument", bson.decode(obj.raw, _OPTIONS)]


def _read_raw(said: Any) -> Any:
    return raw_bson.RawBSONDocument(bson.encode(said, codec_options=_OPTIONS))


_SHAPERS: Final[dict[type, Shaper]] = {
    bson.ObjectId: _shaper("ObjectId", str),
    bson.Int64: _shaper("Int64", int),
    bson.Decimal128: _shaper("Decimal128", _decimal),
    bson.Binary: _shaper("Binary", lambda obj: [obj.subtype, bytes(obj)]),
    bson.Regex: _shaper("Regex", lambda obj: [obj.pattern, int(obj.flags)]),
    bson.Timestamp: _shaper("Timestamp", lambda obj: [obj.time, obj.inc]),
    bson.DBRef: _shaper("DBRef", _dbref),
    bson.Code: _shaper("Code", lambda obj: [str(obj), obj.scope]),
    bson.MinKey: _shaper("MinKey", lambda _: None),
    bson.MaxKey: _shaper("MaxKey", lambda _: None),
    datetime_ms.DatetimeMS: _shaper("DatetimeMS", int),
    bson.SON: _shaper("SON", dict),
    raw_bson.RawBSONDocument: _raw,
}

DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "bson:ObjectId": bson.ObjectId,
    "bson:Int64": bson.Int64,
    "bson:Decimal128": _read_decimal,
    "bson:Binary": lambda parts: bson.Binary(parts[1], parts[0]),
    "bson:Regex": lambda parts: bson.Regex(*parts),
    "bson:Timestamp": lambda parts: bson.Timestamp(*parts),
    "bson:DBRef": _read_dbref,
    "bson:Code": lambda parts: bson.Code(*parts),
    "bson:MinKey": lambda _: bson.MinKey(),
    "bson:MaxKey": lambda _: bson.MaxKey(),
    "bson:DatetimeMS": datetime_ms.DatetimeMS,
    "bson:SON": bson.SON,
    "bson:RawBSONDocument": _read_raw,
}
"""Kind to what rebuilds it."""
