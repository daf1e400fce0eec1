"""Compiled modules in a replay: none that is older than its source.

Python takes a compiled module for fresh when the source's size and the whole second it was last
changed in are the same. An edit of equal length, or a checkout, within the second of a recording
would go unseen, and the old code would be compared with itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any


def drop_stale_bytecode() -> None:
    """From now on remove a compiled module that its source changed after, before it is imported."""
    known = SourceFileLoader.path_stats

    def path_stats(loader: SourceFileLoader, path: Any) -> Mapping[str, Any]:
        compiled = Path(cache_from_source(path))
        try:
            stale = Path(path).stat().st_mtime_ns >= compiled.stat().st_mtime_ns
        except OSError:  # not compiled yet
            stale = False
        if stale:
            compiled.unlink()  # where it may not be, the error makes the import system compile
        return known(loader, path)

    setattr(SourceFileLoader, "path_stats", path_stats)  # noqa: B010 - it has an odd type
