"""A trace's tree: children by parent, subtree digests, and the cut to a lesser depth."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tracediff.digests import subtree_digests
from tracediff.model import DEPTHS, Depth, Step, Trace

_AT_INPUTS = frozenset({"job", "input", "output"})


@dataclass(frozen=True, slots=True)
class Tree:
    """A trace's steps with what alignment asks of them."""

    steps: tuple[Step, ...]
    children: tuple[tuple[int, ...], ...]
    digests: tuple[bytes, ...]

    def label(self, index: int) -> tuple[str, str, bytes]:
        """What identifies a step among its siblings: kind, name and the user's key."""
        step = self.steps[index]
        return (step.kind, step.name, step.key.data if step.key is not None else b"")

    def path(self, index: int) -> tuple[str, ...]:
        """The names from the job's first child down to the step."""
        names: list[str] = []
        while index > 0:
            names.append(self.steps[index].name)
            index = self.steps[index].parent
        return tuple(reversed(names))


def tree_of(trace: Trace) -> Tree:
    """The tree of a trace."""
    children: list[list[int]] = [[] for _ in trace.steps]
    for index, step in enumerate(trace.steps):
        if step.parent >= 0:
            children[step.parent].append(index)
    return Tree(trace.steps, tuple(map(tuple, children)), subtree_digests(trace))


def common_depth(old: Trace, new: Trace) -> tuple[Trace, Trace, str | None]:
    """Both traces cut to the lesser of their depths, and a remark when something was cut."""
    if old.depth == new.depth:
        return old, new, None
    depth = min(old.depth, new.depth, key=DEPTHS.index)
    remark = f"recorded at depths {old.depth!r} and {new.depth!r}: compared at {depth!r}"
    return cut(old, depth), cut(new, depth), remark


def cut(trace: Trace, depth: Depth) -> Trace:
    """The trace as it would have been recorded at ``depth``, as far as that can be told."""
    if depth != "inputs" or trace.depth == "inputs":
        return replace(trace, depth=depth)
    kept: dict[int, int] = {-1: -1}
    steps: list[Step] = []
    for index, step in enumerate(trace.steps):
        parent = kept[step.parent]
        if step.kind in _AT_INPUTS:
            kept[index] = len(steps)
            steps.append(replace(step, parent=parent))
        else:
            kept[index] = parent
    return replace(trace, steps=tuple(steps), depth=depth)
