"""The reference driver: everything in this process's memory, as plain as possible."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from tracediff.errors import StoreError
from tracediff.model import Page, Part, Query, Row, Trace
from tracediff.statistics.checking import Checked, Rebuilt
from tracediff.statistics.deltas import deltas
from tracediff.statistics.folding import Statistics, applied, of_key, span_of_key
from tracediff.statistics.places import Run
from tracediff.stores import sources
from tracediff.stores.base import Capabilities
from tracediff.stores.failures import blob_missing, trace_gone, trace_unknown
from tracediff.stores.keys import check_key, check_range, cut
from tracediff.stores.packing import pack, pack_part, unpack
from tracediff.stores.parts import in_order, load_live, read_parts
from tracediff.stores.queries import check_limit, matches, page, position, read_cursor
from tracediff.stores.rows import checked, is_id, supersedes
from tracediff.stores.segments import MAX_BYTES


class MemoryIndex:
    """Rows in a dict."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._parts: dict[str, dict[int, tuple[str, int, int]]] = {}
        self._graves: set[str] = set()
        self._lock = threading.RLock()

    def create(self, rows: Sequence[Row]) -> None:
        """Insert the rows; one whose id is there gives way to one of more parts alone."""
        rows = [checked(row) for row in rows]
        with self._lock:
            for row in rows:
                self._create(row)

    def _create(self, row: Row) -> None:
        known = self._rows.get(row.id)
        if row.parts:
            if row.id in self._graves or (known is not None and not known.parts):
                return
            self._parts.setdefault(row.id, {}).setdefault(row.parts - 1, row.location)
        if known is None or supersedes(row, known):
            self._rows[row.id] = row

    def parts(self, trace_id: str) -> list[tuple[int, tuple[str, int, int]]]:
        """The number and location of each part that is known of a live trace, in order."""
        with self._lock:
            return sorted(self._parts.get(trace_id, {}).items())

    def lose(self, rows: Iterable[Row]) -> int:
        """Make those of these traces lost that are running; returns how many that were."""
        with self._lock:
            running = [row for one in rows if (row := self._running(one.id)) is not None]
            self._rows.update((row.id, replace(row, state="lost")) for row in running)
            return len({row.id for row in running})

    def bury(self, ids: Iterable[str]) -> None:
        """Remove those of these live traces that run, and leave out what comes later."""
        with self._lock:
            for trace_id in ids:
                self._graves.add(trace_id)
                if self._running(trace_id) is not None:
                    del self._rows[trace_id]
                    self._parts.pop(trace_id, None)

    def _running(self, trace_id: str) -> Row | None:
        row = self._rows.get(trace_id)
        return row if row is not None and row.state == "running" else None

    def update(self, row: Row) -> None:
        """Replace the row with this id; raises StoreError ``trace-unknown`` when there is none."""
        checked(row)
        with self._lock:
            if row.id not in self._rows:
                raise trace_unknown(row.id)
            self._rows[row.id] = row

    def delete(self, ids: Iterable[str]) -> int:
        """Remove these rows; returns how many were there."""
        with self._lock:
            return sum(self._delete(trace_id) for trace_id in list(ids))

    def _delete(self, trace_id: str) -> bool:
        row = self._rows.pop(trace_id, None)
        if row is not None and row.parts:
            self._graves.add(trace_id)
            self._parts.pop(trace_id, None)
        return row is not None

    def find(self, prefix: str, limit: int = 2) -> list[Row]:
        """Rows whose id starts with ``prefix``, newest first, at most ``limit``."""
        check_limit(limit)
        return [row for row in self.newest_first() if row.id.startswith(prefix)][:limit]

    def search(self, query: Query) -> Page:
        """One page of the rows that match, newest first."""
        after = read_cursor(query)
        rows = (row for row in self.newest_first() if matches(row, query))
        return page((row for row in rows if after is None or position(row) < after), query)

    def statistics(self, key: str, runs: Sequence[Run]) -> Statistics:
        """The buckets of traces whose keys begin with ``key``, counted on the spot."""
        data = deltas(self.newest_first())
        changes = of_key(data, key, runs)
        return Statistics(buckets={place: applied(None, one) for place, one in changes.items()})

    def counted_span(self, key: str) -> tuple[int, int] | None:
        """From which to which minute traces of a key began."""
        return span_of_key(deltas(self.newest_first()), key)

    def fold_statistics(self) -> int:
        """Nothing is kept that could be folded."""
        return 0

    def verify_statistics(self) -> Iterator[Checked]:
        """Nothing is kept that could be wrong."""
        return iter(())

    def rebuild_statistics(self) -> Rebuilt:
        """Nothing is kept that could be rebuilt."""
        return Rebuilt()

    def __contains__(self, trace_id: str) -> bool:
        with self._lock:
            return trace_id in self._rows

    def newest_first(self) -> list[Row]:
        """All rows, newest first."""
        with self._lock:
            return sorted(self._rows.values(), key=position, reverse=True)

    def close(self) -> None:
        """Nothing to release."""


class MemoryBlobs:
    """Bytes in a dict."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self._lock = threading.RLock()

    def put(self, key: str, data: bytes) -> None:
        """Store ``data`` under ``key``."""
        check_key(key)
        with self._lock:
            self._blobs[key] = bytes(data)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes from ``start`` on; raises StoreError ``blob-truncated`` if they are fewer."""
        check_key(key)
        check_range(key, start, length)
        with self._lock:
            if key not in self._blobs:
                raise blob_missing(key)
            whole = self._blobs[key]
        return cut(key, whole[start:], len(whole), start, length)

    def delete(self, keys: Iterable[str]) -> int:
        """Remove these blobs; returns how many were there."""
        with self._lock:
            return sum(self._blobs.pop(key, None) is not None for key in list(keys))

    def keys(self, prefix: str = "") -> Iterator[str]:
        """All keys with this prefix, sorted."""
        with self._lock:
            return iter(sorted(key for key in self._blobs if key.startswith(prefix)))

    def close(self) -> None:
        """Nothing to release."""


