"""Whose code made a call: the frames from a reading outwards to the project's own code."""

from __future__ import annotations

import linecache
import os
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, CoroutineType, FrameType
from typing import Any

from tracediff.replayable import Place

_OWN = str(Path(__file__).parents[1]) + os.sep
_STANDARD = sys.stdlib_module_names
MOST_FRAMES = 200


@dataclass(frozen=True, slots=True)
class Caller:
    """The nearest line of the project, the libraries between it and the call, and all of it.

    ``by_tool`` says that tracediff made the call; ``by_python`` names the module of Python's own
    library that whoever made it had called, "" for none.
    """

    place: Place | None
    modules: tuple[str, ...] = ()
    codes: tuple[CodeType, ...] = ()
    by_tool: bool = False
    by_python: str = ""


class Stacks:
    """Reads stacks for one project.

    Args:
        roots: The project's directories: where its code is now, and where it is laid out.
    """

    def __init__(self, roots: tuple[Path, ...]) -> None:
        forms = {form for one in roots for form in (str(one), os.path.realpath(one))}
        whole = {f"{one}{os.sep}" for one in forms}
        self._roots = tuple(sorted(whole, key=len, reverse=True))
        names = ("stdlib", "platstdlib", "purelib", "platlib")
        found = {os.path.realpath(sysconfig.get_path(name)) for name in names}
        found |= {os.path.realpath(one) for one in sys.path if one.endswith(".zip")}
        self.libraries = tuple(one if one.endswith(".zip") else f"{one}{os.sep}" for one in found)
        self._known: dict[str, str | None] = {}

    def relative(self, file: str) -> str | None:
        """A file of the project, relative to its directory; None for any other."""
        if file not in self._known:
            self._known[file] = self._relative(file)
        return self._known[file]

    def _relative(self, file: str) -> str | None:
        if file.startswith("<"):
            return None
        real = os.path.realpath(file)
        if self.is_installed(real) or real.startswith(_OWN):
            return None
        for root in self._roots:
            if file.startswith(root) or real.startswith(root):
                return (file if file.startswith(root) else real)[len(root) :]
        return None

    def is_installed(self, real: str) -> bool:
        """Whether a file is Python's, or of an installed package."""
        return real.startswith(self.libraries) or "-packages/" in real

    def caller(self, frame: FrameType | None) -> Caller:
        """Who made the call that this frame makes."""
        found = self._of(_outwards(frame))
        if found.place is None and not found.by_tool:
            waiting = self._waiting()
            if waiting is not None:
                return Caller(
                    waiting.place, waiting.modules or found.modules, waiting.codes,
                    by_python=found.by_python,
                )  # fmt: skip
        return found

    def _of(self, frames: Iterator[FrameType]) -> Caller:
        modules: list[str] = []
        codes: list[CodeType] = []
        place: Place | None = None
        by_tool, by_python, nearest = False, "", True
        for frame in frames:
            name, code = frame.f_globals.get("__name__") or "", frame.f_code
            relative = self.relative(code.co_filename)
            if relative is not None:
                codes.append(code)
                place = place or place_in(code, frame.f_lineno, name, relative)
                nearest = False
                continue
            if place is not None:
                continue
            top = name.partition(".")[0]
            if top == "tracediff":
                by_tool = by_tool or nearest
            elif top not in _STANDARD and not code.co_filename.startswith("<frozen"):
                nearest = False
                if name not in modules:
                    modules.insert(0, name)
            elif nearest:
                by_python = name
        return Caller(place, tuple(modules), tuple(codes), by_tool, by_python)

    def _waiting(self) -> Caller | None:
        """Whose coroutine waits, where a library's own callback or thread makes the call."""
        tasks: Any = sys.modules.get("asyncio.tasks")
        for name in ("_all_tasks", "_scheduled_tasks"):  # as Python 3.11, and later ones, name them
            for task in list(getattr(tasks, name, ())):
                found = self._of(iter(_awaited(task.get_coro())))
                if found.place is not None:
                    return found
        return None


def place_in(code: CodeType, line: int, module: str, file: str) -> Place:
    """A line of a function's code, with its text."""
    text = linecache.getline(code.co_filename, line).strip()
    return Place(file, line, f"{module}:{code.co_qualname}", code.co_firstlineno, text)


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    for _ in range(MOST_FRAMES):
        if frame is None:
            return
        yield frame
        frame = frame.f_back


def _awaited(coroutine: Any) -> list[FrameType]:
    """The frames of a coroutine and what it waits for, the innermost first."""
    frames: list[FrameType] = []
    while isinstance(coroutine, CoroutineType) and len(frames) < MOST_FRAMES:
        if coroutine.cr_frame is not None:
            frames.insert(0, coroutine.cr_frame)
        coroutine = coroutine.cr_await
    return frames
