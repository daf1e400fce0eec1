"""Blobs in S3: one object each, in one of several buckets.

An object is there whole or not at all: the server checks its SHA-256 before anybody sees it, and a
conditional request makes sure that it takes no other's place. Segments and dictionaries are written
once; what has a changing content (``dictionaries/current``) is replaced. A whole blob is checked
against its SHA-256 when it is read; a part of one by whoever knows what it must be, as the frames
of a segment are by their own checksums.
"""

from __future__ import annotations

import hashlib
import heapq
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import groupby
from typing import Any

from tracediff.errors import StoreError
from tracediff.stores.base import Diagnosis
from tracediff.stores.failures import blob_missing
from tracediff.stores.keys import check_key, check_range, cut, is_key
from tracediff.stores.listed import Listed
from tracediff.stores.s3 import diagnosis, layout, lifecycle
from tracediff.stores.s3.address import read_address
from tracediff.stores.s3.clients import (
    ATTEMPTS,
    CONNECT_SECONDS,
    READ_SECONDS,
    Clients,
    ExpectedError,
    require,
    translated,
)
from tracediff.stores.s3.failures import (
    BEYOND,
    CLASHED,
    MISSING,
    TAKEN,
    answered,
    blob_exists,
    blob_hurt,
)
from tracediff.stores.s3.uploads import Upload, put

_LARGEST = 1 << 46
"""No object has as many bytes; larger numbers overflow in some servers."""

_BATCH = 1_000
_ROUNDS = 6


