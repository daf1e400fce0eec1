"""The seam every store driver implements: an ``Index`` of small rows and ``Blobs`` of bytes.

``tracediff.testing`` holds a driver to what is written here. Whatever a driver refuses, it refuses
by a StoreError with one of the slugs named, so that callers need not know which driver it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tracediff.errors import StoreError
from tracediff.model import Page, Part, Query, Row, Trace
from tracediff.statistics.checking import Checked, Rebuilt
from tracediff.statistics.folding import Statistics
from tracediff.statistics.places import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a driver can do beyond the protocol."""

    durable: bool = True
    shared: bool = False
    sources: bool = False
    live: bool = False


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at, whether it is well, and what to do where it is not."""

    ok: bool
    text: str
    hint: str | None = None


@runtime_checkable
class Index(Protocol):
    """Small searchable rows, one a trace. All calls are thread-safe and idempotent by trace id."""

    def create(self, rows: Sequence[Row]) -> None:
        """Insert the rows in one batch; a row whose id is there already is left as it is.

        Rows of a live trace, those with ``parts``, take the place of one that knows fewer; a lost
        one stays lost until one comes that has ended. An index that can do that is a ``LiveIndex``.

        A row that no driver could keep (``stores.rows.checked``) raises StoreError ``row-invalid``,
        and none of its batch is kept.
        """

    def update(self, row: Row) -> None:
        """Replace the row with this id; raises StoreError ``trace-unknown`` when there is none."""

    def delete(self, ids: Iterable[str]) -> int:
        """Remove these rows; returns how many were there."""

    def find(self, prefix: str, limit: int = 2) -> list[Row]:
        """Rows whose id starts with ``prefix``, newest first, at most ``limit``.

        A limit below 1 raises StoreError ``query-invalid``.
        """

    def search(self, query: Query) -> Page:
        """One page of the rows that match, newest first, equal times by id downwards.

        ``stores.queries`` says what matches. A limit below 1 raises StoreError ``query-invalid``;
        a cursor that is none, or that of a query with other filters, ``cursor-invalid``. Rows
        that arrive or go while somebody pages neither repeat another row nor hide it.
        """

    def close(self) -> None:
        """Let go of files and connections; a second call does nothing."""


@runtime_checkable
class LiveIndex(Protocol):
    """An index of live traces too, whose rows change while their jobs run."""

    def parts(self, trace_id: str) -> list[tuple[int, tuple[str, int, int]]]:
        """The number and location of each part that is known of a live trace, in order."""

    def lose(self, rows: Iterable[Row]) -> int:
        """Make those of these traces lost that are running; returns how many that were.

        Of a row only ``id``, ``key`` and ``started_at`` are looked at: who finds out that a process
        died may know no more, and may not read what is there.
        """

    def bury(self, ids: Iterable[str]) -> None:
        """Take these live traces back: those that run are removed, and what comes later left out.

        One that has ended, or is lost, stays: it is there to be deleted.
        """


@runtime_checkable
class Blobs(Protocol):
    """Large payloads by key. A missing key raises StoreError ``blob-missing``.

    Reading or writing under a key that no driver could keep (``stores.keys.is_key``) raises
    ``blob-key-invalid``; deleting it deletes nothing.
    """

    def put(self, key: str, data: bytes) -> None:
        """Store ``data`` whole or not at all; putting the same bytes again changes nothing."""

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes from ``start`` on; raises StoreError ``blob-truncated`` if they are fewer."""

    def delete(self, keys: Iterable[str]) -> int:
        """Remove these blobs; returns how many were there."""

    def keys(self, prefix: str = "") -> Iterator[str]:
        """All keys with this prefix, sorted."""

    def close(self) -> None:
        """Let go of files and connections; a second call does nothing."""


@runtime_checkable
class Preparable(Protocol):
    """A store, index or blobs that needs something made before it is used."""

    def prepare(self, *, dry_run: bool = False) -> list[str]:
        """What is missing, one sentence each that goes on "will"; made unless ``dry_run``."""


