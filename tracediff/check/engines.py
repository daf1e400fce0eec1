"""Replaying many traces at once: the seam that engines share, and the one of this machine."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from tracediff.config import Config
from tracediff.errors import ReplayError, StoreError, TracediffError
from tracediff.expectations.warm import Outcome, Request, Warm
from tracediff.model import Row, Tolerance
from tracediff.stores.base import Store
from tracediff.stores.walking import loaded


@dataclass(frozen=True, slots=True)
class Replayed:
    """A trace, and what its replay came to: both traces where they differ, or why there is none."""

    row: Row
    outcome: Outcome | None = None
    error: TracediffError | None = None


class Engine(Protocol):
    """Replays traces and says of each, in any order, what came of it."""

    def run(self, store: Store, rows: Iterable[Row]) -> Iterator[Replayed]:
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
        rules: What counts as the same.
        workers: How many processes; one a processor by default.
    """

    def __init__(
        self, config: Config, rules: Sequence[Tolerance] = (), workers: int | None = None
    ) -> None:
        self._config, self._rules = config, tuple(rules)
        self._workers = workers or len(os.sched_getaffinity(0))

    def run(self, store: Store, rows: Iterable[Row]) -> Iterator[Replayed]:
        """As ``Engine.run``."""
        source = iter(rows)
        lock, stop = threading.Lock(), threading.Event()
        found: queue.Queue[Replayed | BaseException | None] = queue.Queue(4 * self._workers)

        def following() -> Row | None:
            with lock:
                return None if stop.is_set() else next(source, None)

        def work() -> None:
            warm = Warm(self._config)
            try:
                while (row := following()) is not None:
                    found.put(self._replayed(store, row, warm))
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

    def _replayed(self, store: Store, row: Row, warm: Warm) -> Replayed:
        trace = loaded(store, row)
        if isinstance(trace, StoreError):
            return Replayed(row, error=trace)
        try:
            return Replayed(row, warm.replay(Request(of=trace, rules=self._rules)))
        except ReplayError as error:
            return Replayed(row, error=error)


def _taken(found: queue.Queue[Replayed | BaseException | None], workers: int) -> Iterator[Replayed]:
    while workers:
        one = found.get()
        if one is None:
            workers -= 1
        elif isinstance(one, BaseException):
            raise one
        else:
            yield one
