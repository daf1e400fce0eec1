"""What ran of a project, and which of its data files were opened."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Self

_MOST_FILES = 10_000
_hooks: list[Coverage] = []


class Coverage:
    """Notes, as a context, every function that is called and every file that is opened.

    An audit hook cannot be removed: this is for processes that end.

    Args:
        old: The old side's directory.
        new: The new side's.
    """

    def __init__(self, old: Path, new: Path) -> None:
        self._roots = tuple(f"{os.path.realpath(root)}{os.sep}" for root in (old, new))
        self._plain = tuple(f"{root}{os.sep}" for root in (old, new))
        self._codes: set[CodeType] = set()
        self._opened: dict[str, None] = {}

    def __enter__(self) -> Self:
        if not _hooks:
            sys.addaudithook(_audited)
        _hooks.append(self)
        threading.setprofile(self._called)
        sys.setprofile(self._called)
        return self

    def __exit__(self, *_: object) -> None:
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
            for side, root in zip(("old", "new"), self._plain, strict=True):
                if code.co_filename.startswith(root):
                    found.append((side, code.co_filename[len(root) :], code.co_firstlineno))
        return found

    def opened(self) -> list[str]:
        """The relative paths of the project's files that were opened to be read.

        One that ends with "/" is a directory that was listed.
        """
        return [one for one in self._opened if not one.endswith((".py", ".pyc"))]


def _audited(event: str, arguments: tuple[Any, ...]) -> None:
    if not _hooks or event not in ("open", "os.listdir", "os.scandir"):
        return
    if event != "open":
        if isinstance(arguments[0], str):
            for one in _hooks:
                one.note(arguments[0], "/")
        return
    path, mode, flags = arguments
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if not isinstance(path, str) or (isinstance(mode, str) and set(mode) & set("wax+")):
        return
    if mode is None and isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR):
        return
    for one in _hooks:
        one.note(path)
