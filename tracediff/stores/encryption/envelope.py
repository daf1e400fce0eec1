r"""An envelope: bytes encrypted with AES-256-GCM, and what is needed to open it but the key.

    offset  size  field
         0     4  magic      89 54 44 45  ("\\x89TDE")
         4     1  version    1
         5     8  key id     the first 8 bytes of SHA-256 of the key's name
        13    16  salt       of the data key
        29    12  nonce
        41        ciphertext, and the tag of 16 bytes

What is encrypted is never encrypted with a key of the environment itself: the data key is
HKDF-SHA256 of that key and the salt, and a writer draws a new salt after ``USES`` envelopes at the
latest. So a key of the environment may encrypt for ever, though GCM with random nonces of 96 bits
may use one key for 2**32 messages at most (NIST SP 800-38D, 8.3): docs/design.md has the figures.
The header's own fields and what the caller says the bytes are (``about``) are authenticated too.

The only module that imports ``cryptography``, when something is encrypted or decrypted first.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from tracediff.errors import StoreError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"\x89TDE"
VERSION = 1
KEY_ID = 8
SALT = 16
NONCE = 12
TAG = 16
HEADER = len(MAGIC) + 1 + KEY_ID + SALT + NONCE
OVERHEAD = HEADER + TAG
USES = 1 << 16
"""Envelopes of one data key. With random nonces two of them meet with odds below 2**-65."""

_INFO = b"tracediff data key 1"
_PREFIX = MAGIC + bytes([VERSION])


class WrongKeyError(Exception):
    """The envelope does not open with this key: another was meant, or its bytes were changed."""


def key_id(name: str) -> bytes:
    """What an envelope says of the key it needs."""
    return hashlib.sha256(name.encode()).digest()[:KEY_ID]


class DataKey:
    """A key that envelopes are made and opened with; thread-safe, as it is never changed.

    Args:
        secret: The key of the environment it follows from.
        id: The id of that key.
        salt: What tells it from the other data keys of that key; a new one by default.
    """

    __slots__ = ("_cipher", "_head")

    def __init__(self, secret: bytes, id: bytes, salt: bytes | None = None) -> None:
        salt = os.urandom(SALT) if salt is None else salt
        self._head = _PREFIX + id + salt
        self._cipher = _cipher(secret, salt)

    def close(self, data: bytes, about: bytes) -> bytes:
        """The data in an envelope; ``about`` is needed again to open it, and is not in it."""
        nonce = os.urandom(NONCE)
        head = self._head
        return b"".join((head, nonce, self._cipher.encrypt(nonce, data, head + about)))

    def open(self, envelope: bytes, about: bytes) -> bytes:
        """What is in an envelope of this data key; raises ``WrongKeyError``."""
        from cryptography.exceptions import InvalidTag

        head, nonce = envelope[: HEADER - NONCE], envelope[HEADER - NONCE : HEADER]
        if head != self._head or len(envelope) < OVERHEAD:
            raise WrongKeyError
        try:
            return self._cipher.decrypt(nonce, envelope[HEADER:], head + about)
        except InvalidTag:
            raise WrongKeyError from None


def is_envelope(data: bytes) -> bool:
    """Whether these bytes begin as an envelope does."""
    return data[: len(MAGIC)] == MAGIC


def opener(data: bytes) -> tuple[bytes, bytes] | None:
    """The key id and the salt of an envelope; None where it is none of a version known here."""
    if len(data) < OVERHEAD or data[: len(_PREFIX)] != _PREFIX:
        return None
    start = len(_PREFIX)
    return data[start : start + KEY_ID], data[start + KEY_ID : start + KEY_ID + SALT]


def _cipher(secret: bytes, salt: bytes) -> AESGCM:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    except ImportError:
        raise StoreError(
            "cryptography is not installed, which encryption needs",
            slug="encryption-missing",
            hint="install tracediff-calc with its extra `crypto`; until then traces wait in memory",
        ) from None
    return AESGCM(HKDF(SHA256(), 32, salt, _INFO).derive(secret))
