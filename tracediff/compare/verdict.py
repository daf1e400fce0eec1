"""Whether two traces count as different, and which of their divergences came first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from tracediff.compare.alignment import Alignment
from tracediff.compare.order import Pair
from tracediff.compare.tolerances import Rules
from tracediff.compare.trees import Tree
from tracediff.model import Aspect, Divergence, Step

_OUTCOME: frozenset[Aspect] = frozenset({"result", "error", "state"})
_WRITTEN: frozenset[Aspect] = frozenset({"args", "error", "state", "name", "key"})
_ASIDE = frozenset({"note", "artifact"})


def decides(one: Divergence, step: Step, *, strict: bool) -> bool:
    """Whether a divergence of two steps makes the outcome another one.

    The job's result, error and state do, and what an output wrote; where an output stands and what
    it answered do not.
    """
    if one.within:
        return False
    if step.parent >= 0 and step.kind != "output":
        return strict and step.kind not in _ASIDE
    beyond = {name for name, some in one.changes.items() if not all(c.within for c in some)}
    if step.parent < 0:
        return bool(beyond & _OUTCOME) or strict
    return strict or bool((beyond | (set(one.aspects) & {"name"})) & _WRITTEN)


def outputs_differ(old: Tree, new: Tree, found: Alignment, rules: Rules) -> bool:
    """Whether an output came or went, wherever it stands, or they were written in another order.

    Outputs whose order a scheduler decided count in none.
    """
    gone = [i for i in _outputs(old) if i not in found.partner]
    come = [j for j in _outputs(new) if j not in found.back]
    if any(not rules.at(tree.path(at)).ignore for tree, some in ((old, gone), (new, come))
           for at in some):  # fmt: skip
        return True
    order = [
        found.partner[i]
        for i in _outputs(old)
        if i in found.partner
        and not (old.floats(i) and new.floats(found.partner[i]))
        and not rules.at(old.path(i)).ignore
    ]
    return any(a > b for a, b in pairwise(order))


def _outputs(tree: Tree) -> Iterator[int]:
    return (at for at, step in enumerate(tree.steps) if step.kind == "output")


def first(
    divergences: Sequence[Divergence], ended: dict[Pair, int], kinds: Iterable[str]
) -> Divergence | None:
    """The divergence that ended first, of the most telling sort there is."""
    ranked = (
        (_rank(one, kind), ended[(one.old, one.new)], at)
        for at, (one, kind) in enumerate(zip(divergences, kinds, strict=True))
    )
    best = min(ranked, default=None)
    return divergences[best[2]] if best is not None else None


def _rank(one: Divergence, kind: str) -> int:
    if kind in _ASIDE:
        return 3
    if one.within:
        return 2
    return 0 if one.kind in ("changed", "added", "removed") else 1
