"""What ``gc`` did or would do, as text and as a document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tracediff.reports.clean import clean
from tracediff.reports.excerpt import bytes_of
from tracediff.reports.wording import many
from tracediff.stores.upkeep.collecting import Amount, Collected
from tracediff.stores.upkeep.rekeying import CLEAR

_KINDS = {
    "artifact": "artifacts that no trace mentions",
    "deleted": "frames of deleted or ignored traces",
    "duplicate": "copies that an interrupted run left",
    "expired": "frames of expired traces",
    "hurt index": "indexes that were set aside",
    "orphaned": "traces without rows: deleted, cut off",
    "temporary": "unfinished files",
    "tombstone": "marks of deletions",
    "busy": "in segments that are being written",
    "hurt": "in segments with hurt bytes",
    "little": "not worth writing a segment anew",
    "rejected": "in the spool's `rejected`",
    "young": "younger than the grace",
}


def gc_document(found: Collected) -> dict[str, Any]:
    """The run as a JSON document."""
    return {
        "schema": "tracediff/gc/1",
        "dry_run": found.dry_run,
        "bytes": found.bytes,
        "freed": _amounts(found.freed),
        "left": _amounts(found.left),
        "removed": _amount(found.removed),
        "rewritten": _amount(found.rewritten),
        "rows": found.rows,
        "lost": found.lost,
        "parts": found.parts,
        "tombstones": found.tombstones,
        "buckets": found.buckets,
        "traces": found.traces,
        "segments": found.segments,
        "renewed": found.renewed,
        "keys": found.keys,
        "locked": found.locked,
    }


def gc_lines(found: Collected) -> Iterator[str]:
    """The run in sentences, most important first."""
    would = "would be " if found.dry_run else ""
    looked = f"{many(found.traces, 'trace')} in {many(found.segments, 'segment')}"
    yield f"{bytes_of(found.bytes)} {would}freed; looked at {looked}"
    yield from _table(found.freed.items())
    done = [
        (found.removed.count, "segment", "segments", "removed"),
        (found.rewritten.count, "segment", "segments", "written anew"),
        (found.rows, "row of an expired trace", "rows of expired traces", "removed"),
        (found.lost, "running trace", "running traces", "lost: nobody heard of it"),
        (found.parts, "part without a trace", "parts without traces", "forgotten"),
        (found.tombstones, "deletion", "deletions", "forgotten: nothing is left of the traces"),
        (found.buckets, "bucket of statistics", "buckets of statistics", "removed"),
    ]
    for count, one, more, became in done:
        if count:
            yield f"{many(count, one, more)} {would}{became}"
    yield from _keys(found)
    if found.left:
        yield "left alone:"
        yield from _table(found.left.items())


def _keys(found: Collected) -> Iterator[str]:
    would = "would be " if found.dry_run else ""
    for key, count in found.renewed.items():
        what = "not encrypted" if key == CLEAR else f"by the key {clean(key)}"
        yield f"{many(count, 'payload or file', 'payloads and files')} {what} {would}encrypted anew"
    if found.keys:
        used = ", ".join(f"{clean(key)} {count:,}" for key, count in found.keys.items())
        yield f"by key {'then' if found.dry_run else 'now'}: {used}"
    if found.locked:
        yield (
            f"{many(found.locked, 'segment or file', 'segments and files')} left as before: "
            "a key is missing"
        )


def _table(amounts: Iterable[tuple[str, Amount]]) -> Iterator[str]:
    for kind, one in amounts:
        yield f"  {_KINDS.get(kind, kind):38} {one.count:10,}  {bytes_of(one.bytes):>10}"


def _amounts(found: Mapping[str, Amount]) -> dict[str, dict[str, int]]:
    return {kind: _amount(one) for kind, one in found.items()}


def _amount(found: Amount) -> dict[str, int]:
    return {"count": found.count, "bytes": found.bytes}
