"""Source files by git blob id, over any ``Blobs``; the id is checked on the way in and out.

They belong to no tenant: where there are keys, that of all encrypts them.
"""

from __future__ import annotations

import hashlib
import re

from tracediff.errors import StoreError
from tracediff.stores.base import Blobs
from tracediff.stores.encryption import NO_KEYS, EnvelopeError, Keyring
from tracediff.stores.encryption.envelope import is_envelope

_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def save_source(blobs: Blobs, blob: str, data: bytes, keyring: Keyring = NO_KEYS) -> None:
    """Keep ``data``; nothing is written when it is there already, whole and as it would be written.

    Raises:
        StoreError: ``source-invalid``: the id is not that of the data; ``key-missing``.
    """
    key = _key(blob)
    if _blob_id(blob, data) != blob:
        raise StoreError(
            f"the source file given as {blob} has another git blob id",
            slug="source-invalid",
            hint="pass the file's bytes as they are, with no line ends changed",
        )
    stored = _get(blobs, key)
    if not keyring:  # what others encrypted is never put in the clear
        there = stored == data or (stored is not None and is_envelope(stored))
    else:
        current = stored is not None and keyring.is_current(stored)
        there = current and _opened(blob, stored or b"", keyring) == data
    if not there:
        blobs.put(key, keyring.encrypt(data, _about(blob)))


def load_source(blobs: Blobs, blob: str, keyring: Keyring = NO_KEYS) -> bytes | None:
    """The file's bytes, None when they are not kept, or for others with other keys.

    Raises:
        StoreError: ``source-hurt``: what is kept is something else; ``encryption-missing``.
    """
    stored = _get(blobs, _key(blob))
    if stored is None or _blob_id(blob, stored) == blob:
        return stored
    try:
        data = _opened(blob, stored, keyring)
    except StoreError as error:
        if error.slug == "key-missing":
            return None
        raise
    if data is None:
        raise StoreError(
            f"the stored source file {blob} is hurt: its bytes have another git blob id",
            slug="source-hurt",
            hint="delete it from the store's sources directory; it is saved again when it runs",
        )
    return data


def renew_source(blobs: Blobs, blob: str, keyring: Keyring) -> bool:
    """Encrypt a source file by the key that writes now; False where it cannot be opened here."""
    try:
        data = load_source(blobs, blob, keyring)
        if data is None:
            return False
        save_source(blobs, blob, data, keyring)
    except StoreError as error:
        if error.slug not in ("source-hurt", "source-invalid", "key-missing"):
            raise
        return False
    return True


def _opened(blob: str, stored: bytes, keyring: Keyring) -> bytes | None:
    """What an envelope holds; None where it is none, does not open or holds something else."""
    if not is_envelope(stored):
        return None
    try:
        data = keyring.decrypt(stored, _about(blob), f"source file {blob}")
    except EnvelopeError:  # by a key that is not here, or hurt
        return None
    return data if _blob_id(blob, data) == blob else None


def _about(blob: str) -> bytes:
    return b"source " + blob.encode("ascii")


def hurt_sources(blobs: Blobs, keyring: Keyring = NO_KEYS) -> list[str]:
    """One sentence for each stored source file that is not what its name says."""
    said = []
    for key in blobs.keys("sources/"):
        name = key.removeprefix("sources/").replace("/", "")
        try:
            load_source(blobs, name, keyring)
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
