"""Whether the code of two moments, or of two machines, is the same."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

import xxhash

from tracediff.check.causesfile import FILE
from tracediff.replay.layout import git

_NOT_CODE = frozenset({"__pycache__", "node_modules", "site-packages"})
_SUFFIXES = (".py", ".toml", ".json", ".yaml", ".yml", ".cfg", ".ini", ".csv", ".txt", ".so")
_CODE = (".py", ".toml", ".cfg", ".ini", ".so")
_MOST_BYTES = 1 << 24


def code_state(root: Path, python: str | None = None) -> str:
    """A digest of a project's files and of Python: equal where a replay runs the same code.

    In a git repository the files are the commit and all that differ from it or are not known to
    git; elsewhere all sources and small data files below the directory. Files that git ignores are
    in neither, nor is that of accepted causes, which no replay reads.

    Args:
        root: The project's directory.
        python: What stands for Python, its whole version by default.
    """
    digest = xxhash.xxh3_128((python or platform.python_version()).encode())
    for name, data in _files(root):
        digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
        digest.update(xxhash.xxh3_128_digest(data))
    return digest.hexdigest()


def _files(root: Path) -> Iterator[tuple[str, bytes]]:
    try:
        head = git(root, "rev-parse", "HEAD", "--show-prefix")
        said = git(root, "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all")
        top = Path(git(root, "rev-parse", "--show-toplevel").rstrip("\n"))
    except OSError:  # no repository, or nothing in it
        yield from _walked(root)
        return
    yield "HEAD", head.encode()
    for line in sorted(filter(None, said.split("\0"))):
        unknown = line.startswith("?") and not line.endswith(_CODE)  # such as a report of a check
        if not unknown and Path(line[3:]).name != FILE:
            yield line, _read(top / line[3:])


def _walked(root: Path) -> Iterator[tuple[str, bytes]]:
    for directory, inside, files in os.walk(root):
        inside[:] = sorted(
            one
            for one in inside
            if one not in _NOT_CODE
            and not one.startswith(".")
            and not (Path(directory) / one / "pyvenv.cfg").exists()
        )
        for name in sorted(files):
            path = Path(directory) / name
            if name.endswith(_SUFFIXES) and name != FILE:
                yield path.relative_to(root).as_posix(), _read(path)


def _read(path: Path) -> bytes:
    try:
        if path.is_file() and path.stat().st_size <= _MOST_BYTES:
            return path.read_bytes()
        return str(path.lstat().st_mtime_ns).encode()
    except OSError:
        return b"-"
