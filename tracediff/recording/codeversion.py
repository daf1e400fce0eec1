"""Which code a trace ran: git blob ids of the project's loaded files, commit, distributions.

Blob ids are computed without git, since production images have none. What is loaded counts, not
what is on disk: a file is read when a job is defined whose module imported it, else when the first
job ends after its import, and again only when its module was imported anew. The list of loaded
files is made again only when modules were imported since; so a job pays for neither.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

from tracediff.model import Code
from tracediff.recording.distributions import distributions
from tracediff.values import main_file

GIT_TIMEOUT = 5.0
"""Seconds git may take, once a process."""

_blobs: dict[tuple[str, str], tuple[object, str | None]] = {}
"""The spec and the blob id of each module that was read, by its name and file; for the process."""

_noted: set[str] = set()
_assumed: list[Code] = []
_STANDARD = os.path.dirname(os.__file__) + os.sep


def blob_id(data: bytes) -> str:
    """The id git gives to a file of these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def assume(code: Code) -> None:
    """Let all that this process and its children record say this code, and read no file for it."""
    _assumed[:] = [code]


def note_loaded(module: str) -> None:
    """Read the files of a module and of all that are loaded, before somebody edits them.

    Those of the standard library and of installed distributions are left out. Never raises.
    """
    if _assumed:
        return
    for name in {module, *(set(sys.modules) - _noted)}:
        _noted.add(name)
        found = sys.modules.get(name)
        path = _path(_attribute(found, "__file__"))
        if path is not None and not path.startswith(_STANDARD) and not _foreign(path):
            _blob(name, found, path)


class CodeVersion:
    """The code version of one project, kept up to date cheaply. Thread-safe.

    Args:
        root: The project's directory; files outside of it are covered by their distribution.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._modules = -1
        self._loaded: list[tuple[str, object, dict[str, object], object]] = []
        self._code: Code | None = None
        self._commit: tuple[str | None, bool | None] | None = None

    def current(self) -> Code:
        """The code as it is loaded now. Never raises."""
        if _assumed:
            return _assumed[0]
        with self._lock:
            if self._code is None or len(sys.modules) != self._modules or self._is_stale():
                self._modules = len(sys.modules)
                self._code = self._read()
            return self._code

    def files(self) -> Iterator[tuple[str, bytes]]:
        """(blob id, content) of the files of the current code, for a store to keep."""
        for name, blob in list(self.current().files.items()):
            try:
                data = (self.root / name).read_bytes()
            except OSError:
                continue
            if blob_id(data) == blob:
                yield blob, data

    def _is_stale(self) -> bool:
        """Whether one of the project's modules was loaded again."""
        modules = sys.modules
        for name, module, namespace, spec in self._loaded:
            if modules.get(name) is not module or namespace.get("__spec__") is not spec:
                return True
        return False

    def _read(self) -> Code:
        files = {}
        self._loaded = []
        for name, module, path in _loaded_files(self.root):
            namespace = _namespace(module)
            self._loaded.append((name, module, namespace, namespace.get("__spec__")))
            blob = _blob(name, module, path)
            if blob is not None:
                files[os.path.relpath(path, self.root).replace(os.sep, "/")] = blob
        if self._commit is None:
            self._commit = _given_commit() or git_commit(self.root)
        commit, dirty = self._commit
        return Code(
            commit=commit,
            dirty=dirty,
            files=MappingProxyType(dict(sorted(files.items()))),
            distributions=distributions(),
            python=platform.python_version(),
            platform=f"{sys.platform}-{platform.machine()}",
        )


def _blob(name: str, module: object, path: str) -> str | None:
    """The blob id of a module's file as it was when the module was first seen; None: unreadable."""
    spec = _attribute(module, "__spec__")
    known = _blobs.get((name, path))
    if known is not None and known[0] is spec:
        return known[1]
    try:
        with open(path, "rb") as stream:
            blob: str | None = blob_id(stream.read())
    except OSError:  # inside an archive, or gone
        blob = None
    _blobs[name, path] = (spec, blob)
    return blob


def _loaded_files(root: Path) -> Iterator[tuple[str, object, str]]:
    """Name, module and source file of what was imported from below ``root``."""
    prefix = str(root) + os.sep
    for name, module in list(sys.modules.items()):
        file = main_file() if name == "__main__" else _attribute(module, "__file__")
        path = _path(file)
        if path is not None and path.startswith(prefix) and not _foreign(path[len(prefix) :]):
            yield name, module, path


def _path(file: object) -> str | None:
    return os.path.abspath(file) if isinstance(file, str) and file.endswith(".py") else None


def _attribute(module: object, name: str) -> object:
    """An attribute of a module; what stands in for one, to load it later, must not be asked."""
    return _namespace(module).get(name)


def _namespace(module: object) -> dict[str, object]:
    try:
        found: object = object.__getattribute__(module, "__dict__")
    except Exception:
        return {}
    return found if isinstance(found, dict) else {}


def _foreign(relative: str) -> bool:
    parts = relative.split(os.sep)
    return any(
        part in ("site-packages", "dist-packages", ".venv", "venv", ".tox") for part in parts
    )


def _given_commit() -> tuple[str | None, bool | None] | None:
    given = os.environ.get("TRACEDIFF_CODE_VERSION")
    if not given:
        return None
    dirty = given.endswith("+dirty")
    return given.removesuffix("+dirty"), dirty


def git_environment() -> dict[str, str]:
    """Without the variables that send git to another repository, as a hook's caller sets them."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


def git_commit(root: Path) -> tuple[str | None, bool | None]:
    """The commit that is checked out and whether tracked files differ from it; None: unknown."""
    try:
        done = subprocess.run(  # a fixed command on the project's own directory
            ["git", "status", "--porcelain=v2", "--branch", "--untracked-files=no", "--", "."],
            cwd=root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT,
            env=git_environment(),
            check=False,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None, None
    if done.returncode:
        return None, None
    lines = done.stdout.splitlines()
    commit = next((line[13:] for line in lines if line.startswith("# branch.oid ")), None)
    if commit is None or commit.startswith("("):
        return None, None
    return commit, any(not line.startswith("#") for line in lines)
