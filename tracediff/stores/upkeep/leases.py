"""One gc at a time: it would be safe to run two, but each would do the other's work again."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from tracediff.errors import StoreError
from tracediff.stores.failures import system_error


def running(who: str = "") -> StoreError:
    """Another gc has the store: ``gc-running``."""
    return StoreError(
        f"another gc cleans this store up{who}",
        slug="gc-running",
        hint="wait until it is done; one that was killed is waited for two minutes at most",
    )


@contextlib.contextmanager
def file_lease(path: Path) -> Iterator[Callable[[], None]]:
    """Hold a lock on a file, which lasts as long as this process."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise system_error(error, f"write {path.name}") from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise running() from None
        yield lambda: None
    finally:
        os.close(file)
