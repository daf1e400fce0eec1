"""The store that a writer saves into, as long as it has it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from tracediff.errors import StoreError
from tracediff.model import Part, Trace
from tracediff.recording import lifetime
from tracediff.recording.queued import Ignored
from tracediff.stores.base import LiveStore, Store

log = logging.getLogger("tracediff")

TRACE_SLUGS = frozenset({"trace-too-large", "row-invalid", "key-missing"})
"""What a store says of one trace, where it would take others: a tenant for whom there is no key."""


class Saving:
    """Saves what was built; opens the store when it is needed. Who uses it holds ``using``.

    Args:
        open_store: Opens the store.
        after: Called with the store and the traces just saved.
        on_ack: Called with the id of each trace just saved, of a live one when it has ended.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        after: Callable[[Store, list[Trace]], None],
        on_ack: Callable[[str], None] | None,
    ) -> None:
        self.open_store = open_store
        self._after = after
        self._on_ack = on_ack
        self.store: Store | None = None
        self.reset()

    def reset(self) -> None:
        """Start anew: what a forked child inherits is its parent's to write."""
        if self.store is not None:
            lifetime.inherited.append(self.store)  # closing it here could hurt the parent's
        self.store = None
        self.using = threading.RLock()
        self.shared = False
        self.lives: bool | None = None  # whether it takes parts; None before it was opened

    def opened(self) -> Store:
        """The store; what goes wrong goes on."""
        with self.using:
            store = self.store = self.store or self.open_store()
            self.shared = store.capabilities.shared
            self.lives = store.capabilities.live and isinstance(store, LiveStore)
            return store

    def write(self, made: Sequence[Any]) -> tuple[Exception | None, bool]:
        """Save things of one kind.

        Returns:
            What went wrong, if anything did, and whether that was for what one of them is.
        """
        with self.using:
            try:
                store = self.opened()
            except Exception as error:
                return error, False
            try:
                _save(store, made)
            except Exception as error:
                refused = isinstance(error, StoreError | OSError)
                return error, not refused or getattr(error, "slug", "") in TRACE_SLUGS
            traces = [trace_in(one) for one in made if not isinstance(one, Ignored)]
            try:
                self._after(store, traces)
            except Exception:
                log.exception("tracediff could not keep the sources of traces")
        return None, False

    def acknowledge(self, made: Sequence[Any]) -> None:
        """Tell of each trace that is saved whole."""
        if self._on_ack is None:
            return
        for one in made:
            if isinstance(one, Ignored) or trace_in(one).state == "running":
                continue
            saved = trace_in(one).id
            try:
                self._on_ack(saved)
            except Exception:
                log.exception("tracediff: on_ack failed for %s", saved)

    def close(self) -> None:
        """Let go of the store."""
        with self.using:
            store, self.store = self.store, None
            try:
                if store is not None:
                    store.close()
            except Exception:
                log.exception("tracediff could not close the store")


def trace_in(made: Trace | Part) -> Trace:
    """The trace, or what a part says of it."""
    return made.trace if isinstance(made, Part) else made


def _save(store: Any, made: Sequence[Any]) -> None:
    if isinstance(made[0], Part):
        store.save_parts(made)
    elif isinstance(made[0], Ignored):
        store.ignore([one.id for one in made])
    else:
        store.save(made)
