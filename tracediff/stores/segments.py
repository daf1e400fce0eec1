r"""The segment format: an append-only file of checksummed frames, one frame a trace.

A segment is nothing but frames, one after the other, with no header of its own, so any frame can be
read with one range read and an empty file is a valid segment. All integers are little-endian and
unsigned; xxh3 digests are in their canonical (big-endian) byte order, seed 0.

    offset  size  field
         0     4  magic            89 54 44 46  ("\\x89TDF")
         4     1  version          1, or 2: the payload is encrypted
         5     1  kind             0 a trace, 1 a tombstone, 2 a part of a live trace
         6     2  id_length        bytes of the trace id
         8     4  row_length       bytes of the row (0 in a tombstone)
        12     4  generation       see below
        16     8  payload_length   bytes of the payload (0 in a tombstone)
        24     8  raw_length       bytes of the payload once decompressed
        32    16  body checksum    xxh3_128 of row + payload
        48     8  header checksum  xxh3_64 of bytes 0..48 + id
        56        id               ASCII
                  row              ASCII JSON object, one index row; digests are in hex
                  payload          one zstd frame with its content size: ``tracediff.codec`` bytes,
                                   of a part as of a trace;
                                   in version 2 an envelope around it, see ``encryption``

A zstd frame that was compressed with a dictionary carries the dictionary's number in its header;
``stores.dictionaries`` says where that is kept.

Of a frame of version 2 an envelope authenticates id, kind, generation, raw length and row as well.
Whoever has no key still sees whole frames with their rows, so an index can be rebuilt, a segment
moved and a frame copied without one. Code that knows only version 1 skips such a frame and says so.

The next frame starts right after the payload. A frame is good when both checksums hold.

**Tombstones.** A tombstone of generation g deletes every frame of its id whose generation is g or
less, wherever it stands: in this segment or another, before or after. A trace is saved with
generation 0, and with g + 1 when its id has been deleted at g before. So the index, deletions
included, can be rebuilt from the segments in any order, and no clock is involved.

**Hurt bytes.** With a good header checksum and a bad body, the frame is skipped by its lengths and
its id is known. With a bad header, the reader looks for the next magic that begins a good header.
Bytes after the last good frame that are no more than the beginning of a frame, or zeros, are a torn
tail: a write that was never finished. Anything else there was whole once and is left as it is.

**Newer frames.** A frame of an unknown version or kind whose header's checksum holds is of a newer
tracediff. It is passed over by its lengths, which every version keeps where they are, and reported;
nobody who does not know it cuts it, moves it or counts it as read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import xxhash
import zstandard

from tracediff.errors import StoreError
from tracediff.stores.compression import compress, expand
from tracediff.stores.dictionaries import Dictionaries, Dictionary
from tracediff.stores.encryption import NO_KEYS, EnvelopeError, Keyring
from tracediff.stores.failures import hurt

MAGIC = b"\x89TDF"
VERSION = 1
ENCRYPTED = 2
"""The version of a frame whose payload is encrypted."""

TRACE = 0
TOMBSTONE = 1
PART = 2
HEADER = struct.Struct("<4sBBHIIQQ16s8s")
MAX_BYTES = 1 << 30
"""What a payload may decompress to, unless the reader says otherwise."""

MAX_GENERATION = (1 << 32) - 1
LONGEST_ID = 200
_CUT = "cut within a frame's header"
_SUMMED = HEADER.size - 8
_ABOUT = struct.Struct("<BHIQ")

Encrypt = Callable[[bytes, bytes], bytes]
"""What puts data into an envelope: the data, and what it is about."""


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
    version: int = VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Bytes of a segment that are no good frame; ``id`` where the header still tells it.

    ``torn`` marks what a write that was never finished leaves: it can only be a segment's end.
    ``newer`` marks a whole frame that only a newer tracediff can read.
    """

    offset: int
    length: int
    reason: str
    id: str | None = None
    torn: bool = False
    newer: bool = False


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
    version: int
    newer: str = ""

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
    encrypt: Encrypt | None = None,
    kind: int = TRACE,
) -> bytes:
    """The frame of one trace; ``raw`` is compressed here, with the dictionary if there is one.

    With ``encrypt`` the frame is one of version 2. With ``kind`` it is that of a part.
    """
    payload, version = compress(raw, dictionary), VERSION
    if encrypt is not None:
        about = _about(kind, trace_id, row, len(raw), generation)
        payload, version = encrypt(payload, about), ENCRYPTED
    return _frame(kind, trace_id, row, payload, len(raw), generation, version)


