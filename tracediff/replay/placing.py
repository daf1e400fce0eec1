"""A tree that stands for another: what would be imported from that one comes from it.

An editable installation, a ``.pth`` file or PYTHONPATH leads to the project's work tree, however
early the laid-out commit stands on ``sys.path``. So every entry of ``sys.path`` is mapped, and what
other finders find in the work tree is looked for at its place in the laid-out one; a module that is
not there does not exist. Installed packages stay, though their environment lies in the work tree.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

INSTEAD_OF = "_TRACEDIFF_INSTEAD_OF"
"""The environment variable that names the work tree to the process of a replay beside it."""

MAX_OPENED = 1_000
_OWN = ("tracediff", "pytest_tracediff")  # the very code that replays
_INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True, slots=True)
class Placed:
    """``place`` stands for ``tree``; both are whole paths of directories, without links."""

    tree: str
    place: str

    def counterpart(self, path: str) -> str | None:
        """Where something of the tree is in the place; None for what is not of the tree."""
        below = self.below(path, self.tree)
        return None if below is None else str(Path(self.place, below))

    def below(self, path: str, directory: str) -> str | None:
        """A path relative to one of the two directories, if it is inside and not installed."""
        path = os.path.realpath(path)
        if not _is_inside(path, directory):
            return None
        if directory == self.tree and _is_inside(path, self.place):  # scratch space inside the tree
            return None
        prefix = os.path.realpath(sys.prefix)
        if prefix != directory and _is_inside(prefix, directory) and _is_inside(path, prefix):
            return None
        below = Path(path).relative_to(directory)
        return None if any(part in _INSTALLED for part in below.parts) else str(below)


def _is_inside(path: str, directory: str) -> bool:
    return f"{path}{os.sep}".startswith(directory + os.sep)


def told(tree: Path, root: Path) -> dict[str, str]:
    """What the process of a replay is told: the work tree, and the project's directory in it."""
    return {INSTEAD_OF: ":".join(os.fsencode(os.path.realpath(one)).hex() for one in (tree, root))}


def placed(environment: MutableMapping[str, str], root: Path) -> Placed | None:
    """What this process was told, taken out of its environment; None where nothing was.

    Args:
        environment: ``os.environ``.
        root: The project's directory in the laid-out tree.
    """
    text = environment.pop(INSTEAD_OF, None)
    if text is None:
        return None
    tree, project = (os.fsdecode(bytes.fromhex(one)) for one in text.split(":"))
    here = Path(os.path.realpath(root))
    place = str([here, *here.parents][len(Path(project).relative_to(tree).parts)])
    return Placed(tree, place) if place != tree else None


@dataclass(slots=True)
class Seen:
    """What a replay opened: files of the place, and of the tree that it stands for."""

    placed: Placed
    opened: dict[str, None]
    strayed: dict[str, None]

    def note(self, path: object) -> None:
        """Keep a path, if it is of one of the two."""
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        name = os.fsdecode(path)
        if name.endswith((".pyc", ".pyo")) or not name:
            return
        for found, directory in (
            (self.opened, self.placed.place),
            (self.strayed, self.placed.tree),
        ):
            below = self.placed.below(name, directory)
            if below is not None and len(found) < MAX_OPENED:
                found[below.replace(os.sep, "/")] = None
                return


class Placing:
    """Finds what the other finders find, moved to its place."""

    def __init__(self, placed: Placed) -> None:
        self.placed = placed

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module as the finders after this one find it, from the place."""
        if name.partition(".")[0] in _OWN:
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(name, path, target) if find is not None else None
            if spec is not None:
                return self._moved(spec)
        return None

    def _moved(self, spec: ModuleSpec) -> ModuleSpec:
        origin = spec.origin if spec.has_location else None
        if origin is None:
            return self._moved_namespace(spec)
        there = self.placed.counterpart(origin)
        if there is None:
            return spec
        if Path(there).is_file():
            below = self._moved_paths(spec)
            moved = spec_from_file_location(spec.name, there, submodule_search_locations=below)
            if moved is not None:
                return moved
        if not origin.endswith(".py"):
            return spec  # a built extension that was not laid over: there is no other
        raise ModuleNotFoundError(
            f"No module named {spec.name!r}: {there} does not exist", name=spec.name
        )

    def _moved_namespace(self, spec: ModuleSpec) -> ModuleSpec:
        paths = self._moved_paths(spec)
        if paths is None or paths == list(spec.submodule_search_locations or ()):
            return spec
        moved = ModuleSpec(spec.name, None, is_package=True)
        moved.submodule_search_locations = paths
        return moved

    def _moved_paths(self, spec: ModuleSpec) -> list[str] | None:
        found = spec.submodule_search_locations
        return None if found is None else [self.placed.counterpart(one) or one for one in found]


@contextlib.contextmanager
def imports_placed(placed: Placed) -> Iterator[Seen]:
    """While this lasts, imports come from the place. Yields what is opened; the hook stays.

    Modules of the tree that were imported before are forgotten, so that they are imported anew.
    """
    seen = Seen(placed, {}, {})
    active = [True]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("open", "sqlite3.connect") and active:
            seen.note(arguments[0])

    for name, file in _loaded():
        if placed.counterpart(file) is not None:
            del sys.modules[name]
    before = list(sys.path)
    sys.path[:] = [placed.counterpart(one) or one for one in before]
    finder = Placing(placed)
    sys.meta_path.insert(0, finder)
    sys.addaudithook(hook)
    try:
        yield seen
    finally:
        active.clear()
        for _, file in _loaded():  # compiled ones, and those that were built, are not opened
            seen.note(file)
        sys.meta_path.remove(finder)
        sys.path[:] = before


def _loaded() -> Iterator[tuple[str, str]]:
    """The modules that are loaded, and their files; not tracediff's own."""
    for name, module in list(sys.modules.items()):
        try:  # anything may stand in for a module, and must not be asked
            file = object.__getattribute__(module, "__dict__").get("__file__")
        except Exception:  # noqa: BLE001 - whatever it is, it has no file
            file = None
        if name.partition(".")[0] not in (*_OWN, "__main__") and isinstance(file, str):
            yield name, file
