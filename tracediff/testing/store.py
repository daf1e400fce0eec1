"""What every ``Store`` must do. The memory driver is the reference."""
# ruff: noqa: S101, D102 - a suite consists of asserts, and a test's name says what must hold

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random

from tracediff import digests
from tracediff.errors import StoreError
from tracediff.model import ErrorInfo, Query, ReplayInfo, Row, Trace
from tracediff.stores.base import Capabilities, Store
from tracediff.stores.memory import MemoryStore
from tracediff.testing.builders import make_trace
from tracediff.testing.drawing import draw_query, draw_row
from tracediff.testing.index import BAD_IDS, GOOD_IDS
from tracediff.testing.opening import StoreSuite
from tracediff.testing.refusal import refused
from tracediff.testing.searching import TEXTS


def _loaded(store: Store, row: Row) -> Trace | str:
    """The trace of a row, or the slug of the error."""
    try:
        return store.load(row)
    except StoreError as error:
        return error.slug


CANNOT = ("trace-gone", "trace-hurt", "trace-too-large")


class StoreConformance(StoreSuite[Store]):
    """Subclass it, name the class ``Test…`` and say how to open your store."""

    def loaded(self, store: Store, trace_id: str) -> Trace:
        """The one trace with this id."""
        (row,) = (row for row in store.find(trace_id, 1000) if row.id == trace_id)
        return store.load(row)

    def test_is_a_store(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as store:
            assert isinstance(store, Store)
            assert isinstance(store.capabilities, Capabilities)
            assert store.url
            assert store.search(Query()).rows == ()
            assert store.check() == []

    def test_a_trace_comes_back_as_it_was(self, tmp_path: Path) -> None:
        error = ErrorInfo(type="m:E", message="\ud800", cause=ErrorInfo(type="m:F", message=""))
        plain = make_trace("plain")
        failed = (replace(plain.steps[0], result=None, error=error), *plain.steps[1:])
        traces = [
            plain,
            make_trace("empty", steps=(), artifacts=(), key="", job=""),
            make_trace("failed", steps=failed, state="error", warnings=("one \ud800",)),
            make_trace("labelled", tags=("a", "\ud800"), context={"n": 10**30, "f": 0.5, "": True}),
            make_trace("replayed", replay=ReplayInfo(of="plain", served=((1, 1),), unused=(4,))),
            make_trace("kept", retention=40_000, started_at=-1, depth="inputs"),
            make_trace("large", result="x" * 3_000_000),
        ]
        with self.opened(tmp_path, *traces) as store:
            for trace in traces:
                assert self.loaded(store, trace.id) == trace
            assert store.check() == []

    def test_the_row_says_what_the_trace_says(self, tmp_path: Path) -> None:
        trace = make_trace("a", tags=("x",), context={"n": 1}, retention=40_000, meta="7, 42")
        with self.opened(tmp_path, trace) as store:
            (row,) = store.find("a")
            assert row == digests.row(trace, row.location)
            assert store.search(Query(tags=("x",), context={"n": 1})).rows == (row,)

    def test_saving_a_trace_again_keeps_the_first(self, tmp_path: Path) -> None:
        first, second = make_trace("a", result=1), make_trace("a", result=2, tags=("new",))
        with self.opened(tmp_path, first) as store:
            store.save([second, make_trace("b"), second])
            assert self.loaded(store, "a") == first
            assert {row.id for row in store.search(Query()).rows} == {"a", "b"}
            assert store.search(Query(tags=("new",))).rows == ()
            store.save([make_trace("c", result=1), make_trace("c", result=2)])
            assert self.loaded(store, "c") == make_trace("c", result=1)
            assert store.check() == []

    def test_an_id_may_begin_others(self, tmp_path: Path) -> None:
        traces = [make_trace("a" * count, result=count, started_at=count) for count in range(1, 9)]
        with self.opened(tmp_path, *traces) as store:
            store.save([replace(trace, tags=("again",)) for trace in traces])
            for trace in traces:
                assert self.loaded(store, trace.id) == trace
            assert store.check() == []

    def test_saving_nothing_is_fine(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as store:
            store.save([])
            assert store.search(Query()).rows == ()

    def test_with_a_trace_that_cannot_be_kept_nothing_of_its_batch_is(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as store:
            for trace in (*(make_trace(one) for one in BAD_IDS), make_trace("a", started_at=2**63)):
                with refused("row-invalid"):
                    store.save([make_trace("good"), trace])
            assert store.search(Query()).rows == ()
            assert store.check() == []

    def test_odd_ids_keys_and_tags_are_kept(self, tmp_path: Path) -> None:
        texts = [text[:200] for text in TEXTS]
        traces = [make_trace(one) for one in GOOD_IDS]
        traces += [make_trace(f"k{n}", key=text, tags=(text,)) for n, text in enumerate(texts)]
        with self.opened(tmp_path, *traces) as store:
            for trace in traces:
                assert self.loaded(store, trace.id) == trace

    def test_a_deleted_trace_is_gone_and_can_be_saved_again(self, tmp_path: Path) -> None:
        with self.opened(tmp_path, *(make_trace(one, tags=("x",)) for one in "abc")) as store:
            for number in range(3):
                assert store.delete(iter(["a", "b", "a", "nothing", *BAD_IDS])) == 2
                assert store.delete(["a"]) == 0
                assert store.find("a") == []
                assert [row.id for row in store.search(Query(tags=("x",))).rows] == ["c"]
                again = make_trace("a", result=number)
                store.save([again, make_trace("b")])
                assert self.loaded(store, "a") == again
            assert store.check() == []

    def test_a_row_with_a_wrong_place_gives_its_trace_or_an_error_not_another_trace(
        self, tmp_path: Path
    ) -> None:
        with self.opened(tmp_path, make_trace("a"), make_trace("b", result="longer")) as store:
            (a,), (b,) = store.find("a"), store.find("b")
            key, start, length = a.location
            for place in [
                b.location,
                ("", 0, 0),
                ("nothing", 0, 10),
                ("../../etc/passwd", 0, 10),
                ("/etc/passwd", 0, 10),
                ("\ud800", 0, 1),
                ("\0", 0, 1),
                (key, start, length - 1),
                (key, start + 1, length),
                (key, start, 0),
                (key, -1, length),
                (key, start, -1),
                (key, start, 1 << 40),
                (key, 1 << 70, 1 << 70),
            ]:
                # A store may ask for the row again: the trace may have been moved.
                assert _loaded(store, replace(a, location=place)) in (make_trace("a"), *CANNOT)
            assert store.load(a) == make_trace("a")

    def test_sources_are_kept_by_their_git_blob_id(self, tmp_path: Path) -> None:
        files = [b"", b"x = 1\r\n", bytes(range(256)) * 100]
        with self.opened(tmp_path) as store:
            for data in files:
                for algorithm in ("sha1", "sha256"):
                    header = b"blob %d\0" % len(data)
                    blob = hashlib.new(algorithm, header + data).hexdigest()
                    assert store.load_source(blob) is None
                    store.save_source(blob, data)
                    store.save_source(blob, data)
                    assert store.load_source(blob) == data
            assert store.check() == []

    def test_a_source_under_a_wrong_id_is_refused(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as store:
            with refused("source-invalid"):
                store.save_source("0" * 40, b"x = 1\n")
            for blob in ("", "0" * 39, "G" * 40, "A" * 40, "../" * 14, "0" * 40 + "\n", "\ud800"):
                with refused("source-invalid"):
                    store.save_source(blob, b"")
                with refused("source-invalid"):
                    store.load_source(blob)

    def test_what_was_saved_is_there_when_it_is_opened_again(self, tmp_path: Path) -> None:
        traces = [make_trace(f"t{n}", result=n, started_at=n) for n in range(5)]
        with self.opened(tmp_path, *traces) as store:
            if not store.capabilities.durable:
                return
            store.delete(["t3"])
        for _ in range(2):
            with self.opened(tmp_path) as store:
                assert [row.id for row in store.search(Query()).rows] == ["t4", "t2", "t1", "t0"]
                assert self.loaded(store, "t2") == traces[2]
                assert store.check() == []

    def test_closing_twice_is_fine(self, tmp_path: Path) -> None:
        with self.opened(tmp_path, make_trace("a")) as store:
            store.close()
            store.close()

    def test_threads_may_share_it(self, tmp_path: Path) -> None:
        def work(number: int) -> None:
            for n in range(6):
                trace = make_trace(f"{number}-{n}", result=number, tags=(f"t{number}",))
                store.save([trace, make_trace(f"shared-{n}", result=n)])
                assert self.loaded(store, trace.id) == trace
                assert len(store.search(Query(tags=(f"t{number}",))).rows) == n + 1
            assert store.delete([f"{number}-0", f"{number}-1"]) == 2

        with self.opened(tmp_path) as store, ThreadPoolExecutor(6) as pool:
            for done in [pool.submit(work, number) for number in range(6)]:
                done.result()
            assert len(store.search(Query(limit=500)).rows) == 6 * 4 + 6
            assert len(store.find("shared", 500)) == 6
            assert store.check() == []

    def test_does_what_the_reference_does(self, tmp_path: Path) -> None:
        for seed in range(4):
            random = Random(seed)  # noqa: S311 - made-up data
            reference = MemoryStore()
            with self.opened(tmp_path / str(seed)) as store:
                for _ in range(20):
                    _change(random, reference, store)
                    query = replace(draw_query(random), limit=100, path_signature=None)
                    rows, want = store.search(query).rows, reference.search(query).rows
                    assert [row.id for row in rows] == [row.id for row in want], (seed, query)
                    for row, same in zip(rows, want, strict=True):
                        assert store.load(row) == reference.load(same)
                assert store.check() == []


def _change(random: Random, *stores: Store) -> None:
    """One change, the same in each of these."""
    known = [row.id for row in stores[0].find("", 1000)]
    if random.random() < 0.7 or not known:
        traces = [_draw_trace(random) for _ in range(random.randrange(4))]
        for store in stores:
            store.save(traces)
    else:
        ids = random.choices([*known, "nothing"], k=3)
        counts = {store.delete(ids) for store in stores}
        assert len(counts) == 1, ids


def _draw_trace(random: Random) -> Trace:
    row = draw_row(random)
    return make_trace(
        row.id,
        result=random.randrange(1000),
        key=row.key,
        tags=row.tags,
        state=row.state,
        started_at=row.started_at,
        context={name: value for name, value in row.context.items() if value == value},  # noqa: PLR0124 - NaN would make equal traces unequal
    )
