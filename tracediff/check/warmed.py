"""One process that replays for a check, from outside: requests to it, answers from it, its limits.

Requests are sent ahead, so that it never waits. A thread watches it by its page of memory: what a
replay takes of time and memory, and what it prints.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import select
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tracediff.check import page as pages
from tracediff.check.frames import SEAL, Frames
from tracediff.check.page import Page
from tracediff.check.processes import MARK, end_marked, resident
from tracediff.check.results import Work
from tracediff.compare.code import Load
from tracediff.config import Config
from tracediff.errors import ReplayError
from tracediff.expectations.warm import settings_told
from tracediff.replay.framing import framed
from tracediff.replay.starting import started

TICK: Final = 0.05
"""Seconds between two looks at a process."""
GRACE: Final = 5.0
"""Seconds after which all of a process is ended, where ending its runner helped nothing."""
MAX_PRINTED: Final = 16 << 20
"""Bytes of output from which on it is thrown away."""
IMPORT_TIME: Final = 60.0
"""Seconds that importing a job may take, where a replay may take less."""
_LAST: Final = 1 << 14
_PIPE: Final = 1 << 20


class Warmed:
    """A process, its pipes, and the thread that watches it.

    Args:
        config: The settings of the project, as it is where it is replayed.
        work: The limits, and what is told to the process.
        load: Reads source files.
        environment: Variables to set, on top of this process's.

    Raises:
        ReplayError: ``replay-python``: it cannot be started.
    """

    def __init__(
        self, config: Config, work: Work, load: Load, environment: Mapping[str, str] | None = None
    ) -> None:
        self._load = load
        self._mark = secrets.token_hex(12)
        self._out = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        fcntl.fcntl(self._out, fcntl.F_SETFL, fcntl.fcntl(self._out, fcntl.F_GETFL) | os.O_APPEND)
        with tempfile.TemporaryFile() as status:
            status.truncate(pages.SIZE)
            self.page = Page(status.fileno())
            self._start(config, status.fileno(), {**(environment or {}), MARK: self._mark})
        seal = secrets.token_bytes(SEAL)
        self._frames = Frames(seal)
        self._to_send: deque[memoryview] = deque()
        self._sources: deque[memoryview] = deque()
        self.ready = False
        self._told_source = False
        self.send([str(config.root), settings_told(config), work.packed(), seal])
        self._watch = _Watch(self, work)

    def _start(self, config: Config, status: int, told: Mapping[str, str]) -> None:
        self.answers, reply = os.pipe()
        sources, self._tell = os.pipe()
        try:
            self.process = started("tracediff.check.replaying", config, [reply, sources, status],
                                   out=self._out, told=told)  # fmt: skip
        except ReplayError:
            for one in (self.answers, self._tell):
                os.close(one)
            self._out.close()
            self.page.close()
            raise
        finally:
            os.close(reply)
            os.close(sources)
        if self.process.stdin is None:
            raise RuntimeError("a pipe was asked for")
        self.requests = self.process.stdin.fileno()
        for one in (self.requests, self.answers, self._tell):
            os.set_blocking(one, False)
        with contextlib.suppress(OSError, AttributeError):  # others of this user have many already
            fcntl.fcntl(self.requests, fcntl.F_SETPIPE_SZ, _PIPE)
        self.handle = os.pidfd_open(self.process.pid) if sys.platform == "linux" else -1

    def send(self, message: Any) -> None:
        """Put a message in line; ``write`` writes it."""
        self._to_send.append(memoryview(framed(message)))

    @property
    def waited_for(self) -> Iterator[tuple[int, int]]:
        """Descriptors and what of them to wait for, as ``poll`` takes them."""
        yield self.answers, select.POLLIN
        if self._to_send:
            yield self.requests, select.POLLOUT
        if self._sources:
            yield self._tell, select.POLLOUT
        if self.handle >= 0:
            yield self.handle, select.POLLIN

    @property
    def is_sending(self) -> bool:
        """Whether something is still in line."""
        return bool(self._to_send or self._sources)

    def write(self) -> None:
        """Write as much as fits into the pipes."""
        _write(self.requests, self._to_send)
        _write(self._tell, self._sources)

    def read(self) -> Iterator[list[Any]]:
        """The messages that came; those that ask for a source are answered here.

        Raises:
            BrokenFrameError: The job wrote into the replay's own files.
            EOFError: The process is gone.
        """
        while True:
            try:
                data = os.read(self.answers, 1 << 20)
            except BlockingIOError:  # no more has come
                return
            for message in self._frames.feed(data):
                told, self._told_source = self._told_source, message[0] == "source"
                if message[0] == "source":
                    self._sources.append(memoryview(framed(self._load(message[1], message[2]))))
                    self.write()
                elif message[0] == "ready":
                    self.ready = True
                else:
                    yield message
                    if message[0] == "ended" and told:  # nobody knows how much of it was read
                        raise EOFError
            if not data:
                raise EOFError

    @property
    def is_gone(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def limit_of(self, serial: int) -> ReplayError | None:
        """The limit for which the replay of a request was ended, if it was."""
        return self._watch.ended.get(serial)

    def printed(self) -> str:
        """The last lines that were printed."""
        size = os.fstat(self._out.fileno()).st_size
        data = os.pread(self._out.fileno(), _LAST, max(0, size - _LAST))
        return " | ".join(data.decode("utf-8", "replace").strip().splitlines()[-3:])[-1000:]

    def cut_output(self) -> None:
        """Throw away what was printed, where it is too much."""
        if os.fstat(self._out.fileno()).st_size > MAX_PRINTED:
            os.ftruncate(self._out.fileno(), 0)

    def end(self) -> None:
        """End the process, and what is in its session."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended already
            os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process and whatever its jobs started, and let go of all files."""
        self._watch.stop()
        self.end()
        self.process.wait()
        end_marked(self._mark)
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it read no more
                self.process.stdin.close()
        for one in (self.answers, self._tell, *((self.handle,) if self.handle >= 0 else ())):
            os.close(one)
        self._out.close()
        self.page.close()


class _Watch:
    """The thread that keeps a process within its limits."""

    def __init__(self, warmed: Warmed, work: Work) -> None:
        self._warmed, self._work = warmed, work
        self.ended: dict[int, ReplayError] = {}
        self._seen: pages.Doing | None = None
        self._since = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tracediff-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(TICK):
            self._warmed.cut_output()
            doing, now = self._warmed.page.read(), time.monotonic()
            if doing != self._seen:
                self._seen, self._since = doing, now
            lasted, is_ended = now - self._since, doing.serial in self.ended
            if is_ended and lasted > GRACE:  # who forked it is stopped, or gone as well
                self._warmed.end()
            elif not is_ended and doing.phase in (pages.REPLAYING, pages.IMPORTING):
                self._limit(doing, lasted)

    def _limit(self, doing: pages.Doing, lasted: float) -> None:
        error, most = None, self._work.timeout
        if doing.phase == pages.IMPORTING:
            most = max(most, IMPORT_TIME)
        if lasted > most:
            error = took_too_long(most)
        elif self._work.memory and (used := resident(doing.pid)) > self._work.memory:
            error = took_too_much(used, self._work.memory)
        if error is not None and self._warmed.page.read() == doing:
            self.ended[doing.serial] = error
            self._since = time.monotonic()
            with contextlib.suppress(ProcessLookupError):  # it has ended already
                os.kill(doing.pid, signal.SIGKILL)


def took_too_long(seconds: float) -> ReplayError:
    """A replay that was ended for its time."""
    return ReplayError(
        f"the replay took longer than {seconds:g} s",
        slug="replay-timeout",
        hint="raise replay_timeout in [tool.tracediff], or pass --timeout",
    )


def took_too_much(used: int, limit: int) -> ReplayError:
    """A replay that was ended for its memory."""
    return ReplayError(
        f"the replay took {used / 1e6:,.0f} MB of memory, and may take {limit / 1e6:,.0f} MB",
        slug="replay-memory",
        hint="let it take more with --memory, or use fewer workers; see why the job needs so much",
    )


def robbed() -> ReplayError:
    """A replay whose job took its process's own files."""
    return ReplayError(
        "the job closed the replay's own files, or wrote into them",
        slug="replay-died",
        hint="a job must not touch descriptors that it did not open",
    )


def _write(handle: int, line: deque[memoryview]) -> None:
    with contextlib.suppress(BlockingIOError, BrokenPipeError):  # it is gone: reading says so
        while line:
            written = os.write(handle, line[0])
            if written < len(line[0]):
                line[0] = line[0][written:]
            else:
                line.popleft()
