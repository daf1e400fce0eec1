"""What a project keeps of traces beside its store: results of checks, which can be made anew."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

CHECKS = ".tracediff/check"
_LARGEST = 1 << 30


def forget(root: Path, ids: Callable[[], Iterator[str]], *, dry_run: bool = False) -> list[str]:
    """Remove kept checks that name one of these traces; what they are called.

    One that cannot be looked into may name any: it goes too. Whatever cannot be removed is still
    there.

    Args:
        root: The project's directory.
        ids: Gives the traces.
        dry_run: Only look.
    """
    found: list[str] = []
    folder = root / CHECKS
    if next(ids(), None) is None:
        return found
    for one in sorted(folder.iterdir()) if folder.is_dir() else ():
        if _names(one, ids):
            found.append(one.relative_to(root).as_posix())
            if not dry_run:
                if one.is_dir() and not one.is_symlink():
                    shutil.rmtree(one, ignore_errors=True)
                else:
                    with contextlib.suppress(OSError):  # it is still there, as the docstring says
                        one.unlink()
    return found


def _names(place: Path, ids: Callable[[], Iterator[str]]) -> bool:
    files = [one for one in place.rglob("*") if one.is_file()] if place.is_dir() else [place]
    for file in files:
        try:
            if file.stat().st_size > _LARGEST:
                return True
            data = file.read_bytes()
        except FileNotFoundError:  # a new check took its place
            continue
        except OSError:  # nobody can say that it names none
            return True
        if any(one.encode("ascii") in data for one in ids()):
            return True
    return False
