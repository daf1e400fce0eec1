"""The reference driver: everything in this process's memory, as plain as possible."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from tracediff.errors import StoreError
from tracediff.model import Page, Query, Row, Trace
from tracediff.stores import sources
from tracediff.stores.base import Capabilities
from tracediff.stores.failures import blob_missing, trace_gone, trace_unknown
from tracediff.stores.keys import check_key, check_range, cut
from tracediff.stores.packing import pack, unpack
from tracediff.stores.queries import check_limit, matches, page, position, read_cursor
from tracediff.stores.rows import checked
from tracediff.stores.segments import MAX_BYTES


class MemoryIndex:
    """Rows in a dict."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._lock = threading.RLock()

    def create(self, rows: Sequence[Row]) -> None:
        """Insert the rows; a row whose id is there already is left as it is."""
        rows = [checked(row) for row in rows]
        with self._lock:
            for row in rows:
                self._rows.setdefault(row.id, row)

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
            return sum(self._rows.pop(trace_id, None) is not None for trace_id in list(ids))

    def find(self, prefix: str, limit: int = 2) -> list[Row]:
        """Rows whose id starts with ``prefix``, newest first, at most ``limit``."""
        check_limit(limit)
        return [row for row in self.newest_first() if row.id.startswith(prefix)][:limit]

    def search(self, query: Query) -> Page:
        """One page of the rows that match, newest first."""
        after = read_cursor(query)
        rows = (row for row in self.newest_first() if matches(row, query))
        return page((row for row in rows if after is None or position(row) < after), query)

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

    capabilities = Capabilities(durable=False, shared=False, sources=True)

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

    def load(self, row: Row) -> Trace:
        """The whole trace; raises StoreError when its bytes are gone, hurt or not its own."""
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
        return deleted

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
