"""Traces to frames and back: what every driver that keeps frames does in the same way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from tracediff import codec, digests
from tracediff.errors import CodecError, StoreError
from tracediff.model import Part, Row, Trace
from tracediff.stores.dictionaries import Dictionaries, Dictionary
from tracediff.stores.encryption import NO_KEYS, Keyring
from tracediff.stores.failures import hurt
from tracediff.stores.ranges import Readable, read_frames
from tracediff.stores.rows import checked, dump_row, frame_row
from tracediff.stores.segments import (
    MAX_BYTES,
    MAX_GENERATION,
    PART,
    TRACE,
    Damage,
    Encrypt,
    Frame,
    decompress,
    read_frame,
    trace_frame,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A trace ready to be written: its row, still without a location, and its frame."""

    row: Row
    frame: bytes
    generation: int = 0


def pack(
    trace: Trace,
    generation: int = 0,
    *,
    dictionary: Dictionary | None = None,
    encrypt: Encrypt | None = None,
) -> Packed:
    """Encode, digest and compress one trace, with the dictionary if there is one; then encrypt it.

    Raises:
        StoreError: ``row-invalid``: no driver could keep it.
    """
    row = checked(digests.row(trace))
    if generation > MAX_GENERATION:  # only a segment that somebody made up says so
        raise StoreError(
            f"trace {trace.id} cannot be kept: its id was deleted for good",
            slug="row-invalid",
            hint="record it again, under an id of its own",
        )
    raw = codec.dump(trace)
    frame = trace_frame(
        row.id,
        dump_row(row),
        raw,
        generation=generation,
        dictionary=dictionary,
        encrypt=encrypt,
    )
    return Packed(row=row, frame=frame, generation=generation)


def pack_part(
    part: Part, *, dictionary: Dictionary | None = None, encrypt: Encrypt | None = None
) -> Packed:
    """Encode, compress and encrypt one part of a live trace, as ``pack`` does a whole one.

    Raises:
        StoreError: ``row-invalid``: no driver could keep it.
    """
    row = checked(part.row)
    if row.id != part.trace.id or row.parts != part.number + 1:
        raise StoreError(
            f"part {part.number} of trace {part.trace.id} has the row of part {row.parts - 1} of "
            f"trace {row.id}",
            slug="row-invalid",
            hint="a row counts the parts up to its own",
        )
    raw = codec.dump_part(part)
    frame = trace_frame(
        row.id, dump_row(row), raw, dictionary=dictionary, encrypt=encrypt, kind=PART
    )
    return Packed(row=row, frame=frame)


def unpack(
    data: bytes,
    trace_id: str,
    *,
    max_bytes: int = MAX_BYTES,
    dictionaries: Dictionaries | None = None,
    keyring: Keyring = NO_KEYS,
) -> Trace:
    """The trace in this one frame, checked to be whole and to be ``trace_id``.

    Raises:
        StoreError: ``trace-hurt``, ``trace-too-large``, or one about its dictionary or key.
    """
    frame = _frame_of(data, trace_id)
    return open_frame(frame, max_bytes=max_bytes, dictionaries=dictionaries, keyring=keyring)


def raw_bytes(
    data: bytes,
    trace_id: str,
    *,
    max_bytes: int = MAX_BYTES,
    dictionaries: Dictionaries | None = None,
    keyring: Keyring = NO_KEYS,
) -> bytes:
    """What the codec made of the trace in this one frame, not looked into.

    Raises:
        StoreError: Like ``unpack``, as far as it can be told from outside.
    """
    return decompress(
        _frame_of(data, trace_id), max_bytes, dictionaries=dictionaries, keyring=keyring
    )


def packed_frames(
    blobs: Readable,
    rows: Iterable[Row],
    *,
    max_bytes: int = MAX_BYTES,
    dictionaries: Dictionaries | None = None,
    keyring: Keyring = NO_KEYS,
) -> Iterator[tuple[Row, bytes | StoreError]]:
    """Each row with what the codec made of its trace, or why it cannot be read.

    Raises:
        StoreError: The blobs are at fault, or a dictionary is.
    """
    for row, data in read_frames(blobs, rows):
        if isinstance(data, StoreError):
            yield row, data
            continue
        try:
            raw = raw_bytes(
                data, row.id, max_bytes=max_bytes, dictionaries=dictionaries, keyring=keyring
            )
        except StoreError as error:
            yield row, error
        else:
            yield row, raw


def unpack_part(
    data: bytes,
    trace_id: str,
    number: int,
    *,
    max_bytes: int = MAX_BYTES,
    dictionaries: Dictionaries | None = None,
    keyring: Keyring = NO_KEYS,
) -> tuple[Part, int]:
    """The part in this one frame, checked to be this one of ``trace_id``; and its bytes' count.

    Raises:
        StoreError: As ``unpack`` does.
    """
    frame = _frame_of(data, trace_id, PART)
    raw = decompress(frame, max_bytes, dictionaries=dictionaries, keyring=keyring)
    try:
        row = replace(frame_row(frame, ""), location=("", 0, 0))
        part = codec.load_part(raw, row, max_bytes=max_bytes)
    except (CodecError, ValueError) as error:
        raise hurt(trace_id, str(error)) from error
    if part.trace.id != trace_id or not part.number == number == part.row.parts - 1:
        raise hurt(trace_id, f"it holds part {part.number} of trace {part.trace.id}")
    return part, len(raw)


def _frame_of(data: bytes, trace_id: str, kind: int = TRACE) -> Frame:
    found = read_frame(data)
    if isinstance(found, Damage):
        raise hurt(trace_id, found.reason)
    if found.id != trace_id or found.kind != kind:
        raise hurt(trace_id, f"the bytes at its place are those of {found.id}")
    return found


def open_frame(
    frame: Frame,
    *,
    max_bytes: int = MAX_BYTES,
    dictionaries: Dictionaries | None = None,
    keyring: Keyring = NO_KEYS,
) -> Trace:
    """The trace of a good frame; raises StoreError like ``unpack``."""
    raw = decompress(frame, max_bytes, dictionaries=dictionaries, keyring=keyring)
    try:
        trace = codec.load(raw, max_bytes=max_bytes)
    except CodecError as error:
        raise hurt(frame.id, error.message) from error
    if trace.id != frame.id:
        raise hurt(frame.id, f"it holds trace {trace.id}")
    return trace
