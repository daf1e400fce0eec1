"""The order of a comparison: both trees as one, old steps that are gone where they stood."""

from __future__ import annotations

from tracediff.compare.alignment import Alignment
from tracediff.compare.trees import Tree

Pair = tuple[int | None, int | None]


def merged(old: Tree, new: Tree, found: Alignment) -> tuple[list[Pair], dict[Pair, int]]:
    """All steps as (old, new) pairs in the order they began, and the rank in which they ended."""
    pairs: list[Pair] = []
    ended: dict[Pair, int] = {}
    waiting: list[Pair | int] = [(0, 0)]
    while waiting:
        pair = waiting.pop()
        if isinstance(pair, int):  # all in that one is done
            ended[pairs[pair]] = len(ended)
            continue
        below = _below(pair, old, new, found)
        if below:
            waiting.append(len(pairs))
            waiting += reversed(below)
        else:
            ended[pair] = len(ended)
        pairs.append(pair)
    return pairs, ended


def _below(pair: Pair, old: Tree, new: Tree, found: Alignment) -> list[Pair]:
    (i, j), back = pair, found.back
    left = old.children[i] if i is not None else ()
    right = new.children[j] if j is not None else ()
    if not left and not right:
        return []
    gone = [] if len(back) == len(old.steps) else [a for a in left if a not in found.partner]
    if not gone:
        return [(back.get(b), b) for b in right]
    place = {a: at for at, a in enumerate(left)}
    children: list[Pair] = []
    done = 0
    for b in right:
        a = back.get(b)
        here = place.get(a) if a is not None else None
        while here is not None and done < len(gone) and place[gone[done]] < here:
            children.append((gone[done], None))
            done += 1
        children.append((a, b))
    children.extend((a, None) for a in gone[done:])
    return children
