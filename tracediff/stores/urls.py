"""Opening a store by its URL."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tracediff.errors import StoreError
from tracediff.stores.base import Store
from tracediff.stores.memory import MemoryStore

GROUP = "tracediff.stores"
"""The entry-point group of third-party drivers: a callable ``(url, root) -> Store``."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_named: dict[str, MemoryStore] = {}
_lock = threading.Lock()


def open_store(url: str, *, root: Path | None = None, durability: str = "process") -> Store:
    """Open a store.

    Args:
        url: A directory, ``file://…``, ``memory:`` (fresh), ``memory:NAME`` (shared in this
            process), or a scheme that an installed driver knows.
        root: What a relative directory is relative to; the working directory by default.
        durability: ``process`` or ``host``, for stores that write files.

    Raises:
        StoreError: No driver knows the scheme, or the store cannot be opened.
    """
    found = _SCHEME.match(url)
    scheme = found.group(1).lower() if found else ""
    if scheme == "memory":
        return _memory(url)
    if scheme == "file":
        return _local(Path(unquote(urlsplit(url).path)), durability)
    if not scheme:
        return _local((root or Path.cwd()) / url, durability)
    return _third_party(scheme, url, root)


def _memory(url: str) -> MemoryStore:
    name = url.partition(":")[2]
    if not name:
        return MemoryStore(url)
    with _lock:
        return _named.setdefault(name, MemoryStore(url))


def _local(directory: Path, durability: str) -> Store:
    from tracediff.stores.local import LocalStore  # imports sqlite3, which others do without

    return LocalStore(directory, durability=durability)


def _third_party(scheme: str, url: str, root: Path | None) -> Store:
    from importlib.metadata import entry_points  # slow, and only needed here

    for entry in entry_points(group=GROUP):
        if entry.name == scheme:
            store: Store = entry.load()(url, root)
            return store
    raise StoreError(
        f"No driver knows stores of the kind {scheme}:",
        slug="store-unknown",
        hint="Use a directory or memory:, or install the package that brings this kind.",
    )
