"""What a query means, in one place: which rows match, in which order, and how a page goes on.

Newest first by ``started_at``, ties by id. A cursor names the last row of a page, not a count, so
rows that arrive while somebody pages neither repeat nor hide one; it also carries a fingerprint of
its query, so that it cannot be used with another one.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable

import xxhash

from tracediff.errors import StoreError
from tracediff.model import Page, Query, Row
from tracediff.stores.rows import is_id

_INT64 = 1 << 63
_LONGEST_CURSOR = 1000

Scalar = str | int | float | bool


def position(row: Row) -> tuple[int, str]:
    """Where a row stands in every listing."""
    return (row.started_at, row.id)


def matches(row: Row, query: Query) -> bool:
    """Whether the row belongs to the query's result, its cursor left aside."""
    if query.key is not None and not _below(row.key, query.key):
        return False
    if query.tags and not any(tag in row.tags for tag in query.tags):
        return False
    if query.state is not None and row.state != query.state:
        return False
    if query.since is not None and row.started_at < query.since:
        return False
    if query.until is not None and row.started_at >= query.until:
        return False
    if query.path_signature is not None and row.path_signature != query.path_signature:
        return False
    return all(
        name in row.context and _equal(row.context[name], wanted)
        for name, wanted in query.context.items()
    )


def _below(key: str, prefix: str) -> bool:
    return key == prefix or key.startswith(prefix + "/")


def _equal(recorded: Scalar, wanted: Scalar) -> bool:
    """Equal as MongoDB sees it: 1 is 1.0, True is not 1, NaN is NaN."""
    if family(recorded) != family(wanted):
        return False
    return recorded == wanted or (recorded != recorded and wanted != wanted)  # noqa: PLR0124 - NaN


def family(value: Scalar) -> str:
    """The kind of values a context value can be equal to."""
    if isinstance(value, bool):
        return "bool"
    return "text" if isinstance(value, str) else "number"


def check_limit(limit: int) -> None:
    """Raise StoreError ``query-invalid`` unless at least one row is asked for."""
    if limit < 1:
        raise StoreError(
            f"a search cannot return {limit} rows",
            slug="query-invalid",
            hint="ask for a limit of 1 or more",
        )


def page(rows: Iterable[Row], query: Query) -> Page:
    """The first page of ``rows``: those that match the query and come after its cursor."""
    check_limit(query.limit)
    found: list[Row] = []
    for row in rows:
        if len(found) == query.limit:
            return Page(tuple(found), _write_cursor(found[-1], query))
        found.append(row)
    return Page(tuple(found))


def _write_cursor(row: Row, query: Query) -> str:
    body = json.dumps([_fingerprint(query), row.started_at, row.id]).encode("ascii")
    return base64.urlsafe_b64encode(xxhash.xxh3_64_digest(body) + body).decode("ascii")


def read_cursor(query: Query) -> tuple[int, str] | None:
    """The position of the last row that was already shown, None on the first page.

    Raises:
        StoreError: ``cursor-invalid``: it is no cursor, or that of another query.
    """
    if query.cursor is None:
        return None
    if len(query.cursor) > _LONGEST_CURSOR:
        raise _bad_cursor("it is not one that a search returned")
    try:
        data = base64.b64decode(query.cursor.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _bad_cursor("it is not one that a search returned") from None
    body = data[8:]
    if len(data) < 8 or xxhash.xxh3_64_digest(body) != data[:8]:
        raise _bad_cursor("it is not one that a search returned")
    try:
        fingerprint, started_at, trace_id = json.loads(body)
    except (ValueError, TypeError):
        raise _bad_cursor("it is not one that a search returned") from None
    if not isinstance(started_at, int) or not isinstance(trace_id, str) or not is_id(trace_id):
        raise _bad_cursor("it is not one that a search returned")
    if not -_INT64 <= started_at < _INT64:
        raise _bad_cursor("it is not one that a search returned")
    if fingerprint != _fingerprint(query):
        raise _bad_cursor("it belongs to another search")
    return (started_at, trace_id)


def _bad_cursor(why: str) -> StoreError:
    return StoreError(
        f"the cursor cannot be used: {why}",
        slug="cursor-invalid",
        hint="repeat the search without a cursor, or with the same filters as before",
    )


def _fingerprint(query: Query) -> str:
    """Of everything but cursor and limit: a page may be longer than the one before."""
    context = sorted((name, family(v), _spelled(v)) for name, v in query.context.items())
    signature = None if query.path_signature is None else query.path_signature.hex()
    parts = [query.key, sorted(set(query.tags)), query.state, query.since, query.until]
    data = json.dumps([*parts, context, signature]).encode("ascii")
    return xxhash.xxh3_64_hexdigest(data)


def _spelled(value: Scalar) -> str:
    """The same text for equal values: 1 and 1.0 are one filter."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{value:x}" if isinstance(value, int) else str(value)
