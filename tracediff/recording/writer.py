"""Finished traces on their way to the store: a queue bounded in bytes, one background thread.

Submitting costs the job a deque append. The thread starts with the first trace; after a fork the
child discards what it inherited and starts its own. What cannot be written is kept and tried again
with growing pauses, up to the bound; drops are counted and reported, never silent.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from tracediff.errors import TracediffError
from tracediff.model import Trace
from tracediff.stores.base import Store

log = logging.getLogger("tracediff")

MAX_BYTES = 64 * 1024 * 1024
"""What may wait in memory; beyond it new traces are dropped and counted."""

SPAN_BYTES = 300
"""What a span holds besides the values that were counted when they were captured."""

LINGER = 0.02
"""Seconds the thread waits for more before it writes."""

BATCH = 256
EXIT_DEADLINE = 10.0
RETRIES_AT_EXIT = 2


class Finished:
    """A finished job that waits to be turned into a trace: ``build`` gives it, on the thread."""

    __slots__ = ("build", "size")

    def __init__(self, build: Callable[[], Trace], size: int) -> None:
        self.build = build
        self.size = size


class Writer:
    """Writes finished traces to a store from a thread of its own.

    Args:
        open_store: Opens the store, called on the thread.
        after: Called with the store and the traces just saved, on the thread.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        after: Callable[[Store, list[Trace]], None] = lambda store, traces: None,
        on_ack: Callable[[str], None] | None = None,
    ) -> None:
        self._open_store = open_store
        self._after = after
        self._on_ack = on_ack
        self.dropped = 0
        self.failed = 0
        self._reset()
        _writers.add(self)

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._queue: deque[Finished] = deque()
        self._ready: deque[tuple[Trace, int]] = deque()
        self._store: Store | None = None
        self._submitted = 0
        self._done = 0
        self._waiting = 0
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._progress = threading.Condition()
        self._closing = False
        self._problem: str | None = None

    def submit(self, finished: Finished) -> None:
        """Hand over a finished job. Never blocks, never raises; over the bound it is dropped."""
        if self._pid != os.getpid():
            self._reset()
        if self._waiting > MAX_BYTES:
            self.dropped += 1
            if self.dropped == 1:
                log.warning("tracediff drops traces: %s", self._problem or "the store is too slow")
            return
        self._waiting += finished.size
        self._submitted += 1
        self._queue.append(finished)
        if self._thread is None:
            self._start()
        elif not self._wake.is_set():
            self._wake.set()

    def flush(self, deadline: float | None = None) -> bool:
        """Wait until what was submitted before is saved; False when the deadline (s) passed."""
        if self._pid != os.getpid() or self._thread is None:
            return True
        target = self._submitted
        self._wake.set()
        with self._progress:
            return self._progress.wait_for(
                lambda: self._done >= target or not self._alive(), deadline
            ) and (self._done >= target)

    def close(self, deadline: float = EXIT_DEADLINE) -> None:
        """Save what is left, with a deadline in seconds, and say what could not be saved."""
        if self._pid != os.getpid() or self._thread is None:
            return
        self._closing = True
        self.flush(deadline)
        left = self._submitted - self._done
        if left and self._problem:
            sys.stderr.write(f"tracediff: {left} traces were not saved: {self._problem}\n")
            self.failed += left

    @property
    def problem(self) -> str | None:
        """Why the last attempt to write failed, None when it did not."""
        return self._problem

    def _alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="tracediff-writer", daemon=True)
        self._thread = thread
        _register_exit()
        try:
            thread.start()
        except RuntimeError as error:  # the interpreter is shutting down or has no threads left
            self._thread = None
            self._problem = str(error)
            self._drain()

    def _run(self) -> None:
        pause = 0.0
        while True:
            if not self._queue and not self._ready:
                self._wake.wait()
            self._wake.clear()
            if not self._closing:
                time.sleep(max(LINGER, pause))
            failed = not self._drain()
            pause = min(30.0, max(0.1, pause * 2)) if failed else 0.0
            if failed:
                self._wake.set()

    def _drain(self) -> bool:
        """Save all that waits; False when the store refused."""
        while self._queue or self._ready:
            while self._queue and len(self._ready) < BATCH:
                self._build(self._queue.popleft())
            if not self._save():
                return False
        return True

    def _build(self, finished: Finished) -> None:
        try:
            self._ready.append((finished.build(), finished.size))
        except Exception as error:
            log.exception("tracediff could not assemble a trace")
            self._problem = f"{type(error).__name__}: {error}"
            self.failed += 1
            self._advance(1, finished.size)

    def _save(self) -> bool:
        batch = [self._ready[at] for at in range(min(BATCH, len(self._ready)))]
        if not batch:
            return True
        traces = [trace for trace, _ in batch]
        try:
            if self._store is None:
                self._store = self._open_store()
            self._store.save(traces)
        except Exception as error:
            self._report(error)
            return False
        self._problem = None
        for _ in batch:
            self._ready.popleft()
        self._tell(traces)
        self._advance(len(batch), sum(size for _, size in batch))
        return True

    def _report(self, error: Exception) -> None:
        hint = f" ({error.hint})" if isinstance(error, TracediffError) and error.hint else ""
        problem = f"{error}{hint}"
        if problem != self._problem:
            log.warning("tracediff cannot write traces: %s", problem)
        self._problem = problem

    def _tell(self, traces: list[Trace]) -> None:
        try:
            if self._store is not None:
                self._after(self._store, traces)
            if self._on_ack is not None:
                for trace in traces:
                    self._on_ack(trace.id)
        except Exception:
            log.exception("tracediff: a callback after saving failed")

    def _advance(self, count: int, size: int) -> None:
        with self._progress:
            self._done += count
            self._waiting -= size
            self._progress.notify_all()


_writers: weakref.WeakSet[Writer] = weakref.WeakSet()
_registered: set[int] = set()


def close_all() -> None:
    """Close every writer of this process; called when it ends."""
    for writer in list(_writers):
        writer.close()


def _register_exit() -> None:
    """Once a process: at exit, and where multiprocessing's children end, which skip atexit."""
    if os.getpid() in _registered:
        return
    _registered.add(os.getpid())
    atexit.register(close_all)
    finalizers: Any = sys.modules.get("multiprocessing.util")
    if finalizers is not None:
        finalizers.Finalize(None, close_all, exitpriority=100)
