r"""The segment format: an append-only file of checksummed frames, one frame a trace.

A segment is nothing but frames, one after the other, with no header of its own, so any frame can be
read with one range read and an empty file is a valid segment. All integers are little-endian and
unsigned; xxh3 digests are in their canonical (big-endian) byte order, seed 0.

    offset  size  field
         0     4  magic            89 54 44 46  ("\\x89TDF")
         4     1  version          1
         5     1  kind             0 a trace, 1 a tombstone
         6     2  id_length        bytes of the trace id
         8     4  row_length       bytes of the row (0 in a tombstone)
        12     4  generation       see below
        16     8  payload_length   bytes of the payload (0 in a tombstone)
        24     8  raw_length       bytes of the payload once decompressed
        32    16  body checksum    xxh3_128 of row + payload
        48     8  header checksum  xxh3_64 of bytes 0..48 + id
        56        id               ASCII
                  row              ASCII JSON object, one index row; digests are in hex
                  payload          one zstd frame with its content size: ``tracediff.codec`` bytes

A zstd frame that was compressed with a dictionary carries the dictionary's number in its header;
``stores.dictionaries`` says where that is kept.

The next frame starts right after the payload. A frame is good when both checksums hold.

**Tombstones.** A tombstone of generation g deletes every frame of its id whose generation is g or
less, wherever it stands: in this segment or another, before or after. A trace is saved with
generation 0, and with g + 1 when its id has been deleted at g before. So the index, deletions
included, can be rebuilt from the segments in any order, and no clock is involved.

**Hurt bytes.** With a good header checksum and a bad body, the frame is skipped by its lengths and
its id is known. With a bad header, the reader looks for the next magic that begins a good header.
Bytes after the last good frame that are no more than the beginning of a frame, or zeros, are a torn
tail: a write that was never finished. Anything else there was whole once and is left as it is.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import xxhash
import zstandard

from tracediff.errors import StoreError
from tracediff.stores.dictionaries import Dictionaries, Dictionary
from tracediff.stores.failures import hurt

MAGIC = b"\x89TDF"
VERSION = 1
TRACE = 0
TOMBSTONE = 1
HEADER = struct.Struct("<4sBBHIIQQ16s8s")
MAX_BYTES = 1 << 30
"""What a payload may decompress to, unless the reader says otherwise."""

MAX_GENERATION = (1 << 32) - 1
LONGEST_ID = 200
_CUT = "cut within a frame's header"
_SUMMED = HEADER.size - 8
_CHUNK = 1 << 20
_MAX_WINDOW = 1 << 27
_LEVEL = 3
_REMEMBERED = 8  # a thread's compressors and dictionaries: few are in use at a time
_thread = threading.local()


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One good frame; ``offset`` counts from the start of its segment."""

    id: str
    kind: int
    generation: int
    row: bytes
    payload: bytes
    raw_length: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Bytes of a segment that are no good frame; ``id`` where the header still tells it.

    ``torn`` marks what a write that was never finished leaves: it can only be a segment's end.
    """

    offset: int
    length: int
    reason: str
    id: str | None = None
    torn: bool = False


@dataclass(frozen=True, slots=True)
class _Header:
    kind: int
    id: str
    row_length: int
    generation: int
    payload_length: int
    raw_length: int
    body_sum: bytes
    body_start: int

    @property
    def length(self) -> int:
        return self.body_start + self.row_length + self.payload_length


def trace_frame(
    trace_id: str,
    row: bytes,
    raw: bytes,
    *,
    generation: int = 0,
    dictionary: Dictionary | None = None,
) -> bytes:
    """The frame of one trace; ``raw`` is compressed here, with the dictionary if there is one."""
    return _frame(TRACE, trace_id, row, _compress(raw, dictionary), len(raw), generation)


def tombstone_frame(trace_id: str, generation: int) -> bytes:
    """The frame that deletes all frames of this id up to ``generation``."""
    return _frame(TOMBSTONE, trace_id, b"", b"", 0, generation)


def _frame(
    kind: int, trace_id: str, row: bytes, payload: bytes, raw_length: int, generation: int
) -> bytes:
    name = trace_id.encode("ascii")
    body = row + payload
    start = struct.pack(
        "<4sBBHIIQQ16s",
        *(MAGIC, VERSION, kind, len(name), len(row), generation, len(payload), raw_length),
        xxhash.xxh3_128_digest(body),
    )
    return b"".join((start, xxhash.xxh3_64_digest(start + name), name, body))


def _compress(raw: bytes, dictionary: Dictionary | None) -> bytes:
    """One compressor a thread and dictionary: sharing one between threads crashes Python."""
    made = _of_this_thread("compressors")
    compressor: zstandard.ZstdCompressor | None = made.get(dictionary)
    if compressor is None:
        compressor = zstandard.ZstdCompressor(
            level=_LEVEL, write_checksum=True, dict_data=_prepared(dictionary, for_writing=True)
        )
        _remember(made, dictionary, compressor)
    return compressor.compress(raw)


def _prepared(
    dictionary: Dictionary | None, *, for_writing: bool = False
) -> zstandard.ZstdCompressionDict | None:
    """The library's form of a dictionary, of this thread alone: it fills it in when first used."""
    if dictionary is None:
        return None
    if for_writing:  # a compressor keeps it
        made = zstandard.ZstdCompressionDict(dictionary.data)
        made.precompute_compress(level=_LEVEL)
        return made
    known = _of_this_thread("dictionaries")
    found: zstandard.ZstdCompressionDict | None = known.get(dictionary)
    if found is None:
        found = zstandard.ZstdCompressionDict(dictionary.data)
        _remember(known, dictionary, found)
    return found


