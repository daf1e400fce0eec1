"""Which key encrypts and which one decrypts: the keys of one process, in their order."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from tracediff.config.encryption import VARIABLE, EncryptionKey, encryption_keys
from tracediff.errors import StoreError
from tracediff.stores.encryption.envelope import (
    USES,
    DataKey,
    WrongKeyError,
    is_envelope,
    key_id,
    opener,
)

_CACHED = 1024
"""Data keys that are remembered: one takes 10 µs to derive, and a segment may need several."""


class EnvelopeError(Exception):
    """An envelope that does not open; its text says why. Callers say what of theirs is hurt."""


@dataclass(slots=True)
class _Writing:
    """The data key that is written with now, and how often it still may be."""

    key: DataKey
    left: int


class Keyring:
    """The keys of one process; thread-safe. Without keys nothing is encrypted.

    Args:
        keys: In their order: of each tenant, and of none, the first one writes. All read.
    """

    def __init__(self, keys: Iterable[EncryptionKey] = ()) -> None:
        self.keys = tuple(keys)
        self._by_id = {key_id(one.name): one for one in self.keys}
        self._writers: dict[str | None, EncryptionKey] = {}
        for one in self.keys:
            self._writers.setdefault(one.tenant, one)
        self._writing: dict[str, _Writing] = {}
        self._derived: OrderedDict[tuple[bytes, bytes], DataKey] = OrderedDict()
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def __bool__(self) -> bool:
        return bool(self.keys)

    def __repr__(self) -> str:
        return f"Keyring({', '.join(one.name for one in self.keys)})"

    def writer(self, tenant: str | None = None) -> EncryptionKey | None:
        """The key that payloads of this tenant are encrypted with; None where nothing is.

        Raises:
            StoreError: ``key-missing``: there are keys, and none is for this tenant.
        """
        if not self.keys:
            return None
        found = self._writers.get(tenant) or self._writers.get(None)
        if found is None:
            whose = "what is no tenant's" if tenant is None else f"the tenant {tenant[:60]!r}"
            raise StoreError(
                f"no encryption key is for {whose}, and nothing is written in the clear",
                slug="key-missing",
                hint=f"add a key without a tenant to {VARIABLE}: it is for all that have none",
            )
        return found

    def writes(self, key: EncryptionKey) -> bool:
        """Whether this is the key that its tenant's payloads are encrypted with, or all others."""
        return self._writers.get(key.tenant) is key

    def id_of(self, key: EncryptionKey) -> str:
        """The id by which envelopes name a key, in hex."""
        return key_id(key.name).hex()

    def has_own(self, tenant: str | None) -> bool:
        """Whether this tenant has a key of its own."""
        return tenant is not None and tenant in self._writers

    def encrypting(self, tenant: str | None = None) -> Callable[[bytes, bytes], bytes] | None:
        """``encrypt`` for one tenant, None where nothing is encrypted; raises like ``writer``."""
        return None if self.writer(tenant) is None else partial(self.encrypt, tenant=tenant)

    def encrypt(self, data: bytes, about: bytes, *, tenant: str | None = None) -> bytes:
        """The data in an envelope; as it is where there are no keys.

        Args:
            data: What to encrypt.
            about: What it is and whose: it must be the same when it is decrypted.
            tenant: Whose key it takes.

        Raises:
            StoreError: ``key-missing`` or ``encryption-missing``.
        """
        key = self.writer(tenant)
        return data if key is None else self._current(key).close(data, about)

    def decrypt(self, envelope: bytes, about: bytes, what: str) -> bytes:
        """What is in an envelope.

        Args:
            envelope: As ``encrypt`` gave it.
            about: What it was said to be then.
            what: Its name in errors: "trace X".

        Raises:
            StoreError: ``key-missing``: none of these keys is the one it needs;
                ``encryption-missing``.
            EnvelopeError: It does not open.
        """
        found = opener(envelope)
        if found is None:
            raise EnvelopeError(
                "its envelope is cut, or of a version that this tracediff is too old for"
            )
        key = self._by_id.get(found[0])
        if key is None:
            raise _missing(what, found[0], self.keys)
        try:
            return self._known(key, found[1]).open(envelope, about)
        except WrongKeyError:
            raise EnvelopeError(
                f"it does not open with the key {key.name} of TRACEDIFF_ENCRYPTION_KEYS: its bytes "
                "were changed, or another key had this name"
            ) from None

    def needs(self, envelope: bytes) -> str | None:
        """The name of the key that opens an envelope, its id for one that is not here.

        None for what is no envelope.
        """
        found = opener(envelope) if is_envelope(envelope) else None
        if found is None:
            return None
        key = self._by_id.get(found[0])
        return found[0].hex() if key is None else key.name

    def is_current(self, envelope: bytes, tenant: str | None = None) -> bool:
        """Whether these bytes are as they would be written now: by the same key, or by none."""
        key, found = self.writer(tenant), opener(envelope) if is_envelope(envelope) else None
        return found is None if key is None else found is not None and found[0] == key_id(key.name)

    def _current(self, key: EncryptionKey) -> DataKey:
        with self._locked():
            writing = self._writing.get(key.name)
            if writing is None or writing.left <= 0:
                writing = _Writing(DataKey(key.secret, key_id(key.name)), USES)
                self._writing[key.name] = writing
            writing.left -= 1
            return writing.key

    def _known(self, key: EncryptionKey, salt: bytes) -> DataKey:
        place = (key_id(key.name), salt)
        with self._locked():
            found = self._derived.get(place)
            if found is None:
                found = self._derived[place] = DataKey(key.secret, *place)
                while len(self._derived) > _CACHED:
                    self._derived.popitem(last=False)
            return found

    def _locked(self) -> threading.Lock:
        if self._pid != os.getpid():
            # A thread that did not come along may have held the lock; and a child that went on
            # with its parent's data key would share the number of its uses.
            self._lock, self._writing, self._pid = threading.Lock(), {}, os.getpid()
        return self._lock


NO_KEYS = Keyring()
"""Nothing is encrypted, and nothing encrypted can be read."""


def keyring_of_environment() -> Keyring:
    """The keys of this process's environment.

    Raises:
        ConfigError: ``encryption-keys-invalid``.
    """
    return Keyring(encryption_keys(os.environ))


def _missing(what: str, needed: bytes, keys: tuple[EncryptionKey, ...]) -> StoreError:
    have = ", ".join(f"{one.name} ({key_id(one.name).hex()})" for one in keys) or "none"
    return StoreError(
        f"{what} is encrypted with the key {needed.hex()}, which is not here",
        slug="key-missing",
        hint=f"add that key to {VARIABLE}; those here are: {have}",
    )
