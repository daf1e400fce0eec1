"""What ran of a project, and which of its data files were opened."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, Literal, Self

_MOST_FILES = 10_000
_hooks: list[Coverage] = []


class Coverage:
    """Notes, as a context, every function that is called and every file that is opened.

    An audit hook cannot be removed: this is for processes that end.

    Args:
        old: The old side's directory.
        new: The new side's.
        others: Directories that stand in for them.
        calls: Whether functions are noted; that slows each call down.
    """

    def __init__(self, old: Path, new: Path, *others: str, calls: bool = True) -> None:
        self._calls = calls
        places = [str(root) for root in (old, new, *others)]
        self._roots = tuple(f"{os.path.realpath(root)}{os.sep}" for root in places)
        self._plain = tuple(f"{root}{os.sep}" for root in places)
        self._codes: set[CodeType] = set()
        self._opened: dict[str, None] = {}

    def __enter__(self) -> Self:
        if not _hooks:
            sys.addaudithook(_audited)
        _hooks.append(self)
        if self._calls:
            threading.setprofile(self._called)
            sys.setprofile(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        if self._calls:
            sys.setprofile(None)
            threading.setprofile(None)
        _hooks.remove(self)

    def _called(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            self._codes.add(frame.f_code)

    def note(self, path: str, ending: str = "") -> None:
        """A file is opened; or, with a "/" for an ending, a directory is listed."""
        full = os.path.abspath(path)  # noqa: PTH100 - links stay as the job wrote them
        if len(self._opened) < _MOST_FILES:
            for root in (*self._plain, *self._roots):
                if full.startswith(root):
                    self._opened[full[len(root) :] + ending] = None
                    return

    def ran(self) -> list[tuple[str, str, int]]:
        """Side, relative file and first line of each function of the project that was called."""
        found = []
        for code in self._codes:
            if code.co_name == "<module>":  # its first line may be a function's
                continue
            for side, root in zip(("old", "new"), self._plain, strict=False):
                if code.co_filename.startswith(root):
                    found.append((side, code.co_filename[len(root) :], code.co_firstlineno))
        return found

    def opened(self) -> list[str]:
        """The relative paths of the project's files that were opened to be read.

        One that ends with "/" is a directory that was listed.
        """
        return [one for one in self._opened if not one.endswith((".py", ".pyc"))]


def _audited(event: str, arguments: tuple[Any, ...]) -> None:
    if not _hooks or event not in READING:
        return
    path, use = used(event, arguments)
    if path is not None and use in ("read", "list"):
        for one in _hooks:
            one.note(path, "/" if use == "list" else "")


READING: Final = frozenset({"open", "os.listdir", "os.scandir"})
"""The audit events that ``used`` understands."""

Use = Literal["read", "list", "update", "make", "add"]


def used(event: str, arguments: tuple[Any, ...]) -> tuple[str | None, Use]:
    """The path of an audit event, None where it has none, and what is done there.

    "update" reads what is there and may change it, "make" begins with an empty file, "add" sees
    nothing of what is there.
    """
    if event != "open":
        path = os.getcwd() if arguments[0] is None else arguments[0]  # noqa: PTH109 - a text
        return _text(path), "list"
    path, mode, flags = arguments
    return _text(path), _use(mode, flags)


def _text(path: object) -> str | None:
    if isinstance(path, bytes):
        return os.fsdecode(path)
    return path if isinstance(path, str) else None


def _use(mode: object, flags: object) -> Use:
    if isinstance(mode, str):
        if set(mode) & {"w", "x"}:
            return "make"
        if "a" in mode:
            return "update" if "+" in mode else "add"
        return "update" if "+" in mode else "read"
    if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR):
        if flags & os.O_TRUNC or (flags & os.O_CREAT and flags & os.O_EXCL):
            return "make"
        return "update" if flags & os.O_RDWR else "add"
    return "read"
