"""Files that git ignores and a job may need: generated modules, data, built extensions.

They are copied from the work tree beside a commit's own files, as they are now; bounded, and never
what holds secrets, traces, environments or caches.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from tracediff.replay.layout import git

MAX_FILES = 1_000
MAX_BYTES = 64 << 20
MAX_SEEN = 50_000
"""Files that are looked at before the search ends."""

_CODE = (".py", ".so", ".pyd")
_SKIPPED = frozenset(
    {
        ".git", ".hg", ".svn", ".tracediff", ".tox", ".nox", ".eggs", ".ssh", ".aws", ".gnupg",
        ".kube", ".docker", ".idea", ".vscode", "__pycache__", "__pypackages__", "node_modules",
        "site-packages", "dist-packages", "venv", ".venv", "virtualenv", "htmlcov", "dist",
    }
)  # fmt: skip
_CACHES = (".*cache", ".*_cache", "*.pyc", "*.pyo", "*.log", "*.tmp", "*.swp", ".coverage*")
_SECRETS = (
    ".env", ".env.*", "*.env", ".envrc", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.kdbx",
    "*.keystore", "*.gpg", "*.asc", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".netrc",
    "_netrc", ".pgpass", ".npmrc", ".pypirc", ".git-credentials", ".htpasswd", "*credential*",
    "*secret*", "*password*",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidOver:
    """The names of what was copied, and how many files were too many or too large."""

    names: frozenset[str] = frozenset()
    left: int = 0


def lay_over(top: Path, directory: Path, stores: Sequence[Path]) -> LaidOver:
    """Copy what git ignores in a work tree beside a commit's files; never over one of them.

    Args:
        top: The work tree.
        directory: Where the commit's files are; what else is beside it stays out as well.
        stores: Directories of traces, which stay out.
    """
    try:
        said = git(top, "ls-files", "--others", "--ignored", "--exclude-standard", "--directory",
                   "-z")  # fmt: skip
    except OSError:
        return LaidOver()
    away = {os.path.realpath(one) for one in (*stores, directory.parent)}
    found = []
    for seen, path in enumerate(_files(top, said.split("\0"), away)):
        if seen >= MAX_SEEN:
            break
        with contextlib.suppress(OSError):
            found.append((not path.name.endswith(_CODE), path.stat().st_size, path))
    names: set[str] = set()
    left, room = 0, MAX_BYTES
    place = directory.resolve()
    for _, size, path in sorted(found):
        name = path.relative_to(top).as_posix()
        if len(names) >= MAX_FILES or size > room:
            left += 1
        elif _copy(path, place, name):
            names.add(name)
            room -= size
    return LaidOver(names=frozenset(names), left=left)


def _files(top: Path, names: Sequence[str], away: set[str]) -> Iterator[Path]:
    for name in names:
        path = top / name
        if not name or _is_kept_out(path, away):
            continue
        if not path.is_dir():
            yield path
        elif not path.is_symlink():
            yield from _below(path, away)


def _below(directory: Path, away: set[str]) -> Iterator[Path]:
    for where, below, files in os.walk(directory):
        here = Path(where)
        below[:] = sorted(one for one in below if not _is_kept_out(here / one, away))
        yield from (path for one in sorted(files) if not _is_kept_out(path := here / one, away))


def _is_kept_out(path: Path, away: set[str]) -> bool:
    name = path.name.lower()
    if name in _SKIPPED or any(fnmatch(name, one) for one in (*_CACHES, *_SECRETS)):
        return True
    if os.path.realpath(path) in away:
        return True
    marks = ("pyvenv.cfg", "conda-meta", ".git")  # an environment, another repository
    return path.is_dir() and any((path / one).exists() for one in marks)


def _copy(path: Path, place: Path, name: str) -> bool:
    """Copy one file; not where the commit has something, and never through a link."""
    target = place / name
    try:
        if not path.is_file() or os.path.lexists(target):
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        if place != (parent := target.parent.resolve()) and place not in parent.parents:
            return False
        shutil.copy2(path, target)
    except OSError:
        return False
    return True
