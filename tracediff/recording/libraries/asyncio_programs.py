"""Programs that a job runs with ``asyncio``: inputs, as those of ``subprocess`` are.

What asyncio gives, a ``Process`` and its ``StreamReader``, are given other classes, derived from
these; in a replay they are made without a transport.
"""

from __future__ import annotations

import asyncio
import asyncio.subprocess as asyncio_subprocess
import contextlib
import functools
import subprocess
from collections.abc import Callable, Iterable
from typing import Any

from tracediff.config import Config
from tracediff.recording.libraries.commands import command_of
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import recorded_here
from tracediff.recording.libraries.running import NO_PROCESS, Running, signalled
from tracediff.recording.spans import leave
from tracediff.runtime import current

CANCELLED_AFTER = 60.0
"""Seconds that a replayed program is waited for until that is cancelled, as it was."""


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    for name, shell in (("create_subprocess_exec", False), ("create_subprocess_shell", True)):
        instead = _creating(getattr(asyncio_subprocess, name), shell=shell)
        yield Patch(asyncio_subprocess, name, instead)
        yield Patch(asyncio, name, instead, everywhere=True)


def _creating(real: Callable[..., Any], *, shell: bool) -> Callable[..., Any]:
    @functools.wraps(real)
    async def create(program: Any, *args: Any, **kwargs: Any) -> Any:
        parent = recorded_here()
        if parent is None:
            return await real(program, *args, **kwargs)
        given = program if shell else [program, *args]
        command = command_of(given, kwargs.get("executable"), shell=shell)
        piped = kwargs.get("stdin") == subprocess.PIPE
        running = Running(parent, command, kwargs.get("cwd"), piped=piped)
        if running.replayed and running.answered_at_start():
            return _Served(running, kwargs)
        token = current.set(running.span)
        try:
            process = await real(program, *args, **kwargs)
        except BaseException as error:
            running.not_started(error)
            raise
        finally:
            leave(token)
        try:
            _note(process, running)
        except Exception as error:  # a recorder never breaks the job
            running.unnoted(error)
        return process

    return create


def _note(process: Any, running: Running) -> None:
    for name in ("stdout", "stderr"):
        reader = getattr(process, name)
        if reader is not None:
            running.opened(name)
            reader.running, reader.stream = running, name
            before = bytes(reader._buffer)  # noqa: SLF001 - what came while it was started
            if before:
                running.printed(name, before)
            if reader._eof:  # noqa: SLF001 - as above
                running.printed(name, b"")
            reader.__class__ = _Reader
    if process.stdin is not None:
        process.stdin.running = running
        process.stdin.__class__ = _Writer
    process.running = running
    process.__class__ = _Process


class _Reader(asyncio.StreamReader):
    """What a program prints, which is noted as it comes."""

    running: Running
    stream: str

    def feed_data(self, data: Any) -> None:
        if data:
            self.running.printed(self.stream, bytes(data))
        super().feed_data(data)

    def feed_eof(self) -> None:
        self.running.printed(self.stream, b"")
        super().feed_eof()

    async def read(self, n: int = -1) -> bytes:
        self.running.settle()
        return await super().read(n)

    async def readuntil(self, *args: Any, **kwargs: Any) -> bytes:
        self.running.settle()
        return await super().readuntil(*args, **kwargs)

    async def readexactly(self, n: int) -> bytes:
        self.running.settle()
        return await super().readexactly(n)


class _Writer(asyncio.StreamWriter):
    """What it is given to read, which is noted as well."""

    running: Running

    def write(self, data: Any) -> None:
        self.running.given(bytes(data))
        super().write(data)

    def writelines(self, data: Any) -> None:
        parts = [bytes(one) for one in data]
        self.running.given(b"".join(parts))
        super().writelines(parts)


