"""A check as a JSON document, for machines: ``schemas/check-1.json`` describes it.

Amounts are exact, as texts ``numerator/denominator``; beside each stands the nearest decimal.
"""

from __future__ import annotations

import json
from fractions import Fraction
from importlib.resources import files
from math import isfinite
from typing import Any, Final

from tracediff.checked import Acceptance, Change, Checked, Group, Mark, Result, Total, TraceShare
from tracediff.reports import amounts
from tracediff.reports.explanation import exact

_FARTHEST: Final = 100


def check_document(found: Checked) -> dict[str, Any]:
    """All that a check found; ``passed`` is what its exit code says."""
    return {
        "schema": "tracediff/check/1",
        "passed": not found.broken,
        "broken": list(found.broken),
        "matching": found.matching,
        "checked": found.checked,
        "same": found.same,
        "changed": found.changed,
        "accepted": found.accepted,
        "failed": found.failed,
        "unaffected": found.unaffected,
        "explained": found.explained,
        "reproduced": {"count": found.reproduced[0], "of": found.reproduced[1]},
        "against": found.against,
        "seconds": _finite(found.seconds),
        "main": found.main,
        "totals": [_total(one) for one in found.totals],
        "groups": [_group(one) for one in found.groups],
        "failures": [
            {"id": one.id, "key": one.key, "error": one.slug, "message": one.message,
             "hint": one.hint}
            for one in found.failures
        ],
        "noise": [
            {"field": one.field, "count": one.count, "example": one.example}
            for one in found.noise
        ],
        "stale": [_acceptance(one) for one in found.stale],
        "remarks": list(found.remarks),
    }  # fmt: skip


def check_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the document."""
    text = files("tracediff.reports").joinpath("schemas/check-1.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _amount(amount: Fraction) -> dict[str, str]:
    nearest = amounts.decimal(amount)
    plain = abs(nearest.adjusted()) < _FARTHEST
    return {"exact": exact(amount), "decimal": f"{nearest:f}" if plain else str(nearest)}


def _finite(number: float) -> float | None:
    return number if isfinite(number) else None


def _group(one: Group) -> dict[str, Any]:
    return {
        "cause": one.cause,
        "label": one.label,
        "count": one.count,
        "exact": one.exact,
        "passes": one.passes,
        "change": _change(one.change),
        "totals": [_total(total) for total in one.totals],
        "others": dict(one.others),
        "keys": dict(one.keys),
        "marks": [_mark(mark) for mark in one.marks],
        "accepted": _acceptance(one.accepted) if one.accepted is not None else None,
        "drift": list(one.drift),
        "smallest": _result(one.smallest),
        "traces": [_share(it) for it in one.traces],
    }


def _share(one: TraceShare) -> dict[str, Any]:
    return {
        "id": one.id,
        "key": one.key,
        "meta": one.meta,
        "change": _amount(one.change) if one.change is not None else None,
        "old": one.old,
        "new": one.new,
    }


def _change(one: Change | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {
        "id": one.id,
        "units": list(one.units),
        "kind": one.kind,
        "file": one.file,
        "line": one.line,
        "hunk": list(one.hunk),
        "commit": one.commit,
    }


def _total(one: Total) -> dict[str, Any]:
    return {
        "field": one.field,
        "count": one.count,
        "change": _amount(one.change),
        "least": _amount(one.least),
        "most": _amount(one.most),
        "up": one.up,
        "down": one.down,
        "bins": [
            {"low": _finite(it.low), "high": _finite(it.high), "count": it.count} for it in one.bins
        ],
    }


def _mark(one: Mark) -> dict[str, Any]:
    return {
        "attributes": list(one.attributes),
        "support": _finite(one.support),
        "ratio": _finite(one.ratio),
        "count": one.count,
    }


def _acceptance(one: Acceptance) -> dict[str, Any]:
    return {
        "cause": one.cause,
        "label": one.label,
        "reason": one.reason,
        "who": one.who,
        "when": one.when,
        "fields": dict(one.fields),
    }


def _result(one: Result) -> dict[str, Any]:
    return {
        "id": one.id,
        "key": one.key,
        "meta": one.meta,
        "size": one.size,
        "fields": [
            {
                "field": moved.field,
                "old": moved.old,
                "new": moved.new,
                "change": _amount(moved.change) if moved.change is not None else None,
            }
            for moved in one.moved
        ],
    }
