"""Replaying many traces at once: the seam that engines share, and the one of this machine."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Protocol

from tracediff.check.judging import failed, judged, same
from tracediff.check.results import Work
from tracediff.checked import Result
from tracediff.compare.code import Load
from tracediff.config import Config
from tracediff.errors import ReplayError, StoreError
from tracediff.expectations.warm import Request, Warm
from tracediff.model import Row
from tracediff.stores.base import Store
from tracediff.stores.walking import loaded


class Engine(Protocol):
    """Replays traces and says of each, in any order, what came of it."""

    def run(self, rows: Iterable[Row]) -> Iterator[Result]:
        """Replay the traces of these rows, each once.

        Raises:
            StoreError: The store cannot be read any more.
        """


class LocalEngine:
    """Processes of this machine, each of which imports the jobs once.

    A replay that ends its process, takes too long or takes too much memory is that trace's result
    and no other's.

    Args:
        config: The project's settings.
        store: Where the traces are.
        work: What each worker is told.
        load: Reads source files, so that causes are told by their code.
        workers: How many processes; one a processor by default.
        then: The settings of the old code, where it gives the old side.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        work: Work,
        *,
        load: Load | None = None,
        workers: int | None = None,
        then: Config | None = None,
    ) -> None:
        self._config, self._store, self._work, self._load = config, store, work, load
        self._workers = workers or len(os.sched_getaffinity(0))
        self._then = then

    def run(self, rows: Iterable[Row]) -> Iterator[Result]:
        """As ``Engine.run``."""
        source = iter(rows)
        lock, stop = threading.Lock(), threading.Event()
        found: queue.Queue[Result | BaseException | None] = queue.Queue(4 * self._workers)

        def following() -> Row | None:
            with lock:
                return None if stop.is_set() else next(source, None)

        def work() -> None:
            warm = Warm(self._config)
            try:
                while (row := following()) is not None:
                    found.put(self._replayed(row, warm))
            except BaseException as error:  # noqa: BLE001 - raised where the results are taken
                found.put(error)
            finally:
                warm.close()
                found.put(None)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(self._workers)]
        for thread in threads:
            thread.start()
        try:
            yield from _taken(found, len(threads))
        finally:
            stop.set()
            while any(thread.is_alive() for thread in threads):  # they may wait for room
                try:
                    found.get(timeout=0.05)
                except queue.Empty:
                    continue

    def _replayed(self, row: Row, warm: Warm) -> Result:
        trace = loaded(self._store, row)
        if isinstance(trace, StoreError):
            return failed(row, trace)
        try:
            outcome = warm.replay(Request(of=trace, rules=self._work.rules))
        except ReplayError as error:
            return failed(row, error)
        if outcome.old is None or outcome.new is None:
            return same(row)
        found = judged(outcome.old, outcome.new, self._work.rules, self._load)
        return found if found is not None else same(row)


def _taken(found: queue.Queue[Result | BaseException | None], workers: int) -> Iterator[Result]:
    while workers:
        one = found.get()
        if one is None:
            workers -= 1
        elif isinstance(one, BaseException):
            raise one
        else:
            yield one
