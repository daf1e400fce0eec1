"""``subprocess``: a program that the job runs is an input, which a replay answers and never runs.

All of the module goes through ``Popen``, whose pipes are noted as the job reads them. What the
program is given to read is known where the job first asks for something of it, and in a replay it
is only then asked for. Programs that Python starts for itself (``platform``, ``uuid``) are plain.
"""

from __future__ import annotations

import functools
import inspect
import io
import os
import subprocess
from collections.abc import Callable, Iterable
from typing import Any

from tracediff.config import Config
from tracediff.recording.faults import brief
from tracediff.recording.libraries import asyncio_programs
from tracediff.recording.libraries.commands import command_of, sealed_command
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import Reach, asked_by_python, recorded_here
from tracediff.recording.libraries.running import NO_PROCESS, Running, signalled
from tracediff.recording.spans import leave
from tracediff.runtime import current

_PASSED = frozenset({"subprocess", "os"})
_PATCHED = "_tracediff"


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    kind = subprocess.Popen
    yield Patch(kind, "__init__", _starting(kind.__init__))
    for name, instead in (
        ("communicate", _communicating), ("poll", _polling), ("wait", _waiting),
        ("send_signal", _signalling),
    ):  # fmt: skip
        yield Patch(kind, name, instead(getattr(kind, name)))
    yield Patch(os, "system", _system(os.system), everywhere=True)
    yield from asyncio_programs.patches(config)


def _command(command: str) -> int:
    raise NotImplementedError


SYSTEM = Reach("input", "os.system", _command)


def _system(real: Callable[[Any], int]) -> Callable[[Any], int]:
    @functools.wraps(real)
    def system(command: Any) -> int:
        parent = recorded_here()
        if parent is None or asked_by_python(_PASSED):
            return real(command)
        text = command_of(command, None, shell=True)  # noqa: S604 - it only reads the text
        shown = sealed_command(parent.buffer, text)
        return SYSTEM(parent, shown, run=lambda _: real(command))  # type: ignore[no-any-return]

    return system


# --- starting -------------------------------------------------------------------------------------


def _starting(real: Callable[..., None]) -> Callable[..., None]:
    parameters = list(inspect.signature(real).parameters.values())[1:]
    names = [one.name for one in parameters]
    defaults = {one.name: one.default for one in parameters if one.default is not one.empty}

    @functools.wraps(real)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it stands for it
        parent = recorded_here()
        if parent is None or asked_by_python(_PASSED):
            real(self, *args, **kwargs)
            return
        try:
            given = {**defaults, **dict(zip(names, args, strict=False)), **kwargs}
            command = command_of(given["args"], given["executable"], shell=bool(given["shell"]))
        except Exception as error:  # no call of it: the real one says what is wrong
            real(self, *args, **kwargs)
            parent.buffer.warn(f"a program could not be recorded: {brief(error)}")
            return
        piped = given["stdin"] == subprocess.PIPE
        running = Running(parent, command, given["cwd"], piped=piped)
        if running.replayed and running.answered_at_start():
            _stand_in(self, given, running)
            return
        _start(self, functools.partial(real, self, *args, **kwargs), running, given)

    return __init__


def _start(self: Any, real: Callable[[], None], running: Running, given: dict[str, Any]) -> None:
    token = current.set(running.span)
    try:
        real()
    except BaseException as error:
        running.not_started(error)
        raise
    finally:
        leave(token)
    try:
        for name in ("stdout", "stderr"):
            pipe = getattr(self, name)
            if pipe is not None:
                running.opened(name)
                cover = functools.partial(_Read, running=running, name=name)
                setattr(self, name, _over(pipe, cover))
            elif given[name] not in (None, subprocess.DEVNULL, subprocess.STDOUT):
                running.buffer.warn("what a program writes into a file is not recorded")
        if self.stdin is not None:
            self.stdin = _over(self.stdin, lambda raw: _Written(raw, running))
    except Exception as error:  # a recorder never breaks the job
        running.unnoted(error)
    self.__dict__[_PATCHED] = running


def _over(pipe: Any, cover: Callable[[Any], Any]) -> Any:
    """A pipe of the same kind, whose lowest part is another one."""
    if isinstance(pipe, io.TextIOWrapper):
        encoding, errors, through = pipe.encoding, pipe.errors, pipe.write_through
        lines = pipe.line_buffering
        inner = _over(pipe.detach(), cover)
        return io.TextIOWrapper(
            inner, encoding=encoding, errors=errors, write_through=through, line_buffering=lines
        )
    if isinstance(pipe, io.BufferedReader | io.BufferedWriter):
        return type(pipe)(cover(pipe.detach()))
    return cover(pipe)


class _Covered(io.RawIOBase):
    """The lowest part of a pipe."""

    def __init__(self, raw: Any, running: Running, name: str = "stdin") -> None:
        super().__init__()
        self._raw = raw
        self._running = running
        self._stream = name
        self.name = raw.name
        self.mode = raw.mode

    def fileno(self) -> int:
        return int(self._raw.fileno())

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._raw.close()


class _Read(_Covered):
    """One that the job reads from."""

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int | None:
        self._running.settle()
        count: int | None = self._raw.readinto(target)
        if count is not None:
            self._running.printed(self._stream, bytes(target[:count]))
        return count


