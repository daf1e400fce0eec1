"""10,000 siblings of one name, all changed: nothing tells which is which but their order."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.figures import Figure, timed
from benchmarks.made_up import siblings
from benchmarks.measuring import in_turns, once
from tracediff.compare import compare
from tracediff.digests import subtree_digests
from tracediff.model import Trace

COUNT = 10_000


def measure(quick: bool) -> list[Figure]:
    old, new = siblings(COUNT, seed=1), siblings(COUNT, seed=2)
    middle = COUNT // 2
    longer = replace(new, steps=(*new.steps[:middle], new.steps[-1], *new.steps[middle:]))

    def compared(other: Trace, pairs: int) -> None:
        found = compare(old, other)
        if len(found.pairs) != pairs:
            raise RuntimeError(f"{len(found.pairs)} pairs, not {pairs}")

    found = in_turns(
        {
            "same": lambda: once(lambda: compared(new, COUNT + 1)),
            "longer": lambda: once(lambda: compared(longer, COUNT + 2)),
            "digests": lambda: once(lambda: (subtree_digests(old), subtree_digests(new))),
        },
        1 if quick else 15,
    )
    against = {"base": found["digests"], "against": "times digesting both"}
    return [
        timed(f"{COUNT:,} changed siblings", found["same"], "s", **against, target=1),
        timed("the same with one more in the middle", found["longer"], "s", **against, target=1),
    ]
