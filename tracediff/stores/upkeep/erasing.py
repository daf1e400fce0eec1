"""Erasing everything that carries a tag or a context value: rows, bytes, and what still waits.

First it is written down which segments will be written anew, then the rows go and cannot come back,
then the bytes. So who is killed in between leaves nothing that can be found, and a note by which
``gc`` or the same erasure finishes it.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tracediff.errors import StoreError
from tracediff.model import Query, Row
from tracediff.stores.base import Blobs, Store
from tracediff.stores.queries import matches
from tracediff.stores.segments import TOMBSTONE, Damage, Frame
from tracediff.stores.upkeep import caches, receipts
from tracediff.stores.upkeep.base import Kept, OpenedSegment, Progress
from tracediff.stores.upkeep.chosen import Chosen
from tracediff.stores.upkeep.copies import copies, has_frames
from tracediff.stores.upkeep.decisions import judge
from tracediff.stores.upkeep.receipts import Digests, Receipt
from tracediff.stores.upkeep.spooling import Spooled
from tracediff.stores.walking import every_row

BATCH = 500
WAIT = 60.0
LOOK = 0.2
LATE = 900.0
"""Seconds for which frames without rows in a segment that others uploaded may still get them."""

OUT_OF_REACH = (
    "trace files and bundles that were pulled, and reports that quote the traces",
    "backups of the store and of this machine, and copies in other stores",
    "traces that arrive from now on, and what waits on other machines",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is to be erased: all that matches one of the queries, or has one of the ids.

    ``said`` has each of them as it was asked for, ``tag=…``, ``context NAME=…`` or ``id=…``.
    """

    queries: tuple[Query, ...] = ()
    ids: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    reason: str = ""
    by: str | None = None
    clear: bool = False
    wait: float = WAIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What an erasure would take: traces, their bytes, segments, and how many wait in the spool."""

    traces: int
    bytes: int
    segments: int
    spooled: int
    newest: tuple[Row, ...]


@dataclass(slots=True)
class _Done:
    segments: dict[str, str | None] = field(default_factory=dict)
    artifacts: int = 0
    spooled: int = 0
    unreached: list[str] = field(default_factory=list)
    remaining: list[str] = field(default_factory=list)


class Erasure:
    """One erasure.

    Args:
        store: The store.
        kept: The same under upkeep.
        chosen: Remembers what is to go.
        demand: What that is.
        blobs: Where receipts are kept.
        root: The project's directory.
        spool: Its spool on this machine, where it has one.
        progress: Told what goes on.
    """

    def __init__(
        self,
        store: Store,
        kept: Kept,
        chosen: Chosen,
        demand: Demand,
        *,
        blobs: Blobs,
        root: Path,
        spool: Path | None,
        progress: Progress,
    ) -> None:
        self._store, self._kept, self._chosen, self._demand = store, kept, chosen, demand
        self._blobs, self._root, self._progress = blobs, root, progress
        self._spool = Spooled(spool) if spool is not None else None
        self._done = _Done()

    def selected(self) -> Selection:
        """Look for what is to go, in the spool and in the store."""
        spooled = self._select_spooled()
        size = 0
        newest: list[Row] = []
        for row in self._rows():
            newest = [*newest, row][:5]
            self._chosen.add([row.id])
        for batch in self._chosen.batches(BATCH):
            for one in self._kept.ledger.living(batch).values():
                for blob, _, length in one.places.values():
                    self._chosen.touch(blob)
                    size += length
        return Selection(
            traces=self._chosen.count(), bytes=size, segments=len(list(self._chosen.touched())),
            spooled=spooled, newest=tuple(newest),
        )  # fmt: skip

    def _select_spooled(self) -> int:
        if self._spool is None:
            return 0
        found = {
            row.id
            for row in self._spool.rows()
            if row.id in self._demand.ids or any(matches(row, one) for one in self._demand.queries)
        }
        self._chosen.add(found)
        return len(found)

    def _rows(self) -> Iterator[Row]:
        for query in self._demand.queries:
            yield from every_row(self._store, query)
        for one in self._demand.ids:
            yield from (row for row in self._store.find(one, 1) if row.id == one)

    def done(self, size: int) -> Receipt:
        """Erase what was selected, look whether it is gone, and leave a receipt.

        Args:
            size: The bytes that were selected.
        """
        name = receipts.new_id()
        with self._kept.alone() as going:
            if self._spool is not None:
                for key in self._spool.keys(self._chosen.has):
                    self._chosen.touch(key)
            for key in copies(self._kept, self._chosen.has, going):
                self._chosen.touch(key)
            note = {"segments": list(self._chosen.touched())}
            self._blobs.put(receipts.pending_key(name), json.dumps(note).encode())
            self._remove_rows(going)
            self._empty_spool(going)
            self._rewrite(going)
            self._done.unreached += self._kept.scrub()
            self._done.remaining += self._found_again()
            receipt = self._receipt(name, size)
            data = json.dumps(receipt.document(), indent=1).encode()
            self._blobs.put(receipts.key_of(name), data)
            if receipt.verified:
                self._blobs.delete([receipts.pending_key(name)])
        return receipt

    def _remove_rows(self, going: Callable[[], None]) -> None:
        total, done = max(1, self._chosen.count()), 0
        for batch in self._chosen.batches(BATCH):
            going()
            self._kept.ledger.entomb(batch)
            self._store.delete(batch)
            done += len(batch)
            self._progress("removing rows", done, total)

    def _empty_spool(self, going: Callable[[], None]) -> None:
        """Until nothing chosen waits there; processes give up segments every few seconds."""
        until = time.monotonic() + self._demand.wait
        while self._spool is not None:
            going()
            gone, left = self._spool.erase(self._chosen.has, self._kept.mentions)
            self._done.spooled += gone
            if not left:
                return
            if time.monotonic() > until:
                self._done.remaining.append(
                    f"{left} traces wait in a segment that is being written"
                )
                return
            time.sleep(LOOK)

    def _rewrite(self, going: Callable[[], None]) -> None:
        """Write every segment anew that had any of it; who has one open is asked to give it up."""
        until = time.monotonic() + self._demand.wait
        waiting = list(self._chosen.touched())
        total = len(waiting)
        while waiting:
            left = []
            for key in waiting:
                going()
                if not self._rewritten(key):
                    left.append(key)
                self._progress("writing segments anew", total - len(left), max(1, total))
            waiting = left
            if waiting and time.monotonic() > until:
                self._done.remaining += [f"{key} is being written; run it again" for key in waiting]
                return
            if waiting:
                time.sleep(LOOK)

    def _rewritten(self, key: str) -> bool:
        """Take what is chosen out of a segment; False while somebody may have frames in it."""
        with self._kept.opened(key) as segment:
            if segment is None:
                self._done.segments.setdefault(key, None)
                return True
            ids = {one.id for one in segment.items if one.id is not None}
            ledger = self._kept.ledger
            living = ledger.living(ids)
            judged = judge(key, segment.items, living, ledger.buried(ids), time.time_ns())
            if segment.busy:
                self._kept.ask_for(segment)
                return False
            late = self._kept.late and self._kept.age(key) < LATE
            if late and any(fate == "orphaned" and not self._chosen.has(one.id)
                            for one, fate in judged.dead):  # fmt: skip
                return False  # somebody has uploaded it just now: their rows may follow
            if judged.newer:
                self._done.remaining.append(f"{key} has frames of a newer tracediff")
                return True
            if judged.hurt:
                self._done.unreached.append(f"{judged.hurt} hurt bytes of {key}: they are nobody's")
            self._drop_artifacts(segment, judged.kept)
            if judged.kept:
                made = self._kept.rewritten(segment, judged.kept, living)
                if made is None:
                    return False
                self._done.segments[key] = made
            elif self._kept.removed(segment):
                self._done.segments[key] = None
            else:
                return False
            return True

    def _drop_artifacts(self, segment: OpenedSegment, kept: Sequence[Frame | Damage]) -> None:
        """Delete the artifacts beside a segment that nothing mentions which stays."""
        home = self._kept.home(segment.key)
        beside = [one.key for one in self._kept.beside(home)] if home else []
        if not beside:
            return
        staying = [kept]
        for one in self._kept.of_home(home):  # an interrupted run left two that share them
            if one.key != segment.key:
                with self._kept.opened(one.key) as other:
                    staying.append(other.items if other is not None else ())
        wanted: set[str] = set()
        for frame in itertools.chain(*staying):
            if isinstance(frame, Frame) and frame.kind != TOMBSTONE:
                if self._chosen.has(frame.id):
                    continue
                found = self._kept.mentions(frame)
                if found is None:
                    self._done.remaining.append(
                        f"artifacts beside {segment.key}: a trace that stays cannot be read here; "
                        "gc --all with all keys removes those that none mentions"
                    )
                    return
                wanted.update(found)
        self._done.artifacts += self._kept.delete(
            [key for key in beside if key.rpartition("/")[2] not in wanted]
        )

    def _found_again(self) -> list[str]:
        """What is still there: rows, frames, what waits."""
        found = []
        for batch in self._chosen.batches(BATCH):
            found += [f"the row of {one}" for one in self._kept.ledger.living(batch)]
        for old, new in self._done.segments.items():
            for key in (old, new):
                if key is not None and has_frames(self._kept, key, self._chosen.has):
                    found.append(f"bytes in {key}")
        if self._spool is not None and self._spool.keys(self._chosen.has):
            found.append("traces that wait in the spool")
        return found

    def _receipt(self, name: str, size: int) -> Receipt:
        digests = Digests()
        named = caches.forget(self._root, self._chosen.ids)
        left = [one for one in named if os.path.lexists(self._root / one)]
        return Receipt(
            id=name,
            when=datetime.now(UTC).isoformat(timespec="seconds"),
            store=self._store.url,
            reason=self._demand.reason,
            by=self._demand.by,
            salt=digests.salt,
            asked=tuple(map(digests.of_wish, self._demand.said)),
            clear=self._demand.said if self._demand.clear else (),
            traces=self._chosen.count(),
            bytes=size,
            ids=tuple(digests.of_id(one) for one in self._chosen.ids()),
            segments=self._done.segments,
            artifacts=self._done.artifacts,
            spooled=self._done.spooled,
            caches=tuple(one for one in named if one not in left),
            unreached=(*OUT_OF_REACH, *self._versions(), *self._done.unreached),
            remaining=(
                *self._done.remaining,
                *(f"{one} cannot be removed: do so by hand" for one in left),
            ),
        )

    def _versions(self) -> Sequence[str]:
        ask = getattr(self._blobs, "versioned", None)
        if ask is None:
            return ()
        try:
            return [f"old versions of objects in bucket {one}" for one in ask()]
        except StoreError as error:
            return [f"whether buckets keep old versions is not known: {error.message}"]


def pending(blobs: Blobs) -> dict[str, list[str]]:
    """The segments that erasures which were interrupted have still to write anew, by note."""
    found = {}
    for key in blobs.keys(f"{receipts.FOLDER}/"):
        if key.endswith(".pending"):
            try:
                found[key] = [str(one) for one in json.loads(blobs.get(key))["segments"]]
            except StoreError as error:
                if error.slug != "blob-missing":  # its erasure has ended meanwhile
                    raise
            except (ValueError, KeyError, TypeError):  # hurt: of which segments nobody knows
                continue
    return found


def finish_notes(kept: Kept, blobs: Blobs, notes: dict[str, list[str]]) -> list[str]:
    """Remove the notes of erasures that are finished by now; those that are not."""
    left = []
    for note, keys in notes.items():
        if any(_has_dead(kept, key) for key in keys):
            left.append(note)
        else:
            blobs.delete([note])
    return left


def _has_dead(kept: Kept, key: str) -> bool:
    with kept.opened(key) as segment:
        if segment is None:
            return False
        ids = {one.id for one in segment.items if one.id is not None}
        living, buried = kept.ledger.living(ids), kept.ledger.buried(ids)
        return bool(judge(key, segment.items, living, buried, time.time_ns()).dead)


def verify(
    store: Store, kept: Kept, receipt: Receipt, progress: Progress, spool: Path | None
) -> list[str]:
    """What is there again, or still, of what a receipt says was erased: every row is looked at."""
    digests, wanted = Digests(receipt.salt), frozenset(receipt.ids)

    def erased(trace_id: str) -> bool:
        return digests.of_id(trace_id) in wanted

    found = []
    total = max(1, kept.ledger.count())
    for done, row in enumerate(every_row(store, Query()), start=1):
        if done % 1000 == 0:
            progress("reading rows", min(done, total), total)
        if erased(row.id):
            found.append(f"the row of {row.id}")
    for key in _segments(receipt):
        if has_frames(kept, key, erased):
            found.append(f"bytes in {key}")
    if spool is not None and Spooled(spool).keys(erased):
        found.append("traces that wait in the spool")
    return found


def _segments(receipt: Receipt) -> Iterable[str]:
    for old, new in receipt.segments.items():
        yield old
        if new is not None:
            yield new
