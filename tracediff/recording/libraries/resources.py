"""``importlib.resources``: what is read of packages that are none of the project's is an input.

A package in a directory gives a path that reads its files as inputs; any other, as one in a zip
file, gives an object with the methods of a ``Traversable``. The project's own resources are data
files, whose change is a change of the project, and Python's own are plain calls as well.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.resources
import importlib.util
import os
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tracediff import values
from tracediff.config import Config
from tracediff.recording.libraries.files import MAX_FILE, readable
from tracediff.recording.libraries.memory import Memory, dressed
from tracediff.recording.libraries.packages import is_own, named
from tracediff.recording.libraries.patching import Patch
from tracediff.recording.libraries.reach import Reach, asked_by_python, recorded_here
from tracediff.recording.spans import Span

_PASSED = frozenset({__name__, "importlib.resources", "pathlib", "contextlib", "functools"})
_REAL = importlib.resources.files
_ROOTS: dict[str, str] = {}
"""The directories of packages that were asked for, to the packages' names."""


def patches(config: Config) -> Iterable[Patch]:
    """What records the library."""
    instead = _files(_REAL, str(config.root))
    yield Patch(importlib.resources, "files", instead, everywhere=True)
    for name, module in list(sys.modules.items()):
        if name.startswith("importlib.resources.") and getattr(module, "files", None) is _REAL:
            yield Patch(module, "files", instead)


def _location(package: str) -> str | None:
    return None


def _content(package: str, name: str) -> Any:
    try:
        return _real(package, name).read_bytes()
    except OSError as error:
        # That of a zip file names an object, of which only the text is kept.
        error.args = tuple(str(one) if hasattr(one, "joinpath") else one for one in error.args)
        raise


def _names(package: str, name: str) -> list[str]:
    return [one.name for one in _real(package, name).iterdir()]


def _asked(what: str) -> Reach:
    def kind(package: str, name: str) -> bool:
        return bool(getattr(_real(package, name), what)())

    return Reach("input", f"importlib.resources {what}", kind)


def _tree(package: str, name: str) -> Any:
    return _held(_real(package, name))


LOCATE = Reach("input", "importlib.resources files", _location)
READ = Reach("input", "importlib.resources read", _content)
LIST = Reach("input", "importlib.resources iterdir", _names)
AS_FILE = Reach("input", "importlib.resources as_file", _tree)
KINDS = {what: _asked(what) for what in ("is_file", "is_dir", "exists")}


def _real(package: str, name: str) -> Any:
    found = _REAL(package)
    return found.joinpath(name) if name else found


# --- which packages -------------------------------------------------------------------------------


def _files(real: Callable[..., Any], root: str) -> Callable[..., Any]:
    python = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]

    @functools.wraps(real)
    def files(*args: Any, **kwargs: Any) -> Any:
        if not args and not kwargs and sys.version_info >= (3, 12):
            args = (sys._getframe(1).f_globals.get("__name__"),)  # noqa: SLF001 - as it asks itself
        parent = recorded_here()
        if parent is None or asked_by_python(_PASSED):
            return real(*args, **kwargs)
        package = named(*args, **kwargs)
        if package is None or is_own(package, root, python):
            return real(*args, **kwargs)
        found: list[Any] = []

        def run(package: str) -> str | None:
            found.append(real(*args, **kwargs))
            return str(found[0]) if isinstance(found[0], Path) else None

        place = LOCATE(parent, package, run=run)
        if type(place) is not str:
            return Resource(package)
        _ROOTS[place] = package
        return ResourcePath(place)

    return files


# --- what is read ---------------------------------------------------------------------------------


