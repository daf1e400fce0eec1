"""The secret key of the digests that redacted values keep."""

from __future__ import annotations

import os
from pathlib import Path

STORE_NAMES = frozenset({"index.sqlite", "segments", "sources", "redaction.key", ".gitignore"})
"""What tells the directory of a local store from any other."""


def redaction_key(directory: Path | None) -> bytes:
    """The key of the digests: from the environment, from the local store, else for this process.

    Args:
        directory: The local store's directory, where a key is made on first use; None if remote.
    """
    given = os.environ.get("TRACEDIFF_REDACTION_KEY")
    if given:
        return given.encode()
    if directory is None:
        return os.urandom(32)
    file = directory / "redaction.key"
    try:
        os.makedirs(directory, exist_ok=True)  # the first secret may come before the first trace
        names = set(os.listdir(directory))
        if names and names.isdisjoint(STORE_NAMES):  # the store will refuse it
            return os.urandom(32)
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:  # made before, or another process was quicker
            return _existing_key(file)
        with os.fdopen(descriptor, "wb") as stream:
            key = os.urandom(32)
            stream.write(key)
            return key
    except OSError:  # a store that cannot be written reports that itself; digests last the process
        return os.urandom(32)


def _existing_key(file: Path) -> bytes:
    """A key that another process may be writing just now."""
    import time  # only in this race

    for _ in range(100):
        key = file.read_bytes()
        if len(key) == 32:
            return key
        time.sleep(0.01)
    return os.urandom(32)
