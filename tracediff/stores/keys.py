"""Blob keys and ranges: what every driver accepts."""

from __future__ import annotations

from tracediff.errors import StoreError
from tracediff.stores.failures import blob_truncated


def check_key(key: str) -> None:
    """Raise StoreError ``blob-key-invalid`` unless every driver can keep a blob under this key."""
    parts = key.split("/")
    if "\0" in key or any(part in ("", ".", "..") or part.startswith(".tmp-") for part in parts):
        raise StoreError(
            f"{key[:100]!r} cannot be the key of a blob",
            slug="blob-key-invalid",
            hint="Keys are path segments joined by slashes, none of them empty, '.' or '..'.",
        )


def check_range(key: str, start: int, length: int | None) -> None:
    """Raise StoreError ``blob-truncated`` for a range that no blob has."""
    if start < 0 or (length is not None and length < 0):
        raise blob_truncated(key, f"there is no range of {length} bytes from {start}")


def cut(key: str, rest: bytes, size: int, start: int, length: int | None) -> bytes:
    """``length`` bytes of what follows ``start``; raises StoreError ``blob-truncated``."""
    if start > size or (length is not None and len(rest) < length):
        raise blob_truncated(key, f"it has {size} bytes, {length} from {start} were asked for")
    return rest if length is None else rest[:length]
