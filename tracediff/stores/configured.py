"""The stores that the settings name: as readers open them, and as recorders do."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracediff.config import Config, StoreSettings, mask
from tracediff.stores.base import Store
from tracediff.stores.encryption import keyring_of_environment
from tracediff.stores.urls import SERVERS, open_remote, open_store, scheme_of

if TYPE_CHECKING:
    from tracediff.stores.remote import RemoteStore


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
        "tenant": config.tenant,
    }


def open_for_recording(config: Config) -> Store:
    """The store that a recorder writes to: a spool before one that is on another machine."""
    directory = spool_directory(config)
    if directory is None:
        return open_configured(config)
    from tracediff.stores.spool import SpoolStore  # a local store does without

    return SpoolStore(
        directory,
        _opener(config, None),
        durability=config.durability,
        max_bytes=config.spool_bytes,
        upload_every=config.upload_every,
        classes=config.retentions,
        keyring=keyring_of_environment(),
        tenant=config.tenant,
    )


def spools(config: Config, *, every_store: bool = True) -> dict[Path, Callable[[], RemoteStore]]:
    """The spools and what opens the store that each is for.

    Args:
        config: The settings.
        every_store: Those of each store that the settings name, not of the chosen one alone.
    """
    names = (None, *config.stores) if every_store else (None,)
    found = [(spool_directory(config, one), one) for one in names]
    return {directory: _opener(config, one) for directory, one in found if directory is not None}


def _opener(config: Config, name: str | None) -> Callable[[], RemoteStore]:
    found = config.store_settings(name)
    return functools.partial(open_remote, found.index, found.blobs, **_options(config, found))


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