class _Process(asyncio_subprocess.Process):
    """A program that runs."""

    running: Running

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        code: int | None = super().returncode
        if code is not None:
            self.running.polled(code)
        return code

    async def wait(self) -> int:
        """Wait until it ends."""
        self.running.settle()
        try:
            code = await super().wait()
        except asyncio.CancelledError:
            self.running.late()
            raise
        self.running.polled(code)
        return code

    async def communicate(self, input: Any = None) -> Any:
        """Give it all that it reads, take all that it prints."""
        if input is not None and self.stdin is not None:
            self.running.given(bytes(input))
        self.running.settle()
        with _unnoted(self.stdin):
            return await super().communicate(input)

    def send_signal(self, signal: int) -> None:
        """Send it a signal."""
        send = super().send_signal
        signalled(self.running, int(signal), lambda command, number: send(signal))

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(15)

    def kill(self) -> None:
        """End it."""
        self.send_signal(9)


@contextlib.contextmanager
def _unnoted(stdin: Any) -> Any:
    """Around what asyncio itself writes."""
    if stdin is not None:
        stdin.__class__ = asyncio.StreamWriter
    try:
        yield
    finally:
        if stdin is not None:
            stdin.__class__ = _Writer


# --- in a replay ----------------------------------------------------------------------------------


class _ServedReader(asyncio.StreamReader):
    """What a recorded program printed."""

    def __init__(self, running: Running, stream: str, limit: int) -> None:
        super().__init__(limit=limit)
        self._running = running
        self._stream = stream
        self._filled = False

    def fill(self) -> None:
        """Have all that was recorded: the job has written what it reads."""
        if not self._filled:
            self._filled = True
            told = self._running.told()
            self.feed_data(told.streams[self._stream])
            if self._stream not in told.unread:
                self.feed_eof()

    async def _wait_for_data(self, func_name: str) -> None:
        self._running.miss(self._stream)
        self.feed_eof()

    async def read(self, n: int = -1) -> bytes:
        self.fill()
        return await super().read(n)

    async def readuntil(self, *args: Any, **kwargs: Any) -> bytes:
        self.fill()
        return await super().readuntil(*args, **kwargs)

    async def readexactly(self, n: int) -> bytes:
        self.fill()
        return await super().readexactly(n)


class _ServedWriter:
    """What it would be given to read."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._closing = False

    def write(self, data: Any) -> None:
        self._running.given(bytes(data))

    def writelines(self, data: Any) -> None:
        self._running.given(b"".join(bytes(one) for one in data))

    async def drain(self) -> None:
        """There is nothing to wait for."""

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """It reads no more."""

    def close(self) -> None:
        self._closing = True

    def is_closing(self) -> bool:
        return self._closing

    async def wait_closed(self) -> None:
        """It is closed."""


class _Served(asyncio_subprocess.Process):
    """A recorded program."""

    def __init__(self, running: Running, given: dict[str, Any]) -> None:
        self.running = running
        limit = given.get("limit", 2**16)
        self.pid = NO_PROCESS
        self._code: int | None = None
        self.stdin: Any = _ServedWriter(running) if given.get("stdin") == subprocess.PIPE else None
        self.stdout, self.stderr = (
            _ServedReader(running, name, limit) if given.get(name) == subprocess.PIPE else None
            for name in ("stdout", "stderr")
        )

    @property
    def returncode(self) -> int | None:
        """How it ended; None until it was waited for."""
        return self._code

    async def _late(self) -> None:
        if self.running.is_late() is not None:
            await asyncio.sleep(CANCELLED_AFTER)

    async def wait(self) -> int:
        """Wait until it ends."""
        await self._late()
        await asyncio.sleep(0)
        self._code = self.running.code()
        return self._code

    async def communicate(self, input: Any = None) -> Any:
        """Give it all that it reads, take all that it prints."""
        if input is not None and self.stdin is not None:
            self.running.given(bytes(input))
        await self._late()
        found = [None if one is None else await one.read() for one in (self.stdout, self.stderr)]
        await self.wait()
        return found[0], found[1]

    def send_signal(self, signal: int) -> None:
        """Send it a signal."""
        signalled(self.running, int(signal), lambda command, number: None)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(15)

    def kill(self) -> None:
        """End it."""
        self.send_signal(9)


for _kind in (_Reader, _Writer, _Process, _Served, _ServedReader):  # as which they are told
    _base = next(one for one in _kind.__mro__ if one.__module__.startswith("asyncio."))
    _kind.__name__, _kind.__qualname__ = _base.__name__, _base.__qualname__
    _kind.__module__ = _base.__module__
