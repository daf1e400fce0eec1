"""The side of a cluster's worker: a project, a store, and warm processes kept between batches.

What is kept ends when it was idle for a while, when nobody waits for a batch any more, and when
the check or the process ends. A worker that cannot give the right answer refuses, and says why.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tracediff.check.batches import Head, Place, Versions, told_to, unpack
from tracediff.check.machine import part_of_memory, processors
from tracediff.check.results import pack_result
from tracediff.check.working import Worker
from tracediff.config import Config, StoreSettings, load_config, mask
from tracediff.errors import ReplayError, StoreError, TracediffError
from tracediff.replay import checked_out
from tracediff.stores.base import Store
from tracediff.stores.configured import open_configured

PROJECT = "TRACEDIFF_PROJECT"
"""Names a worker's project, where it is not where the asker has it."""

POLLED = 0.2
"""Seconds between two looks at whether anybody waits for a batch."""

MOST_ENDED = 1_000

Wanted = Callable[[], bool]


@dataclass(eq=False, slots=True)
class _Kept:
    """What stays between two batches of one check."""

    check: str
    worker: Worker
    within: contextlib.ExitStack
    idle: float
    since: float = 0.0
    stopped: bool = False
    wanted: Wanted = field(default=lambda: True)

    def stop(self) -> None:
        """End a batch that runs, from another thread than its own, which closes."""
        self.stopped = True
        self.worker.stop()

    def close(self) -> None:
        self.stopped = True
        self.within.close()


class Host:
    """Replays batches for any number of checks. Thread-safe: each batch has a worker of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Kept] = []
        self._busy: list[_Kept] = []
        self._ended: dict[str, None] = {}
        self._watch: threading.Thread | None = None

    def answer(self, told: bytes, *, where: str, wanted: Wanted) -> list[Any]:
        """Replay a batch: ``["done", seconds, results]``, ``["refused", …]`` or ``["stopped"]``.

        Args:
            told: The batch.
            where: What this worker is called.
            wanted: Whether anybody waits for it still; asked by another thread.
        """
        start = time.monotonic()
        head, rows = unpack(told)
        try:
            kept = self._taken(head, wanted)
        except TracediffError as error:
            return _refused(error, where)
        found: list[list[Any]] | None = None
        try:
            found = [pack_result(one) for one in kept.worker.run(rows)]
        except Exception as error:
            if not kept.stopped:  # else it failed because it was stopped
                if isinstance(error, TracediffError):
                    return _refused(error, where)
                raise
        finally:
            self._back(kept, again=found is not None)
        if found is None or kept.stopped:
            return ["stopped"]
        return ["done", time.monotonic() - start, found]

    def end(self, check: str) -> None:
        """End what was kept for a check, and what still runs for it."""
        with self._lock:
            self._ended[check] = None
            while len(self._ended) > MOST_ENDED:
                del self._ended[next(iter(self._ended))]
            mine = [one for one in self._idle if one.check == check]
            busy = [one for one in self._busy if one.check == check]
            self._idle = [one for one in self._idle if one not in mine]
        _end(mine, busy)

    def close(self) -> None:
        """End everything."""
        with self._lock:
            idle, self._idle = self._idle, []
            busy = list(self._busy)
        _end(idle, busy)

    def _taken(self, told: bytes, wanted: Wanted) -> _Kept:
        head = Head.unpacked(told)
        with self._lock:
            mine = [one for one in self._idle if one.check == head.check]
            kept = mine[-1] if mine else None
            if kept is not None:
                self._idle.remove(kept)
        if kept is None:
            kept = _opened(head)
        with self._lock:
            kept.wanted = wanted
            self._busy.append(kept)
            if self._watch is None:
                self._watch = threading.Thread(target=self._watching, daemon=True)
                self._watch.start()
        return kept

    def _back(self, kept: _Kept, *, again: bool) -> None:
        with self._lock:
            self._busy.remove(kept)
            kept.since = time.monotonic()
            kept.wanted = lambda: True  # what it asks holds a task of the batch
            again = again and not kept.stopped and kept.check not in self._ended
            if again:
                self._idle.append(kept)
        if not again:
            kept.close()

    def _watching(self) -> None:
        while True:
            time.sleep(POLLED)
            now = time.monotonic()
            with self._lock:
                if not self._idle and not self._busy:
                    self._watch = None
                    return
                late = [one for one in self._idle if now - one.since > one.idle]
                self._idle = [one for one in self._idle if one not in late]
                # Again and again: one that is just beginning would not notice.
                busy = [one for one in self._busy if one.stopped or not one.wanted()]
            _end(late, busy)


HOST = Host()
"""That of this process."""

atexit.register(HOST.close)


def _end(idle: Iterable[_Kept], busy: Iterable[_Kept]) -> None:
    for one in busy:
        one.stop()
    for one in idle:
        one.close()


def _refused(error: TracediffError, where: str) -> list[Any]:
    kind = "store" if isinstance(error, StoreError) else "replay"
    return ["refused", kind, f"worker {where}: {error.message}", error.slug, error.hint]


def _opened(head: Head) -> _Kept:
    config = told_to(head, _project(head.root))
    _same(head.versions, config.root)
    work = head.work
    if not work.memory:  # there is most often a worker for each processor
        work = replace(work, memory=part_of_memory(processors()))
    with contextlib.ExitStack() as within:
        store = _store(config, head.place)
        within.callback(store.close)
        then = None
        if work.against:
            then, _ = within.enter_context(checked_out(config, work.against))
        worker = Worker(config, store, work, then=then)
        within.callback(worker.close)
        return _Kept(head.check, worker, within.pop_all(), head.idle)


def _project(root: str) -> Config:
    """The project of this worker; the asker's directory may be another one on this machine."""
    named = os.environ.get(PROJECT)
    start = Path(named or root)
    if not named and not start.is_dir():
        start = Path.cwd()
    config = load_config(start)
    if config.file is None and not config.jobs:
        raise ReplayError(
            f"there is no project in {start}",
            slug="check-worker-code",
            hint=f"check the project out there, or set {PROJECT} in the worker's environment",
        )
    return config


