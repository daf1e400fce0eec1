"""Opening a store by its URL."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from tracediff.config import mask
from tracediff.errors import StoreError
from tracediff.stores.base import Blobs, Store
from tracediff.stores.encryption import keyring_of_environment
from tracediff.stores.files import FileBlobs
from tracediff.stores.memory import MemoryStore
from tracediff.stores.retention import CLASSES

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from tracediff.stores.remote import RemoteStore

GROUP = "tracediff.stores"
"""The entry-point group of third-party drivers: a callable ``(url, root) -> Store``."""

SERVERS = ("mongodb", "mongodb+srv")
"""Schemes of index servers, which keep rows alone."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_named: dict[str, MemoryStore] = {}
_lock = threading.Lock()


def open_store(
    url: str,
    *,
    root: Path | None = None,
    durability: str = "process",
    blobs: str | None = None,
    context: Sequence[str] = (),
    classes: Sequence[int] = CLASSES,
    tenant: str | None = None,
) -> Store:
    """Open a store.

    Args:
        url: A directory, ``file://…``, ``memory:`` (fresh), ``memory:NAME`` (shared in this
            process), ``mongodb://…``, or a scheme that an installed driver knows.
        root: What a relative directory is relative to; the working directory by default.
        durability: ``process`` or ``host``, for stores that write files.
        blobs: For ``mongodb:``, where the payloads go: ``s3://…`` or a directory. The URL may say
            it too, as ``blobs=…``.
        context: For ``mongodb:``, the context fields that traces are searched by.
        classes: For ``mongodb:``, the retention classes, in days.
        tenant: The context field that names the tenant a trace is of.

    Payloads are encrypted and decrypted with the keys of the environment, where there are any;
    a store in memory keeps them as they are, and drivers of others do as they do.

    Raises:
        ConfigError: ``encryption-keys-invalid``.
        StoreError: No driver knows the scheme, or the store cannot be opened.
    """
    if not url.strip():
        raise StoreError(
            "an empty text names no store",
            slug="store-unknown",
            hint="name a directory, or a URL such as memory:",
        )
    scheme = scheme_of(url)
    if scheme in SERVERS:
        return open_remote(
            url,
            blobs,
            root=root,
            durability=durability,
            context=context,
            classes=classes,
            tenant=tenant,
        )
    if scheme == "memory":
        return _memory(url)
    if scheme == "file":
        return _local((root or Path.cwd()) / _path(url), durability, tenant)
    if not scheme:
        return _local((root or Path.cwd()) / url, durability, tenant)
    return _third_party(scheme, url, root)


def scheme_of(url: str) -> str:
    """The scheme of a URL, in lower case; nothing for a directory."""
    found = _SCHEME.match(url)
    return found.group(1).lower() if found else ""


def open_remote(
    url: str,
    blobs: str | None,
    *,
    root: Path | None = None,
    durability: str = "process",
    context: Sequence[str] = (),
    classes: Sequence[int] = CLASSES,
    tenant: str | None = None,
) -> RemoteStore:
    """Open an index server with the blobs that belong to it; see ``open_store``.

    Nothing is connected to before it is used.

    Raises:
        StoreError: There is no such driver, or what it needs is not installed or not said.
    """
    from tracediff.stores.remote import RemoteStore  # others do without

    url, said = _without_blobs(url)
    blobs = blobs or said
    if blobs is None:
        raise StoreError(
            "a MongoDB index keeps rows alone: it is not said where the payloads go",
            slug="store-unknown",
            hint='set blobs = "s3://BUCKET/PREFIX" beside index, or add ?blobs=… to the URL',
        )
    try:
        from tracediff.stores.mongo import MongoIndex

        kept = _open_blobs(blobs, root or Path.cwd(), durability)
    except ImportError as error:
        raise StoreError(
            f"{error.name or 'a package'} is not installed, which this store needs",
            slug="store-driver",
            hint="install tracediff-calc with its extras `mongo` and `s3`",
        ) from None
    return RemoteStore(
        f"{mask(url)} + {mask(blobs)}",
        MongoIndex(url, context=tuple(context)),
        kept,
        classes=classes,
        keyring=keyring_of_environment(),
        tenant=tenant,
    )


def _without_blobs(url: str) -> tuple[str, str | None]:
    base, _, query = url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    said = [value for name, value in pairs if name == "blobs"]
    if not said:
        return url, None
    rest = urlencode([pair for pair in pairs if pair[0] != "blobs"], quote_via=quote)
    return (f"{base}?{rest}" if rest else base), said[-1]


def _open_blobs(url: str, root: Path, durability: str) -> Blobs:
    scheme = scheme_of(url)
    if scheme == "s3":
        from tracediff.stores.s3 import S3Blobs

        return S3Blobs(url)
    if scheme in ("", "file"):
        return FileBlobs(root / (_path(url) if scheme else url), sync=durability == "host")
    raise StoreError(
        f"no driver knows blobs of the kind {scheme}:",
        slug="store-unknown",
        hint="use s3://BUCKET/PREFIX or a directory",
    )


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


def _local(directory: Path, durability: str, tenant: str | None) -> Store:
    from tracediff.stores.local import LocalStore  # imports sqlite3, which others do without

    keyring = keyring_of_environment()
    return LocalStore(directory, durability=durability, keyring=keyring, tenant=tenant)


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
