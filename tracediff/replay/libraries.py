"""Other versions of installed libraries: those a trace was recorded with, from a directory.

``pip install --target DIR`` puts them there. Only distributions whose version differs from the
installed one are taken from it, and only their own modules.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from tracediff.recording.distributions import installed

LIBRARIES = "_TRACEDIFF_LIBRARIES"
"""The environment variable that names the directories to the process of a replay."""

_OWN = frozenset({"tracediff", "pytest_tracediff"})


@dataclass(frozen=True, slots=True)
class Library:
    """A distribution that is there in two versions; ``modules`` are its top-level ones."""

    name: str
    old: str
    new: str
    modules: frozenset[str]
    directory: Path

    def __str__(self) -> str:
        """``holidays 0.63 → 0.64``."""
        return f"{self.name} {self.old} → {self.new}"


def told(directories: Sequence[Path]) -> dict[str, str]:
    """What the process of a replay is told."""
    if not directories:
        return {}
    return {LIBRARIES: ":".join(os.fsencode(one).hex() for one in directories)}


def serve_told(environment: MutableMapping[str, str]) -> None:
    """Take the libraries that this process was told of from where they are."""
    text = environment.pop(LIBRARIES, None)
    if text:
        directories = [Path(os.fsdecode(bytes.fromhex(one))) for one in text.split(":")]
        sys.meta_path.insert(0, LibraryFinder(differing(directories)))


def differing(directories: Sequence[Path]) -> tuple[Library, ...]:
    """The libraries in some directories whose version is not the installed one.

    A virtual environment's directory stands for its ``site-packages``.
    """
    return tuple(one for given in directories for one in _differing(_place(given)))


def _place(directory: Path) -> Path:
    inner = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    return directory / inner if (directory / inner).is_dir() else directory


def _differing(directory: Path) -> Iterator[Library]:
    import importlib.metadata  # slow to import, and most replays have no other libraries

    for name, version, modules in installed((str(directory),)):
        try:
            now = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            now = "not there"
        own = frozenset(one for one in modules if re.fullmatch(r"[^\W\d]\w*", one)) - _OWN
        if now != version and own:
            yield Library(name, version, now, own, directory)


class LibraryFinder:
    """Finds the modules of libraries in their directories, before anything else does."""

    def __init__(self, libraries: Iterable[Library]) -> None:
        self._places = {module: str(one.directory) for one in libraries for module in one.modules}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A top-level module of one of them; what is below it is found beside it."""
        place = self._places.get(name)
        return PathFinder.find_spec(name, [place], target) if place is not None else None
