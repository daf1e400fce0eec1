"""What a row can be found by, as 32-bit labels, and which of them answer a query.

A label stands for a tag, a context field with its value, a path signature, or for everything. Each
label of a row is an entry in the index ``(label, state, start, id)``, and in one more for each of
the first segments of its key: ``(label, prefix, state, start, id)``. So a page of whatever has this
label, below this prefix, is a range of one index that is in order already. Two labels that are
equal by chance let a foreign row through, which is checked on the row itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import xxhash

from tracediff.model import Query, Row
from tracediff.stores.labels import context_label

EVERYTHING = 0
OTHER_CONTEXT = 1
"""Of rows with more context fields than have labels: their rows are asked one by one."""

DEPTH = 4
"""So many starts of a key have an index of their own."""

_DEEPEST = 16
"""So many have a label; below that the row itself is asked."""

MOST_CONTEXT = 8
_FREE = 2
_INT32 = 1 << 31

Choice = tuple[int, ...]
"""Labels of which a row must have one."""


def row_labels(row: Row, declared: Sequence[str] = ()) -> list[int]:
    """Everything this row can be found by, each once; ``declared`` context fields go first."""
    texts = [f"tag {tag}" for tag in row.tags]
    names: Iterable[str] = row.context
    if len(row.context) > MOST_CONTEXT:
        wanted = dict.fromkeys((*declared, *row.context))
        names = [name for name in wanted if name in row.context][:MOST_CONTEXT]
    texts += [context_label(name, row.context[name]) for name in names]
    texts.append(f"path {row.path_signature.hex()}")
    if row.key.count("/") >= DEPTH:
        texts += [f"key {start}" for start in _starts(row.key)[DEPTH:]]
    found = [EVERYTHING, *map(_hash, texts)]
    if len(row.context) > MOST_CONTEXT:
        found.append(OTHER_CONTEXT)
    return list(dict.fromkeys(found))


@lru_cache(1024)  # there are as many keys as jobs
def key_labels(key: str) -> tuple[int, ...]:
    """The first starts of a key, each by whole segments."""
    return tuple([_hash(f"key {start}") for start in _starts(key)[:DEPTH]])


def choices(query: Query) -> Iterator[Choice]:
    """What a row must have, the narrowest first by what filters usually leave over."""
    if query.tags:
        yield _labels(f"tag {tag}" for tag in query.tags)
    for name, value in query.context.items():
        yield (*_labels([context_label(name, value)]), OTHER_CONTEXT)
    if query.path_signature is not None:
        yield _labels([f"path {query.path_signature.hex()}"])
    if query.key is not None and len(starts := _starts(query.key)) > DEPTH:
        yield _labels([f"key {starts[-1]}"])


def _labels(texts: Iterable[str]) -> Choice:
    return tuple(sorted({_hash(text) for text in texts}))


def _starts(key: str) -> list[str]:
    parts = key.split("/", _DEEPEST)[:_DEEPEST]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


@lru_cache(8192)  # most tags and fields of a process are those of a moment ago
def _hash(text: str) -> int:
    digest = xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))
    label = (digest >> 32) - _INT32
    return label if label not in (EVERYTHING, OTHER_CONTEXT) else _FREE