def renewed(frame: Frame, keyring: Keyring, tenant: str | None = None) -> bytes | None:
    """The frame as it would be written now, by the key that writes; None where it is so already.

    Its payload is not decompressed, and only what is encrypted needs a key to read it.

    Raises:
        StoreError: ``key-missing``, ``trace-hurt``: its payload cannot be read.
    """
    if frame.kind == TOMBSTONE:
        return None
    key = keyring.writer(tenant)
    if frame.version == VERSION if key is None else keyring.is_current(frame.payload, tenant):
        return None
    payload, version = _payload(frame, keyring), VERSION
    if key is not None:
        payload, version = keyring.encrypt(payload, _of(frame), tenant=tenant), ENCRYPTED
    return _frame(
        frame.kind, frame.id, frame.row, payload, frame.raw_length, frame.generation, version
    )


def tombstone_frame(trace_id: str, generation: int) -> bytes:
    """The frame that deletes all frames of this id up to ``generation``."""
    return _frame(TOMBSTONE, trace_id, b"", b"", 0, generation)


def _frame(
    kind: int,
    trace_id: str,
    row: bytes,
    payload: bytes,
    raw_length: int,
    generation: int,
    version: int = VERSION,
) -> bytes:
    name = trace_id.encode("ascii")
    body = row + payload
    start = struct.pack(
        "<4sBBHIIQQ16s",
        *(MAGIC, version, kind, len(name), len(row), generation, len(payload), raw_length),
        xxhash.xxh3_128_digest(body),
    )
    return b"".join((start, xxhash.xxh3_64_digest(start + name), name, body))


def _about(kind: int, trace_id: str, row: bytes, raw_length: int, generation: int) -> bytes:
    """What an envelope authenticates of the frame around it."""
    name = trace_id.encode("ascii")
    return _ABOUT.pack(kind, len(name), generation, raw_length) + name + row


def _of(frame: Frame) -> bytes:
    return _about(frame.kind, frame.id, frame.row, frame.raw_length, frame.generation)


def _payload(frame: Frame, keyring: Keyring) -> bytes:
    """The compressed payload of a frame, out of its envelope."""
    if frame.version != ENCRYPTED:
        return frame.payload
    try:
        return keyring.decrypt(frame.payload, _of(frame), f"trace {frame.id}")
    except EnvelopeError as error:
        raise hurt(frame.id, str(error)) from error


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
    """Where the last whole frame ends: what follows is a torn tail."""
    whole = (one for one in items if isinstance(one, Frame) or one.newer)
    return max((one.offset + one.length for one in whole), default=start)


def newer_frame(items: Iterable[Frame | Damage]) -> Damage | None:
    """The first frame of these that only a newer tracediff can read, if there is one."""
    return next((one for one in items if isinstance(one, Damage) and one.newer), None)


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
    if header.newer:
        return Damage(
            offset=offset, length=header.length, reason=header.newer, id=header.id, newer=True
        )
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
        version=header.version,
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
    newer = ""
    known = version in (VERSION, ENCRYPTED) and kind in (TRACE, TOMBSTONE, PART)
    if not known or not name.isascii():
        newer = f"a frame of version {version} and kind {kind}, which this tracediff does not know"
    start = HEADER.size + id_length
    text = name.decode("ascii", "backslashreplace")
    return _Header(kind, text, row, generation, payload, raw, body_sum, start, version, newer)


def decompress(
    frame: Frame,
    max_bytes: int = MAX_BYTES,
    *,
    dictionaries: Dictionaries | None = None,
    keyring: Keyring = NO_KEYS,
) -> bytes:
    """The frame's payload, never more than it declares nor more than ``max_bytes``.

    Args:
        frame: A good frame.
        max_bytes: What it may take.
        dictionaries: Where the dictionary is that it may have been compressed with.
        keyring: Has the key that it may have been encrypted with.

    Raises:
        StoreError: ``trace-too-large``, ``trace-hurt``: it is not what it declares;
            ``key-missing``, ``encryption-missing``: it cannot be decrypted here; or
            ``dictionary-missing`` and what else ``Dictionaries.load`` raises.
    """
    if frame.raw_length > max_bytes:
        raise StoreError(
            f"trace {frame.id} would take {frame.raw_length:,} bytes, more than {max_bytes:,}",
            slug="trace-too-large",
            hint="record less of it, or raise the limit if you trust where it comes from",
        )
    payload = _payload(frame, keyring)
    try:
        told = zstandard.get_frame_parameters(payload)
        used = _dictionary(frame, told.dict_id, dictionaries)
        out = expand(payload, told.content_size, frame.raw_length, used)
    except zstandard.ZstdError as error:
        raise hurt(frame.id, f"it cannot be decompressed ({error})") from error
    if len(out) != frame.raw_length:
        raise hurt(
            frame.id, f"it does not decompress to the {frame.raw_length:,} bytes it declares"
        )
    return out


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
