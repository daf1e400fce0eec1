"""What a program is told and what it says, as plain data without secrets."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from typing import Any

from tracediff import values
from tracediff.recording.buffers import Buffer, Later
from tracediff.recording.libraries.files import readable
from tracediff.recording.libraries.http.masking import Masks
from tracediff.recording.redaction import REDACTED

MAX_OUTPUT = 64 << 20
"""Bytes of what a program prints, or is given, that are recorded."""

_NAME = r"(?P<name>[A-Za-z_][\w-]{0,99})"
_VALUE = r"""(?P<value>"[^"]*"|'[^']*'|[^\s"']+)"""
_WHOLE = re.compile(rf"(?P<before>{_NAME}(?:=|:\s*))(?P<value>[^\n]+)")
_HEADER = re.compile(rf"""(?P<before>{_NAME}:\s*)(?P<value>[^\n"']+)""")
_ASSIGNED = re.compile(rf"(?P<before>{_NAME}=){_VALUE}")
_FLAGGED = re.compile(rf"(?P<before>(?<![\w-])--?{_NAME}\s+){_VALUE}")
_FLAG = re.compile(r"--?([A-Za-z_][\w-]{0,99})")


class Asked(Later):
    """What a program is started with, and what it is given to read.

    Args:
        command: A list of texts, or the text that a shell reads.
        cwd: The directory that it is started in, or None.
        piped: Whether the job writes what it reads.
    """

    __slots__ = ("command", "cwd", "dropped", "piped", "stdin")

    def __init__(self, command: Any, cwd: Any, *, piped: bool) -> None:
        super().__init__()
        self.command = command
        self.cwd = cwd
        self.piped = piped
        self.stdin = bytearray()
        self.dropped = False

    def add(self, data: bytes) -> None:
        """It is given more."""
        if self.dropped or len(self.stdin) + len(data) > MAX_OUTPUT:
            self.dropped = True
        else:
            self.stdin += data

    def made(self, buffer: Buffer) -> bytes:
        """The canonical dict of the arguments."""
        found = [("command", values.encode(sealed_command(buffer, self.command)))]
        if self.cwd is not None:
            found.append(("cwd", values.encode(_text(self.cwd))))
        if self.piped:
            found.append(("stdin", values.encode(shown(buffer, bytes(self.stdin)))))
        if self.dropped:
            buffer.warn("what a program was given is too large to be recorded")
        return values.encode_map(found)


class Said(Later):
    """What a program says: its output as the job read it, and how it ended."""

    __slots__ = ("code", "dropped", "ended", "partial", "streams", "unfinished")

    def __init__(self) -> None:
        super().__init__()
        self.partial: dict[str, bytes] = {}
        self.code: int | None = None
        self.streams: dict[str, bytearray] = {}
        self.ended: set[str] = set()
        self.unfinished: list[list[int]] = []
        self.dropped: set[str] = set()

    def add(self, name: str, data: bytes) -> None:
        """More of what it printed was read."""
        if name in self.dropped:
            return
        held = self.streams[name]
        if len(held) + len(data) > MAX_OUTPUT:
            self.dropped.add(name)
            held.clear()
        else:
            held += data

    def made(self, buffer: Buffer) -> bytes:
        """The canonical dict of the result."""
        found = [("returncode", values.encode(self.code))]
        for name, data in self.streams.items():
            whole = max(bytes(data), self.partial.get(name, b""), key=len)
            found.append((name, values.encode(shown(buffer, whole))))
        unread = [name for name in self.streams if name not in self.ended or name in self.dropped]
        if unread:
            found.append(("unread", values.encode(unread)))
        if self.unfinished:
            found.append(("unfinished", values.encode(self.unfinished)))
        if self.dropped:
            buffer.warn("what a program printed is too large to be recorded")
        return values.encode_map(found)


class Told:
    """A recorded program's output and end; a trace is untrusted, so whatever it holds is one."""

    def __init__(self, result: Any) -> None:
        found = result if type(result) is dict else {"returncode": 0}
        code = found.get("returncode")
        self.code: int | None = code if type(code) is int else None
        self.streams = {name: _content(found.get(name)) for name in ("stdout", "stderr")}
        unread = found.get("unread")
        self.unread = set(unread) & set(self.streams) if type(unread) is list else set()
        unfinished = found.get("unfinished")
        self.unfinished: list[tuple[int, int]] = [
            (one[0], one[1])
            for one in (unfinished if type(unfinished) is list else ())
            if type(one) is list and len(one) == 2 and all(type(part) is int for part in one)
        ]


def _content(held: Any) -> bytes:
    if type(held) is bytes:
        return held
    return held.encode() if type(held) is str else b""


def shown(buffer: Buffer, data: bytes) -> Any:
    """What is read or written, as text where it is one, with the secrets in it sealed."""
    found = readable(data)
    if type(found) is not str:
        return found
    masks = Masks.of(buffer)
    return masks.text(masks.url(found))


def command_of(args: Any, executable: Any, *, shell: bool) -> Any:
    """A command as texts; the Python that runs is ``python``, wherever it lies."""
    if isinstance(args, str | bytes | os.PathLike):
        text = _text(args)
        return text if shell else [_program(text)]
    words = [_text(one) for one in args]
    if not words:
        return words
    first = _text(executable) if executable is not None else words[0]
    return [words[0] if shell else _program(first), *words[1:]]


def _program(text: str) -> str:
    return "python" if text == sys.executable else text


def _text(one: Any) -> str:
    try:
        return os.fsdecode(one)
    except TypeError:  # starting it says what is wrong
        return repr(one)


def name_of(command: Any) -> str:
    """The program's name, as the step has it."""
    words = command.split() if type(command) is str else command
    first = words[0].rsplit("/", 1)[-1] if words else ""
    return first if re.fullmatch(r"[\w.+-]{1,40}", first) else "shell"


def sealed_command(buffer: Buffer, command: Any) -> Any:
    """A command without the secrets that its words name: ``--password X``, ``TOKEN=X``."""
    masks = Masks.of(buffer)
    redactor = buffer.redactor  # knows how variables of the environment are called

    def is_secret(name: str) -> bool:
        return masks.is_secret(name) or masks.is_secret(name.replace("-", "_"))

    def instead(found: re.Match[str]) -> str:
        name, value = found["name"], found["value"].strip("\"'")
        if not is_secret(name) and not (name.isupper() and redactor.names_secret(name, value)):
            return found[0]
        buffer.hide(value)
        return f"{found['before']}{REDACTED}"

    def shell(text: str) -> str:
        text = masks.url(text)
        for pattern in (_HEADER, _ASSIGNED, _FLAGGED):
            text = pattern.sub(instead, text)
        return masks.text(text)

    def whole(text: str) -> str:
        return masks.text(masks.url(_WHOLE.sub(instead, text)))

    if type(command) is str:
        return shell(command)
    words: list[str] = []
    named = False
    for word in command:
        flag = _FLAG.fullmatch(word)
        if named and flag is None:
            buffer.hide(word)
            words.append(REDACTED)
        else:
            words.append(shell(word) if " " in word else whole(word))
        named = flag is not None and is_secret(flag[1])
    return words


def hide(buffer: Buffer, command: Any) -> None:
    """Take a command's secrets out of the errors that quote it."""
    sealed_command(buffer, command)


def lengths(parts: Iterable[bytes | None]) -> list[int]:
    """How long each part is, as far as there is one."""
    return [len(one or b"") for one in parts]
