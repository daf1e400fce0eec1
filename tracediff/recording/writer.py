"""Finished traces on their way to the store: a queue bounded in bytes, one background thread.

Submitting costs the job a deque append. The thread starts with the first trace; after a fork the
child discards what it inherited and starts its own. What cannot be written is kept and tried again
with growing pauses, up to the bound; drops are counted and reported, never silent.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from tracediff.errors import StoreError
from tracediff.model import Trace
from tracediff.recording import lifetime
from tracediff.stores.base import Store

log = logging.getLogger("tracediff")

MAX_BYTES = 64 * 1024 * 1024
"""What may wait in memory; beyond it new traces are dropped and counted."""

SPAN_BYTES = 300
"""What a span holds besides the values that were counted when they were captured."""

LINGER = 0.02
"""Seconds the thread waits for more before it writes."""

BATCH = 256
YIELD = 0.005
MIN_PAUSE = 0.1
MAX_PAUSE = 30.0
"""Seconds between two attempts to write to a store that refuses."""

EXIT_DEADLINE = 10.0
CLOSE_DEADLINE = 1.0
FORK_DEADLINE = 5.0
TRACE_SLUGS = frozenset({"trace-too-large", "row-invalid"})
"""What a store says of one trace, where it would take others."""

RETRIES = 2
"""Attempts after which a flush without a deadline, or the end of the process, gives up."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Traces of this process that are lost, and what is wrong now.

    ``dropped`` found no room in memory, ``failed`` could not be encoded or were refused for what
    they are.
    """

    dropped: int = 0
    failed: int = 0
    problem: str | None = None


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
        on_ack: Called with the id of each trace just saved, on the thread.
        on_loss: Called with ``Losses`` when traces were dropped or could not be written, on the
            thread, and when the store refuses or takes traces again.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        after: Callable[[Store, list[Trace]], None] = lambda store, traces: None,
        on_ack: Callable[[str], None] | None = None,
        on_loss: Callable[[Losses], None] | None = None,
    ) -> None:
        self._open_store = open_store
        self._after = after
        self._on_ack = on_ack
        self._on_loss = on_loss
        self._store: Store | None = None
        self.reset()
        lifetime.writers.add(self)

    def reset(self) -> None:
        """Start anew: what a forked child inherits is its parent's to write."""
        if self._store is not None:
            lifetime.inherited.append(self._store)  # closing it here could hurt the parent's
        self._pid = os.getpid()
        self._queue: deque[Finished] = deque()
        self._ready: deque[tuple[Trace, int]] = deque()
        self._store = None
        self._submitted = 0
        self._done = 0
        self._waiting = 0
        self._attempts = 0
        self.dropped = 0
        self.failed = 0
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._using = threading.RLock()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._progress = threading.Condition()
        self._closing = False
        self._gave_up = False
        self._told = 0
        self._told_losses = Losses()
        self._shared = False
        self._in_vain = -1
        self._problem: str | None = None

    def submit(self, finished: Finished) -> None:
        """Hand over a finished job. Never blocks, never raises; over the bound it is dropped.

        No lock: an addition to an attribute cannot be interrupted by another thread, as there is
        no call in it, and a deque's ``append`` cannot either.
        """
        if self._pid != os.getpid():
            self.reset()
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
        if self._closing:  # a job that ends after the recorder was closed, as the process ends
            self._settle(EXIT_DEADLINE, RETRIES)

    def flush(self, deadline: float | None = None, *, upload: bool = False) -> bool:
        """Wait until what was submitted before is saved; False when it is not.

        Args:
            deadline: The seconds to keep trying; by default, until the store refuses.
            upload: Wait until it is in the store itself too, where traces wait on this machine.
        """
        until = None if deadline is None else time.monotonic() + deadline
        saved = self._settle(deadline, RETRIES if deadline is None else None)
        if not upload:
            return saved
        left = None if until is None else max(0.0, until - time.monotonic())
        return self._upload(left, patient=True) and saved

    def upload_early(self) -> None:
        """Have all moved to the store while threads and imports still work as ever."""
        if self._pid == os.getpid() and self._thread is not None:
            until = time.monotonic() + EXIT_DEADLINE
            self._settle(EXIT_DEADLINE, RETRIES)
            self._upload_at_end(max(0.0, until - time.monotonic()))

    def _upload_at_end(self, deadline: float) -> None:
        """Once in vain is enough: the process wants to end, and what waits is safe."""
        if self._in_vain == self._submitted or self._upload(deadline, patient=False):
            return
        self._in_vain = self._submitted
        unmoved = getattr(self._store, "unmoved", str)()
        if unmoved:
            _say(unmoved)

    def _upload(self, deadline: float | None, *, patient: bool) -> bool:
        """Have what was saved moved to the store itself; a fork may have closed the store."""
        if not self._shared or self._pid != os.getpid():
            return True
        with self._using:
            try:
                store = self._store = self._store or self._open_store()
            except Exception as error:
                self._problem = str(error)
                return False
        return store.flush(deadline, patient=patient)

    def _settle(self, deadline: float | None, retries: int | None) -> bool:
        if self._pid != os.getpid():
            return True
        thread, target = self._thread, self._submitted
        if thread is None or thread is threading.current_thread():
            return self._done >= target
        limit = None if retries is None else self._attempts + retries

        def over() -> bool:
            tried = limit is not None and self._attempts >= limit
            return self._done >= target or tried or not thread.is_alive()

        self._hurry.set()
        self._wake.set()
        with self._progress:
            self._progress.wait_for(over, deadline)
        return self._done >= target

    def close(self, deadline: float = EXIT_DEADLINE) -> None:
        """Save what is left, with a deadline in seconds, and say what could not be saved."""
        if self._pid != os.getpid():
            return
        thread = self._thread
        if thread is not None:
            until = time.monotonic() + deadline
            self._gave_up = not self._settle(deadline, RETRIES)
            self._upload_at_end(max(0.0, until - time.monotonic()))
            self._closing = True  # only now: the thread would close the store
            self._wake.set()
            self._hurry.set()
            if thread is not threading.current_thread():
                thread.join(CLOSE_DEADLINE)  # it lets go of the store
            self._tell_losses()
        lost = self._submitted - self._done + self.failed + self.dropped
        if lost > self._told:
            self._told = lost
            traces = "1 trace was" if lost == 1 else f"{lost} traces were"
            _say(f"{traces} not saved: {self._problem or 'the store is too slow'}")

    @property
    def problem(self) -> str | None:
        """Why the last attempt to write failed, None when it did not."""
        return self._problem

    def _start(self) -> None:
        with self._starting:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._run, name="tracediff-writer", daemon=True)
            self._thread = thread
            lifetime.register_exit()
            try:
                thread.start()
            except RuntimeError as error:  # the interpreter ends, or there are no threads left
                self._thread = None
                self._problem = str(error)
                self._drain()
                self._close_store()

    def _run(self) -> None:
        pause = 0.0
        while not (self._closing and (self._idle() or self._gave_up)):
            if self._idle():
                self._wake.wait()
            self._wake.clear()
            if self._hurry.wait(max(LINGER, pause)):  # else more may have come meanwhile
                self._hurry.clear()
                pause = 0.0
            saved = self._drain()
            self._tell_losses()
            pause = 0.0 if saved else min(MAX_PAUSE, max(MIN_PAUSE, pause * 2))
        self._close_store()
        self._thread = None
        if not self._idle() and not self._gave_up:  # submitted just now
            self._start()

    def _tell_losses(self) -> None:
        losses = Losses(self.dropped, self.failed, self._problem)
        if self._on_loss is None or losses == self._told_losses:
            return
        self._told_losses = losses
        try:
            self._on_loss(losses)
        except Exception:
            log.exception("tracediff could not tell what was lost")

    def _idle(self) -> bool:
        return not self._queue and not self._ready

    def _drain(self) -> bool:
        """Save all that waits; False when the store refused."""
        while self._queue or self._ready:
            while self._queue and len(self._ready) < BATCH:
                self._build(self._queue.popleft())
            if self._ready and not self._save(list(self._ready)[:BATCH]):
                return False
            if self._queue:
                time.sleep(YIELD)  # other processes may want the same store
        return True

    def _build(self, finished: Finished) -> None:
        try:
            with self._using:  # a fork waits: a module that is being imported would stay locked
                trace = finished.build()
            self._ready.append((trace, finished.size))
        except Exception as error:
            log.exception("tracediff could not assemble a trace")
            self._lose(error, finished.size)

    def _lose(self, error: Exception, size: int) -> None:
        self._problem = f"{type(error).__name__}: {error}"
        self.failed += 1
        self._advance(1, size)

    def _save(self, batch: list[tuple[Trace, int]]) -> bool:
        """Save the first of what is ready; False when the store refused."""
        traces = [trace for trace, _ in batch]
        error, at_fault = self._write(traces)
        if error is None:
            self._problem = None
            for _ in batch:
                self._ready.popleft()
            self._acknowledge(traces)
            self._advance(len(batch), sum(size for _, size in batch))
            return True
        if not at_fault:
            return self._refused(error)
        if len(batch) > 1:  # one of them cannot be written; the others can
            return all(self._save([one]) for one in batch)
        log.error("tracediff could not write a trace of %s", traces[0].key, exc_info=error)
        self._ready.popleft()
        self._lose(error, batch[0][1])
        return True

    def _write(self, traces: list[Trace]) -> tuple[Exception | None, bool]:
        """What went wrong, if anything did, and whether that was for what one of the traces is."""
        with self._using:
            try:
                store = self._store = self._store or self._open_store()
                self._shared = store.capabilities.shared
            except Exception as error:
                return error, False
            try:
                store.save(traces)
            except Exception as error:
                refused = isinstance(error, StoreError | OSError)
                return error, not refused or getattr(error, "slug", "") in TRACE_SLUGS
            try:
                self._after(store, traces)
            except Exception:
                log.exception("tracediff could not keep the sources of traces")
            return None, False

    def _refused(self, error: Exception) -> bool:
        hint = error.hint if isinstance(error, StoreError) else None
        problem = f"{error} ({hint})" if hint else str(error)
        if problem != self._problem:
            log.warning("tracediff cannot write traces: %s", problem)
        self._problem = problem
        with self._progress:
            self._attempts += 1
            self._progress.notify_all()
        return False

    def _acknowledge(self, traces: list[Trace]) -> None:
        if self._on_ack is None:
            return
        for trace in traces:
            try:
                self._on_ack(trace.id)
            except Exception:
                log.exception("tracediff: on_ack failed for %s", trace.id)

    def _close_store(self) -> None:
        with self._using:
            store, self._store = self._store, None
            try:
                if store is not None:
                    store.close()
            except Exception:
                log.exception("tracediff could not close the store")

    def before_fork(self) -> bool:
        """Let go of the store, and hold it off until ``after_fork``; False: it could not be had.

        A child would inherit the locks and files of a store in use: SQLite's are of the process,
        and one that another thread holds at this moment is never released in the child.
        """
        held = self._using.acquire(timeout=FORK_DEADLINE)
        if held:
            self._close_store()
        return held

    def after_fork(self) -> None:
        """Go on, in the parent."""
        self._using.release()

    def _advance(self, count: int, size: int) -> None:
        with self._progress:
            self._done += count
            self._waiting -= size
            self._progress.notify_all()


def _say(problem: str) -> None:
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"tracediff: {problem}\n")
