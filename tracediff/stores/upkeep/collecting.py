"""One run of ``gc``: a survey of the rows, a walk through the segments, and what follows from both.

Whatever is removed is looked up once more right before; whatever is moved is there twice before it
is there once. So a run may be killed anywhere, and the next one goes on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from tracediff.errors import StoreError
from tracediff.stores.listed import Listed
from tracediff.stores.segments import TOMBSTONE, Frame
from tracediff.stores.upkeep.base import Kept, Living, OpenedSegment, Progress
from tracediff.stores.upkeep.decisions import Judged, Plan, judge, plan
from tracediff.stores.upkeep.rekeying import Rekeying
from tracediff.stores.upkeep.tally import Tally

GRACE = 86_400.0
"""Seconds for which bytes without rows may be those of a writer that is about to send them."""

SAFE = 7 * 3600.0
"""The shortest grace that is safe while recorders may be cut off from the index.

They give a segment another name when they have waited for six hours.
"""

_OFTEN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a run is to do.

    Args:
        grace: Seconds for which bytes that no row tells of are left alone.
        dry_run: Only say what would be done.
        thorough: Write segments anew however little that frees.
        lost_after: Seconds after which a running trace that was not heard of is lost.
        rekey: Encrypt anew what is not by the key that writes now.
        unsafe: Take a grace that is too short for recorders that are cut off.
        now: The time, in nanoseconds; that of the call by default.
    """

    grace: float = GRACE
    dry_run: bool = False
    thorough: bool = False
    lost_after: float = 3600.0
    rekey: bool = False
    unsafe: bool = False
    now: int = field(default_factory=time.time_ns)