def _same(asked: Versions, root: Path) -> None:
    own = Versions.of(root)
    for name, ours, theirs in (
        ("Python", own.python, asked.python),
        ("tracediff", own.tracediff, asked.tracediff),
    ):
        if ours != theirs:
            raise ReplayError(
                f"it runs {name} {ours}, and the check was begun with {name} {theirs}",
                slug="check-worker-code",
                hint=f"install {name} {theirs} where the worker runs",
            )
    vouched = bool(asked.commit) and asked.commit == own.commit and not _in_git(root)
    if own.code != asked.code and not (vouched and not asked.commit.endswith("+dirty")):
        raise ReplayError(
            f"its project in {root} ({_told(own)}) is not the one that is checked ({_told(asked)})",
            slug="check-worker-code",
            hint="check out the same commit where the worker runs, with the same changes that are "
            "not committed",
        )


def _in_git(root: Path) -> bool:
    return any((one / ".git").exists() for one in (root, *root.parents))


def _told(versions: Versions) -> str:
    return (
        f"commit {versions.commit[:12]}{'+' * versions.commit.endswith('+dirty')}"
        if (versions.commit)
        else "no commit"
    )


def _store(config: Config, place: Place) -> Store:
    """The store of a check, with this worker's own credentials."""
    named = [name for name in (place.name, None) if name is None or name in config.stores]
    for name in named:
        own = config.store_settings(name)
        if (mask(own.index), mask(own.blobs or "")) == (place.index, mask(place.blobs or "")):
            return open_configured(config, name)
    if place.hidden:
        raise StoreError(
            f"it has no credentials for the store {place.index}",
            slug="check-worker-store",
            hint="give the store a name in [tool.tracediff.stores] and set TRACEDIFF_STORE, or the "
            "client's own variables, in the worker's environment",
        )
    if ":" not in place.index and not Path(place.index).is_dir():
        raise StoreError(
            f"there is no store {place.index}",
            slug="check-worker-store",
            hint="workers on other machines need a store that all reach, as MongoDB with S3",
        )
    found = StoreSettings(index=place.index, blobs=place.blobs, context=place.context)
    given = replace(config, stores={**config.stores, place.index: found})
    return open_configured(given, place.index)
