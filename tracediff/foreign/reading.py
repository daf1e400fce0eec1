"""Where foreign traces are read from: files, directories, standard input, HTTP, S3 and MongoDB."""

from __future__ import annotations

import os
import stat
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

from tracediff.config import mask
from tracediff.errors import StoreError

ENDINGS: Final = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")
"""The files of a directory that are read."""

_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One stream of JSON; ``path`` is where it is below what was named, ``size`` may be None."""

    place: str
    path: str
    size: int | None
    open: Callable[[], IO[bytes]]


def sources(given: str) -> Iterator[Source]:
    """The streams that FILE, DIR, URL or "-" name.

    Raises:
        StoreError: ``import-missing``: there is none; ``import-source``: it cannot be read.
    """
    if given == "-":
        yield Source(place="standard input", path="-", size=None, open=_standard_input)
    elif given.startswith(("mongodb://", "mongodb+srv://")):
        yield Source(place=mask(given), path="index", size=None, open=lambda: _index(given))
    elif given.startswith("s3://"):
        yield from _objects(given)
    elif given.startswith(("http://", "https://")):
        yield Source(
            place=mask(given),
            path=urlsplit(given).path.lstrip("/"),
            size=None,
            open=lambda: _fetched(given),
        )
    elif "://" in given:
        raise StoreError(
            f"{mask(given)} is no place that traces can be imported from",
            slug="import-missing",
            hint="name a file, a directory, -, or a URL of http, https, s3 or mongodb",
        )
    else:
        yield from _files(Path(given))


def _standard_input() -> IO[bytes]:
    try:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    except (AttributeError, OSError, ValueError) as error:  # a program may have closed it
        raise _failed("standard input", str(error)) from None


def _files(path: Path) -> Iterator[Source]:
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise StoreError(
            f"{path} cannot be read: {why}",
            slug="import-missing",
            hint="name a file or directory that is there, or - for standard input",
        ) from None
    if not stat.S_ISDIR(found.st_mode):
        yield _file(path, str(path.absolute()), found)
        return
    for directory, below, names in os.walk(path):
        below[:] = sorted(one for one in below if one != "artifacts" and not one.startswith("."))
        for name in sorted(names, key=_in_order):
            file = Path(directory, name)
            try:
                about = file.lstat()
            except OSError:  # it went while we looked
                continue
            if name.endswith(ENDINGS) and stat.S_ISREG(about.st_mode):
                yield _file(file, file.relative_to(path).as_posix(), about)


def _in_order(name: str) -> tuple[int, str]:
    """Parts in the order of their numbers."""
    return len(name), name


def _file(path: Path, below: str, found: os.stat_result) -> Source:
    size = found.st_size if stat.S_ISREG(found.st_mode) else None
    return Source(place=str(path), path=below, size=size, open=lambda: _opened(path))


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise _failed(str(path), error.strerror or str(error)) from None


def _fetched(url: str) -> IO[bytes]:
    try:
        answer: Any = urllib.request.urlopen(url, timeout=_SECONDS)  # noqa: S310 - the user named it
    except (OSError, ValueError) as error:
        raise _failed(mask(url), str(error)) from None
    stream: IO[bytes] = answer
    return stream


def _index(url: str) -> IO[bytes]:
    try:
        from tracediff.foreign.mongodb import lines  # files need no client
    except ImportError as error:
        raise _failed(mask(url), f"{error}; it needs the extra mongo") from None
    return lines(url)


def _objects(url: str) -> Iterator[Source]:
    from tracediff.stores.s3.address import read_address  # files need no client
    from tracediff.stores.s3.clients import Clients

    address = read_address(url)
    prefix = urlsplit(url).path.lstrip("/")
    clients = Clients(address)
    for bucket in address.buckets:
        doing = f"list bucket {bucket}"
        for page in clients.pages("list_objects_v2", doing, Bucket=bucket, Prefix=prefix):
            for one in page.get("Contents", ()):
                key = one["Key"]
                if key.endswith(ENDINGS) and "/artifacts/" not in key:
                    yield Source(
                        place=f"s3://{bucket}/{key}",
                        path=key,
                        size=one["Size"],
                        open=lambda b=bucket, k=key: _object(clients, b, k),  # type: ignore[misc]
                    )


def _object(clients: Any, bucket: str, key: str) -> IO[bytes]:
    body: IO[bytes] = clients.ask("get_object", f"get {key}", Bucket=bucket, Key=key)["Body"]
    return body


def _failed(place: str, why: str) -> StoreError:
    return StoreError(
        f"{place} cannot be read: {why}",
        slug="import-source",
        hint="see that it can be read by whoever runs this, then import again",
    )
