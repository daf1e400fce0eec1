"""Traces whose rows an index server keeps and whose bytes lie in segments among blobs.

Blobs first, rows last: a writer that dies in between leaves bytes that nobody finds, never a row
without bytes. All of it may be done again: rows go in by trace id, segments by their name.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tracediff import codec
from tracediff.errors import StoreError
from tracediff.model import Page, Part, Query, Row, Trace
from tracediff.statistics.checking import Checked, Rebuilt
from tracediff.statistics.folding import Statistics
from tracediff.statistics.places import Run
from tracediff.stores import sources
from tracediff.stores.base import Blobs, Capabilities, Counting, Diagnosis, Index, LiveIndex
from tracediff.stores.dictionaries import Dictionaries, Dictionary, train
from tracediff.stores.encryption import NO_KEYS, Keyring
from tracediff.stores.failures import closed, no_statistics, not_live, trace_gone
from tracediff.stores.open_segment import segment_name
from tracediff.stores.packing import pack, packed_frames, unpack
from tracediff.stores.parts import in_order, load_live, read_parts, with_live
from tracediff.stores.places import (
    Group,
    Layout,
    artifact_key,
    grouped,
    grouped_parts,
    segment_key,
    with_large,
    without_large,
)
from tracediff.stores.rereading import asks_again, asks_again_for_all
from tracediff.stores.retention import CLASSES
from tracediff.stores.segments import MAX_BYTES
from tracediff.stores.walking import Unread

if TYPE_CHECKING:
    from tracediff.stores.upkeep.base import Kept

CHECKED = 200
"""Traces that ``check`` reads back, the newest: all would be millions."""

ASKED_EVERY = 300.0
"""Seconds after which it is asked again which dictionary is the current one."""

_WITHOUT = frozenset(
    {"store-denied", "dictionary-missing", "dictionary-hurt", "encryption-missing", "key-missing"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A new dictionary, and the bytes a trace takes without and with it, on average."""

    id: int
    bytes: int
    before: int
    after: int


