"""Buckets and deltas as bytes: msgpack, the same bytes for equal ones.

Who reads them need not trust them: what is no bucket raises ValueError, and what they say is
bounded by how many bytes they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import ormsgpack

from tracediff.model import STATES, State
from tracediff.statistics.buckets import Bucket, Tally
from tracediff.statistics.durations import classes

LARGEST: Final = 8 << 20
"""Bytes; a hundred times what a large delta takes."""

_FORM: Final = 1
_BOUND: Final = 1 << 62

Cell = tuple[int, str, Bucket]
"""A minute, a key, and what is counted there."""


def dump_bucket(bucket: Bucket) -> bytes:
    """The bytes of a bucket."""
    return ormsgpack.packb([_FORM, *_packed(bucket)])


def load_bucket(data: bytes) -> Bucket:
    """The bucket that these bytes hold; raises ValueError when they hold none."""
    form, *rest = _unpacked(data)
    _check(form == _FORM and len(rest) == 2)
    return _bucket(*rest)


def dump_delta(cells: Iterable[Cell]) -> bytes:
    """The bytes of a delta."""
    packed = [[minute, _bytes(key), *_packed(bucket)] for minute, key, bucket in cells]
    return ormsgpack.packb([_FORM, packed])


def load_delta(data: bytes) -> list[Cell]:
    """The delta that these bytes hold; raises ValueError when they hold none."""
    form, *rest = _unpacked(data)
    _check(form == _FORM and len(rest) == 1 and isinstance(rest[0], list))
    return [_cell(one) for one in rest[0]]


def _packed(bucket: Bucket) -> list[Any]:
    tallies = bucket.tallies
    return [bucket.expires_at, [_tally(one, tallies[one]) for one in STATES if one in tallies]]


def _tally(state: State, tally: Tally) -> list[Any]:
    classes_ = sorted(tally.durations)
    steps = [at - before for before, at in zip([0, *classes_], classes_, strict=False)]
    tags = sorted(tally.tags.items())
    return [
        STATES.index(state),
        tally.count,
        steps,  # of neighbours each takes one byte
        [tally.durations[at] for at in classes_],
        [_bytes(tag) for tag, _ in tags],
        [count for _, count in tags],
        tally.other,
    ]


def _unpacked(data: bytes) -> list[Any]:
    _check(len(data) <= LARGEST)
    found = ormsgpack.unpackb(data)  # what it raises is a ValueError
    _check(isinstance(found, list) and bool(found))
    result: list[Any] = found
    return result


def _cell(found: Any) -> Cell:
    _check(isinstance(found, list) and len(found) == 4)
    minute, key, *rest = found
    return _whole(minute), _text(key), _bucket(*rest)


def _bucket(expires: Any, tallies: Any) -> Bucket:
    _check(isinstance(tallies, list) and len(tallies) <= len(STATES))
    read = dict(map(_read, tallies))
    _check(len(read) == len(tallies))
    return Bucket(read, None if expires is None else _whole(expires, 1 << 63))


def _read(found: Any) -> tuple[State, Tally]:
    _check(isinstance(found, list) and len(found) == 7)
    state, count, steps, counts, tags, tagged, other = found
    _check(_whole(state) in range(len(STATES)))
    took: dict[int, int] = {}
    at = 0
    for step, one in _pairs(steps, counts):
        at += _whole(step)
        _check(0 <= at < classes() and at not in took)
        took[at] = _whole(one)
    named = {_text(tag): _whole(one) for tag, one in _pairs(tags, tagged)}
    return STATES[state], Tally(_whole(count), took, named, _whole(other))


def _pairs(names: Any, counts: Any) -> Iterable[tuple[Any, Any]]:
    _check(isinstance(names, list) and isinstance(counts, list) and len(names) == len(counts))
    return zip(names, counts, strict=True)


def _whole(found: Any, bound: int = _BOUND) -> int:
    _check(type(found) is int and -bound <= found < bound)
    result: int = found
    return result


def _text(found: Any) -> str:
    _check(isinstance(found, bytes))
    text: str = found.decode("utf-8", "surrogatepass")
    return text


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _check(right: bool) -> None:
    if not right:
        raise ValueError("not statistics")


def clamped(number: int) -> int:
    """A time that 64 bits can say, the nearest one."""
    return max(-(1 << 63), min((1 << 63) - 1, number))


def halves(rows: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    """A batch in two."""
    middle = len(rows) // 2
    return rows[:middle], rows[middle:]
