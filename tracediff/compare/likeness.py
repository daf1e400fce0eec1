"""By what a step is known again when its name or its place changed.

A likeness is something hashable, None for a step that has nothing telling about it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from tracediff.compare.trees import Tree

Likeness = Callable[[Tree, int], Hashable]
_TELLING = 2


def call(tree: Tree, index: int) -> Hashable:
    """What was called, with which arguments."""
    step = tree.steps[index]
    return (tree.label(index), step.args.data if step.args is not None else b"")


def unit(tree: Tree, index: int) -> Hashable:
    """The function a step is of; a ``with`` block shares its unit with others and has none."""
    step = tree.steps[index]
    if step.source is None or step.args is None:
        return None
    return (step.kind, step.source.unit, step.key.data if step.key is not None else step.args.data)


def effect(tree: Tree, index: int) -> Hashable:
    """What a step was given and gave, when that says something."""
    step = tree.steps[index]
    if step.args is None or step.result is None or len(step.args.data) < _TELLING:
        return None
    return (step.kind, step.args.data, step.result.data)


def shape(tree: Tree, index: int) -> Hashable:
    """What a step without arguments gave, at the same place below the same names."""
    step = tree.steps[index]
    if step.args is not None or step.result is None:
        return None
    below = tuple(tree.label(child) for child in tree.children[index])
    return (step.kind, tree.path(index)[:-1], step.result.data, below)


def contents(tree: Tree, index: int) -> Hashable:
    """The names inside a step without arguments, at the same place below the same names."""
    step = tree.steps[index]
    if step.args is not None or not tree.children[index]:
        return None
    below = tuple(tree.label(child) for child in tree.children[index])
    return (step.kind, tree.path(index)[:-1], below)


def nameless(tree: Tree, index: int) -> Hashable:
    """All of a step and what is in it but the name, when that says something."""
    step = tree.steps[index]
    parts = [None if one is None else one.data for one in (step.args, step.key, step.result)]
    if not tree.children[index] and all(one is None or len(one) < _TELLING for one in parts):
        return None
    error = None if step.error is None else (step.error.type, step.error.message)
    below = tuple(tree.digest(child) for child in tree.children[index])
    return (step.kind, step.state, *parts, error, below)


def under(parent: int | None, likeness: Hashable) -> Hashable:
    """A likeness that holds between children of one parent only."""
    return None if parent is None or likeness is None else (parent, likeness)


def only(
    left: Iterable[int],
    right: Iterable[int],
    of_old: Callable[[int], Hashable],
    of_new: Callable[[int], Hashable],
) -> list[tuple[int, int]]:
    """Pairs of steps alike that no other of the given ones is like."""
    before, after = _by(left, of_old), _by(right, of_new)
    return [
        (places[0], after[mark][0])
        for mark, places in before.items()
        if len(places) == 1 and len(after.get(mark, ())) == 1
    ]


def _by(indexes: Iterable[int], of: Callable[[int], Hashable]) -> dict[Hashable, list[int]]:
    found: dict[Hashable, list[int]] = {}
    for index in indexes:
        mark = of(index)
        if mark is not None:
            found.setdefault(mark, []).append(index)
    return found
