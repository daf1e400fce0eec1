r"""Compression dictionaries that many traces share: kept as blobs, by the number zstd gives them.

Traces of one job resemble each other, and each is compressed alone so that one range read gets it.
A dictionary holds what they have in common. A frame names its dictionary by number, so:

    dictionaries/<number>.zdict   a dictionary; never replaced, kept as long as the store
    dictionaries/current          the number of the one that new traces are compressed with

A ``.zdict`` blob begins with ``89 54 44 44`` ("\\x89TDD"), the format's version (1) as one byte,
three zero bytes, the length of what follows as a little-endian 64-bit integer and its SHA-256; the
dictionary itself follows, as zstd has it. In version 2 an envelope follows that holds it: see
``encryption``. It holds parts of many traces, so it is for those who have the key of all.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import struct
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard

from tracediff.errors import StoreError
from tracediff.stores.base import Blobs
from tracediff.stores.encryption import NO_KEYS, EnvelopeError, Keyring
from tracediff.stores.encryption.envelope import OVERHEAD
from tracediff.stores.files import FileBlobs

CURRENT = "dictionaries/current"
SIZE = 112 << 10
"""Bytes of a trained dictionary: what zstd's own tool makes."""

LARGEST = 4 << 20
SAMPLE = 128 << 10
"""Bytes of a trace that are looked at; zstd finds little in the rest."""

SAMPLES = 16 << 20
"""Bytes that are looked at of all traces together."""

_HEADER = struct.Struct("<4sB3xQ32s")
_MAGIC = b"\x89TDD"
_VERSION = 1
_ENCRYPTED = 2
_CACHED = 32
_IDS = 1 << 32
_TRAINED = (32_768, 1 << 31)
"""The numbers that zstd leaves to everybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dictionary:
    """A dictionary: zstd's number of it, and its bytes."""

    id: int
    data: bytes

    def __repr__(self) -> str:
        return f"Dictionary(id={self.id}, {len(self.data):,} bytes)"


def key_of(number: int) -> str:
    """The key of the blob that holds this dictionary."""
    return f"dictionaries/{number}.zdict"


_NAMED = re.compile(r"dictionaries/([0-9]{1,10})(?:~[0-9a-f]{16})?\.zdict")


def train(samples: Iterable[bytes], *, size: int = SIZE) -> Dictionary:
    """Make a dictionary from what traces have in common.

    Args:
        samples: Traces as ``codec.dump`` gives them; a hundred or more of those that will come. At
            most ``SAMPLES`` bytes of them are read.
        size: Bytes of the dictionary, at most.

    Raises:
        StoreError: ``dictionary-untrainable``: they are too few or have nothing in common.
    """
    taken: list[bytes | bytearray | memoryview] = []
    total = 0
    for sample in samples:
        taken.append(bytes(sample[:SAMPLE]))
        total += len(taken[-1])
        if total >= SAMPLES:
            break
    try:
        data = zstandard.train_dictionary(size, taken, k=1024, d=8).as_bytes()
    except (zstandard.ZstdError, ValueError) as error:
        raise StoreError(
            f"no dictionary can be made of {len(taken)} traces of {total:,} bytes",
            slug="dictionary-untrainable",
            hint="give it a hundred traces or more, of one kind, or go on without a dictionary",
        ) from error
    return _numbered(data)


def _numbered(data: bytes) -> Dictionary:
    """With a number that follows from its bytes: zstd's own draws from too few."""
    low, high = _TRAINED
    digest = hashlib.sha256(data[8:]).digest()
    number = low + int.from_bytes(digest[:8], "big") % (high - low)
    return Dictionary(id=number, data=data[:4] + number.to_bytes(4, "little") + data[8:])


