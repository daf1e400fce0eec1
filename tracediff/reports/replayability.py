"""What ``doctor --replayability`` found as a JSON document, for machines."""

from __future__ import annotations

from typing import Any

from tracediff.replayable import Place, Reason, Remedy, Replayability

SCHEMA = "tracediff/replayability/1"


def replayability_document(found: Replayability) -> dict[str, Any]:
    """The document; ``reasons`` in the order of how many traces each concerns."""
    return {
        "schema": SCHEMA,
        "key": found.key,
        "checked": found.checked,
        "exact": list(found.exact),
        "inexact": list(found.inexact),
        "steps": found.steps,
        "reproduced": found.reproduced,
        "reasons": [_reason(one) for one in found.reasons],
        "settings": list(found.settings),
        "seconds": round(found.seconds, 3),
    }


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "kind": reason.kind,
        "said": reason.said,
        "subjects": list(reason.subjects),
        "fatal": reason.fatal,
        "traces": list(reason.traces),
        "mends": reason.mends,
        "steps": reason.steps,
        "places": [_place(one) for one in reason.places],
        "example": reason.example or None,
        "proof": reason.proof or None,
        "remedies": [_remedy(one) for one in reason.remedies],
    }


def _remedy(remedy: Remedy) -> dict[str, Any]:
    return {
        "change": remedy.change,
        "said": remedy.said,
        "settings": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in remedy.settings.items()
        },
        "place": _place(remedy.place),
        "lines": list(remedy.lines),
        "done": remedy.done,
        "proof": remedy.proof or None,
    }


def _place(place: Place | None) -> dict[str, Any] | None:
    if place is None:
        return None
    return {"file": place.file, "line": place.line, "unit": place.unit, "text": place.text}
