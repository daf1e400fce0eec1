"""Opening a store by its URL."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tracediff.errors import StoreError
from tracediff.stores.base import Store
from tracediff.stores.memory import MemoryStore

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

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
    if not url.strip():
        raise StoreError(
            "an empty text names no store",
            slug="store-unknown",
            hint="name a directory, or a URL such as memory:",
        )
    found = _SCHEME.match(url)
    scheme = found.group(1).lower() if found else ""
    if scheme == "memory":
        return _memory(url)
    if scheme == "file":
        return _local((root or Path.cwd()) / _path(url), durability)
    if not scheme:
        return _local((root or Path.cwd()) / url, durability)
    return _third_party(scheme, url, root)


def _memory(url: str) -> MemoryStore:
    name = url.partition(":")[2]
    if not name:
        return MemoryStore(url)
    with _lock:
        return _named.setdefault(name, MemoryStore(url))


def _path(url: str) -> str:
    """The path of a ``file:`` URL; a host in it is most often the first part of a path."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = None
    if (
        parts is None
        or parts.netloc not in ("", "localhost")
        or not parts.path
        or parts.query
        or parts.fragment
    ):
        raise StoreError(
            f"{url[:200]!r} names no directory on this machine",
            slug="store-unknown",
            hint="write file:///absolute/path, with %3F for ? and %23 for #, or the path alone",
        )
    return unquote(parts.path)


def _local(directory: Path, durability: str) -> Store:
    from tracediff.stores.local import LocalStore  # imports sqlite3, which others do without

    return LocalStore(directory, durability=durability)


def _load(entry: EntryPoint, scheme: str) -> Callable[[str, Path | None], Store]:
    try:
        driver: Callable[[str, Path | None], Store] = entry.load()
    except Exception as error:  # importing a package may raise anything
        raise StoreError(
            f"the driver of {scheme}: stores cannot be loaded: {type(error).__name__}: {error}",
            slug="store-driver",
            hint=f"install again the package that brings {entry.value}, with what it needs",
        ) from error
    return driver


def _third_party(scheme: str, url: str, root: Path | None) -> Store:
    from importlib.metadata import entry_points  # slow, and only needed here

    for entry in entry_points(group=GROUP):
        if entry.name == scheme:
            return _load(entry, scheme)(url, root)
    raise StoreError(
        f"no driver knows stores of the kind {scheme}:",
        slug="store-unknown",
        hint="use a directory or memory:, or install the package that brings this kind",
    )
