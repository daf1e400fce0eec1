"""Rows as documents: short names, digests as bytes, and what a row is found by.

    _id  the trace's id            k  key
    t    its start (nanoseconds)   g  tags
    s    its state (0 to 4)        c  context
    f    labels                    x  when it expires, rounded up to a millisecond
    1-4  the starts of its key,    r  the other fields, packed: see ``_plain``
         as hashes                 n  of a live trace: how many parts are known

A row that BSON cannot hold exactly (a lone surrogate, a whole number over 64 bits, a context field
with a dot in its name) has ``e`` and ``l`` in place of k, g, c and r: the whole row as JSON, and
where its bytes are. It is found like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import bson
import ormsgpack
from bson.datetime_ms import DatetimeMS
from bson.errors import InvalidDocument
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from tracediff.errors import StoreError
from tracediff.model import DEPTHS, STATES, Row
from tracediff.stores.mongo.labels import DEPTH, key_labels, row_labels
from tracediff.stores.rows import checked, dump_row, load_row

LARGEST = 64 * 1024
"""Bytes of a row. A typical one has 450."""

MOST_TAGS = 256

_DEPTHS = tuple(str(depth) for depth in range(1, DEPTH + 1))
_MS = 1_000_000
_LAST_MS = 2**63 - 1
_COMMIT = 40
_PLAIN = (InvalidDocument, OverflowError, UnicodeEncodeError, TypeError)
"""What encoding a row raises that only the exact form can hold."""


def encode_row(row: Row, declared: Sequence[str] = ()) -> RawBSONDocument:
    """The document of a row, encoded; ``declared`` context fields are the first to be indexed.

    Raises:
        StoreError: ``row-invalid``: no driver, or not this one, could keep it.
    """
    checked(row)
    if len(row.tags) > MOST_TAGS:
        raise _invalid(row, f"it has {len(row.tags):,} tags, and {MOST_TAGS} are the most")
    found_by = _found_by(row, declared)
    try:
        data = bson.encode(found_by | _plain(row))
    except _PLAIN:
        data = bson.encode(found_by | _exact(row))
    if len(data) > LARGEST:
        raise _invalid(row, f"it has {len(data):,} bytes, and {LARGEST:,} are the most")
    return RawBSONDocument(data)


def decode_row(document: Mapping[str, Any]) -> Row:
    """The row of a document.

    Raises:
        ValueError: It is none.
    """
    try:
        if "e" in document:
            blob, start, length = document["l"]
            row = load_row(document["e"], (blob, int(start), int(length)))
            return checked(replace(row, state=STATES[document["s"]]))
        return checked(_typed(_row(document)))
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"not a row: {type(error).__name__}") from error
    except StoreError as error:
        raise ValueError(error.message) from error


def decode_part(document: Mapping[str, Any]) -> tuple[int, tuple[str, int, int]]:
    """The number and location of a part.

    Raises:
        ValueError: The document is none of one.
    """
    try:
        number = int(document["_id"].rpartition("/")[2])
        blob, start, length = document["l"]
        if not isinstance(blob, str):
            raise TypeError(type(blob).__name__)
        return number, (blob, int(start), int(length))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not a part: {type(error).__name__}") from error


def position(document: Mapping[str, Any]) -> tuple[int, str]:
    """Where a document stands in every listing."""
    return (int(document["t"]), document["_id"])


def _found_by(row: Row, declared: Sequence[str]) -> dict[str, Any]:
    document: dict[str, Any] = {
        "_id": row.id,
        "t": Int64(row.started_at),
        "s": STATES.index(row.state),
        "f": row_labels(row, declared),
    }
    document.update(zip(_DEPTHS, key_labels(row.key), strict=False))
    if row.expires_at is not None:
        document["x"] = expiry(row.expires_at)
    if row.parts:
        document["n"] = row.parts
    return document


def expiry(expires_at: int) -> DatetimeMS:
    """When the server is to remove what expires then."""
    return DatetimeMS(_milliseconds(expires_at))


def _milliseconds(expires_at: int) -> int:
    """Rounded up, so that nothing expires too soon, and within what a date can say."""
    return max(-_LAST_MS, min(_LAST_MS, -(-expires_at // _MS)))


def _plain(row: Row) -> dict[str, Any]:
    document: dict[str, Any] = {"k": row.key}
    if row.tags:
        document["g"] = list(row.tags)
    if row.context:
        document["c"] = {_plain_name(name): value for name, value in row.context.items()}
    # How far the date is from the exact time: nothing, most often.
    over = 0 if row.expires_at is None else _milliseconds(row.expires_at) * _MS - row.expires_at
    document["r"] = ormsgpack.packb([
        row.meta, row.duration, row.steps, DEPTHS.index(row.depth), row.outcome,
        row.path_signature, row.job, _pack_commit(row.commit), row.error, *row.location, over,
    ])  # fmt: skip
    return document


def _row(document: Mapping[str, Any]) -> Row:
    meta, duration, steps, depth, outcome, signature, job, commit, error, *place, over = (
        ormsgpack.unpackb(document["r"])
    )
    blob, start, length = place
    expires = document.get("x")
    return Row(
        id=document["_id"],
        key=document["k"],
        state=STATES[document["s"]],
        started_at=int(document["t"]),
        duration=duration,
        steps=steps,
        tags=tuple(document.get("g", ())),
        meta=meta,
        context={name: _native(value) for name, value in document.get("c", {}).items()},
        depth=DEPTHS[depth],
        job=job,
        outcome=outcome,
        path_signature=signature,
        commit=commit.hex() if isinstance(commit, bytes) else commit,
        error=error,
        expires_at=None if expires is None else int(expires) * _MS - over,
        location=(blob, start, length),
        parts=document.get("n", 0),
    )


def _typed(row: Row) -> Row:
    """The row, if its fields have their types: anybody may write who can reach the server."""
    optional = [one for one in (row.commit, row.error) if one is not None]
    kinds: tuple[tuple[type, Sequence[object]], ...] = (
        (str, (row.id, row.key, row.meta, row.job, row.location[0], *row.tags, *optional)),
        (int, (row.duration, row.steps, *row.location[1:])),
        (bytes, (row.outcome, row.path_signature)),
    )
    for kind, values in kinds:
        if not all(isinstance(value, kind) for value in values):
            raise TypeError(kind.__name__)
    return row


def _exact(row: Row) -> dict[str, Any]:
    blob, start, length = row.location
    data = dump_row(replace(row, location=("", 0, 0)))
    return {"e": data, "l": [blob, Int64(start), Int64(length)]}


def _plain_name(name: str) -> str:
    if not name or name[0] == "$" or "." in name or "\0" in name:
        raise InvalidDocument("a name that not every tool of MongoDB's can read")
    return name


def _native(value: Any) -> Any:
    return int(value) if isinstance(value, Int64) else value


def _pack_commit(commit: str | None) -> str | bytes | None:
    """A commit in half the bytes, when it is a whole one."""
    if commit is None or len(commit) != _COMMIT:
        return commit
    try:
        data = bytes.fromhex(commit)
    except ValueError:
        return commit
    return data if data.hex() == commit else commit


def _invalid(row: Row, why: str) -> StoreError:
    return StoreError(
        f"the row of trace {row.id[:60]!r} cannot be kept: {why}",
        slug="row-invalid",
        hint="use fewer or shorter tags, meta and context fields",
    )
