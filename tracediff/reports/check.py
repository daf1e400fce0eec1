"""A check as a JSON document, for machines."""

from __future__ import annotations

from typing import Any

from tracediff.checked import Checked, Group, Result, Total


def check_document(found: Checked) -> dict[str, Any]:
    """All of a check; sums are exact, as "n/d"."""
    return {
        "schema": "tracediff/check/1",
        "matching": found.matching,
        "checked": found.checked,
        "same": found.same,
        "changed": found.changed,
        "failed": found.failed,
        "passed": not found.broken,
        "broken": list(found.broken),
        "groups": [_group(one) for one in found.groups],
        "totals": [_total(one) for one in found.totals],
        "explained": found.explained,
        "failures": [
            {"id": one.id, "key": one.key, "error": one.slug, "message": one.message}
            for one in found.failures
        ],
        "remarks": list(found.remarks),
    }


def _group(one: Group) -> dict[str, Any]:
    return {
        "cause": one.cause,
        "label": one.label,
        "count": one.count,
        "keys": dict(one.keys),
        "totals": [_total(total) for total in one.totals],
        "smallest": _changed(one.smallest),
    }


def _total(one: Total) -> dict[str, Any]:
    return {
        "field": one.field,
        "count": one.count,
        "change": str(one.change),
        "least": str(one.least),
        "most": str(one.most),
        "up": one.up,
        "down": one.down,
    }


def _changed(one: Result) -> dict[str, Any]:
    return {
        "id": one.id,
        "key": one.key,
        "meta": one.meta,
        "fields": [
            {
                "field": moved.field,
                "old": moved.old,
                "new": moved.new,
                "change": str(moved.change) if moved.change is not None else None,
            }
            for moved in one.moved
        ],
    }
