"""What a bisection found, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from tracediff.explain.bisect import Bisection
from tracediff.reports.clean import clean


def field_name(path: Sequence[str | int]) -> str:
    """A field of an outcome as people write it: ``result.lines[0].price``."""
    said = ""
    for part in path:
        said += f"[{part}]" if isinstance(part, int) else f".{part}" if said else part
    return said


def bisection_text(found: Bisection) -> str:
    """The commit and how it was found, one line each."""
    return "\n".join(_lines(found))


def _lines(found: Bisection) -> Iterator[str]:
    for one in found.tried:
        said = f"{one.commit[:12]}  {one.state}"
        yield said + (f": {clean(one.why)}" if one.why else "")
    for commit in found.candidates:
        yield ""
        yield f"{commit.sha[:12]} changed the result" if found.commit else f"{commit.sha[:12]}"
        yield f"  {clean(commit.subject)}"
        yield f"  {clean(commit.author)}, {clean(commit.date)}"
    for remark in found.remarks:
        yield f"remark: {remark}"


def bisection_document(found: Bisection) -> dict[str, Any]:
    """A bisection as a JSON document."""
    return {
        "schema": "tracediff/bisect/1",
        "trace": found.trace,
        "good": found.good,
        "bad": found.bad,
        "commit": found.commit.sha if found.commit else None,
        "candidates": [asdict(one) for one in found.candidates],
        "tried": [asdict(one) for one in found.tried],
        "remarks": list(found.remarks),
    }