class _Place:
    """A resource inside of a job: what of it is asked for."""

    def __init__(self, parent: Span, package: str, name: str) -> None:
        self.parent = parent
        self.package = package
        self.name = name

    def ask(self, reach: Reach, run: Callable[..., Any] | None = None) -> Any:
        """Ask, or be answered."""
        redactor = self.parent.buffer.redactor
        secret = redactor.secret(self.name.rpartition("/")[2])
        return reach(
            self.parent, self.package, self.name,
            secret=lambda _: secret and reach in (READ, AS_FILE), run=run,
        )  # fmt: skip

    def read(self, content: Callable[[], bytes] | None = None) -> bytes:
        """All of it, which a function may give."""
        if content is None:
            run: Any = lambda package, name: readable(_content(package, name))  # noqa: E731 - of two
        else:
            run = lambda package, name: readable(content())  # noqa: E731 - of two
        return _bytes(self.ask(READ, run))

    def is_too_large(self, path: str) -> bool:
        """Whether a file is too large to be recorded; the trace is told."""
        buffer = self.parent.buffer
        with contextlib.suppress(OSError, ValueError):  # reading it says what is wrong
            if buffer.server is None and os.stat(path).st_size > MAX_FILE:
                buffer.warn(f"a resource is too large to be recorded: {self.package} {self.name}")
                return True
        return False


def _bytes(content: Any) -> bytes:
    if type(content) is bytes:
        return content
    if content is None:  # of a stub
        return b""
    return content.encode() if type(content) is str else bytes(len(content))  # which may raise


class ResourcePath(type(Path())):  # type: ignore[misc]  # the class of this system's paths
    """The path of a resource of an installed package, or of its directory."""

    __slots__ = ()

    def _place(self) -> _Place | None:
        """What is asked for; None where that is a plain call."""
        parent = recorded_here()
        if parent is None or asked_by_python(_PASSED):
            return None
        found = _package_of(self)
        return None if found is None else _Place(parent, *found)

    def open(self, mode: str = "r", buffering: int = -1, encoding: str | None = None,
             errors: str | None = None, newline: str | None = None) -> Any:  # fmt: skip
        """Open it; to be read, that is an input."""
        place = self._place() if mode in ("r", "rt", "rb", "br", "tr") else None
        if place is None or place.is_too_large(str(self)):
            return super().open(mode, buffering, encoding, errors, newline)
        if "b" not in mode:
            encoding = encoding or "locale"
        content = place.read(Path(str(self)).read_bytes)
        if place.parent.buffer.server is None:
            return super().open(mode, buffering, encoding, errors, newline)
        text = (encoding, errors, newline)
        return dressed(Memory(str(self), "rb", content), mode, buffering, text)

    def read_bytes(self) -> bytes:
        """Read it."""
        place = self._place()
        if place is None or place.is_too_large(str(self)):
            return super().read_bytes()  # type: ignore[no-any-return]  # a path's own
        return place.read(Path(str(self)).read_bytes)

    def read_text(
        self, encoding: str | None = None, errors: str | None = None, newline: str | None = None
    ) -> str:
        """Read it as text."""
        with self.open("r", -1, encoding, errors, newline) as file:
            return file.read()  # type: ignore[no-any-return]  # the file is text

    def iterdir(self) -> Iterator[Any]:
        """What lies in it."""
        place = self._place()
        if place is None:
            return super().iterdir()  # type: ignore[no-any-return]  # a path's own
        return iter([self / name for name in place.ask(LIST)])

    def is_file(self, **kwargs: Any) -> bool:
        """Whether it is a file."""
        return self._is("is_file", **kwargs)

    def is_dir(self, **kwargs: Any) -> bool:
        """Whether it is a directory."""
        return self._is("is_dir", **kwargs)

    def exists(self, **kwargs: Any) -> bool:
        """Whether it is there."""
        return self._is("exists", **kwargs)

    def _is(self, what: str, **kwargs: Any) -> bool:
        place = self._place()
        if place is None:
            return bool(getattr(super(), what)(**kwargs))
        return bool(place.ask(KINDS[what]))


def _package_of(path: Path) -> tuple[str, str] | None:
    for above in (path, *path.parents):
        package = _ROOTS.get(str(above))
        if package is not None:
            name = path.relative_to(above).as_posix()
            return package, "" if name == "." else name
    return None