class MemoryStore:
    """Whole traces in memory, encoded, so that what comes back is a copy as from any other store.

    Args:
        url: How the store was named.
        index: Where the rows go.
        blobs: Where the traces go.
        max_bytes: What a trace may decompress to.
    """

    capabilities = Capabilities(durable=False, shared=False, sources=True, live=True)

    def __init__(
        self,
        url: str = "memory:",
        *,
        index: MemoryIndex | None = None,
        blobs: MemoryBlobs | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.url = url
        self.index = index or MemoryIndex()
        self.blobs = blobs or MemoryBlobs()
        self._max_bytes = max_bytes
        self._lock = threading.RLock()

    def save(self, traces: Sequence[Trace]) -> None:
        """Keep these traces; saving one twice keeps the first."""
        packed = [pack(trace) for trace in traces]
        with self._lock:
            for item in packed:
                key = f"traces/{item.row.id}"
                if item.row.id in self.index:
                    continue
                self.blobs.put(key, item.frame)
                location = (key, 0, len(item.frame))
                self.index.create([replace(item.row, location=location)])

    def save_parts(self, parts: Sequence[Part]) -> None:
        """Keep these parts of live traces; saving one twice keeps the first."""
        packed = [pack_part(part) for part in parts]
        with self._lock:
            for item in packed:
                key = f"parts/{item.row.id}/{item.row.parts - 1:06d}"
                known = {number for number, _ in self.index.parts(item.row.id)}
                if item.row.parts - 1 not in known:
                    self.blobs.put(key, item.frame)
                    self.index.create([replace(item.row, location=(key, 0, len(item.frame)))])
                    if not self.index.parts(item.row.id):  # it was taken back before
                        self.blobs.delete([key])

    def ignore(self, ids: Iterable[str]) -> None:
        """Take back what was saved of these live traces."""
        wanted = list(ids)
        with self._lock:
            self.index.bury(wanted)
            self._delete_parts(one for one in wanted if one not in self.index)

    def load_parts(self, row: Row, first: int = 0) -> list[Part]:
        """The parts of a live trace from this number on, in order."""
        return in_order(self._parts(row, first))

    def _parts(self, row: Row, first: int = 0) -> Iterator[Part | StoreError]:
        places = [place for place in self.index.parts(row.id) if first <= place[0] < row.parts]
        return read_parts(self.blobs, row, places, max_bytes=self._max_bytes)

    def load(self, row: Row) -> Trace:
        """The whole trace; raises StoreError when its bytes are gone, hurt or not its own."""
        if row.parts:
            return load_live(row, self._parts(row))
        key, start, length = row.location
        try:
            data = self.blobs.get(key, start, length)
        except StoreError as error:
            raise trace_gone(row.id, error) from error
        return unpack(data, row.id, max_bytes=self._max_bytes)

    def find(self, prefix: str, limit: int = 2) -> list[Row]:
        """Rows whose id starts with ``prefix``, newest first, at most ``limit``."""
        return self.index.find(prefix, limit)

    def search(self, query: Query) -> Page:
        """One page of the rows that match, newest first."""
        return self.index.search(query)

    def delete(self, ids: Iterable[str]) -> int:
        """Remove these traces; returns how many were there."""
        wanted = list(ids)
        with self._lock:
            deleted = self.index.delete(wanted)
            self.blobs.delete([f"traces/{trace_id}" for trace_id in wanted])
            self._delete_parts(wanted)
        return deleted

    def _delete_parts(self, ids: Iterable[str]) -> None:
        for trace_id in filter(is_id, ids):
            self.blobs.delete(list(self.blobs.keys(f"parts/{trace_id}/")))

    def statistics(self, key: str, runs: Sequence[Run]) -> Statistics:
        """The buckets of traces whose keys begin with ``key``."""
        return self.index.statistics(key, runs)

    def counted_span(self, key: str) -> tuple[int, int] | None:
        """From which to which minute traces of a key began."""
        return self.index.counted_span(key)

    def fold_statistics(self) -> int:
        """Nothing is kept that could be folded."""
        return self.index.fold_statistics()

    def verify_statistics(self) -> Iterator[Checked]:
        """Nothing is kept that could be wrong."""
        return self.index.verify_statistics()

    def rebuild_statistics(self) -> Rebuilt:
        """Nothing is kept that could be rebuilt."""
        return self.index.rebuild_statistics()

    def save_source(self, blob: str, data: bytes) -> None:
        """Keep a source file under its git blob id."""
        sources.save_source(self.blobs, blob, data)

    def load_source(self, blob: str) -> bytes | None:
        """The source file with this git blob id, None when it is not kept."""
        return sources.load_source(self.blobs, blob)

    def flush(self, deadline: float | None = None, *, patient: bool = True) -> bool:
        """Nothing to wait for: what is saved is there."""
        return True

    def check(self) -> list[str]:
        """Read everything back; one sentence for each thing that is hurt."""
        said = []
        for row in self.index.newest_first():
            try:
                self.load(row)
            except StoreError as error:
                said.append(error.message)
        return said + sources.hurt_sources(self.blobs)

    def close(self) -> None:
        """Nothing to release; what a named store holds stays until the process ends."""
