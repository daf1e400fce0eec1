"""Which of a store's traces are checked."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from tracediff.model import Query, Row
from tracediff.stores.base import Store
from tracediff.stores.walking import replayable_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Traces that match a query: the last so many, or a sample; all of them without either.

    A sample holds some of every path through the code (of every path signature) while there is
    room, so that rare branches are in it, and draws the rest at random. ``seed`` makes it the same
    again. Traces without an end, of jobs that run or were lost, are never among them,
    nor are imported ones.
    """

    query: Query = field(default_factory=Query)
    last: int | None = None
    sample: int | None = None
    seed: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether it takes all traces of the jobs below its key."""
        return self == Selection(query=Query(key=self.query.key, limit=self.query.limit))


@dataclass(frozen=True, slots=True)
class Selected:
    """The rows to be checked, and how many match the query: as many where it says None."""

    rows: Iterable[Row]
    matching: int | None = None


def select(store: Store, selection: Selection) -> Selected:
    """The rows that a selection means, newest first; read while they are taken."""
    rows = replayable_rows(store, replace(selection.query, cursor=None))
    if selection.last is not None:
        return Selected(islice(rows, selection.last))
    if selection.sample is None:
        return Selected(rows)
    return _sampled(rows, selection.sample, random.Random(selection.seed))  # noqa: S311 - no secret


def _sampled(rows: Iterable[Row], size: int, dice: random.Random) -> Selected:
    """A reservoir for each path, from which the sample is filled in turns.

    J. S. Vitter, "Random sampling with a reservoir", 1985 (algorithm R), by stratum.
    """
    kept: dict[tuple[str, bytes], list[tuple[int, Row]]] = {}
    seen: dict[tuple[str, bytes], int] = {}
    matching = 0
    for row in rows:
        stratum = (row.key, row.path_signature)
        place, matching = matching, matching + 1
        reservoir = kept.setdefault(stratum, [])
        count = seen[stratum] = seen.get(stratum, 0) + 1
        if len(reservoir) < size:
            reservoir.append((place, row))
        elif (at := dice.randrange(count)) < size:
            reservoir[at] = (place, row)
    for reservoir in kept.values():
        dice.shuffle(reservoir)
    rare = sorted(kept, key=lambda stratum: (seen[stratum], stratum))
    chosen = _in_turns([kept[stratum] for stratum in rare], [seen[one] for one in rare], size)
    return Selected([row for _, row in sorted(chosen, key=lambda one: one[0])], matching)


def _in_turns(
    reservoirs: list[list[tuple[int, Row]]], counts: list[int], size: int
) -> Iterator[tuple[int, Row]]:
    """One of each path, the rarest first; then of each as many as its part of all is."""
    left = size
    for reservoir in reservoirs[:size]:
        yield reservoir.pop()
        left -= 1
    total = sum(counts)
    wanted = (
        [
            min(len(one), left * count // total)
            for one, count in zip(reservoirs, counts, strict=True)
        ]
        if total
        else []
    )
    for reservoir, many in zip(reservoirs, wanted, strict=True):
        for _ in range(many):
            yield reservoir.pop()
            left -= 1
    for reservoir in reversed(reservoirs):  # what rounding left over goes to the commonest
        while left > 0 and reservoir:
            yield reservoir.pop()
            left -= 1
