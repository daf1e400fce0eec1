"""A project's store under upkeep: what its settings say, and what lies on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tracediff.config import Config
from tracediff.errors import StoreError
from tracediff.stores.base import Blobs, Store
from tracediff.stores.configured import local_directory, spool_directory
from tracediff.stores.spooled import REJECTED
from tracediff.stores.upkeep.base import Progress, kept_of
from tracediff.stores.upkeep.chosen import Chosen
from tracediff.stores.upkeep.collecting import Amount, Collected, Wish, collect
from tracediff.stores.upkeep.erasing import Demand, Erasure, finish_notes, pending, verify
from tracediff.stores.upkeep.receipts import Receipt, key_of, read_receipt


def clean_up(
    config: Config, opened: Callable[[], Store], wish: Wish, progress: Progress
) -> Collected:
    """Clean a project's store up; one that nothing was recorded in yet is clean.

    One that was asked for by name and is not there is refused.

    Args:
        config: The settings.
        opened: Gives the store.
        wish: What is to be done.
        progress: Told what goes on.
    """
    directory = local_directory(config)
    if directory is not None and not directory.exists():
        opened()  # refuses one that was asked for by name
        return Collected(
            dry_run=wish.dry_run, freed={}, left={}, removed=Amount(), rewritten=Amount()
        )
    store = opened()
    kept = kept_of(store)
    try:
        blobs = blobs_of(store)
        notes = pending(blobs)
        urgent = frozenset(key for keys in notes.values() for key in keys)
        wish = replace(wish, lost_after=config.lost_after)
        found = collect(kept, wish, progress, urgent=urgent)
        if notes and not wish.dry_run:
            finish_notes(kept, blobs, notes)
    finally:
        kept.close()
    aside = _rejected(config)
    return replace(found, left=found.left | {"rejected": aside}) if aside.count else found


@contextlib.contextmanager
def erasure(
    config: Config, store: Store, demand: Demand, progress: Progress, name: str | None = None
) -> Iterator[Erasure]:
    """An erasure from a project's store, its spool on this machine and its kept checks.

    Args:
        config: The settings.
        store: The store.
        demand: What is to be erased.
        progress: Told what goes on.
        name: The store's name, None for the default one.
    """
    kept = kept_of(store)
    try:
        with Chosen() as chosen:
            yield Erasure(
                store, kept, chosen, demand, blobs=blobs_of(store), root=config.root,
                spool=_spool(config, name), progress=progress,
            )  # fmt: skip
    finally:
        kept.close()


def verified(
    config: Config, store: Store, receipt: str, progress: Progress
) -> tuple[Receipt, list[str]]:
    """A receipt, from a file or from the store, and what is there again of what it erased."""
    path = Path(receipt)
    if path.is_file():
        found = read_receipt(path.read_bytes())
    else:
        try:
            found = read_receipt(blobs_of(store).get(key_of(receipt)))
        except StoreError as error:
            if error.slug not in ("blob-missing", "blob-key-invalid"):
                raise
            raise StoreError(
                f"there is no receipt {receipt[:100]!r}",
                slug="receipt-missing",
                hint="name the file that `tracediff erase -o` wrote, or the id in it",
            ) from None
    kept = kept_of(store)
    try:
        return found, verify(store, kept, found, progress, _spool(config, None))
    finally:
        kept.close()


def blobs_of(store: Store) -> Blobs:
    """Where a store keeps receipts."""
    blobs: Blobs = store.blobs  # type: ignore[attr-defined]  # every store that can be kept up has
    return blobs


def _spool(config: Config, name: str | None) -> Path | None:
    spool = spool_directory(config, name)
    return spool if spool is not None and spool.is_dir() else None


def _rejected(config: Config) -> Amount:
    """Traces that the index did not take: only somebody who looks at them can say what to do."""
    spool = spool_directory(config)
    files = sorted((spool / REJECTED).glob("*")) if spool is not None else []
    sizes = [size for path in files if (size := _size(path)) is not None]
    return Amount(len(sizes), sum(sizes))


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # who set it aside took it away
        return None