class Dictionaries:
    """The dictionaries of one store; thread-safe.

    Args:
        blobs: Where they are kept.
        keyring: What they are encrypted and decrypted with.
    """

    def __init__(self, blobs: Blobs, keyring: Keyring = NO_KEYS) -> None:
        self._blobs = blobs
        self._keyring = keyring
        self._known: OrderedDict[int, Dictionary] = OrderedDict()
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def load(self, number: int) -> Dictionary:
        """The dictionary of this number, from the cache or the store.

        Raises:
            StoreError: ``dictionary-missing``, or ``dictionary-hurt``: not what was saved.
        """
        with self._locked():
            found = self._known.get(number)
        if found is None:
            found = _read(self._blobs, number, self._keyring)
            self._keep(found)
        return found

    def save(self, dictionary: Dictionary, *, current: bool = True) -> None:
        """Keep a dictionary, and with ``current`` compress new traces with it from now on."""
        number = zstandard.ZstdCompressionDict(dictionary.data).dict_id()
        if number != dictionary.id or not number:
            raise _hurt(dictionary.id, "its bytes carry another number")
        try:
            self._blobs.put(
                key_of(dictionary.id), _packed(dictionary.data, self._keyring, dictionary.id)
            )
        except StoreError as error:  # no two envelopes are the same, nor of the same dictionary
            if error.slug != "blob-exists" or self.load(number).data != dictionary.data:
                raise
        self._keep(dictionary)
        if current:
            self._blobs.put(CURRENT, str(dictionary.id).encode("ascii"))

    def current(self) -> Dictionary | None:
        """The dictionary that new traces are compressed with; asks the store each time.

        None where there is none yet. Raises StoreError like ``load``.
        """
        number = self.current_number()
        return None if number is None else self.load(number)

    def current_number(self) -> int | None:
        """The number of the current dictionary, which takes no key to read.

        None where there is none yet.

        Raises:
            StoreError: ``dictionary-hurt``; or as any driver's.
        """
        try:
            text = self._blobs.get(CURRENT)
        except StoreError as error:
            if error.slug == "blob-missing":
                return None
            raise
        if not (text.isdigit() and len(text) <= 10 and 0 < int(text) < _IDS):
            raise StoreError(
                f"the blob {CURRENT} does not hold the number of a dictionary",
                slug="dictionary-hurt",
                hint="delete it, and save a dictionary again",
            )
        return int(text)

    def check(self) -> list[str]:
        """One sentence for each dictionary that is hurt."""
        said = []
        for key in self._blobs.keys("dictionaries/"):
            number = _number_of(key)
            if number is not None:
                try:
                    _read(self._blobs, number, self._keyring)
                except StoreError as error:
                    if error.slug != "key-missing":  # it is not hurt: others can read it
                        said.append(error.message)
        return said

    def _keep(self, dictionary: Dictionary) -> None:
        with self._locked():
            self._known[dictionary.id] = dictionary
            while len(self._known) > _CACHED:
                self._known.popitem(last=False)

    def _locked(self) -> threading.Lock:
        if self._pid != os.getpid():  # a thread that did not come along may have held it
            self._lock, self._pid = threading.Lock(), os.getpid()
        return self._lock


def _about(number: int) -> bytes:
    return b"dictionary %d" % number


def keep_dictionary(directory: Path, current: int, blobs: Blobs) -> None:
    """Copy a store's current dictionary to where processes find it that ask no store.

    It is copied as it is, so one that is encrypted stays so, and no key is needed.
    """
    kept, key = FileBlobs(directory), key_of(current)
    number = str(current).encode("ascii")
    with contextlib.suppress(StoreError):  # they compress without one, or with an older one
        if not (directory / key).exists():
            kept.put(key, _stored(blobs, current))
        if not (directory / CURRENT).exists() or kept.get(CURRENT) != number:
            kept.put(CURRENT, number)


def _stored(blobs: Blobs, number: int) -> bytes:
    """The blob of a dictionary; a recorder may read it, and may not list those encrypted anew."""
    try:
        return blobs.get(key_of(number))
    except StoreError as error:
        if error.slug != "blob-missing":
            raise
        for anew in blobs.keys(f"dictionaries/{number}~"):
            return blobs.get(anew)
        raise


def _packed(data: bytes, keyring: Keyring = NO_KEYS, number: int = 0) -> bytes:
    kept = keyring.encrypt(data, _about(number))
    version = _VERSION if kept is data else _ENCRYPTED
    return _HEADER.pack(_MAGIC, version, len(kept), hashlib.sha256(kept).digest()) + kept


