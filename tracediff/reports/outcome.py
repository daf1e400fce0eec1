"""What is said of a comparison's outcome, on a terminal and on a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tracediff.model import Comparison, Divergence, FieldChange, Miss, ReplayInfo
from tracediff.reports import excerpt, frames
from tracediff.reports.text.entries import changes_of
from tracediff.reports.wording import many

_LONG = 400
_FRAMES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Whether two traces are the same, and what of their outcome differs.

    ``head`` is the verdict and ``said`` what follows it; ``stop`` the call that ended a replay,
    whose name then follows. At most one of ``changes`` (of the result) and ``both`` (a reading of
    each side) tells more.
    """

    head: Literal["different", "same result", "same"]
    said: str
    stop: Miss | None = None
    changes: tuple[FieldChange, ...] = ()
    both: tuple[str, str] | None = None


def outcome(comparison: Comparison) -> Outcome:
    """Put a comparison's verdict into words."""
    count = len(differing(comparison))
    if not comparison.different:
        return _same(comparison, count)
    stop = stopped(comparison.new.replay)
    if stop is not None:
        return Outcome(head="different", said=f"the replay stopped at {stop.kind}", stop=stop)
    top = root(comparison)
    before = excerpt.outcome(comparison.old.steps[0], _LONG) or "None"
    after = excerpt.outcome(comparison.new.steps[0], _LONG) or "None"
    if top and "error" in top.aspects:
        return Outcome(head="different", said="how it ends", both=(before, after))
    changes = changes_of(top, "result") if top else ()
    if len(changes) == 1 and not changes[0].path:
        return Outcome(head="different", said="result", changes=changes)
    if top and changes and top.frames.get("result"):
        said = f"result, {'; '.join(frames.told(top, 'result')[:_FRAMES])}"
        return Outcome(head="different", said=said, changes=changes)
    if changes:
        said = f"{many(len(changes), 'field')} of the result"
        return Outcome(head="different", said=said, changes=changes)
    if top and "result" in top.aspects:
        return Outcome(head="different", said="result", both=(before, after))
    return Outcome(head="different", said=_elsewhere(comparison, count))


def differing(comparison: Comparison) -> list[Divergence]:
    """The divergences that no tolerance accepts."""
    return [divergence for divergence in comparison.divergences if not divergence.within]


def stopped(replay: ReplayInfo | None) -> Miss | None:
    """The call that ended the replay, if one did: what came after it says nothing."""
    return next((one for one in replay.misses if one.served == "failed"), None) if replay else None


def root(comparison: Comparison) -> Divergence | None:
    """The divergence of the job itself."""
    for divergence in comparison.divergences:
        if divergence.old == 0 and divergence.new == 0 and not divergence.within:
            return divergence
    return None


def drifted(comparison: Comparison) -> str:
    """How many differences a tolerance accepts; nothing when none does."""
    if not comparison.drift:
        return ""
    differ = many(comparison.drift, "difference lies", "differences lie")
    return f"{differ} within a tolerance"


def _same(comparison: Comparison, count: int) -> Outcome:
    if count:
        differ = "step differs" if count == 1 else "steps differ"
        return Outcome(head="same result", said=f"{count:,} {differ} on the way")
    steps = sum(step.kind not in ("job", "note") for step in comparison.new.steps)
    return Outcome(head="same", said=f"{many(steps, 'step')} unchanged")


def _elsewhere(comparison: Comparison, count: int) -> str:
    outputs = sum(
        "output"
        in (
            comparison.old.steps[d.old].kind if d.old is not None else "",
            comparison.new.steps[d.new].kind if d.new is not None else "",
        )
        for d in differing(comparison)
    )
    if outputs:
        return f"same result, but {many(outputs, 'output differs', 'outputs differ')}"
    top = root(comparison)
    if top and "state" in top.aspects:
        return f"same result, but {comparison.old.state} became {comparison.new.state}"
    return f"same result, but {many(count, 'step differs', 'steps differ')}"
