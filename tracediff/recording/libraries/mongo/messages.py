"""Commands of MongoDB as they go over the wire, and their replies: OP_MSG, compressed or not.

https://github.com/mongodb/specifications/blob/master/source/message/OP_MSG.md
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any, NamedTuple

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import compression_support
from pymongo.message import _OpMsg

from tracediff.recording.libraries.http.masking import stand_in
from tracediff.values.placeholder import Placeholder

EXACT: CodecOptions[dict[str, Any]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
"""What reads a document so that writing it again gives the same bytes."""

_INT = struct.Struct("<i").unpack_from
_OP_MSG, _OP_COMPRESSED = struct.pack("<i", 2013), struct.pack("<i", 2012)
_MORE_TO_COME = 2
_LARGEST = 64 * 1024 * 1024
_TEXT, _LONG = 2, 18
_FIRST = 9
"""Where the first field of a command's document begins, after flags, kind and size."""

READS = frozenset(
    """find getmore aggregate count distinct listcollections listindexes listdatabases
    listsearchindexes explain hello ismaster isdbgrid ping buildinfo collstats dbstats datasize
    serverstatus connectionstatus hostinfo whatsmyuri getparameter getcmdlineopts getlog currentop
    usersinfo rolesinfo listcommands dbhash validate replsetgetstatus replsetgetconfig
    listshards geosearch""".split()
)
"""The commands that read, in small letters; all others may write."""


class Head(NamedTuple):
    """What a command is.

    Attributes:
        name: Such as ``find``.
        collection: Its collection's name; empty where it has none.
        reads: Whether it changes nothing.
        stores: Whether it depends on the rest of it that it does.
    """

    name: str
    collection: str
    reads: bool
    stores: bool


class Command(NamedTuple):
    """A command that is sent.

    Attributes:
        head: What it is.
        reads: Whether it changes nothing.
        answered: Whether the server says something to it.
        message: The message, not compressed.
        body: Where its body begins, after the header.
    """

    head: Head
    reads: bool
    answered: bool
    message: bytes
    body: int = 16


def command(message: bytes) -> Command | None:
    """What a message asks; None of one of another form."""
    if message[12:16] != _OP_MSG:
        return _compressed(message)
    return _read(message, 16)


def _compressed(message: bytes) -> Command | None:
    if message[12:16] != _OP_COMPRESSED or message[16:20] != _OP_MSG:
        return None
    return _read(_decompressed(message[25:], message[24]), 0)


def _read(message: bytes, at: int) -> Command | None:
    if message[at + 4] != 0:
        return None
    start = at + _FIRST
    end = message.index(b"\x00", start + 1)
    name, kind = message[start + 1 : end], message[start]
    place = end + 1
    if kind == _LONG and name == b"getMore":  # the next field says it
        kind = message[place + 8]
        place = message.index(b"\x00", place + 9) + 1
    collection = b""
    if kind == _TEXT:
        size = int.from_bytes(message[place : place + 4], "little")
        collection = message[place + 4 : place + 3 + size]
    head = _head(name, collection)
    reads = head.reads and not (head.stores and _stores(message, at))
    return Command(head, reads, not message[at] & _MORE_TO_COME, message, at)


@lru_cache(maxsize=1024)
def _head(name: bytes, collection: bytes) -> Head:
    said = name.decode(errors="replace")
    lowered = said.lower()
    stores = lowered in ("aggregate", "explain")
    return Head(said, collection.decode(errors="replace"), lowered in READS, stores)


def _decompressed(data: bytes, compressor: int) -> bytes:
    found: Any = compression_support.decompress
    return found(data, compressor, _LARGEST)  # type: ignore[no-any-return]  # bytes


def _stores(message: bytes, body: int) -> bool:
    """Whether an aggregation ends in a stage that writes."""
    if b"$out\x00" not in message and b"$merge\x00" not in message:
        return False
    document, _ = _parts(message, body)
    inner = document.get("explain")
    stages = (inner if isinstance(inner, dict) else document).get("pipeline") or [{}]
    last = stages[-1]
    return isinstance(last, dict) and ("$out" in last or "$merge" in last)


def documents(sent: Command) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """A command's document, and the lists that go beside it, such as ``documents``."""
    return _parts(sent.message, sent.body)


def _parts(data: bytes, body: int) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    at = body + 4
    found: dict[str, Any] = {}
    beside: dict[str, list[Any]] = {}
    while at + 5 <= len(data):
        kind, size = data[at], _INT(data, at + 1)[0]
        piece = data[at + 1 : at + 1 + size]
        if kind == 0:
            found = bson.decode(piece, EXACT)
        else:
            end = piece.index(b"\x00", 4)
            name = piece[4:end].decode()
            beside.setdefault(name, []).extend(bson.decode_all(piece[end + 1 :], EXACT))
        at += 1 + size
    return found, beside


def reply(document: dict[str, Any]) -> _OpMsg:
    """What a server would send to say this."""
    data = bson.encode(_words(document), codec_options=EXACT)
    return _OpMsg.unpack(struct.pack("<IB", 0, 0) + data)


def _words(value: Any) -> Any:
    """A recorded value in which words stand for the secrets, which can be sent."""
    if isinstance(value, Placeholder):
        return stand_in(value)
    if type(value) is dict:
        return {name: _words(one) for name, one in value.items()}
    if type(value) is list:
        return [_words(one) for one in value]
    return value