def renewed_dictionaries(
    blobs: Blobs, keyring: Keyring, *, dry_run: bool
) -> Iterator[tuple[str, bytes, bool]]:
    """Encrypt dictionaries by the key that writes now, each under a name of its own.

    Its number is in every trace that needs it, and a name is written once: so the number stays, and
    the name tells the key. The new one is there before the old one goes.

    Yields:
        The key, what was under it, and whether that can be opened here.
    """
    writer = keyring.writer()
    if writer is None:
        return
    for key in list(blobs.keys("dictionaries/")):
        number = _number_of(key)
        if number is None:
            continue
        kept = _body(blobs, key)
        if keyring.is_current(kept):
            yield key, kept, True
            continue
        try:
            data = _read(blobs, number, keyring, key).data
        except StoreError as error:
            if error.slug not in ("key-missing", "dictionary-hurt", "dictionary-missing"):
                raise
            yield key, kept, False
            continue
        if not dry_run:
            new = renewed_key_of(number, keyring.id_of(writer))
            try:
                blobs.put(new, _packed(data, keyring, number))
            except StoreError as error:  # no two envelopes are the same, nor of the same bytes
                if error.slug != "blob-exists" or _read(blobs, number, keyring, new).data != data:
                    raise
            blobs.delete([key])
        yield key, kept, True


def renewed_key_of(number: int, key_id: str) -> str:
    """The key of the blob that holds this dictionary since it was encrypted anew."""
    return f"dictionaries/{number}~{key_id}.zdict"


def _number_of(key: str) -> int | None:
    found = _NAMED.fullmatch(key)
    return int(found[1]) if found is not None else None


def _body(blobs: Blobs, key: str) -> bytes:
    """As much of what a blob holds as tells its key."""
    try:
        return blobs.get(key)[_HEADER.size :][: LARGEST + OVERHEAD]
    except StoreError as error:
        if error.slug == "blob-missing":
            return b""
        raise


def _read(blobs: Blobs, number: int, keyring: Keyring, key: str | None = None) -> Dictionary:
    """The dictionary of a number, under its name or one that it got when encrypted anew."""
    if key is not None:
        return _read_from(blobs, number, keyring, key)
    try:
        return _read_from(blobs, number, keyring, key_of(number))
    except StoreError as error:
        if error.slug != "dictionary-missing":
            raise
        missing = error
    for one in keyring.keys:
        with contextlib.suppress(StoreError):  # the next key may; if none does, it is said below
            return _read_from(blobs, number, keyring, renewed_key_of(number, keyring.id_of(one)))
    for other in blobs.keys(f"dictionaries/{number}~"):  # by a key that is not here, as it will say
        return _read_from(blobs, number, keyring, other)
    raise missing


def _read_from(blobs: Blobs, number: int, keyring: Keyring, key: str) -> Dictionary:
    """The dictionary in a blob: first its header, which bounds what is read."""
    try:
        header = blobs.get(key, 0, _HEADER.size)
        magic, version, length, digest = _HEADER.unpack(header)
        known = magic == _MAGIC and version in (_VERSION, _ENCRYPTED)
        most = LARGEST + (OVERHEAD if version == _ENCRYPTED else 0)
        if not known or length > most:
            raise _hurt(number, "its header is none of a dictionary that this tracediff knows")
        data = blobs.get(key, _HEADER.size, length)
    except StoreError as error:
        if error.slug == "blob-missing":
            raise _missing(number) from error
        if error.slug == "blob-truncated":
            raise _hurt(number, "it is cut") from error
        raise
    if hashlib.sha256(data).digest() != digest:
        raise _hurt(number, "it has another SHA-256 than when it was saved")
    if version == _ENCRYPTED:
        try:
            data = keyring.decrypt(data, _about(number), f"the compression dictionary {number}")
        except EnvelopeError as error:
            raise _hurt(number, str(error)) from error
    if zstandard.ZstdCompressionDict(data).dict_id() != number:
        raise _hurt(number, "its bytes carry another number")
    return Dictionary(id=number, data=data)


def _missing(number: int) -> StoreError:
    return StoreError(
        f"there is no compression dictionary {number} in the store",
        slug="dictionary-missing",
        hint=f"copy the blob {key_of(number)} from the store that the traces come from",
    )


def _hurt(number: int, why: str) -> StoreError:
    return StoreError(
        f"the compression dictionary {number} cannot be used: {why}",
        slug="dictionary-hurt",
        hint=f"copy the blob {key_of(number)} from another store that has it",
    )
