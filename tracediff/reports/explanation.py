"""An explanation as a JSON document, for machines: ``schemas/explain-1.json`` describes it.

Amounts are exact, as texts ``numerator/denominator``; beside each stands what is shown of it.
"""

from __future__ import annotations

import json
from fractions import Fraction
from importlib.resources import files
from typing import Any

from tracediff import values
from tracediff.explained import (
    Blame,
    Cause,
    Certificate,
    Effect,
    Explanation,
    Hunk,
    LineChange,
    Span,
    Unit,
)
from tracediff.model import MISSING
from tracediff.reports.json import divergence_document, source_document, trace_document


def explanation_document(found: Explanation) -> dict[str, Any]:
    """All that an explanation holds; causes are named by their position in ``causes``."""
    first = found.comparison.first
    return {
        "schema": "tracediff/explain/1",
        "different": found.comparison.different,
        "key": found.old.key,
        "old": trace_document(found.old),
        "new": trace_document(found.new),
        "first": divergence_document(found.comparison, first) if first else None,
        "certificate": certificate_document(found.certificate),
        "refused": found.refused,
        "main": found.main,
        "causes": [_cause(one) for one in found.causes],
        "effects": [_effect(one) for one in found.effects],
        "data": [
            {"effect": at, "data": exact(data), "code": exact(code)}
            for at, (data, code) in sorted(found.data.items())
        ],
        "method": found.method,
        "hybrids": found.hybrids,
        "innocent": [_unit(one) for one in found.innocent],
        "idle": found.idle,
        "noise": list(found.noise),
        "remarks": list(found.remarks),
    }


def explanation_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the document."""
    text = files("tracediff.reports").joinpath("schemas/explain-1.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def exact(amount: Fraction) -> str:
    """Return an amount as ``241/100``; of thousands of digits, in hexadecimal."""
    try:
        return f"{amount.numerator}/{amount.denominator}"
    except ValueError:  # Python does not write such a number in decimal
        return f"{amount.numerator:#x}/{amount.denominator:#x}"


def certificate_document(said: Certificate) -> dict[str, Any]:
    """How far the recorded code reproduces the recording."""
    return {
        "commit": said.commit,
        "certified": said.certified,
        "whole": said.whole,
        "reproduced": said.reproduced,
        "total": said.total,
        "unreproduced": [list(path) for path in said.unreproduced],
        "unrecorded": [list(path) for path in said.unrecorded],
        "remarks": list(said.remarks),
    }


def _cause(cause: Cause) -> dict[str, Any]:
    return {
        "units": [_unit(one) for one in cause.units],
        "line": source_document(cause.line),
        "merged": cause.merged,
        "hunks": [_hunk(one) for one in cause.hunks],
        "commits": [_blame(one) for one in cause.commits],
        "variable": _variable(cause.variable),
        "travelled": [
            {"path": list(one.path), "old": one.old, "new": one.new, "step": one.index}
            for one in cause.travelled
        ],
        "kept": list(cause.kept),
    }


def _unit(unit: Unit) -> dict[str, Any]:
    return {"kind": unit.kind, "name": unit.name, "old": _span(unit.old), "new": _span(unit.new)}


def _span(span: Span | None) -> dict[str, Any] | None:
    if span is None:
        return None
    return {"file": span.file, "first": span.first, "last": span.last}


def _hunk(hunk: Hunk) -> dict[str, Any]:
    return {
        "old_path": hunk.old_path,
        "path": hunk.path,
        "old_line": hunk.old_line,
        "line": hunk.line,
        "lines": list(hunk.lines),
    }


def _blame(blame: Blame) -> dict[str, Any]:
    return {
        "line": blame.line,
        "commit": blame.sha,
        "author": blame.author,
        "date": blame.date.isoformat() if blame.date else None,
        "subject": blame.subject,
    }


def _variable(found: LineChange | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "name": found.name,
        "old": found.old,
        "new": found.new,
        "old_source": source_document(found.old_source),
        "new_source": source_document(found.new_source),
    }


def _effect(effect: Effect) -> dict[str, Any]:
    """An effect; a side that has no such field is left out, as in a comparison's changes."""
    sides = {"old": effect.old, "new": effect.new}
    return {
        "path": list(effect.path),
        "kind": effect.kind,
        **{name: values.json_safe(one) for name, one in sides.items() if one is not MISSING},
        "change": {"exact": exact(effect.change), "shown": effect.shown_change},
        "shares": [
            {"exact": exact(share), "shown": shown}
            for share, shown in zip(effect.shares, effect.shown, strict=True)
        ],
        "margins": [exact(one) for one in effect.margins],
        "interactions": [
            {"causes": [one.first, one.second], "amount": exact(one.amount)}
            for one in effect.interactions
        ],
    }
