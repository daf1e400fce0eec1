"""A check from its selection to what it found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from tracediff.check.engines import Engine, Replayed
from tracediff.check.reasons import Reasons
from tracediff.check.selecting import Selection, select
from tracediff.check.tallying import Tally, changed
from tracediff.checked import Changed, Checked, Failed
from tracediff.compare.code import Load
from tracediff.errors import StoreError
from tracediff.model import Tolerance
from tracediff.stores.base import Store

Progress = Callable[[str, int, int], None]
Explain = Callable[[Sequence[str], Callable[[int], None]], Reasons]
"""Explains traces by id, and tells how many are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """What a check lets pass: how many traces may differ, how far a field's sum may move."""

    max_changed: int = 0
    max_total: Fraction | None = None


def check(  # noqa: PLR0913 - what one check may be told
    store: Store,
    selection: Selection,
    engine: Engine,
    *,
    gates: Gates,
    rules: Sequence[Tolerance] = (),
    load: Load | None = None,
    explain: Explain | None = None,
    most_explained: int = 20,
    progress: Progress | None = None,
) -> Checked:
    """Replay the traces that are selected, and add up what changes.

    Args:
        store: Where they are.
        selection: Which of them.
        engine: What replays them.
        gates: What may change.
        rules: What counts as the same.
        load: Reads source files, so that causes are told by their code.
        explain: Explains some of those that changed.
        most_explained: How many of them.
        progress: Called with what is being done, how many are done and of how many.

    Raises:
        StoreError: ``nothing-selected``, or the store cannot be read any more.
    """
    selected = select(store, selection)
    if not selected.rows:
        raise StoreError(
            "no trace matches, so nothing can be checked",
            slug="nothing-selected",
            hint="`tracediff ls` with the same --key and --tag shows what there is",
        )
    tally = Tally()
    for replayed in engine.run(store, selected.rows):
        tally.add(_judged(replayed, rules, load))
        if progress is not None:
            progress("replaying", tally.checked, len(selected.rows))
    found = tally.checked_against(
        selected.matching, max_changed=gates.max_changed, max_total=gates.max_total
    )
    drawn = tally.drawn(most_explained)
    if explain is None or not drawn:
        return found
    say = progress or (lambda what, done, of: None)
    say("explaining", 0, len(drawn))
    reasons = explain(drawn, lambda done: say("explaining", done, len(drawn)))
    return replace(
        found,
        reasons=reasons.reasons,
        explained=reasons.explained,
        remarks=(*found.remarks, *reasons.remarks),
    )


def _judged(
    replayed: Replayed, rules: Sequence[Tolerance], load: Load | None
) -> Changed | Failed | None:
    row, outcome, error = replayed.row, replayed.outcome, replayed.error
    if error is not None:
        return Failed(
            id=row.id, key=row.key, message=error.message, slug=error.slug, hint=error.hint or ""
        )
    if outcome is None or outcome.old is None or outcome.new is None:
        return None
    return changed(outcome.old, outcome.new, rules, load)
