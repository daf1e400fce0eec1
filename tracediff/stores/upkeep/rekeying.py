"""Encrypting anew, by the key that writes now, what lies in a store by another key or by none.

Everything is there by the new key before it goes by the old one, under a name of its own where keys
are written once. What cannot be opened here is left as it is, never put in the clear.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tracediff.errors import StoreError
from tracediff.model import Row
from tracediff.stores.base import Blobs
from tracediff.stores.dictionaries import renewed_dictionaries
from tracediff.stores.encryption import EnvelopeError
from tracediff.stores.encryption.envelope import is_envelope, opener
from tracediff.stores.places import Layout, about_artifact
from tracediff.stores.rows import frame_row
from tracediff.stores.segments import ENCRYPTED, TOMBSTONE, Damage, Frame, renewed
from tracediff.stores.sources import renew_source
from tracediff.stores.upkeep.receipts import FOLDER

NOTE = f"{FOLDER}/keys.json"
CLEAR = "none"
"""What stands for the key of what is not encrypted."""


class Rekeying:
    """One run.

    ``used`` counts what is by which key, by its id, as far as it was looked at; ``bytes`` their
    bytes; ``done`` how much was encrypted anew, or would be; ``locked`` what could not be.

    Args:
        layout: Has the keys, and says whose a trace is.

    Raises:
        StoreError: ``key-missing``: there are no keys.
    """

    def __init__(self, layout: Layout) -> None:
        if not layout.keyring:
            raise StoreError(
                "there is no key to encrypt with",
                slug="key-missing",
                hint="set TRACEDIFF_ENCRYPTION_KEYS: the new key first, then those that are there",
            )
        self._layout, self._keyring = layout, layout.keyring
        self.used: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.locked: Counter[str] = Counter()

    def look(self, frames: Iterable[Frame | Damage]) -> None:
        """Count the frames of a segment by their keys."""
        for frame in _payloads(frames):
            self._count(_key(frame), frame.length)

    def is_due(self, frames: Iterable[Frame | Damage]) -> bool:
        """Whether any of these is by another key than it would be now, and all can be opened."""
        due = False
        for frame in _payloads(frames):
            try:
                self._keyring.writer(self._tenant(frame))
            except StoreError:  # its tenant has no key here: it counts as locked
                return False
            if _key(frame) not in (CLEAR, *map(self._keyring.id_of, self._keyring.keys)):
                return False
            due = due or not self._is_current(frame)
        return due

    def is_locked(self, frames: Iterable[Frame | Damage]) -> bool:
        """Whether any of these is by another key than it would be now, or by one unknown here."""
        return any(not self._is_current(frame) for frame in _payloads(frames))

    def note_locked(self, key: str) -> None:
        """A segment is left, since a key is missing."""
        self.locked[key] += 1

    def renewed(self, frame: Frame) -> bytes | None:
        """The frame by the key that writes now; None where it stays as it is.

        Raises:
            StoreError: ``key-missing``, ``encryption-missing``.
        """
        try:
            made = renewed(frame, self._keyring, self._tenant(frame))
        except StoreError as error:
            if error.slug != "trace-hurt":
                raise
            return None  # nobody can open it: it is copied as it is
        if made is not None:
            self._moved(_key(frame), frame.length, self._writer(self._tenant(frame)))
        return made

    def renewed_artifact(self, data: bytes, sha256: str, frame: Frame | None) -> bytes:
        """An artifact's bytes by the key that writes now; as they are where they do not open."""
        tenant = None if frame is None else self._tenant(frame)
        if self._keyring.is_current(data, tenant):
            return data
        about = about_artifact(sha256)
        if is_envelope(data):
            try:
                data = self._keyring.decrypt(data, about, f"the artifact {sha256}")
            except EnvelopeError:  # by a key that is not here, or hurt
                return data
        return self._keyring.encrypt(data, about, tenant=tenant)

    def beside(self, blobs: Blobs, *, dry_run: bool) -> None:
        """Sources and dictionaries, which belong to no tenant."""
        for key in blobs.keys("sources/"):
            with contextlib.suppress(_GoneError):  # it was removed meanwhile
                data = _got(blobs, key)
                self._count(_blob_key(data), len(data))
                if not self._keyring.is_current(data):
                    name = key.removeprefix("sources/").replace("/", "")
                    if dry_run or renew_source(blobs, name, self._keyring):
                        self._moved(_blob_key(data), len(data), self._writer(None))
                    else:
                        self.locked[key] += 1
        for key, data, able in renewed_dictionaries(blobs, self._keyring, dry_run=dry_run):
            self._count(_blob_key(data), len(data))
            if not self._keyring.is_current(data):
                if able:
                    self._moved(_blob_key(data), len(data), self._writer(None))
                else:
                    self.locked[key] += 1

    def would(self, frames: Iterable[Frame | Damage]) -> None:
        """Count as done what a run would do."""
        for frame in _payloads(frames):
            if not self._is_current(frame):
                self._moved(_key(frame), frame.length, self._writer(self._tenant(frame)))

    def keep_note(self, blobs: Blobs) -> None:
        """Write down which keys are in use, for ``doctor``."""
        note = {
            "schema": "tracediff/keys/1",
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "keys": {one: [count, self.bytes[one]] for one, count in self.left().items()},
            "locked": sum(self.locked.values()),
        }
        blobs.put(NOTE, json.dumps(note, indent=1).encode())

    def left(self) -> dict[str, int]:
        """How many are by which key after the run, by its id."""
        return {one: count for one, count in sorted(self.used.items()) if count}

    def names(self) -> Mapping[str, str]:
        """The names of the keys that are here, by id."""
        return {self._keyring.id_of(one): one.name for one in self._keyring.keys}

    def _is_current(self, frame: Frame) -> bool:
        if frame.version != ENCRYPTED:
            return False
        try:
            return self._keyring.is_current(frame.payload, self._tenant(frame))
        except StoreError:  # no key here writes for its tenant
            return False

    def _tenant(self, frame: Frame) -> str | None:
        try:
            row: Row = frame_row(frame, "")
        except ValueError:  # its row says none
            return None
        return self._layout.tenant_of(row)

    def _writer(self, tenant: str | None) -> str:
        key = self._keyring.writer(tenant)
        return CLEAR if key is None else self._keyring.id_of(key)

    def _count(self, key: str, size: int) -> None:
        self.used[key] += 1
        self.bytes[key] += size

    def _moved(self, old: str, size: int, new: str) -> None:
        self.done[old] += 1
        self.used[old] -= 1
        self.bytes[old] -= size
        self._count(new, size)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysInUse:
    """What the last run that encrypted anew found: how many frames and files, by key id."""

    when: str
    keys: Mapping[str, int]
    locked: int


def keys_in_use(blobs: Blobs) -> KeysInUse | None:
    """The note of the last run, None where there is none that can be read."""
    try:
        found = json.loads(blobs.get(NOTE))
        keys = {str(one)[:60]: int(count) for one, (count, _) in found["keys"].items()}
        return KeysInUse(when=str(found["when"])[:60], keys=keys, locked=int(found["locked"]))
    # Whether the store answers, ``doctor`` says beside it; that the note is hurt matters to nobody.
    except (StoreError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


class _GoneError(Exception):
    """A blob that went meanwhile."""


def _got(blobs: Blobs, key: str) -> bytes:
    try:
        return blobs.get(key)
    except StoreError as error:
        if error.slug == "blob-missing":
            raise _GoneError from None
        raise


def _payloads(frames: Iterable[Frame | Damage]) -> Iterator[Frame]:
    return (one for one in frames if isinstance(one, Frame) and one.kind != TOMBSTONE)


def _key(frame: Frame) -> str:
    return _blob_key(frame.payload) if frame.version == ENCRYPTED else CLEAR


def _blob_key(data: bytes) -> str:
    found = opener(data) if is_envelope(data) else None
    if found is None:
        return "unknown" if is_envelope(data) else CLEAR
    return found[0].hex()
