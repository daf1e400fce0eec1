"""How the suites for stores come by one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

from tracediff.model import Trace
from tracediff.stores.base import Store

S = TypeVar("S", bound=Store)


class StoreSuite(Generic[S]):
    """What a suite begins with whose tests open a store."""

    def make_store(self, directory: Path) -> S:
        """Open the store that ``directory`` stands for; empty the first time."""
        raise NotImplementedError

    @contextlib.contextmanager
    def opened(self, directory: Path, *traces: Trace) -> Iterator[S]:
        """A store that holds ``traces`` and is closed afterwards."""
        store = self.make_store(directory / "store")
        try:
            store.save(traces)
            yield store
        finally:
            store.close()