class Resource:
    """A resource of a package that lies in no directory, or of several of them."""

    def __init__(self, package: str, name: str = "") -> None:
        self._package = package
        self._path = name

    @property
    def name(self) -> str:
        """Its name, without where it lies."""
        return self._path.rpartition("/")[2] or self._package.rpartition(".")[2]

    def _place(self) -> _Place | None:
        parent = recorded_here()
        if parent is None or asked_by_python(_PASSED):
            return None
        return _Place(parent, self._package, self._path)

    def _itself(self) -> Any:
        return _real(self._package, self._path)

    def joinpath(self, *names: Any) -> Resource:
        """What lies in it."""
        parts = [part for one in names for part in str(one).split("/") if part not in ("", ".")]
        return Resource(self._package, "/".join([*filter(None, [self._path]), *parts]))

    __truediv__ = joinpath

    def iterdir(self) -> Iterator[Resource]:
        """All that lies in it."""
        place = self._place()
        names = [one.name for one in self._itself().iterdir()] if place is None else place.ask(LIST)
        return iter([self.joinpath(name) for name in names])

    def is_file(self) -> bool:
        """Whether it is a file."""
        place = self._place()
        return bool(self._itself().is_file() if place is None else place.ask(KINDS["is_file"]))

    def is_dir(self) -> bool:
        """Whether it is a directory."""
        place = self._place()
        return bool(self._itself().is_dir() if place is None else place.ask(KINDS["is_dir"]))

    def read_bytes(self) -> bytes:
        """Read it."""
        place = self._place()
        return bytes(self._itself().read_bytes()) if place is None else place.read()

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        """Read it as text."""
        with self.open("r", encoding=encoding, errors=errors) as file:
            return str(file.read())

    def open(self, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        """Open it, to be read."""
        place = self._place()
        if place is None or mode not in ("r", "rb"):
            return self._itself().open(mode, *args, **kwargs)
        given = {**dict(zip(("encoding", "errors", "newline"), args, strict=False)), **kwargs}
        text = tuple(given.get(name) for name in ("encoding", "errors", "newline"))
        return dressed(Memory(self.name, "rb", place.read()), mode, -1, text)  # type: ignore[arg-type]  # three

    def __getattr__(self, name: str) -> Any:
        if name[:1] == "_":
            raise AttributeError(name)
        return getattr(self._itself(), name)

    def __str__(self) -> str:
        return "/".join(filter(None, [self._package, self._path]))

    def __repr__(self) -> str:
        return f"Resource({self._package!r}, {self._path!r})"


# --- resources as files ---------------------------------------------------------------------------


def _held(path: Any) -> Any:
    """A file's content, or what the files of a directory hold, by their names."""
    if not path.is_dir():
        return readable(path.read_bytes())
    return {
        one.relative_to(path).as_posix(): readable(one.read_bytes())
        for one in sorted(path.rglob("*"))
        if one.is_file()
    }


@contextlib.contextmanager
def _as_file(path: ResourcePath) -> Iterator[Path]:
    """The path itself; in a replay that of a copy of what was recorded."""
    place = path._place()  # noqa: SLF001 - of the class above
    if place is None or place.is_too_large(str(path)):
        yield Path(str(path))
        return
    content = place.ask(AS_FILE)
    if place.parent.buffer.server is None:
        yield Path(str(path))
        return
    with tempfile.TemporaryDirectory() as directory:
        at = Path(directory, path.name)
        if type(content) is dict:
            at.mkdir()
        _write(at, content)
        yield at


_registry: Any = importlib.resources.as_file  # by the class of what is given
_registry.register(ResourcePath, _as_file)


def _write(at: Path, content: Any) -> None:
    if type(content) is not dict:
        at.write_bytes(_bytes(content))
        return
    for name, one in content.items():
        inside = at.joinpath(name)
        if at.resolve() not in inside.resolve().parents:
            raise ValueError(f"a recorded resource lies outside of its directory: {name!r}")
        inside.parent.mkdir(parents=True, exist_ok=True)
        inside.write_bytes(_bytes(one))


values.register(
    ResourcePath,
    lambda path: (_package_of(path), str(path)),
    lambda found: _again(found),  # noqa: PLW0108 - defined below
)


def _again(found: Any) -> ResourcePath:
    of, text = found
    if of is not None:
        _ROOTS[str(Path(text).parents[len(Path(of[1]).parts) - 1]) if of[1] else text] = of[0]
    return ResourcePath(text)
