"""``open``: files that are read are inputs, files that are written are outputs.

A file is recorded whole when it is opened to be read; what was written, when it is closed. The
project's own files are read for real: their changes are changes of the project. So are those of
Python and of installed packages.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import io
import os
import stat
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tracediff import runtime
from tracediff.config import Config
from tracediff.recording.buffers import Buffer
from tracediff.recording.libraries.memory import Done, Memory, Shadowed, dressed
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import Reach, asked_by_python, recorded_here, refuse_output
from tracediff.recording.redaction import REDACTED
from tracediff.recording.spans import Span

MAX_FILE = 64 << 20
"""Bytes of a file that is recorded; larger ones are read for real."""

_PASSED = frozenset(
    """pathlib codecs gzip bz2 lzma zipfile tarfile shutil fileinput configparser
    xml.etree.ElementTree xml.sax.saxutils csv""".split()
)
"""Modules of Python that open what a program names."""

_MODES = frozenset(
    kind + plus for kind in "rwax" for plus in ("", "+")
)  # without b and t, which say nothing of what is done to the file


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    for name in ("tokenize", "linecache"):  # they read sources, and keep the ``open`` they found
        importlib.import_module(name)
    opener = _opener(builtins.open, _own_places(config))
    return [Patch(builtins, "open", opener), Patch(io, "open", opener)]


def _own_places(config: Config) -> tuple[str, ...]:
    """The directories, each with its separator, whose files are read for real."""
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    places = [str(config.root), *paths, "/usr/share/zoneinfo", "/usr/share/locale"]
    return tuple({os.path.join(os.path.realpath(one), "") for one in places})


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


def _begin(path: str, mode: str) -> int:
    return 0


def _write(path: str, content: str | bytes) -> None:
    return None


READ = Reach("input", "open", _read)
BEGIN = Reach("output", "open for writing", _begin)
WRITE = Reach("output", "write to a file", _write)


def _opener(real: Callable[..., Any], own: tuple[str, ...]) -> Callable[..., Any]:
    @functools.wraps(real)
    def open(  # noqa: A001 - it stands for that function
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        parent = recorded_here()
        if parent is None and runtime.guard is None:
            return real(file, mode, buffering, encoding, errors, newline, closefd, opener)

        def plainly() -> Any:
            return real(file, mode, buffering, encoding, errors, newline, closefd, opener)

        text = (encoding, errors, newline)
        if not _is_covered(file, mode, buffering, text, opener) or asked_by_python(_PASSED):
            return plainly()
        how = mode.translate({ord("b"): None, ord("t"): None})
        path = os.fsdecode(file)
        if "\0" in path:
            return plainly()  # which raises
        if parent is None:
            if how != "r":
                refuse_output(BEGIN.mark.name)
            return plainly()
        dress = functools.partial(dressed, mode=mode, buffering=buffering, text=text)
        opening = _Opening(parent, file, path, how, dress)
        if how == "r":
            return opening.read(plainly, own)
        if not _is_regular(path):
            return plainly()
        return opening.update() if how in ("r+", "a+") else opening.write()

    return open


def _is_covered(file: Any, mode: Any, buffering: Any, text: tuple[Any, ...], opener: Any) -> bool:
    """Whether a call opens a file by its path and will not be refused for its arguments."""
    if opener is not None or type(mode) is not str:
        return False
    if not isinstance(file, str | bytes | os.PathLike):
        return False
    how = mode.translate({ord("b"): None, ord("t"): None})
    binary = "b" in mode
    if how not in _MODES or len(mode) - len(how) > 1 or type(buffering) is not int:
        return False
    return not (binary and any(one is not None for one in text)) and (buffering != 0 or binary)


def _is_regular(path: str) -> bool:
    """Whether a path is that of a file whose content stays, or of none yet."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):  # none yet, or no path: opening says what is wrong
        return True


