"""Blob keys and ranges: what every driver accepts."""

from __future__ import annotations

from tracediff.errors import StoreError
from tracediff.stores.failures import blob_truncated

LONGEST = 1024
"""Bytes of a key: what S3 takes."""

LONGEST_PART = 255
"""Bytes of one segment of a key: what a file system takes."""


def check_key(key: str) -> None:
    """Raise StoreError ``blob-key-invalid`` unless every driver can keep a blob under this key."""
    if not is_key(key):
        raise StoreError(
            f"{key[:100]!r} cannot be the key of a blob",
            slug="blob-key-invalid",
            hint="keys are path segments joined by slashes, none of them empty, '.' or '..', at "
            f"most {LONGEST_PART} bytes each and {LONGEST} together",
        )


def is_key(key: str) -> bool:
    """Whether every driver can keep a blob under this key."""
    try:
        sizes = [len(part.encode("utf-8")) for part in key.split("/")]
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return (
        "\0" not in key
        and min(sizes) > 0
        and max(sizes) <= LONGEST_PART
        and sum(sizes) + len(sizes) - 1 <= LONGEST
        and not any(part in (".", "..") or part.startswith(".tmp-") for part in key.split("/"))
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
