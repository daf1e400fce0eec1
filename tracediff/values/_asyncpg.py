"""Rows of asyncpg: its records, and those of classes that programs derive from its own.

Asyncpg makes a record of what a server sends, and of nothing else. So here it is sent one: its own
protocol is told in memory which columns there are, and reads each cell by its place.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from types import SimpleNamespace
from typing import Any, Final

from tracediff.values import tags
from tracediff.values.nodeshapes import Shape, Shaper

asyncpg: Any = import_module("asyncpg")
pgproto: Any = import_module("asyncpg.pgproto.pgproto")
protocol: Any = import_module("asyncpg.protocol")
types: Any = import_module("asyncpg.types")

_TEXT = 25
"""The number of PostgreSQL's type ``text``."""


def encoder(cls: type) -> Shaper | None:
    """What writes instances of exactly this class."""
    return _SHAPERS.get(cls)


def _record(obj: Any) -> Shape:
    columns, cells = list(obj.keys()), list(obj.values())
    named = dict(zip(columns, cells, strict=True))
    return tags.LIBRARY, [
        b"asyncpg:Record",
        named if len(named) == len(cells) else [columns, cells],
    ]


def _read_record(parts: Any) -> Any:
    if isinstance(parts, dict):
        return record(list(parts), list(parts.values()))
    columns, cells = parts
    return record(columns, cells)


def _uuid(obj: Any) -> Shape:
    return tags.LIBRARY, [b"asyncpg:UUID", obj.bytes]


def _range(obj: Any) -> Shape:
    parts = None if obj.isempty else [obj.lower, obj.upper, obj.lower_inc, obj.upper_inc]
    return tags.LIBRARY, [b"asyncpg:Range", parts]


def _read_range(parts: Any) -> Any:
    if parts is None:
        return types.Range(empty=True)
    lower, upper, lower_inc, upper_inc = parts
    return types.Range(lower, upper, lower_inc=lower_inc, upper_inc=upper_inc)


def _bits(obj: Any) -> Shape:
    return tags.LIBRARY, [b"asyncpg:BitString", obj.as_string()]


def _shape(obj: Any) -> Shape:
    return tags.LIBRARY, [f"asyncpg:{type(obj).__name__}".encode(), list(obj)]


def _path(obj: Any) -> Shape:
    kind = f"asyncpg:{type(obj).__name__}".encode()
    return tags.LIBRARY, [kind, [obj.is_closed, [list(point) for point in obj.points]]]


def _read_path(parts: Any) -> Any:
    is_closed, points = parts
    return types.Path(*(types.Point(*one) for one in points), is_closed=is_closed)


def _read_polygon(parts: Any) -> Any:
    return types.Polygon(*(types.Point(*one) for one in parts[1]))


_SHAPES: Final = (types.Point, types.Box, types.Line, types.LineSegment, types.Circle)

_SHAPERS: Final[dict[type, Shaper]] = {
    asyncpg.Record: _record,
    pgproto.UUID: _uuid,
    types.Range: _range,
    types.BitString: _bits,
    types.Path: _path,
    types.Polygon: _path,
    **dict.fromkeys(_SHAPES, _shape),
}

DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "asyncpg:Record": _read_record,
    "asyncpg:UUID": pgproto.UUID,
    "asyncpg:Range": _read_range,
    "asyncpg:BitString": types.BitString,
    "asyncpg:Path": _read_path,
    "asyncpg:Polygon": _read_polygon,
    **{f"asyncpg:{one.__name__}": partial(lambda cls, parts: cls(*parts), one) for one in _SHAPES},
}
"""Kind to what rebuilds it."""


def record(columns: Sequence[str], cells: Sequence[Any], kind: type | None = None) -> Any:
    """A record of asyncpg.

    Args:
        columns: The names; one may come twice.
        cells: A value for each.
        kind: The class, one below ``asyncpg.Record``.
    """
    return Maker(columns, kind).record(cells)


