"""What a change of results comes from, so that results changed by one cause stand together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from tracediff.expectations.files import digest
from tracediff.model import CodeChange, Comparison, Divergence, Step
from tracediff.reports import excerpt, wording
from tracediff.reports.clean import clean

_LARGE = 64 * 1024
_AT_THE_ROOT = ("origin", "mixed", "hidden input")


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause: a short id that is equal for equal causes, and what it is called.

    ``coded`` says whether it is code that is known to have changed.
    """

    id: str
    label: str
    coded: bool = False


def cause_of(comparison: Comparison) -> Cause:
    """The cause of a difference: the code behind its origins, else the step where it starts."""
    stop = _stop(comparison)
    if stop is not None:
        return _cause(stop, stop)
    origins = [
        one for one in comparison.divergences if one.label in _AT_THE_ROOT and not one.within
    ]
    start = beginning(comparison)
    if not origins and start is not None:
        origins = [start]
    changed = sorted({_code(one) for two in origins for one in two.code or ()})
    if changed:
        names = list(dict.fromkeys(f"{clean(name)} ({clean(file)})" for file, name, _ in changed))
        found = _cause(_listed(names), *(part for one in changed for part in one))
        return replace(found, coded=True)
    said = [_place(comparison, one) for one in origins[:1]]
    where = said[0] if said else "the outputs, or their order"
    marks = [
        f"{_place(comparison, one)} {one.kind} {one.label} {sorted(one.aspects)}" for one in origins
    ]
    return _cause(where, *sorted(set(marks)))


def _stop(comparison: Comparison) -> str | None:
    replay = comparison.new.replay
    for miss in replay.misses if replay is not None else ():
        if miss.served == "failed":
            return f"no recording answers the {miss.kind} {clean(miss.name)!r}"
    return None


def _cause(label: str, *parts: str) -> Cause:
    return Cause(digest("\0".join(parts).encode("utf-8", "surrogatepass"))[:8], label)


def _code(change: CodeChange) -> tuple[str, str, str]:
    return change.file, change.name, "\n".join((*change.removed, "", *change.added))


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _place(comparison: Comparison, one: Divergence) -> str:
    step = step_of(comparison, one)
    where = f" ({clean(step.source.unit)})" if step.source and step.source.unit else ""
    return f"{clean(step.name)[:80]}{where} {one.kind}"


def step_of(comparison: Comparison, one: Divergence) -> Step:
    """The step of a divergence: as it runs now, else as it was recorded."""
    if one.new is not None:
        return comparison.new.steps[one.new]
    return comparison.old.steps[one.old or 0]


def beginning(comparison: Comparison) -> Divergence | None:
    """Where two traces part: the first step that differs, or the one that gave it something else.

    A step inside of another ends first, and may only pass on what its changed parent gave it.
    """
    first = comparison.first
    if first is None or first.label not in ("propagated", "absorbed") or first.new is None:
        return first
    by_step = {one.new: one for one in comparison.divergences if one.new is not None}
    at = comparison.new.steps[first.new].parent
    while at >= 0:
        one = by_step.get(at)
        if one is not None and not one.within and "args" not in one.changes:
            return one
        at = comparison.new.steps[at].parent
    return first


def summary(comparison: Comparison, limit: int = 160) -> str:
    """What changed, on one line: "36.90 → 36.88 (-0.02), first at Rounding to cents"."""
    stop = _stop(comparison)
    if stop is not None:
        return excerpt.cut(stop, limit)
    old, new = comparison.old.steps[0], comparison.new.steps[0]
    root = next((one for one in comparison.divergences if one.old == one.new == 0), None)
    changes = root.changes.get("result", ()) if root is not None else ()
    if changes and _is_large(old, new):
        one = changes[0]
        before, after = (excerpt.short(side, 40) for side in (one.old, one.new))
        said = f"{wording.field_path(one.path)} {before} → {after}".strip()
        said += f" and {len(changes) - 1} more" if len(changes) > 1 else ""
    else:
        before, after = excerpt.outcome(old, 40) or "None", excerpt.outcome(new, 40) or "None"
        said = f"{before} → {after}" if before != after else _elsewhere(comparison)
    if len(changes) == 1 and not changes[0].path and changes[0].delta is not None:
        said += f" ({wording.signed(changes[0].delta)})"
    start = beginning(comparison)
    if start is not None:
        said += f", first at {clean(step_of(comparison, start).name)}"
    return excerpt.cut(said, limit)


def _is_large(*steps: Step) -> bool:
    """Whether a result is too large to be read again for a line about it."""
    return any(len(step.result.data) > _LARGE for step in steps if step.result is not None)


def _elsewhere(comparison: Comparison) -> str:
    kinds = _kinds(comparison, comparison.divergences)
    if "output" in kinds:
        return "the same result, other outputs"
    if comparison.old.state != comparison.new.state:
        return f"{comparison.old.state} became {comparison.new.state}"
    return "the result differs" if "job" in kinds else "steps differ"


def _kinds(comparison: Comparison, some: Iterable[Divergence]) -> set[str]:
    return {step_of(comparison, one).kind for one in some if not one.within}
