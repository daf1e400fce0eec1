"""What a trace can be searched by, as 64-bit labels; see ``sqlite_index`` for how they are used."""

from __future__ import annotations

import math
from collections.abc import Iterable

import xxhash

from tracediff.model import STATES, Query, Row
from tracediff.stores.queries import Scalar, family

Label = tuple[int, int, int, str]
"""(label, state, start, id): the columns of the table, in the order of its key."""

_INT64 = 1 << 63
_DEEPEST = 32
"""Longer keys get labels for this many prefixes; below that the row itself is asked."""


def row_labels(row: Row) -> list[Label]:
    """Everything this row can be found by."""
    texts = ["all", *(f"key {prefix}" for prefix in _prefixes(row.key))]
    texts += [f"tag {tag}" for tag in row.tags]
    texts += [context_label(name, value) for name, value in row.context.items()]
    if row.path_signature:
        texts.append(f"path {row.path_signature.hex()}")
    state = STATES.index(row.state)
    return [(_hash(text), state, row.started_at, row.id) for text in texts]


def search_labels(query: Query) -> tuple[set[int], list[int]]:
    """The labels of which a row has one, and those that it has all besides.

    The first are of the narrowest filter, by what filters usually leave over.
    """
    all_of = [_hash(context_label(name, value)) for name, value in query.context.items()]
    if query.path_signature:
        all_of.append(_hash(f"path {query.path_signature.hex()}"))
    if query.key is not None:
        all_of.append(_hash(f"key {_prefixes(query.key)[-1]}"))
    if query.tags:
        return {_hash(f"tag {tag}") for tag in query.tags}, all_of
    if all_of:
        return {all_of[0]}, all_of[1:]
    return {_hash("all")}, []


def search_states(query: Query) -> Iterable[int]:
    """The states to merge; none when no row can be in the one that is asked for."""
    if query.state is None:
        return range(len(STATES))
    return [STATES.index(query.state)] if query.state in STATES else []


def _prefixes(key: str) -> list[str]:
    parts = key.split("/", _DEEPEST)[:_DEEPEST]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def context_label(name: str, value: Scalar) -> str:
    """The same text for equal values of a field, another one for all others."""
    # Python hashes equal numbers alike, whatever their type; not-a-number has no hash of its own.
    spelled = (
        value
        if isinstance(value, str)
        else "nan"
        if isinstance(value, float) and math.isnan(value)
        else hash(value)
    )
    return f"context {family(value)} {name}={spelled}"


def _hash(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) - _INT64