class Maker:
    """Makes records of some columns; not for several threads.

    Args:
        columns: Their names.
        kind: The class of the records.
    """

    def __init__(self, columns: Sequence[str], kind: type | None = None) -> None:
        self._cells: Sequence[Any] = ()
        self._loop = _Loop()
        self._count = len(columns)
        self._protocol = _connected(self._loop)
        self._owner = _Owner()
        self._protocol.set_connection(self._owner)
        described = b"".join(
            one.encode("utf-8", "replace").replace(b"\0", b"") + b"\0"
            + struct.pack("!ihihih", 0, 0, _TEXT, -1, -1, 0)
            for one in columns
        )  # fmt: skip
        self._statement = self._answered(
            self._protocol.prepare("", "", None, record_class=kind or asyncpg.Record),
            _sent(b"1") + _sent(b"t", struct.pack("!h", 0))
            + _sent(b"T", struct.pack("!h", self._count) + described),
        )  # fmt: skip
        self._protocol.get_settings().add_python_codec(
            _TEXT, "text", "pg_catalog", [], "scalar", str, self._cell, "text"
        )
        self._statement._init_types()
        self._statement._init_codecs()
        places = [str(at).encode() for at in range(self._count)]
        cells = b"".join(struct.pack("!i", len(place)) + place for place in places)
        self._row = (
            _sent(b"2") + _sent(b"D", struct.pack("!h", self._count) + cells)
            + _sent(b"C", b"SELECT 1\0") + _READY
        )  # fmt: skip

    def record(self, cells: Sequence[Any]) -> Any:
        """A record of these cells."""
        self._cells = cells
        running = self._protocol.bind_execute(self._statement, (), "", 0, False, None)
        (made,) = self._answered(running, self._row)
        return made

    def _cell(self, place: str) -> Any:
        return self._cells[int(place)]

    def _answered(self, running: Any, data: bytes) -> Any:
        """What a call of the protocol gives, which is answered with these messages."""
        try:
            waited = running.send(None)
            self._protocol.data_received(data)
            if not waited.done():  # older versions wait for this too
                self._protocol.data_received(_READY)
            running.send(None)
        except StopIteration as end:
            return end.value
        raise RuntimeError("asyncpg waits for more than a record")


def _sent(kind: bytes, body: bytes = b"") -> bytes:
    """A message of PostgreSQL's."""
    return kind + struct.pack("!i", len(body) + 4) + body


_READY = _sent(b"Z", b"I")


class _Owner:
    """Whose connection it is."""

    _config = SimpleNamespace(command_timeout=None)


class _Loop:
    """An event loop in which nothing ever happens."""

    def create_future(self) -> Any:
        loop: Any = self
        return asyncio.Future(loop=loop)

    def get_debug(self) -> bool:
        return False

    def call_soon(self, *args: Any, **kwargs: Any) -> None:
        """Call nothing: who waits asks itself."""

    call_exception_handler = call_later = call_soon


class _Transport:
    """A transport that sends nothing."""

    def write(self, data: object) -> None:
        """Send nothing."""

    writelines = abort = pause_reading = resume_reading = write

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """There is nothing to say."""
        return default

    def is_closing(self) -> bool:
        """It is open."""
        return False


def _connected(loop: Any) -> Any:
    parameters = SimpleNamespace(
        user="", password=None, database="", server_settings=None, ssl_is_advisory=False,
        krbsrvname=None, gsslib=None,
    )  # fmt: skip
    made = protocol.Protocol(
        ("127.0.0.1", 1), loop.create_future(), parameters, asyncpg.Record, loop
    )
    made.connection_made(_Transport())
    made.data_received(
        _sent(b"R", struct.pack("!i", 0)) + _sent(b"S", b"client_encoding\0UTF8\0")
        + _sent(b"S", b"server_version\x0015.0\0") + _sent(b"K", struct.pack("!ii", 1, 1)) + _READY
    )  # fmt: skip
    return made