@runtime_checkable
class Store(Protocol):
    """Whole traces, saved and found again."""

    url: str
    capabilities: Capabilities

    def save(self, traces: Sequence[Trace]) -> None:
        """Keep these traces; when it returns they are acknowledged.

        Of traces with one id the first is kept, until it is deleted. One that no driver could keep
        raises StoreError ``row-invalid``, and none of its batch is kept.
        """

    def load(self, row: Row) -> Trace:
        """The whole trace.

        Raises:
            StoreError: ``trace-gone`` or ``trace-hurt``: its bytes are gone, hurt or not its own.
                ``trace-too-large``: they would take more memory than is allowed.
        """

    def find(self, prefix: str, limit: int = 2) -> list[Row]:
        """Rows whose id starts with ``prefix``, newest first, at most ``limit``.

        A limit below 1 raises StoreError ``query-invalid``.
        """

    def search(self, query: Query) -> Page:
        """One page of the rows that match, newest first, equal times by id downwards.

        ``stores.queries`` says what matches. A limit below 1 raises StoreError ``query-invalid``;
        a cursor that is none, or that of a query with other filters, ``cursor-invalid``. Rows
        that arrive or go while somebody pages neither repeat another row nor hide it.
        """

    def delete(self, ids: Iterable[str]) -> int:
        """Remove these traces; returns how many were there. They may be saved again."""

    def save_source(self, blob: str, data: bytes) -> None:
        """Keep a source file under its git blob id; ``source-invalid`` when it is another's."""

    def load_source(self, blob: str) -> bytes | None:
        """The source file with this git blob id, None when it is not kept."""

    def flush(self, deadline: float | None = None, *, patient: bool = True) -> bool:
        """Wait until what was saved is where other readers find it; False when it is not.

        Args:
            deadline: The seconds to keep trying; by default, until the place refuses.
            patient: Whether to try again, until the deadline, when the place refuses.
        """

    def check(self) -> list[str]:
        """Read everything back; one sentence for each thing that is hurt, none when all is well."""

    def close(self) -> None:
        """Let go of files and connections; a second call does nothing."""


@runtime_checkable
class LiveStore(Protocol):
    """A store that keeps the parts of traces whose jobs still run."""

    def save_parts(self, parts: Sequence[Part]) -> None:
        """Keep these parts; when it returns they are acknowledged. Saving one twice keeps one.

        Raises:
            StoreError: As ``Store.save`` does.
        """

    def load_parts(self, row: Row, first: int = 0) -> list[Part]:
        """The parts of a live trace from this number on, in order, up to those its row counts.

        Who watches a trace grow reads only what is new. A part that is missing or hurt is left out.

        Raises:
            StoreError: As ``Store.load`` does, but for what single parts lack.
        """

    def ignore(self, ids: Iterable[str]) -> None:
        """Take back what was saved of these live traces: their jobs want to be forgotten."""


@runtime_checkable
class Counting(Protocol):
    """A store, or an index, that keeps statistics of the traces that ended: see ``statistics``.

    A trace counts as soon as it is found, exactly once, however often it is written. Deleting one
    takes it out again; what expires stays counted.
    """

    def statistics(self, key: str, runs: Sequence[Run]) -> Statistics:
        """The buckets of traces whose keys begin with ``key``; those of all traces for "".

        Raises:
            StoreError: ``statistics-hurt``: they cannot be read; ``rebuild_statistics`` mends that.
        """

    def counted_span(self, key: str) -> tuple[int, int] | None:
        """About from which to which minute since 1970 traces of a key began; None of none."""

    def fold_statistics(self) -> int:
        """Make what was written last cheap to read; returns how many deltas that was."""

    def verify_statistics(self) -> Iterator[Checked]:
        """Count all rows, and say of each bucket whether it says the same."""

    def rebuild_statistics(self) -> Rebuilt:
        """Count all rows, and make the buckets say so, but for those that count expired traces."""


@runtime_checkable
class PackedStore(Protocol):
    """A store that can give traces without decoding them, many at a time."""

    def load_packed(self, rows: Sequence[Row]) -> Iterator[tuple[Row, bytes | StoreError]]:
        """Each row with its trace as ``codec.dump`` gives it, or why it cannot be read.

        They come in any order, so that those that lie near each other are read at once. Large
        artifacts may be left out.
        """
