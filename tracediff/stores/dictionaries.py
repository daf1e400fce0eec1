r"""Compression dictionaries that many traces share: kept as blobs, by the number zstd gives them.

Traces of one job resemble each other, and each is compressed alone so that one range read gets it.
A dictionary holds what they have in common. A frame names its dictionary by number, so:

    dictionaries/<number>.zdict   a dictionary; never replaced, kept as long as the store
    dictionaries/current          the number of the one that new traces are compressed with

A ``.zdict`` blob begins with ``89 54 44 44`` ("\\x89TDD"), the format's version (1) as one byte,
three zero bytes, the dictionary's length as a little-endian 64-bit integer and its SHA-256; the
dictionary itself follows, as zstd has it.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import zstandard

from tracediff.errors import StoreError
from tracediff.stores.base import Blobs

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
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
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
            found = _read(self._blobs, number)
            self._keep(found)
        return found

    def save(self, dictionary: Dictionary, *, current: bool = True) -> None:
        """Keep a dictionary, and with ``current`` compress new traces with it from now on."""
        number = zstandard.ZstdCompressionDict(dictionary.data).dict_id()
        if number != dictionary.id or not number:
            raise _hurt(dictionary.id, "its bytes carry another number")
        self._blobs.put(key_of(dictionary.id), _packed(dictionary.data))
        self._keep(dictionary)
        if current:
            self._blobs.put(CURRENT, str(dictionary.id).encode("ascii"))

    def current(self) -> Dictionary | None:
        """The dictionary that new traces are compressed with; asks the store each time.

        None where there is none yet. Raises StoreError like ``load``.
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
        return self.load(int(text))

    def check(self) -> list[str]:
        """One sentence for each dictionary that is hurt."""
        said = []
        for key in self._blobs.keys("dictionaries/"):
            name = key.removeprefix("dictionaries/").removesuffix(".zdict")
            if name.isdecimal() and key.endswith(".zdict"):
                try:
                    _read(self._blobs, int(name))
                except StoreError as error:
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


def _packed(data: bytes) -> bytes:
    return _HEADER.pack(_MAGIC, _VERSION, len(data), hashlib.sha256(data).digest()) + data


def _read(blobs: Blobs, number: int) -> Dictionary:
    """The dictionary in its blob: first its header, which bounds what is read."""
    try:
        header = blobs.get(key_of(number), 0, _HEADER.size)
        magic, version, length, digest = _HEADER.unpack(header)
        if magic != _MAGIC or version != _VERSION or length > LARGEST:
            raise _hurt(number, "its header is none of a dictionary that this tracediff knows")
        data = blobs.get(key_of(number), _HEADER.size, length)
    except StoreError as error:
        if error.slug == "blob-missing":
            raise _missing(number) from error
        if error.slug == "blob-truncated":
            raise _hurt(number, "it is cut") from error
        raise
    if hashlib.sha256(data).digest() != digest:
        raise _hurt(number, "it has another SHA-256 than when it was saved")
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
