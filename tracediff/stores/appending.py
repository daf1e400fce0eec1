"""What a local store writes: frames to its open segments, then their rows to its index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tracediff.errors import StoreError
from tracediff.model import Part, Trace
from tracediff.stores.open_segment import OpenSegment
from tracediff.stores.packing import Packed, pack, pack_part
from tracediff.stores.places import SEGMENTS, Layout
from tracediff.stores.segments import tombstone_frame
from tracediff.stores.sqlite_index import Entry, Progress, SqliteIndex

MOST_OPEN = 32
"""Segments that stay open, one a tenant; of more the least used are given up."""


class Appender:
    """The open segments of one process in a local store. Its caller holds a lock.

    Args:
        directory: The store.
        layout: Where traces go and how they are encrypted.
        sync: Whether what is written waits for the disk.
    """

    def __init__(self, directory: Path, layout: Layout, *, sync: bool) -> None:
        self._directory = directory
        self._layout = layout
        self._sync = sync
        self._segments: dict[str, OpenSegment] = {}

    def append(self, index: SqliteIndex, traces: Sequence[Trace]) -> None:
        """Write those of these traces that the index does not know."""
        known, graves = index.known([trace.id for trace in traces])
        fresh: dict[str, Trace] = {}
        for trace in traces:
            if trace.id not in known:
                fresh.setdefault(trace.id, trace)
        self._keep(
            index,
            (
                (trace, pack(trace, graves.get(trace.id, -1) + 1, encrypt=encrypt))
                for trace in fresh.values()
                for encrypt in (self._layout.encrypting(trace),)
            ),
        )

    def append_parts(self, index: SqliteIndex, parts: Sequence[Part]) -> None:
        """Write those of these parts that the index does not know, of traces that are wanted."""
        packed = [
            (part.trace, pack_part(part, encrypt=self._layout.encrypting(part.trace)))
            for part in parts
        ]
        known, graves = index.known_parts([one.row.id for _, one in packed])
        fresh: dict[tuple[str, int], tuple[Trace, Packed]] = {}
        for trace, one in packed:
            part = (one.row.id, one.row.parts)
            if part not in known and one.row.id not in graves:
                fresh.setdefault(part, (trace, one))
        self._keep(index, fresh.values())

    def _keep(self, index: SqliteIndex, packed: Iterable[tuple[Trace, Packed]]) -> None:
        groups: dict[str, list[Packed]] = {}
        for trace, one in packed:
            groups.setdefault(self._layout.local_place(trace), []).append(one)
        for place, group in groups.items():
            self._append_to(index, place, group)
        self._close_spare()

    def _append_to(self, index: SqliteIndex, place: str, packed: Sequence[Packed]) -> None:
        segment = self._current(place)
        start = at = segment.append(b"".join(one.frame for one in packed))
        key = f"{place}/{segment.name}"
        entries = []
        for one in packed:
            row = replace(one.row, location=(key, at, len(one.frame)))
            entries.append(Entry(row, one.generation))
            at += len(one.frame)
        self._record(index, segment, start, entries)

    def bury(self, index: SqliteIndex, ids: list[str], *, unknown: bool = False) -> int:
        """Write tombstones of these traces, also of ``unknown`` ones; how many that were."""
        known, graves = index.known(ids)
        buried = {one: max(known[one], graves.get(one, 0)) for one in known}
        if unknown:  # parts of it may be on their way
            buried |= dict.fromkeys((one for one in ids if one not in known | graves), 0)
        if buried:
            segment = self._current(SEGMENTS)
            start = segment.append(
                b"".join(tombstone_frame(one, generation) for one, generation in buried.items())
            )
            self._record(index, segment, start, [], buried)
        return len(buried)

    def _record(
        self,
        index: SqliteIndex,
        segment: OpenSegment,
        start: int,
        entries: list[Entry],
        tombstones: dict[str, int] | None = None,
    ) -> None:
        progress = Progress(segment.name, start, segment.end)
        try:
            index.record(entries, tombstones=tombstones, progress=progress)
        except StoreError as error:
            if error.slug in ("store-full", "store-busy"):  # nothing was recorded, for certain
                segment.cut(start)
            raise

    def give_up(self) -> None:
        """Close all segments: others may index, move or write them anew."""
        while self._segments:
            self._segments.popitem()[1].close()

    def _current(self, place: str) -> OpenSegment:
        segment = self._segments.pop(place, None)
        if segment is not None and segment.full:
            segment.close()
            segment = None
        if segment is None:
            segment = OpenSegment(self._directory / place, sync=self._sync)
        self._segments[place] = segment  # the last one is the one that was used last
        return segment

    def _close_spare(self) -> None:
        while len(self._segments) > MOST_OPEN:
            self._segments.pop(next(iter(self._segments))).close()
