"""The stores that the settings name: as readers open them, and as recorders do."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

from tracediff.config import Config, StoreSettings, mask
from tracediff.stores.base import Store
from tracediff.stores.urls import SERVERS, open_remote, open_store, scheme_of


def open_configured(config: Config, name: str | None = None) -> Store:
    """The store of this name, the configured one for None; raises like ``open_store``."""
    found = config.store_settings(name)
    return open_store(found.index, blobs=found.blobs, **_options(config, found))


def _options(config: Config, found: StoreSettings) -> dict[str, Any]:
    """What the settings say of how any store is opened."""
    return {
        "root": config.root,
        "durability": config.durability,
        "context": found.context,
        "classes": config.retentions,
    }


def open_for_recording(config: Config) -> Store:
    """The store that a recorder writes to: a spool before one that is on another machine."""
    directory = spool_directory(config)
    if directory is None:
        return open_configured(config)
    from tracediff.stores.spool import SpoolStore  # a local store does without

    found = config.store_settings()
    return SpoolStore(
        directory,
        functools.partial(open_remote, found.index, found.blobs, **_options(config, found)),
        durability=config.durability,
        max_bytes=config.spool_bytes,
        upload_every=config.upload_every,
        classes=config.retentions,
    )


def spool_directory(config: Config, name: str | None = None) -> Path | None:
    """Where traces wait for a store on another machine, None for a store that needs no spool.

    Each store has its own: what waits for one must not go to another.
    """
    found = config.store_settings(name)
    if scheme_of(found.index) not in SERVERS:
        return None
    names = (mask(found.index), mask(found.blobs or ""))  # a new password is no new store
    place = "\n".join(names).encode("utf-8", "surrogatepass")
    return config.root / config.spool / hashlib.sha256(place).hexdigest()[:12]


def local_directory(config: Config, name: str | None = None) -> Path | None:
    """The directory of a local store, None for any other."""
    url = config.store_url(name)
    return None if ":" in url else config.root / url
