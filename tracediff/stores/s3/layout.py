r"""Under which object a blob is kept.

A lifecycle rule of S3 names the beginning of objects' keys, so what expires together begins alike:

    key of the blob             object, with the prefix "prod"
    30d/segments/ab.seg         30d/prod/segments/ab.seg
    dictionaries/7.zdict        keep/prod/dictionaries/7.zdict
    keep/segments/ab.seg        keep/prod/keep/segments/ab.seg

A key whose first part is a number of days is kept under these days, every other one under ``keep``,
which no rule of tracediff lets expire. In objects ``[`` is written ``[0`` and ``\`` is written
``[1``: some servers take a backslash for a slash. Sorted keys give sorted objects.

A bucket's share of the keys is by rendezvous hashing: when a bucket is added, only the keys that it
now wins move, and those are still found where they were.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import xxhash

from tracediff.errors import StoreError
from tracediff.stores.keys import LONGEST, is_key
from tracediff.stores.retention import KEEP, is_class

_DAYS = re.compile(r"[1-9]\d{0,5}d")
_ONCE = re.compile(r"dictionaries/\d+(?:~[0-9a-f]{16})?\.zdict")
_ESCAPE = str.maketrans({"[": "[0", "\\": "[1"})
_ESCAPED = re.compile(r"\[(.?)", re.DOTALL)


def is_written_once(key: str) -> bool:
    """Whether other bytes may never take this key's place: segments and dictionaries."""
    first, slash, _ = key.partition("/")
    return bool(slash and is_class(first)) or _ONCE.fullmatch(key) is not None


def object_of(key: str, prefix: str) -> str:
    """The object that keeps this blob; ``blob-key-invalid`` when its key would be too long."""
    first, _, rest = key.partition("/")
    if rest and _DAYS.fullmatch(first):
        made = f"{first}/{prefix}/{rest.translate(_ESCAPE)}"
    else:
        made = f"{KEEP}/{prefix}/{key.translate(_ESCAPE)}"
    if len(made.encode()) > LONGEST:
        raise StoreError(
            f"{key[:100]!r} is too long a key under this prefix",
            slug="blob-key-invalid",
            hint=f"an object's key has at most {LONGEST} bytes, prefix and retention class "
            "included",
        )
    return made


def key_of(made: str, prefix: str) -> str | None:
    """The blob that this object keeps; None when it keeps none of this prefix."""
    first, _, rest = made.partition("/")
    if not rest.startswith(prefix + "/"):
        return None
    rest = rest.removeprefix(prefix + "/")
    if first != KEEP and not _DAYS.fullmatch(first):
        return None
    key = _ESCAPED.sub(lambda found: {"0": "[", "1": "\\"}.get(found[1], "\0"), rest)
    if first != KEEP:
        key = f"{first}/{key}"
    return key if is_key(key) else None


def listed(prefix: str, wanted: str) -> tuple[str, str | None]:
    """What to list to find the keys that begin with ``wanted``.

    Returns:
        The beginning of their objects' keys; and, where keys of several retention classes begin
        so, what the names of these classes begin with.
    """
    first, slash, rest = wanted.partition("/")
    if slash and _DAYS.fullmatch(first):
        return f"{first}/{prefix}/{rest.translate(_ESCAPE)}", None
    classes = wanted if not slash and re.fullmatch(r"(?:[1-9]\d{0,5}d?)?", wanted) else None
    return f"{KEEP}/{prefix}/{wanted.translate(_ESCAPE)}", classes


def is_days(name: str) -> bool:
    """Whether this is a retention class with an end."""
    return _DAYS.fullmatch(name) is not None


def ranked(key: str, buckets: Sequence[str]) -> Iterator[str]:
    """The buckets, the one that keeps this key first."""
    if len(buckets) == 1:
        return iter(buckets)
    scores = {one: xxhash.xxh3_64_intdigest(f"{one}\0{key}".encode()) for one in buckets}
    return iter(sorted(buckets, key=lambda one: (scores[one], one), reverse=True))
