"""A check from its selection to what it found."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from tracediff.check.accepting import Entry, stale
from tracediff.check.affected import Known
from tracediff.check.engines import Engine
from tracediff.check.journal import Begun, Journal
from tracediff.check.marking import Marking
from tracediff.check.moving import with_traces
from tracediff.check.tallying import Draw, Gates, Tally, own_noise
from tracediff.checked import Checked, Shares
from tracediff.config import Config
from tracediff.errors import StoreError
from tracediff.model import Row
from tracediff.reports.sums import without_places
from tracediff.reports.wording import many as counted

Progress = Callable[[str, int, int], None]
OFTEN = 0.1
"""The part of the traces it moved in, from which on a field is noise in all traces of a job."""
MOST_REASONS = 3
"""How many reasons why traces were not explained are told."""


class Explaining(Protocol):
    """Explains traces that changed."""

    def explain(self, rows: Iterable[Row], progress: Callable[[int], None]) -> Iterator[Shares]:
        """The shares of each, in any order."""

    def covered(
        self, rows: Iterable[Row], accepted: frozenset[str], progress: Callable[[int], None]
    ) -> Iterator[str]:
        """The ids of those whose change these changes alone explain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a check does beside replaying.

    ``known`` tells which traces need no replay, and remembers what ran in the others.
    """

    config: Config
    gates: Gates = field(default_factory=Gates)
    explainer: Explaining | None = None
    accepted: tuple[Entry, ...] = ()
    known: Known | None = None

    @property
    def exact(self) -> frozenset[str]:
        """The accepted causes that are changes of code or data."""
        return frozenset(one.cause for one in self.accepted if one.exact)


def check(
    journal: Journal, begun: Begun, engine: Engine, plan: Plan, progress: Progress | None = None
) -> Checked:
    """Replay the traces that are selected, explain what changes, and add it up.

    What the journal has already is not done again.

    Args:
        journal: Where the selection is, and what is found goes.
        begun: What the check is.
        engine: What replays them.
        plan: What else is done.
        progress: Called with what is being done, how many are done and of how many.

    Raises:
        StoreError: ``nothing-selected``, or the store cannot be read any more.
    """
    if not begun.selected:
        raise StoreError(
            "no trace matches, so nothing can be checked",
            slug="nothing-selected",
            hint="`tracediff ls` with the same --key and --tag shows what there is",
        )
    say = progress or (lambda what, done, of: None)
    with plan.known or contextlib.nullcontext():
        _replay(journal, begun, engine, plan, say)
    said = _explain(journal, begun.explain, plan, say)
    _cover(journal, plan, say)
    found = _added_up(journal, begun, plan)
    journal.finished = True
    return replace(found, remarks=(*said, *found.remarks))


def _replay(journal: Journal, begun: Begun, engine: Engine, plan: Plan, say: Progress) -> None:
    known = plan.known
    if known is not None:
        for row, unaffected in known.unaffected(journal.left(), plan.config):
            if unaffected:
                journal.skip(row)
    say("replaying", journal.done, begun.selected)
    for result in engine.run(journal.left()):
        if known is not None:
            known.learn([result])
        journal.add(replace(result, ran="", units=()))
        say("replaying", journal.done, begun.selected)
    journal.flush()


def _explain(journal: Journal, most: int | None, plan: Plan, say: Progress) -> list[str]:
    """Have those that changed explained; what is to be said of it."""
    if plan.explainer is None or most == 0:
        return []
    draw, many = Draw(most), 0
    for one in journal.results():
        if one.kind == "changed":
            draw.add(one)
            many += 1
    drawn = frozenset(draw.ids())
    known = {one.id for one in journal.shares()}
    rows = (row for row in journal.rows() if row.id in drawn and row.id not in known)
    of = len(drawn)
    if not of:
        return []
    say("explaining", len(known), of)
    for shares in plan.explainer.explain(
        rows, lambda done: say("explaining", len(known) + done, of)
    ):
        journal.explain(shares)
    journal.flush()
    if of < many:
        return [
            f"{of:,} of {many:,} traces that changed were explained; --explain all takes longer"
        ]
    return []


def _cover(journal: Journal, plan: Plan, say: Progress) -> None:
    """See whether accepted causes alone explain what was not explained."""
    accepted = plan.exact
    if plan.explainer is None or not accepted:
        return
    known = {one.id for one in journal.shares()} | journal.covered(accepted)
    left = frozenset(
        one.id for one in journal.results() if one.kind == "changed" and one.id not in known
    )
    rows = (row for row in journal.rows() if row.id in left)
    told = "comparing with accepted causes"
    if left:
        say(told, 0, len(left))
        for name in plan.explainer.covered(rows, accepted, lambda done: say(told, done, len(left))):
            journal.cover(name, accepted)
        journal.flush()


def _added_up(journal: Journal, begun: Begun, plan: Plan) -> Checked:
    shares = {one.id: one for one in journal.shares()}
    marking = Marking(begun.work.attributes)
    noise, said = _noise(journal, shares)
    tally = Tally(shares, noise, marking, journal.covered(plan.exact))
    told = True
    for one in journal.results():
        tally.add(one)
        told &= one.kind != "changed" or one.id in shares
    found = with_traces(tally.checked(plan.gates, plan.accepted), journal.results(), tally)
    complete = begun.whole and told and not found.failed and not begun.work.against
    sure = [one for one in shares.values() if one.refused is None]
    return replace(
        found,
        matching=begun.matching,
        unaffected=journal.skipped,
        against=begun.work.against,
        stale=stale(plan.accepted, found.groups, complete, begun.key),
        reproduced=(sum(not one.noise for one in sure), len(sure)),
        remarks=(*_refusals(shares.values()), *said, *(plan.known.remarks if plan.known else ())),
    )


def _noise(
    journal: Journal, shares: Mapping[str, Shares]
) -> tuple[frozenset[tuple[str, str]], list[str]]:
    """The fields that are noise in all traces of a job, with its key; what is to be said of noise.

    A field that is noise in few of the traces that were explained is so in those alone: else one
    trace that varies would let pass whatever happens to the field in all others.
    """
    noisy: Counter[tuple[str, str]] = Counter()
    moved: Counter[tuple[str, str]] = Counter()
    others: Counter[str] = Counter()
    for result in journal.results() if any(one.noise for one in shares.values()) else ():
        one = shares.get(result.id)
        if one is None or one.refused is not None:
            continue
        moved.update({(result.key, without_places(it.field)) for it in result.moved})
        noisy.update((result.key, name) for name in own_noise(result, one))
        if one.unproven and result.surroundings:
            others[result.surroundings] += 1
    said = [
        f"{counted(count, 'trace')} of those explained: the recorded code gives another result now "
        f"than it gave; other than recorded: {what}"
        for what, count in others.most_common(MOST_REASONS)
    ]
    return frozenset(one for one in noisy if noisy[one] >= OFTEN * moved[one]), said


def _refusals(shares: Iterable[Shares]) -> Iterator[str]:
    counts: dict[str, int] = {}
    for one in shares:
        if one.refused is not None:
            counts[one.refused] = counts.get(one.refused, 0) + 1
    for why, count in sorted(counts.items(), key=lambda one: -one[1])[:MOST_REASONS]:
        yield f"{count:,} could not be explained: {why}"
