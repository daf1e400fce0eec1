"""Other ways to share out a change, on the same cases, beside the exact shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from benchmarks.explain_accuracy.planting import Case
from benchmarks.explain_accuracy.running import Outcome, Path_, Runner
from benchmarks.explain_accuracy.truth import Value
from tracediff.errors import TracediffError
from tracediff.model import Step, Trace

METHODS = ("one at a time", "leave one out", "sequential", "output pinning")
MOST_PINS = 25


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What a method made of one case.

    ``left`` is the part of the change that it gives to nobody (or gives twice), as a share of the
    change; ``signs`` counts wrong signs, ``off`` shares that are not the exact ones, ``ordered``
    those that depend on the order, ``blamed`` who has a share and nothing to do with the change.
    """

    method: str
    left: float
    signs: int = 0
    off: int = 0
    ordered: int = 0
    blamed: int = 0
    given: int = 0


def one_at_a_time(value: Value, count: int) -> list[Fraction]:
    """What each change does alone."""
    return [value(1 << at) - value(0) for at in range(count)]


def leave_one_out(value: Value, count: int) -> list[Fraction]:
    """What goes when each change is taken back."""
    whole = (1 << count) - 1
    return [value(whole) - value(whole ^ 1 << at) for at in range(count)]


def sequential(value: Value, order: Sequence[int]) -> list[Fraction]:
    """What each change adds to those before it."""
    found = [Fraction(0)] * len(order)
    mask = 0
    for at in order:
        found[at] = value(mask | 1 << at) - value(mask)
        mask |= 1 << at
    return found


def compared(case: Case, runner: Runner) -> list[Compared]:
    """All methods on the number of the result that changed most."""
    path = case.truth.main()
    value = case.truth.values[path].__getitem__
    exact = case.truth.shares[path]
    count = len(exact)
    files = [min(edit.path for edit in one.edits) for one in case.guilty]
    order = sorted(range(count), key=lambda at: files[at])
    forward, backward = sequential(value, order), sequential(value, order[::-1])
    differ = sum(one != other for one, other in zip(forward, backward, strict=True))
    found = [
        _against(METHODS[0], one_at_a_time(value, count), exact),
        _against(METHODS[1], leave_one_out(value, count), exact),
        _against(METHODS[2], forward, exact, ordered=differ),
    ]
    pinned = pinning(case, runner, path)
    return [*found, pinned] if pinned is not None else found


def _against(
    method: str, given: Sequence[Fraction], exact: Sequence[Fraction], *, ordered: int = 0
) -> Compared:
    change = sum(exact, Fraction(0))
    return Compared(
        method=method,
        left=float(abs((change - sum(given, Fraction(0))) / change)) if change else 0.0,
        signs=sum(one * other < 0 for one, other in zip(given, exact, strict=True)),
        off=sum(one != other for one, other in zip(given, exact, strict=True)),
        ordered=ordered,
        given=len(given),
    )


def pinning(case: Case, runner: Runner, path: Path_) -> Compared | None:
    """Pin the steps that differ to their recorded results, one more each time, in their order.

    What a further pin changes is that step's contribution. None where no step differs.
    """
    names = differing(case.old.trace, case.new.trace)[:MOST_PINS]
    if not names:
        return None
    numbers = [case.new.numbers[path]]
    for at in range(len(names)):
        found = _pinned(case, runner, names[: at + 1])
        if found is None or path not in found.numbers:
            return None
        numbers.append(found.numbers[path])
    given = {name: numbers[at] - numbers[at + 1] for at, name in enumerate(names)}
    change = case.new.numbers[path] - case.old.numbers[path]
    exact: dict[str, Fraction] = {}
    for one, share in zip(case.alone, case.truth.shares[path], strict=True):
        for name in entering(case.old.trace, one.trace)[:1]:
            exact[name] = exact.get(name, Fraction(0)) + share
    return Compared(
        method=METHODS[3],
        left=float(abs((change - sum(given.values(), Fraction(0))) / change)) if change else 0.0,
        signs=sum(given.get(name, Fraction(0)) * share < 0 for name, share in exact.items()),
        off=sum(given.get(name, Fraction(0)) != share for name, share in exact.items()),
        blamed=sum(bool(share) and name not in exact for name, share in given.items()),
        given=len(exact),
    )


def _pinned(case: Case, runner: Runner, names: Sequence[str]) -> Outcome | None:
    try:
        return runner.run(case.changed, pins=names)
    except TracediffError:
        return None


def differing(old: Trace, new: Trace) -> list[str]:
    """The names of steps whose result differs, in the order in which they end."""
    before, after = _calls(old), _calls(new)
    found = []
    for key, step in before.items():
        other = after.get(key)
        if other is None or other.result != step.result:
            found.append((step.start + step.duration, key[0]))
    return list(dict.fromkeys(name for _, name in sorted(found)))


def entering(old: Trace, new: Trace) -> list[str]:
    """The names of steps whose result differs though their arguments do not, innermost first."""
    before, after = _calls(old), _calls(new)
    found = []
    for key, step in before.items():
        other = after.get(key)
        if other is not None and other.args == step.args and other.result != step.result:
            found.append((step.duration, key[0]))
    return list(dict.fromkeys(name for _, name in sorted(found)))


def _calls(trace: Trace) -> dict[tuple[str, int], Step]:
    count: dict[str, int] = {}
    found = {}
    for step in trace.steps[1:]:
        if step.kind == "step" and step.args is not None and step.result is not None:
            count[step.name] = count.get(step.name, -1) + 1
            found[step.name, count[step.name]] = step
    return found
