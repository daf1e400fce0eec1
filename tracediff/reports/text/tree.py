"""What a comparison's step tree shows: the steps that differ, the others folded, all bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tracediff.model import Comparison, Divergence
from tracediff.reports.text.entries import Entry, describe, fields, unchanged
from tracediff.reports.wording import many

_CAUSES = ("origin", "mixed", "hidden input")


@dataclass(slots=True)
class Node:
    """One pair of aligned steps; the tree is that of the new trace, removed steps put in.

    ``steps`` and ``differing`` count this node and all below it, notes left out.
    """

    old: int | None
    new: int | None
    parent: int = -1
    divergence: Divergence | None = None
    note: bool = False
    children: list[int] = field(default_factory=list)
    steps: int = 0
    differing: int = 0


def grow(comparison: Comparison) -> list[Node]:
    """Return the aligned steps as a tree, in execution order; parents name nodes by index."""
    nodes = [Node(old, new) for old, new in comparison.pairs]
    for node in nodes:
        node.note = _kind(comparison, node) == "note"
        node.steps = 0 if node.note else 1
    by_old = {node.old: at for at, node in enumerate(nodes) if node.old is not None}
    by_new = {node.new: at for at, node in enumerate(nodes) if node.new is not None}
    for divergence in comparison.divergences:
        at = by_new.get(divergence.new) if divergence.new is not None else None
        if at is None and divergence.old is not None:
            at = by_old.get(divergence.old)
        if at is not None and nodes[at].divergence is None and not divergence.within:
            nodes[at].divergence = divergence
    for at, node in enumerate(nodes):
        node.parent = _parent(comparison, node, by_old, by_new)
        if node.parent >= 0:
            nodes[node.parent].children.append(at)
    _count(nodes)
    return nodes


def _kind(comparison: Comparison, node: Node) -> str:
    if node.new is not None:
        return comparison.new.steps[node.new].kind
    return comparison.old.steps[node.old].kind if node.old is not None else ""


def _parent(
    comparison: Comparison, node: Node, by_old: dict[int, int], by_new: dict[int, int]
) -> int:
    if node.new is not None:
        steps, known, index = comparison.new.steps, by_new, node.new
    elif node.old is not None:
        steps, known, index = comparison.old.steps, by_old, node.old
    else:
        return -1
    while (parent := steps[index].parent) >= 0:
        if parent in known:
            return known[parent]
        index = parent
    return -1


def _count(nodes: list[Node]) -> None:
    order = [at for at, node in enumerate(nodes) if node.parent < 0]
    for at in order:
        order.extend(nodes[at].children)
    for at in reversed(order):
        node = nodes[at]
        node.differing += node.divergence is not None and not node.note
        if node.parent >= 0:
            nodes[node.parent].steps += node.steps
            nodes[node.parent].differing += node.differing


def choose(nodes: list[Node], limit: int) -> set[int]:
    """Return which nodes to show, at most ``limit``: causes first, with the steps around them.

    Then what they led to, outermost first; a note's text is no news where a step's value differs.
    """
    wanted = [at for at, node in enumerate(nodes) if node.divergence]
    if len(nodes) <= limit:
        return {part for at in wanted for part in _unseen(nodes, at, set())}
    steps = [at for at in wanted if not nodes[at].note]
    level = {at: _level(nodes, at) for at in steps}
    wanted = sorted(steps, key=lambda at: (_weight(nodes[at].divergence), level[at])) or wanted
    shown: set[int] = set()
    for at in wanted:
        chain = list(_unseen(nodes, at, shown))
        if len(shown) + len(chain) <= limit:
            shown.update(chain)
    return shown or set(sorted(wanted)[:limit])


def _level(nodes: list[Node], at: int) -> int:
    level = 0
    while (at := nodes[at].parent) >= 0:
        level += 1
    return level


def _unseen(nodes: list[Node], at: int, shown: set[int]) -> Iterator[int]:
    while at >= 0 and at not in shown:
        yield at
        at = nodes[at].parent


def _weight(divergence: Divergence | None) -> int:
    if divergence is None:
        return 3
    if divergence.label in _CAUSES:
        return 0
    if divergence.kind != "changed":
        return 1
    return 2


def entries(comparison: Comparison, limit: int) -> Iterator[Entry]:
    """Yield the lines of the step tree, outermost first."""
    nodes = grow(comparison)
    shown = choose(nodes, limit)
    differing = [at for at, node in enumerate(nodes) if node.divergence]
    stack: list[tuple[int, int] | Entry] = [
        (at, 0)
        for at in reversed(range(len(nodes)))
        if at in shown and nodes[at].parent not in shown
    ]
    while stack:
        top = stack.pop()
        if isinstance(top, Entry):
            yield top
            continue
        at, depth = top
        node = nodes[at]
        yield describe(comparison, node.old, node.new, node.divergence, depth)
        if node.divergence:
            yield from fields(comparison, node.divergence, depth + 1)
        stack.extend(reversed(list(_below(comparison, nodes, at, shown, depth + 1))))
    left = [at for at in differing if at not in shown]
    notes = sum(nodes[at].note for at in left)
    said = [many(len(left) - notes, "more step") if len(left) > notes else ""]
    said += [many(notes, "note") if notes else ""]
    if left:
        differ = "differs" if len(left) == 1 else "differ"
        title = f"{' and '.join(filter(None, said))} {differ}; --all shows them"
        yield Entry(mark="…", title=title, quiet=True)


def _below(
    comparison: Comparison, nodes: list[Node], at: int, shown: set[int], depth: int
) -> Iterator[tuple[int, int] | Entry]:
    folded: list[int] = []
    for child in nodes[at].children:
        if child not in shown:
            folded.append(child)
            continue
        yield from _fold(comparison, nodes, folded, depth)
        folded = []
        yield child, depth
    yield from _fold(comparison, nodes, folded, depth)


def _fold(
    comparison: Comparison, nodes: list[Node], folded: list[int], depth: int
) -> Iterator[Entry]:
    steps = sum(nodes[at].steps for at in folded)
    differing = sum(nodes[at].differing for at in folded)
    if not steps:
        return
    if steps == 1 and not differing:
        node = next(nodes[at] for at in folded if nodes[at].steps)
        yield unchanged(comparison, node.old, node.new, depth)
    elif differing:
        differ = "that differs" if steps == 1 else "that differ"
        every = f"{many(steps, 'step')} {differ}"
        title = every if steps == differing else f"{many(steps, 'step')}, {differing:,} differ"
        yield Entry(mark="…", title=title, depth=depth, quiet=True)
    else:
        alone = all(nodes[at].old is None or nodes[at].new is None for at in folded)
        title = f"{many(steps, 'step')} inside" if alone else many(steps, "unchanged step")
        yield Entry(mark="…", title=title, depth=depth, quiet=True)
