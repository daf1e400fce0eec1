"""The traces that each cause moved most: what a reader opens next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from tracediff.check.tallying import Part, Tally
from tracediff.checked import Checked, Result, TraceShare
from tracediff.reports.excerpt import cut
from tracediff.reports.sums import without_places

MOST_TRACES: Final = 500
"""Of how many traces of a cause a report tells at most."""
MOST_IN_ALL: Final = 5_000
"""Of how many of all causes, as long as there is one of each."""
_LONGEST: Final = 300


def with_traces(found: Checked, results: Iterable[Result], tally: Tally) -> Checked:
    """Return a check with the traces of its causes.

    Args:
        found: What was added up.
        results: What it was added up of, once more.
        tally: What added it up.
    """
    if not found.groups:
        return found
    most = min(MOST_TRACES, max(MOST_IN_ALL // len(found.groups), 1))
    largest: dict[str, list[TraceShare]] = {one.cause: [] for one in found.groups}
    for one in results:
        for part in tally.parts(one):
            _enter(largest[part.cause], _share(one, part, found.main), most)
    kept = {cause: tuple(sorted(some, key=_order)[:most]) for cause, some in largest.items()}
    return replace(
        found, groups=tuple(replace(one, traces=kept[one.cause]) for one in found.groups)
    )


def _enter(shares: list[TraceShare], one: TraceShare, most: int) -> None:
    shares.append(one)
    if len(shares) >= 2 * most + 16:
        shares.sort(key=_order)
        del shares[most:]


def _order(one: TraceShare) -> tuple[object, ...]:
    return (-abs(one.change or 0), one.id)


def _share(one: Result, part: Part, main: str) -> TraceShare:
    moved = [it for it in one.moved if without_places(it.field) == main]
    old, new = (moved[0].old, moved[0].new) if len(moved) == 1 else ("", "")
    return TraceShare(
        id=one.id, key=one.key, meta=cut(one.meta, _LONGEST), change=part.amounts.get(main),
        old=cut(old, _LONGEST), new=cut(new, _LONGEST),
    )  # fmt: skip
