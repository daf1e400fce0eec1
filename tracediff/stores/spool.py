"""What a recording process writes to when the store is elsewhere: segments on the local disk.

    DIRECTORY/segments/<place>/*.seg         traces on their way
    DIRECTORY/artifacts/<place>/<segment>/…  their large artifacts
    DIRECTORY/dictionaries/…                 what the store's traces are compressed with
    DIRECTORY/rejected/*.seg                 traces that the index did not take
    DIRECTORY/forwarder.*                    see ``forwarding``
    DIRECTORY/status/*.json                  see ``status``
    DIRECTORY/live/*.live                    see ``liveness``

Saving never waits for the network: it is done when the local disk has the trace, and ``shipping``
moves it from there. So a store that is slow or down costs disk, up to a bound, and no memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tracediff.config import mask
from tracediff.errors import StoreError
from tracediff.model import Page, Part, Query, Row, Trace
from tracediff.stores.base import Capabilities
from tracediff.stores.dictionaries import Dictionaries, Dictionary
from tracediff.stores.encryption import NO_KEYS, Keyring
from tracediff.stores.failures import closed, system_error
from tracediff.stores.files import FileBlobs, make_directories, write_whole
from tracediff.stores.liveness import live_file
from tracediff.stores.open_segment import OpenSegment
from tracediff.stores.places import Group, Layout, grouped, grouped_parts
from tracediff.stores.remote import RemoteStore
from tracediff.stores.retention import CLASSES, retention_class
from tracediff.stores.rows import has_ended, is_id
from tracediff.stores.segments import tombstone_frame
from tracediff.stores.shipping import Shipper, shipper_of
from tracediff.stores.spooled import ARTIFACTS, SEGMENTS, waiting

MAX_BYTES = 1 << 30
UPLOAD_EVERY = 5.0
MOST_OPEN = 64
"""Segments that stay open, one a retention class and tenant; of more the least used are moved."""

RECOUNT = 5.0
"""Seconds after which the bytes in the spool are counted again: others fill and empty it too."""


class SpoolStore:
    """A store that keeps traces on this machine until they are moved to the one they are for.

    Args:
        directory: The spool; processes of one machine may share it.
        open_remote: Opens the store that the traces are for.
        durability: ``process``: saved means written to the system; ``host``: to the disk.
        max_bytes: What may wait here.
        upload_every: Seconds after which a segment is moved that is not full.
        classes: The retention classes there are, in days.
        keyring: What payloads are encrypted with, here too.
        tenant: The context field that names the tenant.
    """

    capabilities = Capabilities(durable=True, shared=True, sources=False, live=True)

    def __init__(
        self,
        directory: Path,
        open_remote: Callable[[], RemoteStore],
        *,
        durability: str = "process",
        max_bytes: int = MAX_BYTES,
        upload_every: float = UPLOAD_EVERY,
        classes: Sequence[int] = CLASSES,
        keyring: Keyring = NO_KEYS,
        tenant: str | None = None,
    ) -> None:
        self.url = str(directory)
        self.directory = directory.absolute()  # the job may change its working directory
        self._open_remote = open_remote
        self._sync = durability == "host"
        self._max_bytes = max_bytes
        self._every = upload_every
        self._layout = Layout(classes=tuple(classes), tenant=tenant, keyring=keyring)
        self._lock = threading.Lock()
        self._open: dict[str, tuple[OpenSegment, float]] = {}
        self._places: dict[str, str] = {}  # of the live traces that this process has begun
        self._remote: RemoteStore | None = None
        self._closed = False
        self._used, self._counted_at = 0, float("-inf")
        try:
            make_directories(self.directory / SEGMENTS)
            if not (self.directory / ".gitignore").exists():
                write_whole(self.directory / ".gitignore", b"*\n", sync=False)
        except OSError as error:
            raise system_error(error, f"use {str(directory)!a} as a spool") from error
        self._kept = Dictionaries(FileBlobs(self.directory), keyring)
        self._dictionary = self._kept_dictionary()
        self.shipper: Shipper = shipper_of(self.directory, open_remote, upload_every)
        self.shipper.attach(self)

    def save(self, traces: Sequence[Trace]) -> None:
        """Keep these traces on this machine; when it returns they are acknowledged.

        Raises:
            StoreError: ``spool-full``: too much waits here already; or as any driver's.
        """
        groups = grouped(traces, self._layout, self.shipper.dictionary or self._dictionary)
        self._save(groups)

    def save_parts(self, parts: Sequence[Part]) -> None:
        """Keep these parts of live traces on this machine; raises as ``save`` does."""
        groups = grouped_parts(parts, self._layout, self.shipper.dictionary or self._dictionary)
        self._save(groups, live=True)
        for kept, group in groups.items():
            self._places.update((part.row.id, kept) for part in group.packed)
        ended = [one.row.id for one in parts if has_ended(one.row)]
        live_file(self.directory).end(ended)
        for one in ended:
            self._places.pop(one, None)

    def ignore(self, ids: Iterable[str]) -> None:
        """Take back what was saved of these live traces, as soon as the store takes it."""
        wanted = list(filter(is_id, ids))
        if not wanted:
            return
        groups: dict[str, Group] = {}
        for one in wanted:  # where its parts are: what is not moved yet never will be
            place = self._places.pop(one, None) or retention_class(0, self._layout.classes)
            groups.setdefault(place, Group()).tombstones.append(tombstone_frame(one, 0))
        self._save(groups)
        live_file(self.directory).end(wanted)

    def _save(self, groups: Mapping[str, Group], *, live: bool = False) -> None:
        with self._lock:
            if self._closed:
                raise closed(f"cannot use {self.url}")
            self._check_room(sum(group.size for group in groups.values()))
            written: list[tuple[OpenSegment, int]] = []
            try:
                for kept, group in groups.items():
                    written.append(self._append(kept, group, live=live))
            except BaseException:  # all of them are saved again: none may be there twice
                for segment, start in written:
                    segment.cut(start)
                raise
            full = [kept for kept in groups if self._open[kept][0].full]
            spare = len(self._open) - len(full) - MOST_OPEN
            others = [kept for kept in self._open if kept not in full]
            for kept in (*full, *others[: max(0, spare)]):
                self._give_up(kept)
                self.shipper.wake()

    def _append(self, kept: str, group: Group, *, live: bool) -> tuple[OpenSegment, int]:
        segment = self._current(kept)
        if live:
            running = (one.row for one in group.packed if not has_ended(one.row))
            live_file(self.directory).begin(running, f"{kept}/{segment.name}", sync=self._sync)
        for sha256, data in group.artifacts.items():
            self._write_artifact(kept, segment.name, sha256, data)
        return segment, segment.append(group.frames)

    def _write_artifact(self, kept: str, name: str, sha256: str, data: bytes) -> None:
        place = self.directory / ARTIFACTS / kept / name
        try:
            make_directories(place, sync=self._sync)
            write_whole(place / sha256, data, sync=self._sync)
        except OSError as error:
            raise system_error(error, "write an artifact") from error

    def _check_room(self, size: int) -> None:
        now = time.monotonic()
        if now - self._counted_at > RECOUNT:
            self._used, self._counted_at = waiting(self.directory).bytes, now
        if self._used and self._used + size > self._max_bytes:
            self._counted_at = float("-inf")  # it may be emptied at any moment
            raise StoreError(
                f"{self._used:,} bytes of traces wait in {self.url}, and {self._max_bytes:,} may",
                slug="spool-full",
                hint="see in `tracediff doctor` why they are not taken, or raise spool_bytes",
            )
        self._used += size

    def roll(self, *, at_once: bool) -> None:
        """Give up the segments that are old enough to be moved, or all of them."""
        now = time.monotonic()
        dictionary = self._kept_dictionary()
        with self._lock:
            self._dictionary = dictionary
            for kept, (_, since) in list(self._open.items()):
                if at_once or now - since >= self._every:
                    self._give_up(kept)

    def flush(self, deadline: float | None = None, *, patient: bool = True) -> bool:
        """Wait until what was saved is in the store itself; False when it is not.

        Args:
            deadline: The seconds to keep trying; by default, until the store refuses.
            patient: Whether to try again, until the deadline, when the store refuses.
        """
        return self.shipper.drain(deadline, patient=patient)

    def unmoved(self) -> str:
        """What this process saved and is not in the store yet, and why; nothing when it is."""
        count = self.shipper.waiting()
        if not count:
            return ""
        what = "1 segment of traces waits" if count == 1 else f"{count} segments of traces wait"
        why = mask(self.shipper.problem or "the store does not answer in time")
        return f"{what} in {self.directory} to be uploaded by a later process: {why}"

    def load_parts(self, row: Row, first: int = 0) -> list[Part]:
        """The parts of a live trace from this number on, from the store."""
        return self._store().load_parts(row, first)

    def load(self, row: Row) -> Trace:
        """The whole trace, from the store."""
        return self._store().load(row)

    def find(self, prefix: str, limit: int = 2) -> list[Row]:
        """Rows of the store whose id starts with ``prefix``, newest first, at most ``limit``."""
        return self._store().find(prefix, limit)

    def search(self, query: Query) -> Page:
        """One page of the store's rows that match, newest first."""
        return self._store().search(query)

    def delete(self, ids: Iterable[str]) -> int:
        """Remove traces from the store; what still waits here is not seen."""
        return self._store().delete(ids)

    def save_source(self, blob: str, data: bytes) -> None:
        """Keep a source file in the store."""
        self._store().save_source(blob, data)

    def load_source(self, blob: str) -> bytes | None:
        """The source file with this git blob id, None when the store does not keep it."""
        return self._store().load_source(blob)

    def check(self) -> list[str]:
        """Read the store's newest traces back; one sentence for each that is hurt."""
        return self._store().check()

    def close(self) -> None:
        """Give up the open segments; the shipper moves them, without anybody waiting for it."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for kept in list(self._open):
                self._give_up(kept)
            remote, self._remote = self._remote, None
        live_file(self.directory).close()
        self.shipper.detach(self)
        if remote is not None:
            remote.close()

    def _kept_dictionary(self) -> Dictionary | None:
        """The dictionary that whoever moved something last has left here."""
        try:
            return self._kept.current()
        except StoreError:  # compressed without it, they take more room and no more
            return None

    def _store(self) -> RemoteStore:
        with self._lock:
            if self._closed:
                raise closed(f"cannot use {self.url}")
            self._remote = self._remote or self._open_remote()
            return self._remote

    def _current(self, kept: str) -> OpenSegment:
        found = self._open.get(kept)
        if found is not None and found[0].full:
            self._give_up(kept)
            found = None
        if found is None:
            place = self.directory / SEGMENTS / kept
            found = (OpenSegment(place, sync=self._sync), time.monotonic())
        self._open.pop(kept, None)
        self._open[kept] = found  # the last one is the one that was used last
        return found[0]

    def _give_up(self, kept: str) -> None:
        segment = self._open.pop(kept)[0]
        self.shipper.given_up(self.directory / SEGMENTS / kept / segment.name)
        segment.close()
