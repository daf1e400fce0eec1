"""The import hook that serves a mixture of two versions of a project to one process."""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from tracediff.explain.assembly import Assembled
from tracediff.explain.slots import Alias


class Project:
    """The two directories of a project, and the modules that are found in them.

    Args:
        old: The old side's directory.
        new: The new side's.
        entries: The import roots, relative to either; "" is the directory itself.
    """

    def __init__(self, old: Path, new: Path, entries: Sequence[str]) -> None:
        self.old, self.new = old, new
        self._entries = list(entries)
        self._found: dict[str, tuple[str, bool] | None] = {}
        self._code: dict[str, CodeType] = {}

    def find(self, name: str) -> tuple[str, bool] | None:
        """The relative path of a module, and whether it is a package; None: not the project's.

        A package without ``__init__.py`` is its directory.
        """
        if name not in self._found:
            self._found[name] = next(self._places(name), None)
        return self._found[name]

    def _places(self, name: str) -> Iterator[tuple[str, bool]]:
        tail = name.replace(".", "/")
        starts = [f"{entry}/{tail}" if entry else tail for entry in self._entries]
        for start in starts:
            for root in (self.new, self.old):
                if (root / start / "__init__.py").is_file():
                    yield f"{start}/__init__.py", True
                if (root / f"{start}.py").is_file():
                    yield f"{start}.py", False
        for start in starts:
            if any((root / start).is_dir() for root in (self.new, self.old)):
                yield start, True

    def path(self, file: str, base: Path | None = None) -> Path:
        """Where a file is: in ``base`` if there, else on the new side, else on the old."""
        for root in (base, self.new):
            if root is not None and (root / file).exists():
                return root / file
        return self.old / file

    def code(self, file: str) -> CodeType:
        """A module that does not differ, compiled once."""
        if file not in self._code:
            path = self.path(file)
            self._code[file] = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        return self._code[file]

    def module(self, file: str) -> str:
        """The dotted name of a file, by the import root it lies under most deeply."""
        roots = [one for one in self._entries if not one or file.startswith(f"{one}/")]
        best = max(roots, key=len, default="")
        tail = file[len(best) + 1 if best else 0 :].removesuffix(".py").removesuffix("/__init__")
        return tail.replace("/", ".")


class Finder:
    """Finds the modules of the project, before anything else does.

    Args:
        project: Where they are.
        mixed: What those run that differ, by file.
        base: The directory that stands for the project's, for what reads its files.
    """

    def __init__(
        self, project: Project, mixed: Mapping[str, Assembled], base: Path | None = None
    ) -> None:
        self._project, self._mixed, self._base = project, mixed, base
        self.ran: list[tuple[str, str]] = []
        self._waiting: list[tuple[dict[str, object], Alias]] = []

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module, if it is the project's."""
        found = self._project.find(name)
        if found is None:
            return None
        file, is_package = found
        if self._is_away(file):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        loader = None
        place = self._project.path(file, self._base)
        if file.endswith(".py"):
            loader = _Loader(name, str(place), file, self)
        spec = ModuleSpec(
            name, loader, origin=str(place) if loader else None, is_package=is_package
        )
        spec.has_location = loader is not None
        if is_package:
            directory = file.removesuffix("/__init__.py") if loader else file
            roots = [one for one in (self._base, self._project.new, self._project.old) if one]
            there = [str(root / directory) for root in roots if (root / directory).is_dir()]
            spec.submodule_search_locations = there[:1] if self._base else there
        return spec

    def files(self, file: str) -> tuple[str, ...]:
        """Where the code of a module may say that it is from."""
        return tuple(str(root / file) for root in (self._project.old, self._project.new))

    def _is_away(self, file: str) -> bool:
        """Whether it is a module that only the side has whose files are not taken."""
        if self._base is None or not file.endswith(".py") or (self._base / file).exists():
            return False
        return not all((one / file).exists() for one in (self._project.new, self._project.old))

    def run(self, module: ModuleType, file: str) -> None:
        """Run a module's code in it."""
        self.ran.append((module.__name__, file))
        space = vars(module)
        mixed = self._mixed.get(file)
        if mixed is None:
            exec(self._project.code(file), space)  # noqa: S102 - as the import system runs a module
            return
        space["__doc__"] = mixed.doc
        for piece in mixed.pieces:
            if isinstance(piece, Alias):
                self._alias(space, piece)
            else:
                exec(piece, space)  # noqa: S102 - as above
        for known, alias in list(self._waiting):
            if self._bind(known, alias):
                self._waiting.remove((known, alias))

    def _alias(self, space: dict[str, object], alias: Alias) -> None:
        if not self._bind(space, alias):  # its module is being imported, and imports this one
            self._waiting.append((space, alias))

    def _bind(self, space: dict[str, object], alias: Alias) -> bool:
        if space.get("__name__") == alias.module:
            known: Mapping[str, object] = space
        else:
            known = vars(sys.modules.get(alias.module) or importlib.import_module(alias.module))
        if alias.name not in known:
            return False
        space[alias.bound] = known[alias.name]
        return True


class _Loader(SourceFileLoader):
    """Runs what the finder says; sources and resources are those of the file."""

    def __init__(self, name: str, path: str, file: str, finder: Finder) -> None:
        super().__init__(name, path)
        self._file, self._finder = file, finder
        self.files = finder.files(file)

    def exec_module(self, module: ModuleType) -> None:
        self._finder.run(module, self._file)
