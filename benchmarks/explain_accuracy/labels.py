"""Whether the steps where a change enters are the ones that are called origins.

Only for one guilty change: which steps it changes, and from what arguments, is seen in a run with
it alone. A step is an origin when its arguments are the old ones, its result is not, and neither is
that of any step within it; one whose arguments differ too only passed something on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.explain_accuracy.planting import Case
from tracediff.explained import Explanation
from tracediff.model import Step, Trace

Key = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """How many steps were looked at, and what is wrong with some of them."""

    steps: int
    wrong: tuple[str, ...]


def labelled(case: Case, told: Explanation) -> Labelled:
    """Judge the labels of an explanation."""
    origins, passing = expected(case.old.trace, case.alone[0].trace)
    keys = {index: key for key, index in _calls(told.new).items()}
    wrong = []
    seen: dict[Key, str] = {}
    for one in told.comparison.divergences:
        if one.new is not None and one.new in keys:
            seen[keys[one.new]] = one.label
    for key in sorted(origins):
        if seen.get(key) != "origin":
            wrong.append(f"the origin {_named(key)} is called {seen.get(key, 'the same')}")
    for key in sorted(passing):
        if seen.get(key) in {"origin", "mixed"}:
            wrong.append(f"{_named(key)} passes on and is called {seen[key]}")
    return Labelled(steps=len(origins) + len(passing), wrong=tuple(wrong))


def expected(old: Trace, new: Trace) -> tuple[set[Key], set[Key]]:
    """The steps that a change enters, and those that it passes through."""
    before, after = _calls(old), _calls(new)
    differ = {
        after[key]: key
        for key, index in before.items()
        if key in after and new.steps[after[key]].result != old.steps[index].result
    }
    holding = {above for index in differ for above in _above(new, index)}
    origins = {
        key
        for index, key in differ.items()
        if index not in holding and new.steps[index].args == old.steps[before[key]].args
    }
    # A step with a differing one in it may have a part of its own in it too: nobody can tell here.
    passing = {
        key
        for index, key in differ.items()
        if key not in origins and new.steps[index].args != old.steps[before[key]].args
    }
    return origins, passing


def _above(trace: Trace, index: int) -> Iterator[int]:
    at = trace.steps[index].parent
    while at >= 0:
        yield at
        at = trace.steps[at].parent


def _calls(trace: Trace) -> dict[Key, int]:
    """The calls of steps by name and how many of that name were before."""
    count: dict[str, int] = {}
    found = {}
    for index, step in enumerate(trace.steps):
        if _is_call(step):
            count[step.name] = count.get(step.name, -1) + 1
            found[step.name, count[step.name]] = index
    return found


def _is_call(step: Step) -> bool:
    return step.kind == "step" and step.args is not None and step.result is not None


def _named(key: Key) -> str:
    return f"{key[0]!r}" + (f" ({key[1] + 1}.)" if key[1] else "")