class S3Blobs:
    """Blobs in the buckets of an URL; thread-safe, and to be used on after a fork.

    Args:
        url: ``s3://BUCKET[,BUCKET…][/PREFIX][?OPTION=VALUE&…]``; see ``address``.
        client: A client of boto3's for S3, or a function that makes one, instead of one made from
            the URL. Only a function serves in processes that are forked later.
        connect_seconds: How long to wait for a connection.
        read_seconds: How long to wait for the next bytes of an answer.
        attempts: How often the client tries, the first time included.

    Raises:
        StoreError: ``store-url-invalid``, or ``store-driver`` without boto3. No server is asked.
    """

    def __init__(
        self,
        url: str,
        *,
        client: Any = None,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        attempts: int = ATTEMPTS,
    ) -> None:
        self.address = read_address(url)
        require()
        self._clients = Clients(
            self.address,
            client,
            connect_seconds=connect_seconds,
            read_seconds=read_seconds,
            attempts=attempts,
        )
        self._options = {
            name: value
            for name, value in (
                ("ServerSideEncryption", self.address.sse),
                ("SSEKMSKeyId", self.address.kms_key),
                ("StorageClass", self.address.storage_class),
            )
            if value is not None
        }

    def put(self, key: str, data: bytes) -> None:
        """Store ``data`` whole or not at all; putting the same bytes again changes nothing.

        Raises:
            StoreError: ``blob-exists``: other bytes are there under a key that is written once.
                Who may not read takes what is there for the same bytes: such keys are used once.
        """
        check_key(key)
        bucket = next(layout.ranked(key, self.address.buckets))
        upload = Upload(
            bucket=bucket,
            object=layout.object_of(key, self.address.prefix),
            data=bytes(data),
            digest=hashlib.sha256(data).digest(),
            options=self._options,
            doing=f"put blob {key} into bucket {bucket}",
        )
        code = ""
        for number in range(_ROUNDS):
            try:
                return put(self._clients, upload, once=True, expecting=TAKEN | CLASHED)
            except ExpectedError as error:
                code = error.code
            found = self._compared(upload)
            if found == "same" or (found == "hidden" and layout.is_written_once(key)):
                return None
            if found != "missing":
                if layout.is_written_once(key):
                    raise blob_exists(key)
                return put(self._clients, upload, once=False, expecting=frozenset())
            time.sleep(0.02 * 2**number)  # another is putting it, or deleting it, right now
        raise answered(code, upload.doing)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes from ``start`` on, by one request where the bucket is the key's own.

        Raises:
            StoreError: ``blob-missing``, ``blob-truncated``: they are fewer; ``blob-hurt``: a whole
                blob that is not what was put.
        """
        check_key(key)
        check_range(key, start, length)
        made = layout.object_of(key, self.address.prefix)
        for bucket in layout.ranked(key, self.address.buckets):
            try:
                return self._read(bucket, made, key, start, length)
            except ExpectedError:
                continue  # it was put before the key's bucket was added
        raise blob_missing(key)

    def delete(self, keys: Iterable[str]) -> int:
        """Remove these blobs from all buckets; returns how many were there."""
        made = self._objects(keys)
        found: set[str] = set()
        for bucket in self.address.buckets:
            there = [one for one in made if self._size(bucket, one) is not None]
            for start in range(0, len(there), _BATCH):
                self._delete(bucket, there[start : start + _BATCH])
            found.update(there)
        return len(found)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """All keys with this prefix, sorted."""
        if not (is_key(prefix + "x") or is_key(prefix)):
            return iter(())
        streams = [
            stream
            for bucket in self.address.buckets
            for beginning in self._beginnings(bucket, prefix)
            for stream in [self._listed(bucket, beginning, prefix)]
        ]
        if not self.address.sorts:
            streams = [iter(sorted(stream)) for stream in streams]
        return (key for key, _ in groupby(heapq.merge(*streams)))

    def listed(self, prefix: str = "") -> Iterator[Listed]:
        """All blobs with this prefix, with their sizes and, by the server's clock, their ages.

        Bucket by bucket: one that lies in two of them comes twice.
        """
        if prefix and not (is_key(prefix + "x") or is_key(prefix)):
            return
        for bucket in self.address.buckets:
            for beginning in self._beginnings(bucket, prefix):
                for key, told, now in self._told(bucket, beginning):
                    if key.startswith(prefix):
                        age = max(0.0, (now - told["LastModified"]).total_seconds())
                        yield Listed(key=key, size=told["Size"], age=age)

    def leftovers(self, grace: float) -> Iterator[Listed]:
        """None: an object is there whole or not at all, and unfinished uploads end by a rule."""
        return iter(())

    def drop(self, key: str) -> None:
        """There are no leftovers."""

    def versioned(self) -> list[str]:
        """The buckets that keep what is deleted, or did once."""
        found = []
        for bucket in self.address.buckets:
            doing = f"ask whether bucket {bucket} keeps versions"
            answer = self._clients.ask("get_bucket_versioning", doing, Bucket=bucket)
            if answer.get("Status") in ("Enabled", "Suspended"):
                found.append(bucket)
        return found

    def prepare(self, retentions: Iterable[int], dry_run: bool) -> list[str]:
        """Make the buckets and lifecycle rules that are missing; see ``lifecycle.prepare``."""
        return lifecycle.prepare(self._clients, self.address, retentions, dry_run)

    def diagnose(self, retentions: Iterable[int] = ()) -> tuple[Diagnosis, ...]:
        """What these credentials can do there, and what is missing; nothing is left behind.

        Args:
            retentions: The retention classes in use, in days, besides those that have objects.
        """
        return diagnosis.diagnose(self._clients, self.address, tuple(retentions))

    def connect(self) -> None:
        """Make this process's client; no server is asked."""
        self._clients.connect()

    def close(self) -> None:
        """Let go of connections, unless the client was handed over; a second call does nothing."""
        self._clients.close()

    def _compared(self, upload: Upload) -> str:
        """What is there under the object's key: ``missing``, ``same``, ``other`` or ``hidden``."""
        try:
            answer = self._clients.ask(
                "head_object", upload.doing, expecting=MISSING, **upload.place
            )
            if answer["ContentLength"] != len(upload.data):
                return "other"
            known = answer.get("Metadata", {}).get("sha256")
            if known is None:  # put by something else
                answer = self._clients.ask(
                    "get_object", upload.doing, expecting=MISSING, **upload.place
                )
                known = hashlib.sha256(_body(answer, upload.doing)).hexdigest()
        except ExpectedError:
            return "missing"
        except StoreError as error:
            if error.slug == "store-denied":
                return "hidden"
            raise
        return "same" if known == upload.digest.hex() else "other"

    def _read(self, bucket: str, made: str, key: str, start: int, length: int | None) -> bytes:
        doing = f"get blob {key} from bucket {bucket}"
        place = {"Bucket": bucket, "Key": made}
        if length == 0 or start > _LARGEST:
            return cut(key, b"", self._size_of(place, doing), start, length)
        part: dict[str, str] = {}
        if start or length is not None:
            end = "" if length is None else start + min(length, _LARGEST) - 1
            part = {"Range": f"bytes={start}-{end}"}
        try:
            answer = self._clients.ask(
                "get_object", doing, expecting=MISSING | BEYOND, **place, **part
            )
        except ExpectedError as error:
            if error.code not in BEYOND:
                raise
            return cut(key, b"", self._size_of(place, doing), start, length)
        data = _body(answer, doing)
        if not part:
            return _checked(key, data, answer)
        if "ContentRange" not in answer:  # a server that gives the whole object all the same
            return cut(key, data[start:], len(data), start, length)
        return cut(key, data, _whole(answer, start + len(data)), start, length)

    def _size_of(self, place: dict[str, str], doing: str) -> int:
        answer = self._clients.ask("head_object", doing, expecting=MISSING, **place)
        return int(answer["ContentLength"])

    def _size(self, bucket: str, made: str) -> int | None:
        try:
            place = {"Bucket": bucket, "Key": made}
            return self._size_of(place, f"delete blobs from bucket {bucket}")
        except ExpectedError:
            return None

    def _objects(self, keys: Iterable[str]) -> list[str]:
        made = []
        for key in dict.fromkeys(keys):
            if is_key(key):
                try:
                    made.append(layout.object_of(key, self.address.prefix))
                except StoreError:
                    continue  # too long to be there
        return made

    def _delete(self, bucket: str, made: list[str]) -> None:
        doing = f"delete blobs from bucket {bucket}"
        wanted = {"Objects": [{"Key": one} for one in made], "Quiet": True}
        answer = self._clients.ask("delete_objects", doing, Bucket=bucket, Delete=wanted)
        for error in answer.get("Errors", ()):
            raise answered(str(error.get("Code", "")), doing)

    def _beginnings(self, bucket: str, prefix: str) -> list[str]:
        """The beginnings of the objects that hold the keys with this prefix."""
        first, classes = layout.listed(self.address.prefix, prefix)
        if classes is None:
            return [first]
        found = self._clients.classes(bucket, classes)
        return [first, *(f"{one}/{self.address.prefix}/" for one in found)]

    def _listed(self, bucket: str, beginning: str, prefix: str) -> Iterator[str]:
        for key, _, _ in self._told(bucket, beginning):
            if key.startswith(prefix):
                yield key

    def _told(self, bucket: str, beginning: str) -> Iterator[tuple[str, dict[str, Any], datetime]]:
        """Blobs in the order of their objects, what is told of each, and when."""
        doing = f"list bucket {bucket}"
        for page in self._clients.pages("list_objects_v2", doing, Bucket=bucket, Prefix=beginning):
            date = page["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
            now = parsedate_to_datetime(date) if date else datetime.now(UTC)
            for one in page.get("Contents", ()):
                key = layout.key_of(one["Key"], self.address.prefix)
                if key is not None:
                    yield key, one, now


def _body(answer: dict[str, Any], doing: str) -> bytes:
    with answer["Body"] as body:
        read: Callable[[], bytes] = body.read
        return translated(doing, read)


def _checked(key: str, data: bytes, answer: dict[str, Any]) -> bytes:
    known = answer.get("Metadata", {}).get("sha256")
    if known is not None and known != hashlib.sha256(data).hexdigest():
        raise blob_hurt(key, "they have another SHA-256 than when they were put")
    return data


def _whole(answer: dict[str, Any], least: int) -> int:
    """The object's size, as the answer to a range read tells it."""
    _, _, size = answer["ContentRange"].rpartition("/")
    return int(size) if size.isdecimal() else least
