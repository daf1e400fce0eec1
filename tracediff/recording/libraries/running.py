"""One program that runs inside a recorded job, or is answered for in a replay."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from time import perf_counter_ns
from typing import Any

from tracediff.recording.buffers import Packed
from tracediff.recording.faults import brief
from tracediff.recording.libraries.commands import (
    Asked,
    Said,
    Told,
    hide,
    lengths,
    name_of,
    sealed_command,
    shown,
)
from tracediff.recording.libraries.reach import Reach
from tracediff.recording.marks import Mark
from tracediff.recording.serving import answer
from tracediff.recording.spans import Span, new_span
from tracediff.runtime import ReplayAbort

NO_PROCESS = (1 << 22) + 1
"""The number of a process that cannot be: Linux gives none above 2 ** 22."""


def _asked(*, command: Any, cwd: str, stdin: Any) -> None:
    """A program: what is recorded are its output as far as it was read, and its return code."""


def _written(command: Any, data: Any) -> None:
    return None


def _signal(command: Any, signal: int) -> None:
    return None


def _rest(command: Any, stream: str) -> None:
    """What a program printed that the recorded job did not read."""


NOT_STARTED = Mark("input", "subprocess that did not start", _asked, drop=0)
WRITE = Reach("output", "subprocess write to stdin", _written)
SIGNAL = Reach("output", "subprocess signal", _signal)
REST = Reach("input", "subprocess output that was not read", _rest)


@lru_cache(maxsize=64)
def _mark(name: str) -> Mark:
    return Mark("input", f"subprocess {name}", _asked, drop=0)


class Running:
    """A program, from its start to the job's end.

    Args:
        parent: What ``recorded_here`` gave where it is started.
        command: Its command, as texts.
        cwd: The directory that it is started in, or None.
        piped: Whether the job writes what it reads.
    """

    def __init__(self, parent: Span, command: Any, cwd: Any, *, piped: bool) -> None:
        self.parent = parent
        self.buffer = parent.buffer
        self.command = command
        self.asked = Asked(command, cwd, piped=piped)
        self.said = Said()
        self.span = new_span(_mark(name_of(command)), parent.buffer, parent, self.asked, {})
        self.replayed = self.buffer.server is not None
        self.served = False
        self._settled = False
        self._quiet = False
        self._told: Told | None = None
        self._failed: BaseException | None = None
        hide(self.buffer, command)

    # --- while recording

    def opened(self, name: str) -> None:
        """The job reads what is printed there."""
        self.said.streams[name] = bytearray()
        self.span.result = self.said

    def not_started(self, error: BaseException) -> None:
        """It could not be started."""
        if self.asked.piped:
            self.span.mark = NOT_STARTED
        self.span.error = self.buffer.fault(error, self.parent)
        self.span.end = perf_counter_ns()

    def unnoted(self, error: Exception) -> None:
        """What it prints cannot be recorded; the job has it all the same."""
        self.buffer.warn(f"a program could not be recorded: {brief(error)}")

    def settle(self) -> None:
        """The job asks for something: what it has written until now is what was given."""
        if not self._settled:
            self._settled = True
            if not self.replayed or not self.served:
                self.span.result = self.said
            self._touch()

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Around what Python itself does with the pipes."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def _over(self) -> bool:
        """Whether it is no input of the job any more."""
        return self._quiet or bool(self.buffer.spans[0].end)

    def _touch(self) -> None:
        self.span.end = perf_counter_ns()

    def given(self, data: bytes | None) -> None:
        """It is given more to read."""
        if not data or self._over():
            return
        if not self._settled:
            self.asked.add(data)
            self.buffer.bytes += len(data)
            return
        command = sealed_command(self.buffer, self.command)
        WRITE(self.parent, command, shown(self.buffer, data))

    def printed(self, name: str, data: bytes) -> None:
        """The job has read from it; nothing at its end."""
        if self._over():
            return
        if data:
            self.said.add(name, data)
            self.buffer.bytes += len(data)
        else:
            self.said.ended.add(name)
        self._touch()

    def polled(self, code: int | None) -> None:
        """The job has asked whether it has ended."""
        if self._over():
            return
        if code is None:
            self.late()
        else:
            self.said.code = code
        self._touch()

    def late(self, *parts: bytes | None) -> None:
        """It had not ended when it should have; what it had printed by then."""
        if (self._quiet and not parts) or self.buffer.spans[0].end:
            return
        so_far = []
        for name, part in zip(("stdout", "stderr"), (*parts, None, None), strict=False):
            held = self.said.streams.get(name, b"")
            so_far.append(bytes(held) + (part or b"") if parts else b"")
        self.said.unfinished.append(lengths(so_far))
        self.said.partial = dict(zip(("stdout", "stderr"), so_far, strict=True))
        self._touch()

    def ended_with(self, out: bytes | None, err: bytes | None, code: int | None) -> None:
        """It has ended, and the job has the rest of what it printed."""
        if self._over():
            return
        for name, part in (("stdout", out), ("stderr", err)):
            if name in self.said.streams:
                self.printed(name, part or b"")
                self.said.ended.add(name)
        self.said.code = code
        self._touch()

    # --- in a replay

    def answered_at_start(self) -> bool:
        """Whether a recording answers for it; False where it is to be started for real.

        What the job still writes for it to read is not known yet; a start that failed is.
        """
        server = self.buffer.server
        if server is None:
            return False
        self.served = True
        if self.asked.piped:
            if self.asked.made(self.buffer) not in server.recorded(NOT_STARTED.name):
                return True
            self.span.mark = NOT_STARTED
        return self._ask()

    def _ask(self) -> bool:
        span = self.span
        self._settled = True
        if self._failed is not None:
            raise self._failed
        try:
            found = answer(span)
        except BaseException as error:
            self._failed = error  # Python waits for a program that is given up, too
            span.error = self.buffer.fault(error, self.parent)
            raise
        finally:
            self._touch()
        if found.live:
            span.end = 0  # what runs for real has not ended
            self.served = False
            return False
        span.result = Packed(found.data or b"")
        self._told = Told(found.result)
        return True

    def told(self) -> Told:
        """What the recording says of it."""
        if self._told is None:
            self._ask()
        if self._told is None:
            raise ReplayAbort(
                f"{self.span.mark.name!r} cannot be started in the middle of what it is given",
                slug="input-not-recorded",
                hint="record the job again",
            )
        return self._told

    def is_late(self) -> tuple[int, int] | None:
        """Whether it had not ended when it was asked for, here, in the recording."""
        left = self.told().unfinished
        return left.pop(0) if left else None

    def code(self) -> int:
        """How it ended."""
        found = self.told().code
        if found is None:
            self.miss("returncode")
        self.told().unfinished.clear()
        return found or 0

    def miss(self, stream: str) -> None:
        """More of it is asked for than was recorded."""
        REST(self.parent, sealed_command(self.buffer, self.command), stream)


def signalled(running: Running, number: int, run: Callable[..., Any]) -> Any:
    """A signal is sent to a program: an output."""
    command = sealed_command(running.buffer, running.command)
    if running.buffer.spans[0].end:  # the job is over
        return run(command, number)
    return SIGNAL(running.parent, command, number, run=run)
