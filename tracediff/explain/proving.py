"""Labels proven by running: whether a step changed by itself, or only what came into it.

For a step with the code f0 and f1 and what came into it x0 and x1: the mixture in which only its
own code is new gives f1(x0), the one in which only its own code is old gives f0(x1). Where the
first is the old result nothing of the change is its own (*propagated*); where the second is,
nothing came in (*origin*); else it is *mixed* (DESIGN, "Labels").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracediff.compare import compare
from tracediff.explain.merging import Player, expand
from tracediff.explain.mixing import Mixing
from tracediff.explained import Unit
from tracediff.model import CodeChange, Comparison, Divergence, Label, Trace

MOST_SETS = 48
"""How many sets of units are run for labels; the steps behind others keep what is known of them."""


def proven(
    comparison: Comparison, mixing: Mixing, players: Sequence[Player], *, deep: bool
) -> Comparison:
    """The comparison with the labels that running mixtures proves.

    Args:
        comparison: Of the recording and the new trace, with the code behind each step.
        mixing: Runs mixtures.
        players: All players of the attribution.
        deep: Whether functions become steps in both of its traces.
    """
    behind: dict[int, int] = {}
    for at, one in enumerate(comparison.divergences):
        if _is_open(comparison, one) and one.code is not None:
            behind[at] = _coalition(one.code, mixing, players)
    everybody = (1 << len(players)) - 1
    wanted = [one for one in dict.fromkeys(behind.values()) if 0 < one < everybody][:MOST_SETS]
    mixtures = [expand(players, one) for own in wanted for one in (own, everybody & ~own)]
    answers = mixing.in_detail(mixtures, deep=deep)
    results = {0: _Results(comparison.old, comparison.old)}
    for mixture, answer in zip(mixtures, answers, strict=True):
        if answer.trace is not None:
            results[mixture] = _Results(comparison.old, answer.trace)
    divergences = list(comparison.divergences)
    for at, own in behind.items():
        alone = 0 if own == 0 else expand(players, own)
        others = expand(players, everybody & ~own)
        label = _label(divergences[at], results, alone, others, own, everybody)
        if label is not None:
            divergences[at] = replace(divergences[at], label=label)
    first = comparison.first
    if first in comparison.divergences:
        first = divergences[comparison.divergences.index(first)]
    return replace(comparison, divergences=tuple(divergences), first=first)


def _is_open(comparison: Comparison, one: Divergence) -> bool:
    """Whether it is for running to say why the result of a step differs."""
    if one.old is None or one.new is None or one.within:
        return False
    if one.label in ("hidden input", "clock", "absorbed"):
        return False
    step = comparison.new.steps[one.new]
    return step.kind in ("job", "step") and bool({"result", "error", "state"} & set(one.aspects))


def _coalition(code: Sequence[CodeChange], mixing: Mixing, players: Sequence[Player]) -> int:
    """The players that are behind a step."""
    found = 0
    for at, player in enumerate(players):
        for atom in player:
            if any(_is(mixing.atoms[atom].unit, one) for one in code):
                found |= 1 << at
    return found


def _is(unit: Unit, change: CodeChange) -> bool:
    files = {span.file for span in (unit.old, unit.new) if span is not None}
    if change.file not in files:
        return False
    name = unit.name.partition(":")[2]
    return name == change.name or name.startswith(f"{change.name}.")


class _Results:
    """What each step of the recording gave in another run."""

    def __init__(self, old: Trace, new: Trace) -> None:
        self._new = new
        self._pairs = (
            {at: at for at in range(len(old.steps))}
            if old is new
            else {a: b for a, b in compare(old, new).pairs if a is not None and b is not None}
        )

    def of(self, index: int) -> object:
        """The result of a step or what it raised; None where it was not called."""
        at = self._pairs.get(index)
        if at is None:
            return None
        step = self._new.steps[at]
        return (
            step.result.data if step.result is not None else b"",
            (step.error.type, step.error.message) if step.error is not None else None,
        )


def _label(
    one: Divergence,
    results: dict[int, _Results],
    alone: int,
    others: int,
    own: int,
    everybody: int,
) -> Label | None:
    if one.old is None:
        return None
    if own == 0:
        return "propagated"
    before = results[0].of(one.old)
    if own == everybody:
        return "origin"
    if alone not in results or others not in results:
        return None
    f1_x0, f0_x1 = results[alone].of(one.old), results[others].of(one.old)
    if f1_x0 is None or f0_x1 is None:
        return None
    if f1_x0 == before and f0_x1 != before:
        return "propagated"
    if f0_x1 == before and f1_x0 != before:
        return "origin"
    return "mixed"
