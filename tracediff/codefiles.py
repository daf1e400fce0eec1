"""Finding the text of a source file by its git blob id: work tree, store, git's own objects."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from tracediff.errors import StoreError
from tracediff.recording.codeversion import GIT_TIMEOUT, blob_id, git_environment
from tracediff.stores.base import Store

_BLOB = re.compile(r"[0-9a-f]{40}")
_MAX_BYTES = 4 * 1024 * 1024


def source_reader(root: Path, open_store: Callable[[], Store]) -> Callable[[str, str], str | None]:
    """A function that gives the text of a source file, by path and blob id, or None.

    Args:
        root: The project's directory, to which the paths are relative.
        open_store: Opens the store that may have kept the file.
    """

    def read(path: str, blob: str) -> str | None:
        if not _BLOB.fullmatch(blob):
            return None
        for find in (_from_work_tree, _from_git):
            data = find(root, path, blob)
            if data is not None:
                return _text(data)
        data = _from_store(open_store, blob)
        return _text(data) if data is not None else None

    return read


def _from_work_tree(root: Path, path: str, blob: str) -> bytes | None:
    """The file as it is now, if it is what ran. A trace's path never leads out of the root."""
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts:
        return None
    try:
        with (root / relative).open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except (OSError, ValueError):
        return None
    return data if len(data) <= _MAX_BYTES and blob_id(data) == blob else None


def _from_git(root: Path, path: str, blob: str) -> bytes | None:
    try:
        done = subprocess.run(
            ["git", "cat-file", "blob", blob],
            cwd=root,
            env=git_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 and blob_id(done.stdout) == blob else None


def _from_store(open_store: Callable[[], Store], blob: str) -> bytes | None:
    try:
        store = open_store()
        return store.load_source(blob) if store.capabilities.sources else None
    except StoreError:  # a store without this file, or without a store: the code stays unknown
        return None


def _text(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None