class RemoteStore:
    """Traces behind an index and blobs that many machines share. Thread-safe.

    Args:
        url: How the store was named, without credentials.
        index: Where the rows go.
        blobs: Where the bytes go.
        classes: The retention classes there are, in days.
        max_bytes: What a trace may decompress to.
        keyring: What payloads are encrypted and decrypted with.
        tenant: The context field that names the tenant.
    """

    capabilities = Capabilities(durable=True, shared=True, sources=True, live=True)

    def __init__(
        self,
        url: str,
        index: Index,
        blobs: Blobs,
        *,
        classes: Sequence[int] = CLASSES,
        max_bytes: int = MAX_BYTES,
        keyring: Keyring = NO_KEYS,
        tenant: str | None = None,
    ) -> None:
        self.url = url
        self.index = index
        self.blobs = blobs
        self.classes = tuple(classes)
        self.keyring = keyring
        self.layout = Layout(classes=self.classes, tenant=tenant, keyring=keyring)
        self.dictionaries = Dictionaries(blobs, keyring)
        self._max_bytes = max_bytes
        self._dictionary: Dictionary | None = None
        self.dictionary_number: int | None = None  # of the current one, also without its key
        self._asked_at = float("-inf")
        self._closed = False

    def save(self, traces: Sequence[Trace]) -> None:
        """Keep these traces, in one segment for each retention class and tenant among them."""
        self._usable()
        for kept, group in grouped(traces, self.layout, self.dictionary()).items():
            self._upload(kept, segment_name(), group)

    def save_parts(self, parts: Sequence[Part]) -> None:
        """Keep these parts of live traces, in one segment for each class and tenant among them."""
        self._usable()
        if not parts:
            return
        for kept, group in grouped_parts(parts, self.layout, self.dictionary()).items():
            self._upload(kept, segment_name(), group)

    def ignore(self, ids: Iterable[str]) -> None:
        """Take back what was saved of these live traces; their bytes stay until ``gc``."""
        self._usable()
        self._live.bury(ids)

    @property
    def _live(self) -> LiveIndex:
        if not isinstance(self.index, LiveIndex):
            raise not_live(self.url)
        return self.index

    def load_parts(self, row: Row, first: int = 0) -> list[Part]:
        """The parts of a live trace from this number on, in order."""
        return in_order(self._parts(row, first, row.parts))

    def _parts(
        self, row: Row, first: int = 0, end: int | None = None
    ) -> Iterator[Part | StoreError]:
        self._usable()
        places = self._live.parts(row.id)
        return read_parts(
            self.blobs,
            row,
            [one for one in places if first <= one[0] and (end is None or one[0] < end)],
            max_bytes=self._max_bytes,
            dictionaries=self.dictionaries,
            keyring=self.keyring,
            completed=lambda trace, key: with_large(trace, key, self.blobs, self.keyring),
        )

    def _upload(self, kept: str, name: str, group: Group) -> None:
        for sha256, data in group.artifacts.items():
            self.blobs.put(artifact_key(kept, name, sha256), data)
        key = segment_key(kept, name)
        self.blobs.put(key, group.frames)
        starts = itertools.accumulate((len(one.frame) for one in group.packed), initial=0)
        self.index.create(
            [
                replace(one.row, location=(key, start, len(one.frame)))
                for one, start in zip(group.packed, starts, strict=False)
            ]
        )

    @asks_again
    def load(self, row: Row) -> Trace:
        """The whole trace, by one range read; large artifacts take one more each."""
        if row.parts:
            return load_live(row, self._parts(row))
        self._usable()
        key, start, length = row.location
        try:
            data = self.blobs.get(key, start, length)
        except StoreError as error:
            if not error.slug.startswith("blob-"):
                raise  # the trace may be there: the store cannot be asked
            raise trace_gone(row.id, error) from error
        trace = unpack(
            data,
            row.id,
            max_bytes=self._max_bytes,
            dictionaries=self.dictionaries,
            keyring=self.keyring,
        )
        return with_large(trace, key, self.blobs, self.keyring)

    @asks_again_for_all
    def load_packed(self, rows: Sequence[Row]) -> Iterator[tuple[Row, bytes | StoreError]]:
        """Each row with its trace's bytes, or why they cannot be read; see ``PackedStore``.

        Rows of one segment that lie near each other take one range read together.
        """
        self._usable()
        frames = functools.partial(
            packed_frames,
            self.blobs,
            max_bytes=self._max_bytes,
            dictionaries=self.dictionaries,
            keyring=self.keyring,
        )
        return with_live(rows, frames, self.load)

    def dictionary(self) -> Dictionary | None:
        """What new traces are compressed with; asked for again after some minutes.

        Without one, or where these credentials may not read it, they are compressed alone.
        """
        now = time.monotonic()
        if now - self._asked_at > ASKED_EVERY:
            try:
                number = self.dictionary_number = self.dictionaries.current_number()
                self._dictionary = None if number is None else self.dictionaries.load(number)
            except StoreError as error:
                if error.slug not in _WITHOUT:
                    raise
                self._dictionary = None
            self._asked_at = now
        return self._dictionary

    def train(self, query: Query) -> Training:
        """Make a dictionary of the newest traces that match; new ones are compressed with it.

        Every tenth trace is left out of it and tells what it saves. Tenants with keys of their own
        have no part in it: others read it.

        Raises:
            StoreError: ``dictionary-untrainable``: they are too few or have nothing in common.
        """
        rows = self.search(query).rows
        shared = [row for row in rows if not self.keyring.has_own(self.layout.tenant_of(row))]
        traces = [without_large(self.load(row))[0] for row in shared]
        trained = train(codec.dump(one) for at, one in enumerate(traces) if at % 10)
        held = traces[::10]
        sizes = [sum(len(pack(one, dictionary=d).frame) for one in held) for d in (None, trained)]
        self.dictionaries.save(trained)
        self._asked_at = float("-inf")
        before, after = (size // len(held) for size in sizes)
        return Training(id=trained.id, bytes=len(trained.data), before=before, after=after)

    def find(self, prefix: str, limit: int = 2) -> list[Row]:
        """Rows whose id starts with ``prefix``, newest first, at most ``limit``."""
        self._usable()
        return self.index.find(prefix, limit)

    def search(self, query: Query) -> Page:
        """One page of the rows that match, newest first."""
        self._usable()
        return self.index.search(query)

    def delete(self, ids: Iterable[str]) -> int:
        """Remove the rows of these traces, so that nobody finds them; the bytes stay for now."""
        self._usable()
        return self.index.delete(ids)

    def statistics(self, key: str, runs: Sequence[Run]) -> Statistics:
        """The buckets of traces whose keys begin with ``key``.

        Raises:
            StoreError: ``store-unsuitable``: this index keeps no statistics; as the others do.
        """
        return self._counting().statistics(key, runs)

    def counted_span(self, key: str) -> tuple[int, int] | None:
        """About from which to which minute traces of a key began."""
        return self._counting().counted_span(key)

    def fold_statistics(self) -> int:
        """Make what was written last cheap to read; returns how many deltas that was."""
        return self._counting().fold_statistics()

    def verify_statistics(self) -> Iterator[Checked]:
        """Count all rows, and say of each bucket whether it says the same."""
        return self._counting().verify_statistics()

    def rebuild_statistics(self) -> Rebuilt:
        """Count all rows, and make the buckets say so."""
        return self._counting().rebuild_statistics()

    def _counting(self) -> Counting:
        self._usable()
        if not isinstance(self.index, Counting):
            raise no_statistics(self.url)
        return self.index

    def save_source(self, blob: str, data: bytes) -> None:
        """Keep a source file under its git blob id."""
        self._usable()
        sources.save_source(self.blobs, blob, data, self.keyring)

    def load_source(self, blob: str) -> bytes | None:
        """The source file with this git blob id, None when it is not kept."""
        self._usable()
        return sources.load_source(self.blobs, blob, self.keyring)

    def flush(self, deadline: float | None = None, *, patient: bool = True) -> bool:
        """Nothing to wait for: what is saved is there."""
        return True

    def check(self) -> list[str]:
        """Read the newest traces back; one sentence for each that is hurt."""
        return [*self._hurt(), *self.dictionaries.check()]

    def _hurt(self) -> list[str]:
        unread = Unread()
        for row in self.search(Query(limit=CHECKED)).rows:
            try:
                self.load(row)
            except StoreError as error:
                unread.add(row.id, error)
        return unread.sentences()

    def prepare(self, *, dry_run: bool = False) -> list[str]:
        """What the index and the blobs need, one sentence each; made unless ``dry_run``."""
        self._usable()
        said: list[str] = []
        for part, more in ((self.index, ()), (self.blobs, (self.classes,))):
            make = getattr(part, "prepare", None)
            if make is not None:
                said += make(*more, dry_run=dry_run)
        return said

    def diagnose(self) -> list[Diagnosis]:
        """What the index and the blobs say of themselves."""
        self._usable()
        found: list[Diagnosis] = []
        for part, more in ((self.index, ()), (self.blobs, (self.classes,))):
            look = getattr(part, "diagnose", None)
            if look is not None:
                found += look(*more)
        return found

    def upkeep(self) -> Kept:
        """What gc and erasure need of it; see ``upkeep.base``."""
        from tracediff.stores.upkeep.remote import RemoteKept  # nobody else needs it

        self._usable()
        return RemoteKept(self)

    def connect(self) -> None:
        """Make both clients, which imports much; no server is asked."""
        for part in (self.index, self.blobs):
            make = getattr(part, "connect", None)
            if make is not None:
                make()

    def close(self) -> None:
        """Let go of both clients."""
        if not self._closed:
            self._closed = True
            self.index.close()
            self.blobs.close()

    def _usable(self) -> None:
        if self._closed:
            raise closed(f"cannot use {self.url}")
