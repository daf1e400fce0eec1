"""Replaying many traces at once: the seam that engines share, and the one of this machine."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final, Protocol

from tracediff.check.machine import part_of_memory, processors
from tracediff.check.results import Work
from tracediff.check.sources import Sources
from tracediff.check.working import Worker
from tracediff.checked import Result
from tracediff.codefiles import source_reader
from tracediff.compare.code import Load
from tracediff.config import Config
from tracediff.model import Row
from tracediff.replay.ending import heed, when_ended
from tracediff.stores.base import Store

WAITING: Final = 64
"""How many results of each worker may wait to be taken."""


class Engine(Protocol):
    """Replays traces and says of each, in any order, what came of it."""

    def run(self, rows: Iterable[Row]) -> Iterator[Result]:
        """Replay the traces of these rows, each once.

        Raises:
            StoreError: The store cannot be read any more.
        """


class LocalEngine:
    """Workers on this machine, each in a thread, with a process that replays.

    Args:
        config: The project's settings.
        store: Where the traces are.
        work: What each worker is told. Without a limit of memory, each may take its part of 80 %
            of what the machine or the control group has.
        load: Reads source files, so that causes are told by their code.
        workers: How many; one a processor by default.
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
        self._config, self._store, self._then = config, store, then
        self._load = Sources(load or source_reader(config.root, lambda: store)).read
        self._workers = workers or processors()
        processes = self._workers * (1 if then is None else 2)
        self._work = work if work.memory else replace(work, memory=part_of_memory(processes))

    def run(self, rows: Iterable[Row]) -> Iterator[Result]:
        """As ``Engine.run``. Closing the iterator ends all processes at once."""
        line = _Line(rows)
        found: queue.Queue[Result | BaseException | None] = queue.Queue(WAITING * self._workers)
        workers = [
            Worker(self._config, self._store, self._work, then=self._then, load=self._load)
            for _ in range(self._workers)
        ]
        threads = [
            threading.Thread(target=_work, args=(one, line, found), daemon=True) for one in workers
        ]
        for thread in threads:
            thread.start()
        taken_back = when_ended(lambda: _stop(line, workers))
        try:
            yield from _taken(found, len(threads))
            heed()
        finally:
            taken_back()
            line.end()
            for worker in workers:
                worker.stop()
            while any(thread.is_alive() for thread in threads):  # they may wait for room
                try:
                    found.get(timeout=0.02)
                except queue.Empty:  # nothing came: look again whether they live
                    continue


def _stop(line: _Line, workers: Iterable[Worker]) -> None:
    line.end()
    for worker in workers:
        worker.stop()


class _Line:
    """Rows that several workers take, some neighbours at a time."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = iter(rows)
        self._lock = threading.Lock()
        self._ended = False

    def take(self, most: int) -> Sequence[Row]:
        with self._lock:
            return () if self._ended else list(islice(self._rows, most))

    def end(self) -> None:
        self._ended = True


def _work(worker: Worker, line: _Line, found: queue.Queue[Result | BaseException | None]) -> None:
    try:
        for result in worker.results(line.take):
            found.put(result)
    except BaseException as error:  # noqa: BLE001 - raised where the results are taken
        found.put(error)
    finally:
        worker.close()
        found.put(None)


def _taken(found: queue.Queue[Result | BaseException | None], workers: int) -> Iterator[Result]:
    while workers:
        one = found.get()
        if one is None:
            workers -= 1
        elif isinstance(one, BaseException):
            raise one
        else:
            yield one