def _of_this_thread(name: str) -> dict[Dictionary | None, Any]:
    made: dict[Dictionary | None, Any] | None = getattr(_thread, name, None)
    if made is None:
        made = {}
        setattr(_thread, name, made)
    return made


def _remember(made: dict[Dictionary | None, Any], key: Dictionary | None, what: object) -> None:
    while len(made) >= _REMEMBERED:
        del made[next(iter(made))]
    made[key] = what


def read_frame(data: bytes, offset: int = 0) -> Frame | Damage:
    """The frame that begins ``data``, or what is wrong with it; ``offset`` is for the report."""
    return _at(memoryview(data), 0, offset)


def scan(data: bytes, start: int = 0) -> Iterator[Frame | Damage]:
    """Everything in ``data``, in order and without gaps; ``data`` begins at ``start``."""
    view = memoryview(data)
    position = 0
    while position < len(data):
        found = _at(view, position, start + position)
        if isinstance(found, Damage) and found.id is None:
            end = _next_header(data, view, position + 1)
            torn = end == len(data) and (found.torn or not any(view[position:]))
            found = replace(found, length=end - position, torn=torn)
        yield found
        position += found.length


def good_end(items: Iterator[Frame | Damage] | list[Frame | Damage], start: int = 0) -> int:
    """Where the last good frame ends: what follows is a torn tail."""
    return max((i.offset + i.length for i in items if isinstance(i, Frame)), default=start)


def _next_header(data: bytes, view: memoryview, position: int) -> int:
    """Where the next good header begins. Bodies are not read: that could be done over and over."""
    while (position := data.find(MAGIC, position)) >= 0:
        if isinstance(_header(view[position:]), _Header):
            return position
        position += 1
    return len(data)


def _at(view: memoryview, position: int, offset: int) -> Frame | Damage:
    have = len(view) - position
    header = _header(view[position:])
    if isinstance(header, str):
        return Damage(offset=offset, length=have, reason=header, torn=header == _CUT)
    if have < header.length:
        reason = f"cut after {have} of {header.length} bytes"
        return Damage(offset=offset, length=have, reason=reason, id=header.id, torn=True)
    body_start = position + header.body_start
    body = view[body_start : position + header.length]
    if xxhash.xxh3_128_digest(body) != header.body_sum:
        reason = "the checksum of its bytes does not hold"
        return Damage(offset=offset, length=header.length, reason=reason, id=header.id)
    return Frame(
        id=header.id,
        kind=header.kind,
        generation=header.generation,
        row=bytes(body[: header.row_length]),
        payload=bytes(body[header.row_length :]),
        raw_length=header.raw_length,
        offset=offset,
        length=header.length,
    )