@dataclass(frozen=True, slots=True)
class Amount:
    """How many, and their bytes."""

    count: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a run did, or would do.

    ``freed`` and ``left`` are by kind. ``rows`` counts the rows that had expired, ``lost`` the
    running traces that are lost now, ``tombstones`` deletions that are forgotten. Of what was
    asked to be encrypted anew, ``renewed`` counts it by the key it was by, ``keys`` what is by
    which key afterwards, by its name where that is known, ``locked`` what needs a key.
    """

    dry_run: bool
    freed: dict[str, Amount]
    left: dict[str, Amount]
    removed: Amount
    rewritten: Amount
    rows: int = 0
    lost: int = 0
    parts: int = 0
    tombstones: int = 0
    buckets: int = 0
    segments: int = 0
    traces: int = 0
    renewed: dict[str, int] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    locked: int = 0

    @property
    def bytes(self) -> int:
        """All that is freed."""
        return sum(one.bytes for one in self.freed.values())


def collect(
    kept: Kept, wish: Wish, progress: Progress, *, urgent: Collection[str] = ()
) -> Collected:
    """Clean a store up.

    Args:
        kept: The store.
        wish: What is to be done.
        progress: Told what goes on.
        urgent: Segments that are written anew in any case, whatever their age: an erasure that was
            interrupted left them.

    Raises:
        StoreError: ``gc-running``, ``grace-unsafe``, ``key-missing``, or the store is at fault.
            What was done until then is done.
    """
    if kept.late and wish.grace < SAFE and not (wish.unsafe or wish.dry_run):
        raise StoreError(
            "with a grace below 7 hours, what recorders that were cut off upload just now may go",
            slug="grace-unsafe",
            hint="take --grace 7h or more; --force where nobody records and nothing waits to be "
            "uploaded, on no machine",
        )
    with kept.alone() as going, Tally() as tally:
        return _Run(kept, wish, progress, going, tally, urgent).done()


class _Run:
    def __init__(
        self,
        kept: Kept,
        wish: Wish,
        progress: Progress,
        going: Callable[[], None],
        tally: Tally,
        urgent: Collection[str],
    ) -> None:
        self._kept, self._wish, self._progress = kept, wish, progress
        self._going, self._tally, self._urgent = going, tally, urgent
        self._freed: dict[str, list[int]] = {}
        self._left: dict[str, list[int]] = {}
        self._removed, self._rewritten = [0, 0], [0, 0]
        self._counts: Counter[str] = Counter()
        self._rekeying = Rekeying(kept.layout) if wish.rekey else None

    def done(self) -> Collected:
        """Everything, in the order in which it frees most for the least room."""
        self._leftovers()
        self._survey()
        self._walk()
        for key in self._tally.later("dead bytes"):
            self._going()
            self._last_look(key)
        if self._rekeying is not None:
            self._rekey(self._rekeying)
        self._artifacts()
        self._tombstones()
        counts = self._counts
        counts["buckets"] = self._kept.ledger.tidy(self._wish.now, dry_run=self._wish.dry_run)
        self._kept.finish(dry_run=self._wish.dry_run)
        return Collected(
            dry_run=self._wish.dry_run,
            freed=_amounts(self._freed),
            left=_amounts(self._left),
            removed=Amount(*self._removed),
            rewritten=Amount(*self._rewritten),
            rows=counts["rows"],
            lost=counts["lost"],
            parts=counts["parts"],
            tombstones=counts["tombstones"],
            buckets=counts["buckets"],
            segments=counts["segments"],
            traces=counts["traces"],
            **self._keys(),
        )

    def _rekey(self, rekeying: Rekeying) -> None:
        """Encrypt anew what is by another key: segments of which all lives, and other files."""
        for key in self._tally.later("keys"):
            self._going()
            self._progress("encrypting anew", sum(rekeying.done.values()), 0)
            self._last_look(key, whole=True)
        rekeying.beside(self._kept.blobs, dry_run=self._wish.dry_run)
        if not self._wish.dry_run:
            rekeying.keep_note(self._kept.blobs)

    def _keys(self) -> dict[str, Any]:
        if self._rekeying is None:
            return {}
        names = self._rekeying.names()
        named = [
            {names.get(one, one): count for one, count in sorted(found.items())}
            for found in (self._rekeying.done, self._rekeying.left())
        ]
        locked = sum(self._rekeying.locked.values())
        return {"renewed": named[0], "keys": named[1], "locked": locked}

    def _leftovers(self) -> None:
        for kind, one in self._kept.leftovers(self._wish.grace):
            if not self._wish.dry_run:
                self._kept.drop(kind, one.key)
            _add(self._freed, kind, one.size)

    def _survey(self) -> None:
        """Sum up what lives; remove rows that have expired, and lose what was not heard of."""
        wish, ledger = self._wish, self._kept.ledger
        total = max(1, ledger.count())
        for graves in self._kept.graves(wish.grace):
            self._tally.remember(graves)
        done = 0
        before = wish.now - int(wish.lost_after * 1e9)
        for page in ledger.survey_rows(wish.now, before):
            self._going()
            self._tally.add(page.tallied)
            self._counts["rows"] += len(page.expired) + len(page.buried)
            self._counts["lost"] += len(page.silent)
            if not wish.dry_run:
                if page.expired:
                    ledger.expire(page.expired, wish.now)
                if page.buried:
                    ledger.take_back(page.buried)
                if page.silent:
                    ledger.lose(page.silent, before)
            done += page.count
            self._progress("reading rows", min(done, total), total)
        self._counts["traces"] = done
        for page in ledger.survey_parts(wish.now):
            self._going()
            self._tally.add(page.tallied)
            self._counts["parts"] += len(page.astray)
            if page.astray and not wish.dry_run:
                ledger.forget_parts(page.astray)

    def _walk(self) -> None:
        """Look at every segment: at its size alone where all of it lives."""
        total = self._tally.blobs()
        for kind, one in self._kept.walk():
            home = self._kept.home(one.key)
            if kind == "artifact":
                self._tally.lies_beside(home, one.key, one.size, one.age)
                continue
            self._counts["segments"] += 1
            done = self._counts["segments"]
            self._progress("looking at segments", done, max(done, total))
            if done % _OFTEN == 0:
                self._going()
            if home:
                self._tally.has_home(home, one.key)
            if self._tally.living(one.key)[1] < one.size or one.key in self._urgent:
                self._first_look(one)
            elif self._rekeying is not None:
                self._look_at_keys(one.key, self._rekeying)

    def _look_at_keys(self, key: str, rekeying: Rekeying) -> None:
        """Count by which keys a segment is of which all lives."""
        with self._kept.opened(key) as segment:
            if segment is None:
                return
            rekeying.look(segment.items)
            if rekeying.is_due(segment.items):
                self._tally.do_later(key, "keys")
            elif rekeying.is_locked(segment.items):
                rekeying.note_locked(key)

    def _first_look(self, one: Listed) -> None:
        """Remove a segment that is dead altogether; others are written anew afterwards."""
        if self._is_young(one):
            _add(self._left, "young", max(0, one.size - self._tally.living(one.key)[1]))
            return
        with self._kept.opened(one.key) as segment:
            if segment is None:
                return
            judged, living = self._judged(segment)
            if self._rekeying is not None:
                self._rekeying.look(judged.kept)
            what = self._planned(segment, judged)
            if what == "rewrite":
                self._tally.do_later(one.key, "dead bytes")
            else:
                self._act(what, segment, judged, living)

    def _is_young(self, one: Listed) -> bool:
        return self._kept.late and one.age < self._wish.grace and one.key not in self._urgent

    def _last_look(self, key: str, *, again: bool = False, whole: bool = False) -> None:
        with self._kept.opened(key) as segment:
            if segment is None:
                return
            judged, living = self._judged(segment)
            if whole and judged.dead:
                return  # it may be young, and its rows still to come: the next run looks at it
            what = self._planned(segment, judged)
            if what != "leave" or not again:
                self._act(what, segment, judged, living)

    def _judged(self, segment: OpenedSegment) -> tuple[Judged, dict[str, Living]]:
        ledger = self._kept.ledger
        ids = {one.id for one in segment.items if one.id is not None}
        living = ledger.living(ids)
        buried = ledger.buried(ids)
        return judge(segment.key, segment.items, living, buried, self._wish.now), living

    def _planned(self, segment: OpenedSegment, judged: Judged) -> Plan:
        if any(isinstance(one, Frame) and one.kind == TOMBSTONE for one in judged.kept):
            self._tally.do_later(segment.key, "tombstones")
        if segment.busy:
            return "leave"
        thorough = self._wish.thorough or segment.key in self._urgent
        what = plan(judged, segment.size, thorough=thorough)
        if what == "leave" and not judged.newer and not judged.hurt and self._is_due(judged):
            return "rewrite"
        return what

    def _is_due(self, judged: Judged) -> bool:
        """Whether it is to be encrypted anew."""
        return self._rekeying is not None and self._rekeying.is_due(judged.kept)

    def _act(
        self, what: Plan, segment: OpenedSegment, judged: Judged, living: dict[str, Living]
    ) -> None:
        home = self._kept.home(segment.key)
        if what == "remove" and not self._wish.dry_run and not self._kept.removed(segment):
            what = "leave"
        elif what == "rewrite":
            what = self._rewrite(segment, judged, living, home)
        if home and what == "remove":
            self._tally.leaves_home(home, segment.key)
        self._account(what, segment, judged)

    def _rewrite(
        self, segment: OpenedSegment, judged: Judged, living: dict[str, Living], home: str
    ) -> Plan:
        """Write a segment anew, encrypted anew where that is due."""
        rekeying = self._rekeying if self._is_due(judged) else None
        if self._wish.dry_run:
            if rekeying is not None:
                rekeying.would(judged.kept)
            elif home:
                self._forsaken(home)
            return "rewrite"
        made = self._kept.rewritten(segment, judged.kept, living, rekeying)
        if made is None:
            return "leave"
        self._tally.do_later(made, "tombstones")
        if home:
            self._tally.has_home(self._kept.home(made), made)
            self._forsaken(home)
            if rekeying is not None:
                self._tally.leaves_home(home, segment.key)
        return "rewrite"

    def _account(self, what: Plan, segment: OpenedSegment, judged: Judged) -> None:
        if what == "leave":
            self._tally.remains(judged.ids)
            why = "busy" if segment.busy else "hurt" if judged.hurt else "little"
            for frame, _ in judged.dead:
                _add(self._left, why, frame.length)
            return
        for frame, fate in judged.dead:
            _add(self._freed, fate, frame.length)
        sums = self._removed if what == "remove" else self._rewritten
        sums[0] += 1
        sums[1] += segment.size if what == "remove" else judged.dead_bytes

    def _forsaken(self, home: str) -> None:
        """Delete those of a segment's artifacts that no trace mentions any more, or count them."""
        beside = self._tally.beside(home)
        if not beside:
            return
        wanted: set[str] = set()
        for one in self._kept.of_home(home):
            with self._kept.opened(one.key) as segment:
                if segment is None:
                    continue
                judged, _ = self._judged(segment)
                for frame in judged.kept:
                    found = self._kept.mentions(frame) if isinstance(frame, Frame) else None
                    if found is None:
                        return  # it cannot be read here, without its key for instance
                    wanted |= found
        for key, size in beside:
            if key.rpartition("/")[2] not in wanted:
                if not self._wish.dry_run:
                    self._kept.delete([key])
                self._tally.lies_there_no_more(key)
                _add(self._freed, "artifact", size)

    def _artifacts(self) -> None:
        """Delete artifacts whose segments are gone; younger ones may be waiting for theirs.

        Thoroughly, also those that a run without the keys left: it could not see who mentions them.
        """
        if self._wish.thorough:
            for home in self._tally.homes():
                self._going()
                if not any(map(self._is_young, self._kept.of_home(home))):
                    self._forsaken(home)
        for key, size, age in self._tally.homeless():
            if age < self._wish.grace:
                _add(self._left, "young", size)
                continue
            if not self._wish.dry_run:
                self._going()
                self._kept.delete([key])
            _add(self._freed, "artifact", size)

    def _tombstones(self) -> None:
        """Forget deletions whose traces have no bytes left, and then the frames that say so."""
        for graves in self._tally.needless():
            if self._wish.dry_run:
                self._counts["tombstones"] += len(graves)
            else:
                self._counts["tombstones"] += self._kept.ledger.unbury(graves)
        if self._counts["tombstones"] and not self._wish.dry_run:
            for key in self._tally.later("tombstones"):
                self._last_look(key, again=True)


def _add(sums: dict[str, list[int]], kind: str, size: int) -> None:
    found = sums.setdefault(kind, [0, 0])
    found[0] += 1
    found[1] += size


def _amounts(sums: dict[str, list[int]]) -> dict[str, Amount]:
    return {kind: Amount(count, size) for kind, (count, size) in sorted(sums.items())}