class _Opening:
    """One call of ``open`` inside a recorded job, or a replayed one."""

    def __init__(
        self, parent: Span, file: Any, path: str, how: str, dress: Callable[[Any], Any]
    ) -> None:
        self.parent = parent
        self.buffer: Buffer = parent.buffer
        self.file = file
        self.path = path
        self.how = how
        self.dress = dress
        self.start = 0  # how much an appended file held before
        self.real: Any = None
        self.secret = self.buffer.redactor.secret(os.path.basename(path))

    def read(self, plainly: Callable[[], Any], own: tuple[str, ...]) -> Any:
        """The file to be read: an input."""
        kept = (self.buffer.written or {}).get(os.path.abspath(self.path))
        if kept is not None:  # the job wrote it: it is nothing from outside
            real = self.buffer.server is None
            return plainly() if real else self.dress(Memory(self.file, "rb", kept))
        if os.path.realpath(self.path).startswith(own) or not self._fits():
            return plainly()

        def run(path: str) -> bytes:
            self.real = plainly()
            try:
                return _whole(self.real.fileno())
            except BaseException:
                self.real.close()
                raise

        content = READ(self.parent, self.path, secret=lambda _: self.secret, run=run)
        return self.real or self.dress(Memory(self.file, "rb", _exact(content)))

    def update(self) -> Any:
        """The file to be read and written: what it held is an input, what it holds an output."""

        def run(path: str) -> bytes:
            held = b"" if self.how == "a+" and not os.path.exists(path) else _read(path)
            if self.buffer.server is None:
                content = b"" if self.how == "a+" else held
                self.real = Shadowed(self.file, self.how, content, self._written())
            return held

        held = READ(self.parent, self.path, secret=lambda _: self.secret, run=run)
        if self.real is not None:
            self.start = self.real.start()
            return self.dress(self.real)
        self.start = len(held) if self.how == "a+" else 0
        mode = f"{self.how[0]}b+"
        return self.dress(Memory(self.file, mode, _exact(held), done=self._written()))

    def write(self) -> Any:
        """The file to be written: an output."""

        def run(path: str, mode: str) -> int:
            if self.buffer.server is not None:
                return 0
            self.real = Shadowed(self.file, self.how, b"", self._written())
            return self.real.start()  # type: ignore[no-any-return]  # a number

        start = BEGIN(self.parent, self.path, self.how, run=run)
        self.start = start if type(start) is int and self.how == "a" else 0
        if self.real is not None:
            return self.dress(self.real)
        mode = f"{self.how[0]}b{self.how[1:]}"
        return self.dress(Memory(self.file, mode, b"", self.start, self._written()))

    def _written(self) -> Done:
        """What to do when the file is closed."""
        return functools.partial(_closed, self)

    def _fits(self) -> bool:
        try:
            found = os.stat(self.path)
        except (OSError, ValueError):  # opening says what is wrong
            return True
        if not stat.S_ISREG(found.st_mode):
            return stat.S_ISDIR(found.st_mode)
        if found.st_size > MAX_FILE and self.buffer.server is None:
            self.buffer.warn(f"{self.path!r} is too large to be recorded: {found.st_size:,} bytes")
            return False
        return True


def _closed(opening: _Opening, content: bytes) -> None:
    """A file that was written is closed: it is an output of the job, if that still runs."""
    buffer, path, place = opening.buffer, opening.path, os.path.abspath(opening.path)
    written = buffer.written = buffer.written or {}
    if opening.how[0] != "a" or not opening.start:
        written[place] = content
    elif place in written:
        written[place] += content
    parent = recorded_here()
    if parent is None or parent.buffer is not buffer:
        buffer.warn(f"what was written to {path!r} is not recorded: it was closed after the job")
        return
    WRITE(parent, path, REDACTED if opening.secret else readable(content))


def readable(content: bytes) -> str | bytes:
    """A file's content as text, if it is one."""
    try:
        return content.decode()
    except UnicodeDecodeError:  # bytes stay bytes
        return content


def _exact(content: Any) -> bytes:
    """The recorded content; of a secret file, whose content was not kept, this raises."""
    return content if type(content) is bytes else bytes(len(content))


def _whole(descriptor: int) -> bytes:
    """All that a file holds, without moving in it."""
    parts: list[bytes] = []
    at = 0
    while part := os.pread(descriptor, 1 << 20, at):
        parts.append(part)
        at += len(part)
    return b"".join(parts)