def _header(view: memoryview) -> _Header | str:
    if len(view) < HEADER.size:
        return _CUT if view[:4] == MAGIC[: len(view)] else "no frame begins here"
    (magic, version, kind, id_length, row, generation, payload, raw, body_sum, header_sum) = (
        HEADER.unpack(view[: HEADER.size])
    )
    if magic != MAGIC:
        return "no frame begins here"
    if id_length > LONGEST_ID:
        return "the lengths in a frame's header cannot be"
    name = bytes(view[HEADER.size : HEADER.size + id_length])
    if len(name) < id_length:
        return _CUT
    if xxhash.xxh3_64_digest(bytes(view[:_SUMMED]) + name) != header_sum:
        return "the checksum of a frame's header does not hold"
    if version != VERSION or kind not in (TRACE, TOMBSTONE) or not name.isascii():
        return f"a frame of version {version} and kind {kind}, which this tracediff does not know"
    start = HEADER.size + id_length
    return _Header(kind, name.decode("ascii"), row, generation, payload, raw, body_sum, start)


def decompress(
    frame: Frame, max_bytes: int = MAX_BYTES, *, dictionaries: Dictionaries | None = None
) -> bytes:
    """The frame's payload, never more than it declares nor more than ``max_bytes``.

    Args:
        frame: A good frame.
        max_bytes: What it may take.
        dictionaries: Where the dictionary is that it may have been compressed with.

    Raises:
        StoreError: ``trace-too-large``, ``trace-hurt``: it is not what it declares, or
            ``dictionary-missing`` and what else ``Dictionaries.load`` raises.
    """
    if frame.raw_length > max_bytes:
        raise StoreError(
            f"trace {frame.id} would take {frame.raw_length:,} bytes, more than {max_bytes:,}",
            slug="trace-too-large",
            hint="record less of it, or raise the limit if you trust where it comes from",
        )
    try:
        told = zstandard.get_frame_parameters(frame.payload)
        used = _dictionary(frame, told.dict_id, dictionaries)
        if told.content_size == frame.raw_length:  # so much is taken, and never more
            out = _decompressor(used).decompress(frame.payload)
        else:
            out = _streamed(frame, used)
    except zstandard.ZstdError as error:
        raise hurt(frame.id, f"it cannot be decompressed ({error})") from error
    if len(out) != frame.raw_length:
        raise hurt(
            frame.id, f"it does not decompress to the {frame.raw_length:,} bytes it declares"
        )
    return out


def _decompressor(dictionary: Dictionary | None) -> zstandard.ZstdDecompressor:
    made = _of_this_thread("decompressors")
    found: zstandard.ZstdDecompressor | None = made.get(dictionary)
    if found is None:
        found = zstandard.ZstdDecompressor(
            max_window_size=_MAX_WINDOW, dict_data=_prepared(dictionary)
        )
        _remember(made, dictionary, found)
    return found


def _streamed(frame: Frame, dictionary: Dictionary | None) -> bytes:
    """A payload that does not tell, or not the truth, how much it comes to: no more is taken."""
    out = bytearray()
    decompressor = zstandard.ZstdDecompressor(
        max_window_size=_MAX_WINDOW, dict_data=_prepared(dictionary)
    )
    with decompressor.stream_reader(frame.payload) as reader:
        while len(out) <= frame.raw_length and (
            chunk := reader.read(min(_CHUNK, frame.raw_length + 1 - len(out)))
        ):
            out += chunk
    return bytes(out)


def _dictionary(frame: Frame, number: int, dictionaries: Dictionaries | None) -> Dictionary | None:
    if not number:
        return None
    if dictionaries is None:
        raise StoreError(
            f"trace {frame.id} was compressed with dictionary {number}, and this store has none",
            slug="dictionary-missing",
            hint="read it from the store that it was recorded into",
        )
    return dictionaries.load(number)
