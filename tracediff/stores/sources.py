"""Source files by git blob id, over any ``Blobs``; the id is checked on the way in and out."""

from __future__ import annotations

import hashlib
import re

from tracediff.errors import StoreError
from tracediff.stores.base import Blobs

_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def save_source(blobs: Blobs, blob: str, data: bytes) -> None:
    """Keep ``data``; nothing is written when it is there already, whole.

    Raises:
        StoreError: ``source-invalid``: the id is not that of the data.
    """
    key = _key(blob)
    if _blob_id(blob, data) != blob:
        raise StoreError(
            f"the source file given as {blob} has another git blob id",
            slug="source-invalid",
            hint="pass the file's bytes as they are, with no line ends changed",
        )
    if _get(blobs, key) != data:
        blobs.put(key, data)


def load_source(blobs: Blobs, blob: str) -> bytes | None:
    """The file's bytes, None when they are not kept.

    Raises:
        StoreError: ``source-hurt``: what is kept is something else.
    """
    data = _get(blobs, _key(blob))
    if data is not None and _blob_id(blob, data) != blob:
        raise StoreError(
            f"the stored source file {blob} is hurt: its bytes have another git blob id",
            slug="source-hurt",
            hint="delete it from the store's sources directory; it is saved again when it runs",
        )
    return data


def hurt_sources(blobs: Blobs) -> list[str]:
    """One sentence for each stored source file that is not what its name says."""
    said = []
    for key in blobs.keys("sources/"):
        name = key.removeprefix("sources/").replace("/", "")
        try:
            load_source(blobs, name)
        except StoreError as error:
            said.append(f"{error.message} ({key})")
    return said


def _get(blobs: Blobs, key: str) -> bytes | None:
    try:
        return blobs.get(key)
    except StoreError as error:
        if error.slug == "blob-missing":
            return None
        raise


def _key(blob: str) -> str:
    if not _ID.fullmatch(blob):
        raise StoreError(
            f"{blob[:80]!r} is not a git blob id",
            slug="source-invalid",
            hint="a git blob id is 40 (or 64) hexadecimal digits in lower case",
        )
    return f"sources/{blob[:2]}/{blob[2:]}"


def _blob_id(like: str, data: bytes) -> str:
    algorithm = "sha1" if len(like) == 40 else "sha256"
    digest = hashlib.new(algorithm, b"blob %d\0" % len(data), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()
