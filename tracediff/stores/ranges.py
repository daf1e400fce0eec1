"""Reading the frames of many traces: those that lie near each other in a blob by one range read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Protocol

from tracediff.errors import StoreError
from tracediff.model import Row
from tracediff.stores.failures import trace_gone

MOST_BETWEEN = 64 * 1024
"""Bytes of others between two frames above which a request of its own costs less."""

MOST_AT_ONCE = 8 * 1024 * 1024
"""Bytes that one range read takes at most, unless one frame alone is larger."""


class Readable(Protocol):
    """Blobs, as far as they are read."""

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes from ``start`` on."""


def read_frames(blobs: Readable, rows: Iterable[Row]) -> Iterator[tuple[Row, bytes | StoreError]]:
    """Each row with the bytes of its frame, or why they cannot be had; in the order of the blobs.

    Raises:
        StoreError: The blobs are at fault: the other reads would fail as well.
    """
    for near in _neighbours(sorted(rows, key=_place)):
        first, last = near[0].location, near[-1].location
        if len(near) > 1:
            try:
                data = blobs.get(first[0], first[1], last[1] + last[2] - first[1])
            except StoreError as error:
                if not error.slug.startswith("blob-"):
                    raise
            else:
                for row in near:
                    at = row.location[1] - first[1]
                    yield row, data[at : at + row.location[2]]
                continue
        for row in near:
            yield row, _read(blobs, row)


def _read(blobs: Readable, row: Row) -> bytes | StoreError:
    key, start, length = row.location
    try:
        return blobs.get(key, start, length)
    except StoreError as error:
        if not error.slug.startswith("blob-"):
            raise
        return trace_gone(row.id, error)


def _place(row: Row) -> tuple[str, int]:
    return row.location[:2]


def _neighbours(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Runs of rows that one read gets: in one blob, near each other, none over another."""
    for _, some in groupby(rows, lambda row: row.location[0]):
        near: list[Row] = []
        for row in some:
            if near and not _are_near(near, row):
                yield near
                near = []
            near.append(row)
        yield near


def _are_near(near: list[Row], row: Row) -> bool:
    _, start, length = row.location
    begin, end = near[0].location[1], near[-1].location[1] + near[-1].location[2]
    return end <= start <= end + MOST_BETWEEN and start + length - begin <= MOST_AT_ONCE
