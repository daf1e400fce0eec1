"""What redaction rules would take out of recorded traces: the result, and as a JSON document.

No secret is in it: of each there is its type, its length and its first character at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["taken", "sealed", "suspected"]

VERDICTS: tuple[Verdict, ...] = ("taken", "sealed", "suspected")
"""What the rules would take out, what was taken out when it was recorded, and what looks secret and
stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something is: in how many traces, how often, and one example of it, masked.

    ``step`` is the name of the step, ``field`` what of it and the path in there, each index ``*``.
    """

    step: str
    field: str
    traces: int
    count: int
    example: str
    trace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one rule finds.

    ``rule`` is the pattern as it is written, or what a built-in rule looks for; ``origin`` says
    whose it is: "built in", "redact" or "--rule". ``remedy`` is a rule that would take out what is
    suspected.
    """

    verdict: Verdict
    rule: str
    origin: str
    traces: int
    count: int
    places: tuple[Place, ...] = ()
    remedy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What the rules make of some traces; ``left_out`` counts places beyond what is kept.

    ``idle`` are the given rules that find nothing, ``unreadable`` says why traces were not read.
    """

    traces: int
    steps: int
    found: tuple[Found, ...] = ()
    idle: tuple[str, ...] = ()
    left_out: int = 0
    unreadable: tuple[str, ...] = ()


def redaction_document(trial: Trial) -> dict[str, Any]:
    """The result as plain data, schema ``tracediff/redaction/1``."""
    return {
        "schema": "tracediff/redaction/1",
        "traces": trial.traces,
        "steps": trial.steps,
        "found": [_found(one) for one in trial.found],
        "idle": list(trial.idle),
        "left_out": trial.left_out,
        "unreadable": list(trial.unreadable),
    }


def _found(found: Found) -> dict[str, Any]:
    places = [
        {
            "step": one.step,
            "field": one.field,
            "traces": one.traces,
            "count": one.count,
            "example": one.example,
            "trace": one.trace,
        }
        for one in found.places
    ]
    return {
        "verdict": found.verdict,
        "rule": found.rule,
        "origin": found.origin,
        "traces": found.traces,
        "count": found.count,
        "remedy": found.remedy,
        "places": places,
    }
