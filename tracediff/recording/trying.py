"""What ``tracediff redaction`` does: try rules on stored traces, one trace at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from tracediff.errors import StoreError, TracediffError
from tracediff.model import Query, Row
from tracediff.recording.trial import BUILT_IN, Hit, Patterns, hits
from tracediff.reports.redaction import VERDICTS, Found, Place, Trial
from tracediff.stores.base import Store
from tracediff.stores.walking import Unread

LAST = 100
_PAGE = 100
MOST = 2_000
"""Places that are told apart; what comes up elsewhere is counted alone."""

_UNREADABLE = 10

Counted = Callable[[str, int, int], None]


@dataclass(slots=True)
class _Tally:
    """One place, and how often a rule found something there."""

    hit: Hit
    trace: str
    traces: int = 0
    count: int = 0
    last: str = field(default="")

    def add(self, trace: str) -> None:
        self.count += 1
        if self.last != trace:
            self.last = trace
            self.traces += 1


class _Counting:
    """All places, bounded; and by rule."""

    def __init__(self) -> None:
        self.places: dict[tuple[str, ...], _Tally] = {}
        self.rules: dict[tuple[str, ...], _Tally] = {}
        self.left_out = 0

    def add(self, hit: Hit, trace: str) -> None:
        rule = (hit.verdict, hit.rule, hit.origin)
        place = (*rule, hit.step, hit.field)
        if place not in self.places and len(self.places) >= MOST:
            self.left_out += 1
            if rule not in self.rules:
                return
        else:
            self.places.setdefault(place, _Tally(hit, trace)).add(trace)
        self.rules.setdefault(rule, _Tally(hit, trace)).add(trace)

    def found(self) -> Iterator[Found]:
        for key, rule in self.rules.items():
            places = [one for place, one in self.places.items() if place[:3] == key]
            places.sort(key=lambda one: -one.count)
            yield Found(
                verdict=rule.hit.verdict,
                rule=rule.hit.rule,
                origin=rule.hit.origin,
                traces=rule.traces,
                count=rule.count,
                places=tuple(_place(one) for one in places),
                remedy=_remedy(places) if rule.hit.verdict == "suspected" else None,
            )


def try_rules(
    store: Store,
    query: Query,
    configured: Iterable[str],
    given: Iterable[str] = (),
    *,
    last: int = LAST,
    progress: Counted | None = None,
) -> Trial:
    """What the rules would take out of stored traces.

    Args:
        store: Where the traces are.
        query: Which of them; the newest come first.
        configured: The rules of the setting ``redact``.
        given: More rules.
        last: How many traces are looked at, at most.
        progress: Called with what is being done, how many are done and of how many.

    Raises:
        ConfigError: ``config-invalid``: a rule that cannot be one.
        StoreError: The store cannot be asked.
    """
    patterns = Patterns(configured, given)
    counting, unread = _Counting(), Unread()
    traces = steps = 0
    for row in _rows(store, query, last):
        try:
            trace = store.load(row)
            for hit in hits(trace, patterns):
                counting.add(hit, row.id)
        except TracediffError as error:  # of one trace: the others can still be looked at
            if isinstance(error, StoreError) and not error.slug.startswith(_OF_ONE):
                raise
            unread.add(row.id, error)
            continue
        traces, steps = traces + 1, steps + len(trace.steps)
        if progress is not None:
            progress("traces looked at", traces, last)
    found = sorted(counting.found(), key=_order)
    met = {one.rule for one in found if one.origin != BUILT_IN}
    return Trial(
        traces=traces,
        steps=steps,
        found=tuple(found),
        idle=tuple(one.pattern for one in patterns.all if one.pattern not in met),
        left_out=counting.left_out,
        unreadable=tuple(unread.sentences(_UNREADABLE)),
    )


_OF_ONE = ("trace-", "dictionary-", "key-missing", "blob-", "value-")
"""How the slugs of errors begin that concern one trace."""


def _rows(store: Store, query: Query, last: int) -> Iterator[Row]:
    left, cursor = last, None
    while left > 0:
        page = store.search(replace(query, limit=min(left, _PAGE), cursor=cursor))
        yield from page.rows
        left, cursor = left - len(page.rows), page.cursor
        if cursor is None or not page.rows:
            return


def _order(found: Found) -> tuple[int, bool, int, str]:
    return VERDICTS.index(found.verdict), found.origin == BUILT_IN, -found.count, found.rule


def _place(tally: _Tally) -> Place:
    hit = tally.hit
    return Place(
        step=hit.step,
        field=hit.field,
        traces=tally.traces,
        count=tally.count,
        example=hit.example,
        trace=tally.trace,
    )


def _remedy(places: list[_Tally]) -> str | None:
    """A rule for what is suspected, where it stands in a field of one name."""
    names = {one.hit.name for one in places}
    (name,) = names if len(names) == 1 else (None,)
    return None if name is None or not name.isidentifier() else f"*.{name}"
