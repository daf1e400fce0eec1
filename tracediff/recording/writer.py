"""Finished traces on their way to the store: a queue bounded in bytes, one background thread.

Submitting costs the job a deque append. The thread starts with the first trace; after a fork the
child discards what it inherited and starts its own. What cannot be written is kept and tried again
with growing pauses, up to the bound; drops are counted and reported, never silent.

While jobs run whose traces are live, the thread looks at each of them now and then, and has what is
new written as a part.
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

from tracediff.errors import StoreError
from tracediff.model import Part, Trace
from tracediff.recording import lifetime
from tracediff.recording.live import LOOK, Live, Running
from tracediff.recording.queued import (
    BATCH,
    SPAN_BYTES,
    Entry,
    Finished,
    Ignored,
    Losses,
    Made,
    Ready,
)
from tracediff.recording.saving import Saving, trace_in
from tracediff.stores.base import Store

log = logging.getLogger("tracediff")

__all__ = ["MAX_BYTES", "SPAN_BYTES", "Finished", "Losses", "Writer"]

MAX_BYTES = 64 * 1024 * 1024
"""What may wait in memory; beyond it new traces are dropped and counted."""

LINGER = 0.02
"""Seconds the thread waits for more before it writes."""

YIELD = 0.005
MIN_PAUSE = 0.1
MAX_PAUSE = 30.0
"""Seconds between two attempts to write to a store that refuses."""

EXIT_DEADLINE = 10.0
CLOSE_DEADLINE = 1.0
FORK_DEADLINE = 5.0
RETRIES = 2
"""Attempts after which a flush without a deadline, or the end of the process, gives up."""


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
        self._saving = Saving(open_store, after, on_ack)
        self._on_loss = on_loss
        self.reset()
        lifetime.writers.add(self)

    def reset(self) -> None:
        """Start anew: what a forked child inherits is its parent's to write."""
        self._saving.reset()
        self._pid = os.getpid()
        self._queue: deque[Finished] = deque()
        self._ready = Ready()
        self._running = Running()
        self._submitted = 0
        self._unsaved = 0
        self._done = 0
        self._waiting = 0
        self._attempts = 0
        self.dropped = 0
        self.failed = 0
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._progress = threading.Condition()
        self._closing = False
        self._retired = False
        self._gave_up = False
        self._told = 0
        self._told_losses = Losses()
        self._in_vain = -1
        self._problem: str | None = None

    def submit(self, finished: Finished) -> None:
        """Hand over a finished job. Never blocks, never raises; over the bound it is dropped.

        No lock: an addition to an attribute cannot be interrupted by another thread, as there is
        no call in it, and a deque's ``append`` cannot either.
        """
        if self._pid != os.getpid():
            self.reset()
        live = finished.live
        if live is not None:
            self._running.remove(live)
        if self._waiting > MAX_BYTES:
            if live is None or not live.writes:
                self.dropped += 1
                if self.dropped == 1:
                    self._say_dropping()
                return
            live.shed()  # of what is there already its end is told
            finished.size = 0
        self._unsaved += 1
        self._put(finished)
        if self._thread is None:
            self._start()
        elif not self._wake.is_set():
            self._wake.set()
        if self._closing or self._retired:  # no flush waits for it any more
            self._settle(EXIT_DEADLINE, RETRIES)

    def _say_dropping(self) -> None:
        log.warning("tracediff drops traces: %s", self._problem or "the store is too slow")

    def watch(self, live: Live) -> None:
        """Have a job's trace written in parts while it runs, if the store can. Never raises."""
        if self._pid != os.getpid():
            self.reset()
        self._put(self._running.add(live))
        if self._thread is None:
            self._start()
        elif not self._wake.is_set():
            self._wake.set()

    def wake(self) -> None:
        """A live trace has grown: look at it soon."""
        self._wake.set()

    def _put(self, finished: Finished) -> None:
        self._waiting += finished.size
        self._submitted += 1
        self._queue.append(finished)

    def _look(self, *, all_of_them: bool = False) -> None:
        """Have the live traces written whose time has come; bound what they hold where it waits."""
        for bump in self._running.bumps(all_of_them=all_of_them):
            self._put(bump)
        if self._problem is not None:
            self._running.shed(MAX_BYTES - self._waiting)

    def flush(self, deadline: float | None = None, *, upload: bool = False) -> bool:
        """Wait until what was submitted before is saved; False when it is not.

        Args:
            deadline: The seconds to keep trying; by default, until the store refuses.
            upload: Wait until it is in the store itself too, where traces wait on this machine.
        """
        until = None if deadline is None else time.monotonic() + deadline
        if self._pid == os.getpid():
            self._look(all_of_them=True)
        saved = self._settle(deadline, RETRIES if deadline is None else None)
        if not upload:
            return saved
        left = None if until is None else max(0.0, until - time.monotonic())
        return self._upload(left, patient=True) and saved

    def upload_early(self) -> None:
        """Have all moved to the store while threads and imports still work as ever."""
        if self._pid == os.getpid() and self._thread is not None:
            until = time.monotonic() + EXIT_DEADLINE
            self._look(all_of_them=True)
            self._settle(EXIT_DEADLINE, RETRIES)
            self._upload_at_end(max(0.0, until - time.monotonic()))

    def _upload_at_end(self, deadline: float) -> None:
        """Once in vain is enough: the process wants to end, and what waits is safe."""
        if self._in_vain == self._submitted or self._upload(deadline, patient=False):
            return
        self._in_vain = self._submitted
        unmoved = getattr(self._saving.store, "unmoved", str)()
        if unmoved:
            _say(unmoved)

    def _upload(self, deadline: float | None, *, patient: bool) -> bool:
        """Have what was saved moved to the store itself; a fork may have closed the store."""
        if not self._saving.shared or self._pid != os.getpid():
            return True
        try:
            store = self._saving.opened()
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
            self._look(all_of_them=True)
            self._gave_up = not self._settle(deadline, RETRIES)
            self._upload_at_end(max(0.0, until - time.monotonic()))
            self._closing = True  # only now: the thread would close the store
            self._wake.set()
            self._hurry.set()
            if thread is not threading.current_thread():
                thread.join(CLOSE_DEADLINE)  # it lets go of the store
            self._tell_losses(given_up=self._unsaved)
        lost = self._unsaved + self.failed + self.dropped
        if lost > self._told:
            self._told = lost
            traces = "1 trace was" if lost == 1 else f"{lost} traces were"
            _say(f"{traces} not saved: {self._problem or 'the store is too slow'}")

    def retire(self) -> None:
        """Save what is left, for another takes its place; live jobs that run are written on."""
        if self._pid != os.getpid() or not self._running:
            self.close()
            return
        self._retired = True
        self.flush(EXIT_DEADLINE)

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
                self._saving.close()

    def _run(self) -> None:
        pause = 0.0
        while not self._is_over():
            if self._idle():
                self._wake.wait(self._running.wait())
            self._wake.clear()
            self._look()
            if self._idle() and not self._hurry.is_set():
                continue
            if self._hurried(max(LINGER, pause)):  # else more may have come meanwhile
                self._hurry.clear()
                pause = 0.0
            saved = self._drain()
            self._tell_losses()
            pause = 0.0 if saved else min(MAX_PAUSE, max(MIN_PAUSE, pause * 2))
        self._saving.close()
        self._thread = None
        if not self._idle() and not self._gave_up:  # submitted just now
            self._start()

    def _is_over(self) -> bool:
        closing = self._closing or (self._retired and not self._running)
        return closing and (self._idle() or self._gave_up)

    def _hurried(self, seconds: float) -> bool:
        """Wait for so long, and see to the live traces meanwhile; True when somebody cannot."""
        while self._running and seconds > LOOK:
            if self._hurry.wait(LOOK):
                return True
            seconds -= LOOK
            self._look()
        return self._hurry.wait(seconds)

    def _tell_losses(self, *, given_up: int = 0) -> None:
        losses = Losses(self.dropped + given_up, self.failed, self._problem)
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
        while self._save_ready():  # first: while a store refuses, no more is built of what waits
            if not self._queue:
                return True
            while self._queue and len(self._ready) < BATCH:
                if self._queue[0].live is not None and not self._ask(self._queue[0].live):
                    return False
                self._build(self._queue.popleft())
        return False

    def _save_ready(self) -> bool:
        """Save what was built; False when the store refused."""
        some = bool(self._ready)
        while batch := self._ready.batch():
            if not self._save(batch):
                return False
        if some and self._queue:
            time.sleep(YIELD)  # other processes may want the same store
        return True

    def _ask(self, live: Live) -> bool:
        """See whether the store takes parts; False when it cannot be opened."""
        if self._saving.lives is None:
            try:
                store = self._saving.opened()
            except Exception as error:
                return self._refused(error)
            if not self._saving.lives:
                log.warning("tracediff writes live traces to %s when they end only", store.url)
        live.writes = self._saving.lives
        return True

    def _build(self, finished: Finished) -> None:
        size, made = finished.size, None
        try:
            # A fork waits: a module that is being imported would stay locked.
            with self._saving.using:
                made = finished.build()
        except Exception as error:
            log.exception("tracediff could not assemble a trace")
            if finished.ends:
                self._lose(error, finished)
                return
        self._waiting += finished.size - size
        if made is None:
            self._advance([finished])
        else:
            self._ready.add(made, finished)

    def _lose(self, error: Exception, finished: Finished) -> None:
        self._problem = f"{type(error).__name__}: {error}"
        self.failed += finished.ends
        self._advance([finished])

    def _save(self, batch: list[Entry]) -> bool:
        """Save the first ones of one kind; False when the store refused."""
        error, at_fault = self._saving.write([made for made, _ in batch])
        if error is None:
            self._problem = None
            self._ready.done(batch)
            self._saving.acknowledge([made for made, _ in batch])
            self._advance([finished for _, finished in batch])
            return True
        if not at_fault:
            return self._refused(error)
        if len(batch) > 1:  # one of them cannot be written; the others can
            return all(self._save([one]) for one in batch)
        return self._give_up(*batch[0], error)

    def _give_up(self, made: Made, finished: Finished, error: Exception) -> bool:
        """One that cannot be written; of a live trace the rest can."""
        if isinstance(made, Part) and finished.live is not None:
            less = finished.live.reduced(made, error)
            if less is not None:
                log.error("tracediff could not write steps of %s", made.row.key, exc_info=error)
                self._ready.replace(less)
                return self._save([(less, finished)])
        key = made.id if isinstance(made, Ignored) else trace_in(made).key
        if isinstance(error, StoreError):  # it says what to do: its frames would hide that
            log.error("tracediff could not write a trace of %s: %s (%s)", key, error, error.hint)
        else:
            log.error("tracediff could not write a trace of %s", key, exc_info=error)
        self._ready.done([(made, finished)])
        self._lose(error, finished)
        return True

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

    def before_fork(self) -> bool:
        """Let go of the store, and hold it off until ``after_fork``; False: it could not be had.

        A child would inherit the locks and files of a store in use: SQLite's are of the process,
        and one that another thread holds at this moment is never released in the child.
        """
        held = self._saving.using.acquire(timeout=FORK_DEADLINE)
        if held:
            self._saving.close()
        return held

    def after_fork(self) -> None:
        """Go on, in the parent."""
        self._saving.using.release()

    def _advance(self, done: list[Finished]) -> None:
        count, ended = len(done), sum(one.ends for one in done)
        size = sum(one.size for one in done)
        with self._progress:
            self._done += count
            self._unsaved -= ended
            self._waiting -= size
            self._progress.notify_all()


def _say(problem: str) -> None:
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"tracediff: {problem}\n")
