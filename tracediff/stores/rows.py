"""Rows as bytes: ASCII JSON, because it is exact for every value a row may hold.

Integers of any size, lone surrogates, NaN and infinities survive it, and a reader needs nothing but
a JSON parser. ``location`` is not part of it: it is where the bytes were found.
"""

from __future__ import annotations

import json
from typing import Any

from tracediff.errors import StoreError
from tracediff.model import DEPTHS, STATES, Row
from tracediff.stores.keys import is_key
from tracediff.stores.segments import LONGEST_ID, PART, Frame

_INT32 = 1 << 31
_INT64 = 1 << 63
_CONTEXT_BITS = 4096
"""Longer numbers are refused by Python's own reader of decimal digits."""

_TEXT = ("id", "key", "meta", "job")
_WHOLE = ("started_at", "duration", "steps")


def checked(row: Row) -> Row:
    """The row itself; raises StoreError ``row-invalid`` if no driver could keep it."""
    if row.state not in STATES:
        raise _invalid(row.id, f"its state is {row.state!r}")
    for name, number in (("start", row.started_at), ("duration", row.duration)):
        if not isinstance(number, int):
            raise _invalid(row.id, f"its {name} is a {type(number).__name__}, not nanoseconds")
    if not -_INT64 <= row.started_at < _INT64:
        raise _invalid(row.id, "its start lies outside what 64 bits of nanoseconds can say")
    if not is_id(row.id):
        raise _invalid(
            row.id,
            f"ids are 1 to {LONGEST_ID} printable ASCII characters without blank or slash, the "
            "first no full stop",
        )
    if type(row.parts) is not int or not 0 <= row.parts < _INT32:
        raise _invalid(row.id, f"it cannot have {row.parts!r} parts")
    blob, start, length = row.location
    if (blob and not is_key(blob)) or not (0 <= start < _INT64 and 0 <= length < _INT64):
        raise _invalid(row.id, f"its bytes cannot be at {blob[:60]!r}, {start}, {length}")
    for name, value in row.context.items():
        if not isinstance(value, (str, int, float)):
            raise _invalid(row.id, f"its context field {name!r} is a {type(value).__name__}")
        if isinstance(value, int) and value.bit_length() > _CONTEXT_BITS:
            raise _invalid(row.id, f"its context field {name!r} has {value.bit_length():,} bits")
    return row


def supersedes(row: Row, known: Row) -> bool:
    """Whether a row takes the place of the one that is known: both are of one live trace.

    What has ended stays as it is, for good; what is lost stays so until it turns out to have ended.
    """
    if not row.parts or not known.parts:
        return False
    if known.state == "running":
        return row.parts > known.parts
    return known.state == "lost" and has_ended(row)


def has_ended(row: Row) -> bool:
    """Whether the job told its end. What is lost never did."""
    return row.state not in ("running", "lost")


def is_id(text: str) -> bool:
    """Whether a driver can keep a trace under this id."""
    return (
        0 < len(text) <= LONGEST_ID
        and text.isascii()
        and text.isprintable()
        and " " not in text
        and "/" not in text
        and not text.startswith(".")
    )


def dump_row(row: Row) -> bytes:
    """The row's bytes, the same for equal rows."""
    fields: dict[str, Any] = {
        "id": row.id,
        "key": row.key,
        "state": row.state,
        "started_at": row.started_at,
        "duration": row.duration,
        "steps": row.steps,
        "tags": row.tags,
        "meta": row.meta,
        "context": dict(row.context),
        "depth": row.depth,
        "job": row.job,
        "outcome": row.outcome.hex(),
        "path_signature": row.path_signature.hex(),
        "commit": row.commit,
        "error": row.error,
        "expires_at": row.expires_at,
    }
    if row.parts:
        fields["parts"] = row.parts
    return json.dumps(fields, separators=(",", ":")).encode("ascii")


def load_row(data: bytes, location: tuple[str, int, int]) -> Row:
    """The row these bytes hold; fields it does not know are ignored.

    Raises:
        ValueError: The bytes are not a row.
    """
    try:
        fields = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    try:
        return _row(fields, location)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a row: {error}") from error


def frame_row(frame: Frame, blob: str) -> Row:
    """The index row that a frame of the segment ``blob`` carries.

    Raises:
        ValueError: It carries none, that of another trace, or one that no driver could keep.
    """
    row = load_row(frame.row, (blob, frame.offset, frame.length))
    if row.id != frame.id:
        raise ValueError(f"the row is that of {row.id[:60]!r}")
    if bool(row.parts) != (frame.kind == PART):
        raise ValueError(f"a row of {row.parts} parts does not go with it")
    try:
        return checked(row)
    except StoreError as error:
        raise ValueError(error.message) from error


def _row(fields: dict[str, Any], location: tuple[str, int, int]) -> Row:
    state, depth, context = fields["state"], fields["depth"], fields["context"]
    tags, expires = fields["tags"], fields["expires_at"]
    parts = fields.get("parts", 0)
    if state not in STATES or depth not in DEPTHS:
        raise ValueError("unknown state or depth")
    if not all(isinstance(fields[name], str) for name in _TEXT):
        raise ValueError("a text field is not text")
    if not all(isinstance(fields[name], int) for name in _WHOLE):
        raise ValueError("a number field is not a whole number")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise ValueError("tags have another form")
    if not isinstance(context, dict) or not all(
        isinstance(value, (str, int, float)) for value in context.values()
    ):
        raise ValueError("context has another form")
    if not all(isinstance(fields[name], (str, type(None))) for name in ("commit", "error")):
        raise ValueError("commit or error is not text")
    if not isinstance(expires, (int, type(None))):
        raise ValueError("expires_at is not a whole number")
    if type(parts) is not int:
        raise ValueError("parts is not a whole number")
    return Row(
        id=fields["id"],
        key=fields["key"],
        state=state,
        started_at=fields["started_at"],
        duration=fields["duration"],
        steps=fields["steps"],
        tags=tuple(tags),
        meta=fields["meta"],
        context=context,
        depth=depth,
        job=fields["job"],
        outcome=bytes.fromhex(fields["outcome"]),
        path_signature=bytes.fromhex(fields["path_signature"]),
        commit=fields["commit"],
        error=fields["error"],
        expires_at=expires,
        location=location,
        parts=parts,
    )


def _invalid(trace_id: str, why: str) -> StoreError:
    return StoreError(
        f"the row of trace {trace_id[:60]!r} cannot be kept: {why}",
        slug="row-invalid",
        hint="traces that tracediff records are fine; correct the id, state or start of this one",
    )
