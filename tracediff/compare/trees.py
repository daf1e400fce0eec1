"""A trace's tree: children by parent, subtree digests, and the cut to a lesser depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tracediff.digests import leaf_digest, subtree_digest
from tracediff.model import DEPTHS, Depth, ReplayInfo, Step, Trace

_AT_INPUTS = frozenset({"job", "input", "output"})


class Tree:
    """A trace's steps with what alignment asks of them.

    Args:
        steps: The trace's steps.
    """

    __slots__ = ("_digests", "children", "steps")

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self.steps = steps
        children: list[list[int]] = [[] for _ in steps]
        for index, step in enumerate(steps):
            if step.parent >= 0:
                children[step.parent].append(index)
        self.children: Sequence[Sequence[int]] = children
        self._digests: dict[int, bytes] = {}

    def digest(self, index: int) -> bytes:
        """The digest of a step with all below it; made when somebody asks for it."""
        known = self._digests.get(index)
        return self._digested(index) if known is None else known

    def _digested(self, index: int) -> bytes:
        digests, children = self._digests, self.children
        waiting, order = [index], []
        while waiting:
            at = waiting.pop()
            if at not in digests:
                order.append(at)
                waiting += children[at]
        for at in reversed(order):
            below = children[at]
            digests[at] = (
                subtree_digest(self.steps, at, below, digests)
                if below
                else leaf_digest(self.steps[at])
            )
        return digests[index]

    def label(self, index: int) -> tuple[str, str, bytes]:
        """What identifies a step among its siblings: kind, name and the user's key."""
        step = self.steps[index]
        return (step.kind, step.name, step.key.data if step.key is not None else b"")

    def floats(self, index: int) -> bool:
        """Whether a scheduler decided the step's order, or that of a step it is inside of."""
        while index > 0:
            if self.steps[index].concurrent:
                return True
            index = self.steps[index].parent
        return False

    def path(self, index: int) -> tuple[str, ...]:
        """The names from the job's first child down to the step."""
        names: list[str] = []
        while index > 0:
            names.append(self.steps[index].name)
            index = self.steps[index].parent
        return tuple(reversed(names))


def common_depth(old: Trace, new: Trace) -> tuple[Trace, Trace, str | None]:
    """Both traces cut to the lesser of their depths, and a remark when something was cut."""
    if old.depth == new.depth:
        return old, new, None
    depth = min(old.depth, new.depth, key=DEPTHS.index)
    remark = f"recorded at depths {old.depth!r} and {new.depth!r}: compared at {depth!r}"
    before, kept = cut(old, depth)
    after, also_kept = cut(new, depth)
    if after.replay is not None:
        after = replace(after, replay=renumbered(after.replay, kept, also_kept))
    return before, after, remark


def cut(trace: Trace, depth: Depth) -> tuple[Trace, dict[int, int]]:
    """The trace as it would have been recorded at ``depth``, as far as that can be told.

    Also says where each step that is left stands now.
    """
    if depth != "inputs" or trace.depth == "inputs":
        return replace(trace, depth=depth), {at: at for at in range(len(trace.steps))}
    found, kept = without(trace, lambda step: step.kind not in _AT_INPUTS)
    return replace(found, depth=depth), kept


def without(trace: Trace, goes: Callable[[Step], bool]) -> tuple[Trace, dict[int, int]]:
    """A trace without some steps, what is in them being in what they are in.

    Also says where each step that is left stands now.
    """
    nearest: dict[int, int] = {-1: -1}
    kept: dict[int, int] = {}
    steps: list[Step] = []
    loose: set[int] = set()  # dropped steps whose order a scheduler decided, with all they hold
    for index, step in enumerate(trace.steps):
        parent = nearest[step.parent]
        concurrent = step.concurrent or step.parent in loose
        if index and goes(step):
            nearest[index] = parent
            if concurrent:
                loose.add(index)
            continue
        nearest[index] = kept[index] = len(steps)
        changed = parent != step.parent or concurrent != step.concurrent
        steps.append(replace(step, parent=parent, concurrent=concurrent) if changed else step)
    return (replace(trace, steps=tuple(steps)) if len(steps) < len(trace.steps) else trace), kept


def renumbered(replay: ReplayInfo, old: dict[int, int], new: dict[int, int]) -> ReplayInfo:
    """What a replay says of recorded and replayed steps, by the numbers that are left."""
    return replace(
        replay,
        served=tuple((old[a], new[b]) for a, b in replay.served if a in old and b in new),
        unused=tuple(old[a] for a in replay.unused if a in old),
        moved=tuple(old[a] for a in replay.moved if a in old),
        misses=tuple(
            replace(miss, nearest=tuple((old[a], some) for a, some in miss.nearest if a in old))
            for miss in replay.misses
        ),
    )
