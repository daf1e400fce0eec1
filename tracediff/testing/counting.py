"""What every store that keeps statistics must do: see ``stores.base.Counting``."""
# ruff: noqa: S101, D102 - a suite consists of asserts, and a test's name says what must hold

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from tracediff.model import Query, State, Trace
from tracediff.statistics import Bucket, Run, counted, merged, runs
from tracediff.statistics.places import MINUTE, widened
from tracediff.stores.base import Counting, LiveStore, Store
from tracediff.testing.builders import make_parts, make_trace
from tracediff.testing.opening import StoreSuite

_STATES: tuple[State, ...] = ("success", "warning", "error")
_KEYS = ("price/one", "price/many", "price", "tax", "\ud800/odd")


def total(store: Any, key: str = "") -> Bucket:
    """What all buckets of a key say together."""
    span = store.counted_span(key)
    if span is None:
        return Bucket()
    now = time.time_ns() // MINUTE
    first, end = widened(span[0], span[1], now)
    return merged(store.statistics(key, runs(first, end, now)).buckets.values())


class CountingStoreConformance(StoreSuite[Any]):
    """Subclass it, name the class ``Test…`` and say how to open your store."""

    def test_what_is_counted_is_what_was_saved_once_however_often(self, tmp_path: Path) -> None:
        traces = list(_traces(60))
        with self.opened(tmp_path) as store:
            assert store.counted_span("") is None
            assert total(store) == Bucket()
            for at in range(0, 60, 7):
                store.save(traces[at : at + 7])
                store.save(traces[max(0, at - 3) : at + 4])
            _check(store)
            store.fold_statistics()
            _check(store)
            store.save(traces)
            gone = [one.id for one in traces[::4]]
            assert store.delete(gone) == len(gone)
            assert store.delete(gone) == 0
            _check(store)
            store.save(traces[:5])
            store.fold_statistics()
            _check(store)

    def test_a_check_finds_every_bucket_right_and_counting_anew_changes_none(
        self, tmp_path: Path
    ) -> None:
        with self.opened(tmp_path, *_traces(20)) as store:
            assert all(one.equal for one in store.verify_statistics())
            before = total(store)
            assert store.rebuild_statistics().written == 0
            assert total(store) == before

    def test_live_traces_count_when_they_end_or_are_lost(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as store:
            live: object = store
            if not isinstance(live, LiveStore):
                return
            traces = [replace(one, artifacts=()) for one in _traces(6)]
            parts = [make_parts(one) for one in traces]
            store.save_parts([ends[0] for ends in parts])
            assert total(store).count == 0
            store.save_parts([one for ends in parts[:3] for one in ends])
            store.save_parts([one for ends in parts[:3] for one in ends])
            _check(store)
            assert total(store).count == 3
            assert store.index.lose([ends[0].row for ends in parts[3:5]]) == 2
            assert total(store).of("lost") == 2
            store.save_parts(parts[3][1:])  # it was not lost after all
            store.fold_statistics()
            _check(store)
            assert (total(store).of("lost"), total(store).count) == (1, 5)
            assert store.delete([one.id for one in traces[:5]]) == 5
            assert total(store) == Bucket()


def _check(store: Store) -> None:
    """All buckets of all keys beside what the rows say."""
    rows = [row for row in store.search(Query(limit=1000)).rows if row.state != "running"]
    assert isinstance(store, Counting)
    for key in ("", "price", "price/one", "\ud800", "nobody"):
        mine = [row for row in rows if not key or f"{row.key}/".startswith(f"{key}/")]
        found = total(store, key)
        assert found.count == len(mine)
        wanted = merged(
            bucket for place, bucket in counted(mine).items()
            if place.resolution == "day" and not place.key
        )  # fmt: skip
        assert found.tallies == wanted.tallies
        if mine:
            first = min(row.started_at for row in mine) // MINUTE
            span = store.counted_span(key)
            assert span is not None
            assert span[0] <= first < span[1]
            one = store.statistics(key, [Run("minute", first, first + 1)]).buckets
            assert sum(bucket.count for bucket in one.values()) == sum(
                row.started_at // MINUTE == first for row in mine
            )


def _traces(count: int) -> Iterator[Trace]:
    """Traces of the last hours."""
    dice, now = Random(7), time.time_ns()  # noqa: S311 - test data
    for number in range(count):
        yield replace(
            make_trace(f"counted-{number:03}", key=dice.choice(_KEYS)),
            state=dice.choice(_STATES),
            started_at=now - dice.randrange(5 * 60) * MINUTE,
            duration=dice.randrange(10**10),
            tags=(f"n:{number % 3}",),
        )
