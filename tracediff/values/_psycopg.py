"""What psycopg puts into errors, rows and parameters: diagnoses, JSON, ranges; never a connection.

An error of psycopg holds its connection, and that the password.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, Final

from tracediff.values import tags
from tracediff.values.nodeshapes import Shape, Shaper

errors: Any = import_module("psycopg.errors")
json: Any = import_module("psycopg.types.json")
pq: Any = import_module("psycopg.pq")
ranges: Any = import_module("psycopg.types.range")
multiranges: Any = import_module("psycopg.types.multirange")


def encoder(cls: type) -> Shaper | None:
    """What writes instances of exactly this class."""
    if cls.__module__ in _ROWS and issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _row
    return _SHAPERS.get(cls)


_ROWS = frozenset({"psycopg.rows", "psycopg.types.composite"})
"""Where psycopg makes classes of named tuples, for rows and for composite types."""


def _row(obj: Any) -> Shape:
    cls = type(obj)
    return tags.LIBRARY, [b"psycopg:Row", [cls.__module__, cls.__name__, obj._asdict()]]


def _read_row(parts: Any) -> Any:
    module, name, cells = parts
    return _named(module, name, tuple(cells))._make(cells.values())


@cache
def _named(module: str, name: str, fields: tuple[str, ...]) -> Any:
    return namedtuple(name, fields, module=module if module in _ROWS else None)  # noqa: PYI024 - its fields are data


def _result(obj: Any) -> Shape:
    """What the server says of an error; as texts, so that secrets are taken out of them."""
    found = {one.name: obj.error_field(one) for one in errors.DiagnosticField}
    said = {
        name: value.decode(errors="surrogateescape")
        for name, value in found.items()
        if value is not None
    }
    return tags.LIBRARY, [b"psycopg:PGresult", said]


def _read_result(said: Any) -> dict[Any, bytes]:
    """In the form that an error of psycopg which was pickled has it."""
    fields = errors.DiagnosticField
    return {fields[name]: text.encode(errors="surrogateescape") for name, text in said.items()}


def _connection(obj: Any) -> Shape:
    return tags.LIBRARY, [b"psycopg:PGconn", None]


def _json(obj: Any) -> Shape:
    return tags.LIBRARY, [f"psycopg:{type(obj).__name__}".encode(), obj.obj]


def _range(obj: Any) -> Shape:
    return tags.LIBRARY, [b"psycopg:Range", [obj.lower, obj.upper, obj.bounds]]


def _read_range(parts: Any) -> Any:
    lower, upper, bounds = parts
    return ranges.Range(lower, upper, bounds) if bounds else ranges.Range(empty=True)


def _multirange(obj: Any) -> Shape:
    return tags.LIBRARY, [b"psycopg:Multirange", list(obj)]


_SHAPERS: Final[dict[type, Shaper]] = {
    pq.PGresult: _result,
    pq.PGconn: _connection,
    errors.FinishedPGconn: _connection,
    json.Json: _json,
    json.Jsonb: _json,
    ranges.Range: _range,
    multiranges.Multirange: _multirange,
}

DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "psycopg:PGresult": _read_result,
    "psycopg:PGconn": lambda _: None,
    "psycopg:Row": _read_row,
    "psycopg:Json": json.Json,
    "psycopg:Jsonb": json.Jsonb,
    "psycopg:Range": _read_range,
    "psycopg:Multirange": multiranges.Multirange,
}
"""Kind to what rebuilds it."""