class _Written(_Covered):
    """The one that it writes into."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int | None:
        count: int | None = self._raw.write(data)
        if count:
            self._running.given(bytes(data[:count]))
        return count


# --- while it runs --------------------------------------------------------------------------------


def _communicating(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def communicate(self: Any, input: Any = None, timeout: float | None = None) -> Any:
        running: Running | None = self.__dict__.get(_PATCHED)
        if running is None:
            return real(self, input, timeout)
        if input is not None and self.stdin is not None:
            try:
                running.given(_bytes(self.stdin, input))
            except (TypeError, AttributeError):  # of a wrong type: Python says so
                if running.served:
                    _refuse_input(self, input, timeout)
        if running.served:
            return _served_output(self, running, timeout)
        running.settle()
        with running.quiet():
            try:
                out, err = real(self, input, timeout)
            except subprocess.TimeoutExpired as error:
                running.late(error.output, error.stderr)
                raise
        running.ended_with(_bytes(self.stdout, out), _bytes(self.stderr, err), self.returncode)
        return out, err

    return communicate


def _bytes(pipe: Any, data: Any) -> bytes | None:
    """What goes through a pipe, of texts or not, as bytes."""
    if data is None:
        return None
    if isinstance(pipe, io.TextIOWrapper):
        encoded: bytes = data.encode(pipe.encoding, pipe.errors)
        return encoded
    return bytes(memoryview(data))


def _refuse_input(process: Any, data: Any, timeout: float | None) -> None:
    """Raise what Python says of data of a wrong type, where no program runs."""
    alone = [process.stdin, process.stdout, process.stderr].count(None) == 2
    if alone and timeout is None:
        process.stdin.write(data)
    elif process.text_mode:
        data.encode(process.stdin.encoding, process.stdin.errors)
    else:
        memoryview(data)


def _polling(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def poll(self: Any) -> Any:
        running: Running | None = self.__dict__.get(_PATCHED)
        if running is None or self.returncode is not None:
            return real(self)
        if running.served:
            self.returncode = None if running.is_late() else running.told().code
            return self.returncode
        running.settle()
        code = real(self)
        running.polled(code)
        return code

    return poll


def _waiting(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def wait(self: Any, timeout: float | None = None) -> Any:
        running: Running | None = self.__dict__.get(_PATCHED)
        if running is None or self.returncode is not None:
            return real(self, timeout)
        if running.served:
            if timeout is not None and running.is_late():
                raise subprocess.TimeoutExpired(self.args, timeout)
            self.returncode = running.code()
            return self.returncode
        running.settle()
        try:
            code = real(self, timeout)
        except subprocess.TimeoutExpired:
            running.late()
            raise
        running.polled(code)
        return code

    return wait


def _signalling(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def send_signal(self: Any, sig: Any) -> Any:
        running: Running | None = self.__dict__.get(_PATCHED)
        if running is None:
            return real(self, sig)
        if self.returncode is not None:
            return None

        def run(command: Any, number: int) -> None:
            with running.quiet():
                if not running.served:
                    real(self, sig)
            if self.returncode is not None:  # it had ended, which nobody asks for again
                running.polled(self.returncode)

        return signalled(running, int(sig), run)

    return send_signal


# --- in a replay ----------------------------------------------------------------------------------


def _stand_in(self: Any, given: dict[str, Any], running: Running) -> None:
    """Make it what it would be if a program ran."""
    text = given["text"] or given["universal_newlines"] or given["encoding"] or given["errors"]
    self.args, self.pid, self.returncode = given["args"], NO_PROCESS, None
    self.encoding, self.errors, self.text_mode = given["encoding"], given["errors"], bool(text)
    self.pipesize = given["pipesize"]
    self._child_created = False  # there is none to be cleaned up
    self._input, self._communication_started = None, False
    self.__dict__[_PATCHED] = running
    size = given["bufsize"] if given["bufsize"] > 1 else io.DEFAULT_BUFFER_SIZE

    def pipe(name: str) -> Any:
        if given[name] != subprocess.PIPE:
            return None
        raw: Any = _Sink(running) if name == "stdin" else _Served(running, name)
        if given["bufsize"] == 0 and not text:
            return raw
        made: Any = (io.BufferedWriter if name == "stdin" else io.BufferedReader)(raw, size)
        if not text:
            return made
        return io.TextIOWrapper(
            made, encoding=self.encoding, errors=self.errors, write_through=name == "stdin"
        )

    self.stdin, self.stdout, self.stderr = map(pipe, ("stdin", "stdout", "stderr"))


class _Sink(io.RawIOBase):
    """The pipe that a program would read."""

    def __init__(self, running: Running) -> None:
        super().__init__()
        self._running = running

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._running.given(bytes(data))
        return len(data)


class _Served(io.RawIOBase):
    """What it printed."""

    def __init__(self, running: Running, name: str) -> None:
        super().__init__()
        self._running = running
        self._stream = name
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        told = self._running.told()
        part = told.streams[self._stream][self._at : self._at + len(target)]
        if not part and len(target) and self._stream in told.unread:
            self._running.miss(self._stream)
        target[: len(part)] = part
        self._at += len(part)
        return len(part)


def _served_output(self: Any, running: Running, timeout: float | None) -> tuple[Any, Any]:
    told = running.told()
    if timeout is not None and (late := running.is_late()):
        parts = [told.streams[name][:size] or None
                 for name, size in zip(("stdout", "stderr"), late, strict=True)]  # fmt: skip
        raise subprocess.TimeoutExpired(self.args, timeout, output=parts[0], stderr=parts[1])
    found = [None if pipe is None else pipe.read() for pipe in (self.stdout, self.stderr)]
    for pipe in (self.stdin, self.stdout, self.stderr):
        if pipe is not None:
            pipe.close()
    if self.returncode is None:
        self.returncode = running.code()
    return found[0], found[1]
