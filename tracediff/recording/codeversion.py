"""Which code a trace ran: git blob ids of the project's loaded files, commit, distributions.

Blob ids are computed without git, since production images have none. A file is read again only
when its modification time or size has changed, and the list of loaded files only when modules were
imported since; so a job pays for neither.
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


def blob_id(data: bytes) -> str:
    """The id git gives to a file of these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class CodeVersion:
    """The code version of one project, kept up to date cheaply. Thread-safe.

    Args:
        root: The project's directory; files outside of it are covered by their distribution.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._modules = -1
        self._files: dict[str, str] = {}
        self._known: dict[str, tuple[int, int, str]] = {}
        self._code: Code | None = None
        self._commit: tuple[str | None, bool | None] | None = None

    def current(self) -> Code:
        """The code as it is loaded now. Never raises."""
        with self._lock:
            if self._code is None or len(sys.modules) != self._modules:
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

    def _read(self) -> Code:
        files = {}
        for path in _loaded_files(self.root):
            blob = self._blob(path)
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

    def _blob(self, path: str) -> str | None:
        try:
            status = os.stat(path)
            known = self._known.get(path)
            if known is not None and known[:2] == (status.st_mtime_ns, status.st_size):
                return known[2]
            with open(path, "rb") as stream:
                blob = blob_id(stream.read())
        except OSError:
            return None
        self._known[path] = (status.st_mtime_ns, status.st_size, blob)
        return blob


def _loaded_files(root: Path) -> list[str]:
    """The source files of the modules that were imported from below ``root``."""
    prefix = str(root) + os.sep
    found = set()
    files = [_file_of(module) for module in list(sys.modules.values())]
    for file in (*files, main_file()):
        if isinstance(file, str) and file.endswith(".py"):
            path = os.path.abspath(file)
            if path.startswith(prefix) and not _foreign(path[len(prefix) :]):
                found.add(path)
    return sorted(found)


def _file_of(module: object) -> object:
    """The file of a module; what stands in for one, to load it later, must not be asked."""
    try:
        found: dict[str, object] = object.__getattribute__(module, "__dict__")
        return found.get("__file__")
    except Exception:
        return None


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
