"""References: what a person types to name a trace.

1m86sn91rsp3         an id, or a prefix of one that is unique
@last                the newest trace whose job has ended
KEY@last  KEY@{3}    the newest of a job, or the third before it
NAME:REF             any of these in a named store
FILE.trace.json      a trace file; any other file by a path with a "/" in it

Traces of jobs that still run, and lost ones, count only for who watches: what else takes a
reference wants the whole of a trace.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path

from tracediff.config import mask
from tracediff.errors import TraceReferenceError
from tracediff.expectations.reading import read_trace
from tracediff.model import UNFINISHED, Query, Row, State, Trace
from tracediff.stores.base import Store
from tracediff.traceform import unreadable

_PLACE = re.compile(r"(?P<key>.*)@(?:last|\{(?P<nth>\d{1,6})\})")
_NAME = re.compile(r"[\w.-]+")
_PAGE = 500
_ID = re.compile(r"[0-9a-z]{1,20}")
FORMS = "an id or the start of one, @last, KEY@last, KEY@{3}, NAME:REF, or a .trace.json file"


def read_reference(
    reference: str, stores: Iterable[str], open_named: Callable[[str | None], Store]
) -> Trace:
    """The trace that a reference names.

    Args:
        reference: What was typed.
        stores: The names of the configured stores.
        open_named: Opens a named store; the default one for None.

    Raises:
        TraceReferenceError: ``trace-unknown``, ``trace-ambiguous`` or ``reference-invalid``.
        StoreError: The store cannot be read, or the trace is hurt.
        CodecError: The trace file is not one, or there is not even a job in the trace.
    """
    return read_found(reference, find_row(reference, stores, open_named))


def read_found(reference: str, found: tuple[Store, Row] | None) -> Trace:
    """The trace that ``find_row`` found for a reference.

    Raises:
        StoreError: The store cannot be read, or the trace is hurt.
        CodecError: The trace file is not one, or there is not even a job in the trace.
    """
    trace = read_trace(Path(reference)) if found is None else found[0].load(found[1])
    if not trace.steps:  # stores and files keep such a trace; nothing can be said of it
        raise unreadable(f"{reference} has no steps")
    return trace


def finished(trace: Trace) -> Trace:
    """The trace, if its job has ended and its end was recorded.

    Raises:
        TraceReferenceError: ``trace-running`` or ``trace-lost``.
    """
    check_finished(trace)
    return trace


def check_finished(one: Trace | Row) -> None:
    """Raise TraceReferenceError ``trace-running`` or ``trace-lost`` for a trace without its end."""
    if one.state == "running":
        raise TraceReferenceError(
            f"the trace {one.id} is of a job that still runs",
            slug="trace-running",
            hint=f"`tracediff show {one.id} --follow` watches it until it has ended",
        )
    if one.state == "lost":
        raise TraceReferenceError(
            f"the trace {one.id} is lost: its process ended before its job did",
            slug="trace-lost",
            hint=f"`tracediff show {one.id}` shows what was recorded; take one that has ended",
        )


def find_row(
    reference: str,
    stores: Iterable[str],
    open_named: Callable[[str | None], Store],
    *,
    unfinished: bool = False,
) -> tuple[Store, Row] | None:
    """The store and the row of the trace that a reference names; None when it names a file.

    Args:
        reference: What was typed.
        stores: The names of the configured stores.
        open_named: Opens a named store; the default one for None.
        unfinished: Let ``@last`` and ``@{3}`` count traces that run or are lost.

    Raises:
        TraceReferenceError: ``trace-unknown``, ``trace-ambiguous`` or ``reference-invalid``.
        StoreError: The store cannot be read.
    """
    named = set(stores)
    name = store_name(reference, named)
    if name is not None:
        store = open_named(name)
        return store, _in_store(reference.partition(":")[2], store, reference, unfinished)
    if _is_file(reference):
        return None
    before, colon, _ = reference.partition(":")
    if colon and _NAME.fullmatch(before):
        near = get_close_matches(before, named, 1)
        raise TraceReferenceError(
            f"{reference!r}: there is no store {before!r} in [tool.tracediff.stores]",
            slug="reference-invalid",
            hint=f"did you mean {near[0]!r}?" if near else f"a reference is {FORMS}",
        )
    store = open_named(None)
    return store, _in_store(reference, store, reference, unfinished)


def store_name(reference: str, stores: Iterable[str]) -> str | None:
    """The named store that a reference begins with, None when it begins with none."""
    name, colon, _ = reference.partition(":")
    return name if colon and name in set(stores) else None


def _is_file(reference: str) -> bool:
    """Whether this names a file: by its ending, or a path that is there and no key of a job."""
    if reference.endswith(".json"):
        return True
    path = ("/" in reference or "." in reference) and not _PLACE.fullmatch(reference)
    try:
        return path and Path(reference).exists()
    except OSError:
        return False


def _in_store(reference: str, store: Store, typed: str, unfinished: bool) -> Row:
    place = _PLACE.fullmatch(reference)
    if place is not None:
        skipped = () if unfinished else UNFINISHED
        return _nth(store, place["key"], int(place["nth"] or 0), typed, skipped)
    if not _ID.fullmatch(reference):
        raise TraceReferenceError(
            f"{typed!r} names no trace",
            slug="reference-invalid",
            hint=f"a reference is {FORMS}",
        )
    rows = store.find(reference, 6)
    if not rows:
        raise TraceReferenceError(
            f"no trace in {mask(store.url)} has an id that starts with {reference!r}",
            slug="trace-unknown",
            hint="`tracediff ls` shows the newest traces, `--store` looks in another store",
        )
    exact = [row for row in rows if row.id == reference]
    if len(rows) > 1 and not exact:
        shown = ", ".join(row.id for row in rows[:5]) + (", …" if len(rows) > 5 else "")
        raise TraceReferenceError(
            f"{reference!r} is the start of several ids: {shown}",
            slug="trace-ambiguous",
            hint="type more of the id",
        )
    return (exact or rows)[0]


def _nth(store: Store, key: str, nth: int, typed: str, skipped: tuple[State, ...]) -> Row:
    """The newest trace of a key but ``nth``, reading no more pages than needed."""
    cursor, left = None, nth
    seen, total, limit = 0, 0, min(nth + 1, _PAGE)
    while True:
        page = store.search(Query(key=key or None, limit=limit, cursor=cursor))
        rows = [row for row in page.rows if row.state not in skipped]
        seen, total = seen + len(rows), total + len(page.rows)
        if left < len(rows):
            return rows[left]
        left -= len(rows)
        # Of jobs that run there may be hundreds, all of them newer.
        limit = min(max(left + 1, limit * 8 if len(rows) < limit else 0), _PAGE)
        cursor = page.cursor
        if cursor is None:
            of = f" of {key!r}" if key else ""
            raise TraceReferenceError(
                f"{typed!r}: {mask(store.url)} holds {seen} traces{of}"
                f"{' that have ended' if seen < total else ''}",
                slug="trace-unknown",
                hint="`tracediff ls` shows what there is; call a job to record one",
            )
