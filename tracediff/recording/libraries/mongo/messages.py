"""Commands of MongoDB as they go over the wire, and their replies: OP_MSG, compressed or not.

https://github.com/mongodb/specifications/blob/master/source/message/OP_MSG.md
"""

from __future__ import annotations

import struct
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

_HEADER = struct.Struct("<iiii").unpack_from
_COMPRESSED = struct.Struct("<iiB").unpack_from
_INT = struct.Struct("<i").unpack_from
_OP_MSG, _OP_COMPRESSED = 2013, 2012
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


class Command(NamedTuple):
    """A command that is sent.

    Attributes:
        name: Such as ``find``.
        collection: Its collection's name; empty where it has none.
        reads: Whether it changes nothing.
        answered: Whether the server says something to it.
        body: The message after its header, not compressed.
    """

    name: str
    collection: str
    reads: bool
    answered: bool
    body: bytes | memoryview


def command(message: bytes) -> Command | None:
    """What a message asks; None of one of another form."""
    kind = _HEADER(message)[3]
    if kind == _OP_COMPRESSED:
        kind, _, compressor = _COMPRESSED(message, 16)
        body: bytes | memoryview = _decompressed(message[25:], compressor)
    else:
        body = memoryview(message)[16:]
    if kind != _OP_MSG or body[4] != 0:
        return None
    name, collection = _head(bytes(body[: _FIRST + 1024]))
    lowered = name.lower()
    reads = lowered in READS and (lowered not in ("aggregate", "explain") or not _stores(body))
    return Command(name, collection, reads, not _INT(body)[0] & _MORE_TO_COME, body)


def _decompressed(data: bytes, compressor: int) -> bytes:
    found: Any = compression_support.decompress
    return found(data, compressor, _LARGEST)  # type: ignore[no-any-return]  # bytes


def _head(start: bytes) -> tuple[str, str]:
    """The name of a command and of its collection."""
    end = start.index(b"\x00", _FIRST + 1)
    name = start[_FIRST + 1 : end].decode(errors="replace")
    kind, at = start[_FIRST], end + 1
    if kind == _LONG and name == "getMore":  # the next field says it
        kind = start[at + 8]
        at = start.index(b"\x00", at + 9) + 1
    if kind != _TEXT:
        return name, ""
    size = _INT(start, at)[0]
    return name, start[at + 4 : at + 3 + size].decode(errors="replace")


def _stores(body: bytes | memoryview) -> bool:
    """Whether an aggregation ends in a stage that writes."""
    data = bytes(body)
    if b"$out\x00" not in data and b"$merge\x00" not in data:
        return False
    document, _ = documents(body)
    inner = document.get("explain")
    stages = (inner if isinstance(inner, dict) else document).get("pipeline") or [{}]
    last = stages[-1]
    return isinstance(last, dict) and ("$out" in last or "$merge" in last)


def documents(body: bytes | memoryview) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """A message's command, and the lists that go beside it, such as ``documents``."""
    data = bytes(body)
    at = 4
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
